/** The server's names in DNS: its own, there and back, and the MX records of the domains it hosts. */
import { networkInterfaces } from 'node:os';
import type { AddressRecord, Answer, MxRecord } from '../dns/contract.ts';
import { isLoopbackName, parseIpAddress } from '../settings/networks.ts';
import { smtpHostsOf } from '../settings/smtp-host-table.ts';
import type { AdminContext, CheckFinding } from './context.ts';
import { fine, skipped, warning } from './finding.ts';

/** Hosted domains looked up in one check, and how many at once. */
const MAX_DOMAINS = 200;
const LOOKUPS_AT_ONCE = 10;
/** No further domain is begun after this. */
const DOMAINS_MS = 8_000;
const MAX_ADDRESSES = 10;
const MAX_MX = 10;

/** The cache may still hold what was mended a minute ago. */
const FRESH = { fresh: true } as const;

type Names = Pick<AdminContext, 'hostname' | 'resolver' | 'settings' | 'storage'>;

/** The host name's addresses, and what each is called in return. */
export async function checkHostname(context: Names): Promise<CheckFinding[]> {
  const { hostname, resolver, settings } = context;
  const findings: CheckFinding[] = [];
  if (!hostname.includes('.')) {
    findings.push(
      warning(
        'dns',
        `the host name ${hostname} is not fully qualified`,
        'Other servers may refuse mail from a server that greets them with it.',
        'Set hostname in cmail.toml to a name such as mail.example.com.',
      ),
    );
  }
  const answer = await resolver.addresses(hostname, FRESH);
  findings.push(addressFinding(hostname, answer, 'this server'));
  const addresses = [...new Set([...addressesOf(answer), ...settings.current().ownAddresses])];
  const some = addresses.slice(0, MAX_ADDRESSES);
  findings.push(...(await Promise.all(some.map((address) => checkReverse(context, address)))));
  return findings;
}

/** RFC 1912 §2.1: every address should lead back to the name. */
async function checkReverse({ hostname, resolver }: Names, address: string): Promise<CheckFinding> {
  const answer = await resolver.ptr(address, FRESH);
  const meaning = 'Many servers refuse mail from an address whose reverse name is missing or another one.';
  const mend = `Ask whoever gave you the address ${address} (your provider) to set its PTR record to ${hostname}.`;
  if (answer.status !== 'ok') {
    return warning('dns', `${address} has no reverse name (PTR): ${reasonOf(answer)}`, meaning, mend);
  }
  if (answer.records.includes(hostname)) return fine('dns', `${address} leads back to ${hostname} (PTR)`);
  const names = answer.records.slice(0, MAX_ADDRESSES).join(', ');
  return warning('dns', `${address} leads back to ${names} (PTR), not to ${hostname}`, meaning, mend);
}

/** The names of the SMTP hosts, where they have to be looked up. */
export async function checkSmtpHostName({ resolver, settings }: Names): Promise<CheckFinding[]> {
  const named = smtpHostsOf(settings.current()).filter(
    ({ name }) => !isLoopbackName(name) && !parseIpAddress(name).ok,
  );
  return Promise.all(
    named.map(async ({ name }) =>
      addressFinding(name, await resolver.addresses(name, FRESH), 'the SMTP host'),
    ),
  );
}

/** Whether the MX records of hosted domains lead here. */
export async function checkDomains(context: Names, nowMs: () => number): Promise<CheckFinding[]> {
  const startedAt = nowMs();
  const all = await context.storage.listDomains();
  const own = await ownAddresses(context);
  const findings: CheckFinding[] = [];
  let done = 0;
  while (done < Math.min(all.length, MAX_DOMAINS) && nowMs() - startedAt < DOMAINS_MS) {
    const some = all.slice(done, Math.min(done + LOOKUPS_AT_ONCE, MAX_DOMAINS));
    findings.push(...(await Promise.all(some.map(({ name }) => checkMx(context, own, name)))));
    done += some.length;
  }
  if (done < all.length) {
    const why = done >= MAX_DOMAINS ? `one check looks at ${MAX_DOMAINS}` : 'DNS was too slow';
    findings.push(
      skipped(
        'dns',
        `${all.length - done} of ${all.length} hosted domains were not looked up: ${why}`,
        'Nothing is known of their MX records.',
        'Look them up with "dig MX" where you have reason to.',
      ),
    );
  }
  return findings;
}

async function ownAddresses({ hostname, resolver, settings }: Names): Promise<ReadonlySet<string>> {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const machine = interfaces.filter(({ internal }) => !internal).map(({ address }) => address);
  const inDns = addressesOf(await resolver.addresses(hostname));
  return new Set([...machine, ...inDns, ...settings.current().ownAddresses]);
}

async function checkMx(context: Names, own: ReadonlySet<string>, domain: string): Promise<CheckFinding> {
  const { resolver, hostname } = context;
  const answer = await resolver.mx(domain, FRESH);
  const meaning = `Mail from outside for ${domain} does not come to this server.`;
  const mend = `Publish an MX record of ${domain} that names ${hostname}, or list the name in smtp.ownNames.`;
  if (answer.status === 'ok') {
    if (answer.records.every(({ exchange }) => exchange === '')) {
      const text = `${domain} has a null MX record: it says that it takes no mail`;
      return warning('dns', text, meaning, mend);
    }
    return mxFinding(context, own, domain, answer.records);
  }
  if (answer.status === 'nodata') {
    // RFC 5321 §5.1: without MX the domain's own addresses count.
    const addresses = addressesOf(await resolver.addresses(domain, FRESH));
    if (addresses.some((address) => own.has(address))) {
      return fine('dns', `${domain} has no MX, and its own address leads to this server`);
    }
  }
  if (answer.status === 'no-answer') {
    const unknown = `Whether mail for ${domain} comes here is not known.`;
    return warning('dns', `${domain} has no MX: ${reasonOf(answer)}`, unknown, mend);
  }
  return warning('dns', `${domain} has no MX: ${reasonOf(answer)}`, meaning, mend);
}

async function mxFinding(
  { resolver, hostname, settings }: Names,
  own: ReadonlySet<string>,
  domain: string,
  records: readonly MxRecord[],
): Promise<CheckFinding> {
  const ordered = [...records].sort((a, b) => a.preference - b.preference).slice(0, MAX_MX);
  const names = ordered.map(({ exchange }) => exchange).join(', ');
  const ownNames = [hostname, ...settings.current().ownNames];
  const answers = await Promise.all(ordered.map(({ exchange }) => resolver.addresses(exchange, FRESH)));
  const here = ordered.findIndex(({ exchange }, index) => {
    const answer = answers[index];
    if (ownNames.includes(exchange)) return true;
    return answer !== undefined && addressesOf(answer).some((address) => own.has(address));
  });
  const found = ordered[here];
  const answer = answers[here];
  const meaning = `Mail from outside for ${domain} does not come to this server.`;
  if (found === undefined || answer === undefined) {
    const mend = `Publish an MX record of ${domain} that names ${hostname}, or list the name in smtp.ownNames.`;
    return warning('dns', `the MX of ${domain} is ${names}, not ${hostname}`, meaning, mend);
  }
  if (answer.status === 'nxdomain' || answer.status === 'nodata') {
    const mend = `Publish an A or AAAA record of ${found.exchange}.`;
    const text = `the MX of ${domain} is ${found.exchange}, which has no address: ${reasonOf(answer)}`;
    return warning('dns', text, meaning, mend);
  }
  if (found.preference === ordered[0]?.preference) {
    return fine('dns', `the MX of ${domain} leads to this server`);
  }
  return fine('dns', `the MX of ${domain} leads to this server when ${ordered[0]?.exchange} is not there`);
}

function addressFinding(name: string, answer: Answer<AddressRecord>, what: string): CheckFinding {
  if (answer.status === 'ok') {
    return fine('dns', `${name}, ${what}, has ${addressesOf(answer).slice(0, MAX_ADDRESSES).join(', ')}`);
  }
  const us = what === 'this server';
  return warning(
    'dns',
    `${name}, ${what}, has no address in DNS: ${reasonOf(answer)}`,
    us
      ? 'Others cannot find this server, and many refuse mail from one whose name leads nowhere.'
      : 'Mail that goes by it waits, unless the hosts file knows the name.',
    us
      ? `Publish an A or AAAA record of ${name}, or set hostname in cmail.toml to the name that has one.`
      : 'Correct smtp.host.name, or publish an address of the name.',
  );
}

function addressesOf(answer: Answer<AddressRecord>): readonly string[] {
  return answer.status === 'ok' ? answer.records.map(({ address }) => address) : [];
}

function reasonOf(answer: Exclude<Answer<unknown>, { status: 'ok' }>): string {
  if (answer.status === 'nxdomain') return 'the name does not exist';
  return answer.status === 'nodata' ? 'the name has no such record' : answer.detail;
}
