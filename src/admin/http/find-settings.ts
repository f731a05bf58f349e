/**
 * Where mail programs find their settings: Thunderbird's autoconfig and Outlook's autodiscover. Open to everybody, so
 * the answers depend on the domain and the listeners only, never on whether an account exists.
 */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { type Address, parseAddress } from '../../mail/address.ts';
import type { AdminContext } from '../context.ts';
import { MAIL_SERVICES, type MailService } from '../mail-services.ts';
import { readAutodiscoverRequest } from './autodiscover-request.ts';
import { escapeMarkup } from './markup.ts';
import { HttpProblem } from './problem.ts';
import { readText } from './read-request.ts';
import { hostOf } from './request-guard.ts';
import { SECURITY_HEADERS } from './static-files.ts';

/** Largest request of a mail program. */
export const MAX_FINDING_BYTES = 64 * 1024;
const AUTODISCOVER_PATH = '/autodiscover/autodiscover.xml';
const RESPONSE = 'http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006';
const OUTLOOK = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';

type Request = Context<{ Bindings: HttpBindings }>;

export interface Finding {
  readonly methods: readonly string[];
  /** Rejects with `HttpProblem`. */
  answer(context: AdminContext, c: Request): Promise<Response>;
}

const AUTOCONFIG: Finding = { methods: ['GET', 'HEAD'], answer: autoconfig };
const AUTODISCOVER: Finding = { methods: ['GET', 'HEAD', 'POST'], answer: autodiscover };

const FINDINGS: ReadonlyMap<string, Finding> = new Map([
  ['/.well-known/autoconfig/mail/config-v1.1.xml', AUTOCONFIG],
  ['/mail/config-v1.1.xml', AUTOCONFIG],
  [AUTODISCOVER_PATH, AUTODISCOVER],
]);

/** What answers at a path, in whatever case its letters are (Outlook's differ by version); null: nothing here. */
export function findingOf(path: string): Finding | null {
  return FINDINGS.get(path.toLowerCase()) ?? null;
}

/** Whether the Host header is a hosted domain or a name below it that mail programs ask at. */
export async function isFindingHost({ storage }: AdminContext, header: string | null): Promise<boolean> {
  const domain = domainOfHost(header);
  return domain !== null && (await storage.domain(domain)) !== null;
}

function domainOfHost(header: string | null): string | null {
  const host = header === null ? null : hostOf(header);
  return host === null ? null : host.replace(/^auto(?:config|discover)\./, '');
}

/** The user name stands there as Thunderbird's word for the address that was typed in. */
async function autoconfig(context: AdminContext, c: Request): Promise<Response> {
  const address = addressInQuery(c);
  const domain = address?.domain ?? domainOfHost(c.req.header('host') ?? null) ?? '';
  if (address === null && (await context.storage.domain(domain)) === null) throw noAddress();
  const services = await servicesFor(context, domain);
  const servers = services.map(({ service, port }) => {
    const element = service.protocol === 'smtp' ? 'outgoingServer' : 'incomingServer';
    return `
    <${element} type="${service.protocol}">
      <hostname>${escapeMarkup(context.hostname)}</hostname>
      <port>${port}</port>
      <socketType>${service.implicitTls ? 'SSL' : 'STARTTLS'}</socketType>
      <authentication>password-cleartext</authentication>
      <username>%EMAILADDRESS%</username>
    </${element}>`;
  });
  const name = escapeMarkup(domain);
  return xmlResponse(`<clientConfig version="1.1">
  <emailProvider id="${name}">
    <domain>${name}</domain>
    <displayName>${name}</displayName>
    <displayShortName>${name}</displayShortName>${servers.join('')}
  </emailProvider>
</clientConfig>`);
}

async function autodiscover(context: AdminContext, c: Request): Promise<Response> {
  if (c.req.method !== 'POST') return autodiscoverByGet(context, c);
  const request = readAutodiscoverRequest(await readText(c, MAX_FINDING_BYTES));
  if (!request.ok) {
    throw new HttpProblem({
      status: 400,
      detail: `the body is no request of Autodiscover: ${request.failure}`,
      mend: 'Send an Autodiscover element with a Request that has EMailAddress and AcceptableResponseSchema.',
    });
  }
  const { address, schema } = request.value;
  if (schema !== '' && schema !== OUTLOOK) return otherSchema();
  if (address === '') throw noAddress();
  return outlookSettings(context, checkedAddress(address));
}

/**
 * Outlook asks so, without an address and over plain HTTP, only to be told where to post to ([MS-OXDSCLI]).
 * With an address in the query the answer is the same as to a POST.
 */
async function autodiscoverByGet(context: AdminContext, c: Request): Promise<Response> {
  const address = addressInQuery(c);
  if (address !== null) return outlookSettings(context, address);
  if (hostOf(c.req.header('host') ?? '') === context.hostname) throw noAddress();
  const location = `https://${context.hostname}${AUTODISCOVER_PATH}`;
  return new Response(null, { status: 302, headers: { ...SECURITY_HEADERS, location } });
}

async function outlookSettings(context: AdminContext, address: Address): Promise<Response> {
  const services = await servicesFor(context, address.domain);
  const protocols = services.map(
    ({ service, port }) => `
      <Protocol>
        <Type>${service.protocol.toUpperCase()}</Type>
        <Server>${escapeMarkup(context.hostname)}</Server>
        <Port>${port}</Port>
        <LoginName>${escapeMarkup(address.text)}</LoginName>
        <DomainRequired>off</DomainRequired>
        <SPA>off</SPA>
        <SSL>on</SSL>
        <Encryption>${service.implicitTls ? 'SSL' : 'TLS'}</Encryption>
        <AuthRequired>on</AuthRequired>${
          service.protocol === 'smtp'
            ? `
        <UsePOPAuth>off</UsePOPAuth>
        <SMTPLast>off</SMTPLast>`
            : ''
        }
      </Protocol>`,
  );
  return xmlResponse(`<Autodiscover xmlns="${RESPONSE}">
  <Response xmlns="${OUTLOOK}">
    <Account>
      <AccountType>email</AccountType>
      <Action>settings</Action>${protocols.join('')}
    </Account>
  </Response>
</Autodiscover>`);
}

/** For programs that ask for something else first, such as Exchange ActiveSync. */
function otherSchema(): Response {
  const now = new Date().toISOString().slice(11, 23);
  return xmlResponse(`<Autodiscover xmlns="${RESPONSE}">
  <Response>
    <Error Time="${now}" Id="0">
      <ErrorCode>601</ErrorCode>
      <Message>Provider is not available</Message>
      <DebugData />
    </Error>
  </Response>
</Autodiscover>`);
}

interface Offered {
  readonly service: MailService;
  readonly port: number;
}

/** What this server offers to a domain; a 404 when that is nothing. */
async function servicesFor(context: AdminContext, domain: string): Promise<readonly Offered[]> {
  if ((await context.storage.domain(domain)) === null) {
    throw new HttpProblem({ status: 404, detail: 'this server has no mail of this domain' });
  }
  const ports = context.mailServices();
  const offered = MAIL_SERVICES.flatMap((service) => {
    const port = ports[service.name];
    return port === null ? [] : [{ service, port }];
  });
  if (offered.length > 0) return offered;
  throw new HttpProblem({ status: 404, detail: 'this server has no listener for mail programs' });
}

/** null without one. The name of the parameter is taken in any case, other parameters are passed over. */
function addressInQuery(c: Request): Address | null {
  const given = Object.entries(c.req.queries())
    .filter(([name]) => name.toLowerCase() === 'emailaddress')
    .flatMap(([, values]) => values)
    .filter((value) => value !== '');
  if (given.length > 1) {
    throw new HttpProblem({ status: 400, detail: 'emailaddress is given twice in the query' });
  }
  return given[0] === undefined ? null : checkedAddress(given[0]);
}

function checkedAddress(text: string): Address {
  const address = parseAddress(text);
  // Characters an address may have but an XML document may not.
  if (address.ok && !/[\ufffe\uffff]/.test(address.value.text)) return address.value;
  throw new HttpProblem({
    status: 400,
    detail: 'the e-mail address is not one',
    mend: 'It needs the form local@domain.',
  });
}

function noAddress(): HttpProblem {
  return new HttpProblem({
    status: 400,
    detail: 'there is no e-mail address in the request',
    mend: 'Add ?emailaddress=local@domain.',
  });
}

function xmlResponse(content: string): Response {
  return new Response(`<?xml version="1.0" encoding="UTF-8"?>\n${content}\n`, {
    headers: {
      ...SECURITY_HEADERS,
      'content-type': 'text/xml; charset=utf-8',
      'cache-control': 'no-store',
    },
  });
}
