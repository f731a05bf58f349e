/** Opening a connection: which addresses of a route to dial, and dialling one. */

import { X509Certificate } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { describeError } from '../mail/failure.ts';
import type { Route } from '../routing/contract.ts';
import type { RuleTls } from '../settings/destination-rules.ts';
import type { Settings, SmtpHost, TlsMode } from '../settings/values.ts';
import type { TlsFailureType, TlsPolicy } from '../trust/contract.ts';
import { checkTlsa, tlsaFailureType } from '../trust/tlsa.ts';

const MAX_HOSTS = 5;
const MAX_ADDRESSES = 10;

/** `encrypt`: with any certificate; `required`: with one that is verified. */
export type EndpointTls = TlsMode | 'encrypt';

/** What a rule's level is called here. */
const RULE_LEVELS = {
  none: 'none',
  opportunistic: 'opportunistic',
  encrypt: 'encrypt',
  verify: 'required',
} as const satisfies Record<RuleTls, EndpointTls>;

/** One address of one host of a route. */
export interface Endpoint {
  readonly via: Route['via'];
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly preference: number | null;
  readonly tls: EndpointTls;
  /** The SMTP host it belongs to; null where via is another. */
  readonly smtpHost: SmtpHost | null;
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** What TLS a server found by MX must have; null where the settings of its route say so. */
  readonly policy: TlsPolicy | null;
  /** Equal for endpoints a connection can be shared between. */
  readonly key: string;
}

/** The addresses of a route in the order to try them: 5 hosts and 10 addresses at most. */
export function endpointsOf(route: Route): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const one of route.hosts.slice(0, MAX_HOSTS)) {
    const { name, port, preference, addresses } = one;
    const smtpHost = one.smtpHost ?? route.smtpHost;
    const tls = smtpHost?.tls ?? RULE_LEVELS[route.tls ?? 'opportunistic'];
    const username = smtpHost?.username ?? '';
    const credentials = username === '' ? null : { username, password: smtpHost?.password ?? '' };
    // As entered, so that alarms about it are found again by the setting.
    const host = smtpHost?.name ?? name;
    for (const address of addresses) {
      const key = JSON.stringify([route.via, host, address, port, tls, credentials]);
      endpoints.push({
        via: route.via,
        host,
        port,
        address,
        preference,
        tls,
        smtpHost,
        credentials,
        policy: null,
        key,
      });
    }
  }
  return endpoints.slice(0, MAX_ADDRESSES);
}

/** One server of a route, whatever its addresses; two SMTP hosts are two, also under one name. */
export function serverOf({ host, port, smtpHost }: Endpoint): string {
  return `${smtpHost?.which ?? ''} ${host}:${port}`;
}

/** Where a connection that waits may be taken up: at any server by MX, but only at the first SMTP host. */
export function firstChoice(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const which = endpoints[0]?.smtpHost?.which;
  return endpoints.filter(({ smtpHost }) => smtpHost?.which === which);
}

/** TLS on a connection. */
export interface Secured {
  /** The certificate is one we trust (Node's own list and NODE_EXTRA_CA_CERTS), for this host name. */
  readonly verified: boolean;
  /** Version and whether verified, as the timeline keeps it. */
  readonly text: string;
  /** Such as `TLSv1.3`. */
  readonly version: string;
  /** Why it is not verified. */
  readonly problem: string | null;
  /** The same as TLS reports call it. */
  readonly failure: TlsFailureType | null;
  /** Why the policy allows no mail over it; null when it does. */
  readonly refused: string | null;
}

export type Dialled =
  | { readonly ok: true; readonly socket: Socket; readonly secure: Secured | null }
  /** `tls`: TCP was there and the handshake failed. `own`: the address to send from is not ours. */
  | { readonly ok: false; readonly reason: string; readonly tls: boolean; readonly own?: true };

/** Addresses to call from; '' where the system chooses. */
export type SourceAddresses = Pick<Settings, 'sourceAddress4' | 'sourceAddress6'>;

export interface DialRequest {
  readonly endpoint: Pick<Endpoint, 'address' | 'port' | 'host' | 'tls'> & Partial<Pick<Endpoint, 'policy'>>;
  /** For TCP and, where implicit, the TLS handshake, together. */
  readonly timeoutMs: number;
  /** Absent: the system chooses. */
  readonly source?: SourceAddresses;
  readonly signal: AbortSignal;
}

/** The address to call `address` from; undefined where the system chooses, as towards this machine itself. */
function sourceFor(address: string, { sourceAddress4, sourceAddress6 }: SourceAddresses): string | undefined {
  const source = isIP(address) === 6 ? sourceAddress6 : sourceAddress4;
  if (source === '' || (isLoopback(address) && !isLoopback(source))) return undefined;
  return source;
}

export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\./i.test(address) || address === '::1';
}

/** Opens a connection to one address. Never rejects. */
export async function dial({ endpoint, timeoutMs, source, signal }: DialRequest): Promise<Dialled> {
  if (signal.aborted) return { ok: false, reason: 'The server is stopping', tls: false };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const localAddress = source && sourceFor(endpoint.address, source);
  const to = { host: endpoint.address, port: endpoint.port, noDelay: true };
  const socket = connect(localAddress === undefined ? to : { ...to, localAddress });
  let code = '';
  socket.once('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? '';
  });
  const refused = await settled(socket, 'connect', limit, `timed out after ${timeoutMs / 1000} s`);
  if (refused !== null && localAddress !== undefined && NOT_OURS.has(code)) {
    const reason = `${localAddress} is not an address of this machine from which ${endpoint.address} can be called (smtp.sourceAddress${isIP(localAddress)})`;
    return { ok: false, reason, tls: false, own: true };
  }
  if (refused !== null) return { ok: false, reason: refused, tls: false };
  if (endpoint.tls !== 'implicit') return { ok: true, socket, secure: null };
  const secured = await startTls(socket, endpoint.host, limit, endpoint.policy ?? null);
  return secured.ok ? secured : { ok: false, reason: secured.reason, tls: true };
}

/** The TLS handshake on an open connection. Any certificate will do for it; `refused` says whether it does for mail. */
export async function startTls(
  socket: Socket,
  host: string,
  limit: AbortSignal,
  policy: TlsPolicy | null = null,
): Promise<{ ok: true; socket: TLSSocket; secure: Secured } | { ok: false; reason: string }> {
  // RFC 7672 §3.2.1: with DANE the name that the TLSA records stand under.
  const servername = policy?.servername ?? (isIP(host) === 0 ? host : undefined);
  // What happens to the plain socket from here on shows on the secured one.
  socket.on('error', () => undefined);
  const secured = connectTls({ socket, host, servername, rejectUnauthorized: false });
  const failed = await settled(secured, 'secureConnect', limit, 'TLS handshake timed out');
  if (failed !== null) {
    socket.destroy();
    return { ok: false, reason: failed };
  }
  return { ok: true, socket: secured, secure: securedBy(secured, policy) };
}

const BY_WHOM = {
  dane: 'DANE',
  'mta-sts': 'MTA-STS',
  rule: 'the rule for the destination',
  settings: 'settings',
};

function securedBy(socket: TLSSocket, policy: TlsPolicy | null): Secured {
  const version = socket.getProtocol() ?? 'TLS';
  const strict = policy?.level === 'dane' || policy?.level === 'verify';
  const problem =
    policy?.level === 'dane'
      ? checkTlsa(policy.tlsa, chainOf(socket), policy.names)
      : socket.authorized
        ? null
        : describeError(socket.authorizationError);
  const verified = problem === null;
  const failure =
    problem === null
      ? null
      : policy?.level === 'dane'
        ? tlsaFailureType(problem)
        : certificateFailure(String(socket.authorizationError));
  if (policy === null || !strict)
    return {
      verified,
      text: `${version} ${verified ? 'verified' : 'unverified'}`,
      version,
      problem,
      failure,
      refused: null,
    };
  const whom = BY_WHOM[policy.source];
  const fault =
    policy.level === 'dane'
      ? 'not the one that DANE asks for'
      : `not trusted for this name, as ${whom} demands`;
  const refused = verified ? null : `The certificate is ${fault}: ${problem}`;
  const text = verified ? `${version}, verified by ${whom}` : `${version}, not verified by ${whom}`;
  return { verified, text, version, problem, failure, refused };
}

/** By Node's code of what is wrong with a certificate. */
function certificateFailure(code: string): TlsFailureType {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'certificate-host-mismatch';
  return code === 'CERT_HAS_EXPIRED' ? 'certificate-expired' : 'certificate-not-trusted';
}

/** Certificates looked at of one chain. */
const MAX_CHAIN = 10;

/** What the server sent, its own certificate first. */
function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  let current: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (current?.raw !== undefined && !seen.has(current.fingerprint256) && chain.length < MAX_CHAIN) {
    seen.add(current.fingerprint256);
    chain.push(new X509Certificate(current.raw));
    current = current.issuerCertificate;
  }
  return chain;
}

/** What the system answers when it cannot call from an address. */
const NOT_OURS = new Set(['EADDRNOTAVAIL', 'EINVAL']);

const CONNECTION_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'timed out',
};

/** The system's codes in words, for timelines and notices; address and port stand beside them anyway. */
function connectionWords(error: NodeJS.ErrnoException & { readonly reason?: unknown }): string {
  // The message of an error of OpenSSL has a thread, a source file and a line in it.
  if (error.code?.startsWith('ERR_SSL_') && typeof error.reason === 'string')
    return `TLS handshake failed: ${error.reason}`;
  return CONNECTION_WORDS[error.code ?? ''] ?? describeError(error);
}

/** Waits for `event`; null when it came, otherwise why not, and the socket is destroyed. */
function settled(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  limit: AbortSignal,
  late: string,
): Promise<string | null> {
  return new Promise((resolve) => {
    const finish = (reason: string | null) => {
      socket.off(event, onEvent);
      socket.off('error', onError);
      socket.off('close', onClose);
      limit.removeEventListener('abort', onAbort);
      if (reason !== null) {
        // A destroyed socket may still report what it died of, and nobody listens any more.
        socket.on('error', () => undefined);
        socket.destroy();
      }
      resolve(reason);
    };
    const onEvent = () => finish(null);
    const onError = (error: Error) => finish(connectionWords(error));
    const onClose = () => finish('connection closed');
    const onAbort = () => finish(late);
    socket.on(event, onEvent);
    socket.on('error', onError);
    socket.on('close', onClose);
    limit.addEventListener('abort', onAbort);
    if (limit.aborted) onAbort();
  });
}
