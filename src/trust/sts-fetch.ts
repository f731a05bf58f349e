/** Fetching an MTA-STS policy over HTTPS (RFC 8461 §3.3). */
import { request } from 'node:https';
import type { Resolver } from '../dns/contract.ts';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import type { TlsFailureType } from './contract.ts';
import { MAX_POLICY_BYTES } from './sts-policy.ts';

/** For the whole fetch; the RFC proposes a minute, for which mail would wait. */
const FETCH_MS = 20_000;
const MAX_ADDRESSES = 4;

export interface StsFetchOptions {
  readonly resolver: Pick<Resolver, 'addresses'>;
  /** False for an address that a name found in DNS must not lead us to. */
  readonly mayDial: (address: string) => boolean;
  /** Default 443. */
  readonly port?: number;
  /** PEM of the CAs to believe; default: Node's list and `NODE_EXTRA_CA_CERTS`. */
  readonly ca?: string;
  readonly timeoutMs?: number;
}

/** Why there is no policy: for people, and as reports call it. */
export interface StsFetchFailure {
  readonly text: string;
  readonly type: TlsFailureType;
}

export type StsFetch = (domain: string) => Promise<Result<string, StsFetchFailure>>;

function noPolicy(
  text: string,
  type: TlsFailureType = 'sts-policy-fetch-error',
): Result<never, StsFetchFailure> {
  return failed({ text, type });
}

/** Makes a fetcher of the text of a domain's policy; a failure says why there is none. Never rejects. */
export function stsFetcher(options: StsFetchOptions): StsFetch {
  return async (domain) => {
    const host = `mta-sts.${domain}`;
    const found = await options.resolver.addresses(host);
    if (found.status !== 'ok') return noPolicy(`${host} has no address`);
    const addresses = found.records.map(({ address }) => address).filter(options.mayDial);
    if (addresses.length === 0) return noPolicy(`no address of ${host} may be dialled`);
    const signal = AbortSignal.timeout(options.timeoutMs ?? FETCH_MS);
    let last: Result<string, StsFetchFailure> = noPolicy('');
    for (const address of addresses.slice(0, MAX_ADDRESSES)) {
      last = await get(host, address, options, signal);
      if (last.ok || signal.aborted) break;
    }
    return last;
  };
}

function get(
  host: string,
  address: string,
  { port = 443, ca }: StsFetchOptions,
  signal: AbortSignal,
): Promise<Result<string, StsFetchFailure>> {
  return new Promise((resolve) => {
    const asked = request({
      ...{ host: address, port, servername: host, agent: false, signal },
      ...{ method: 'GET', path: '/.well-known/mta-sts.txt', headers: { host, accept: 'text/plain' } },
      ...(ca === undefined ? {} : { ca }),
    });
    const finish = (result: Result<string, StsFetchFailure>) => {
      resolve(result);
      asked.destroy();
    };
    asked.on('error', (error: NodeJS.ErrnoException) => {
      const type = isCertificateError(error) ? 'sts-webpki-invalid' : 'sts-policy-fetch-error';
      finish(noPolicy(`${host} [${address}]: ${describeError(error)}`, type));
    });
    asked.on('response', (response) => {
      // §3.3: redirects are not followed.
      if (response.statusCode !== 200) return finish(noPolicy(`${host} answered ${response.statusCode}`));
      if (!/^text\/plain\s*(?:;|$)/i.test(response.headers['content-type'] ?? ''))
        return finish(noPolicy(`${host} answered with something that is not text/plain`));
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_POLICY_BYTES) return finish(noPolicy(`the policy of ${host} is larger than 64 KB`));
        parts.push(part);
      });
      response.on('end', () => finish(ok(Buffer.concat(parts).toString('utf8'))));
      response.on('error', (error) => finish(noPolicy(`${host}: ${describeError(error)}`)));
      response.on('aborted', () => finish(noPolicy(`${host} broke off its answer`)));
    });
    asked.end();
  });
}

/** Verification of a certificate failed, by the codes of OpenSSL and Node. */
function isCertificateError({ code = '' }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /CERT|^UNABLE_TO_/.test(code);
}
