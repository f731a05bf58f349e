/** Handing in a TLS report over HTTPS (RFC 8460 §3, §5.4). */
import { request } from 'node:https';
import { isIP } from 'node:net';
import type { Resolver } from '../dns/contract.ts';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';

const POST_MS = 20_000;
const MAX_ADDRESSES = 4;

export interface ReportPostOptions {
  readonly resolver: Pick<Resolver, 'addresses'>;
  /** False for an address that a name found in DNS must not lead us to. */
  readonly mayDial: (address: string) => boolean;
  /** PEM of the CAs to believe; default: Node's list and `NODE_EXTRA_CA_CERTS`. */
  readonly ca?: string;
  readonly timeoutMs?: number;
}

/** `stop` ends it before its time. */
export type ReportPost = (url: URL, gzipped: Buffer, stop: AbortSignal) => Promise<Result<null, string>>;

/** Makes what hands a report in; a failure says why it is not. Never rejects. */
export function reportPoster(options: ReportPostOptions): ReportPost {
  return async (url, gzipped, stop) => {
    const host = url.hostname;
    // An address in the URL would have no name to check a certificate by.
    if (isIP(host) !== 0 || host.startsWith('[')) return failed(`${host} is not a host name`);
    const found = await options.resolver.addresses(host);
    if (found.status !== 'ok') return failed(`${host} has no address`);
    const addresses = found.records.map(({ address }) => address).filter(options.mayDial);
    if (addresses.length === 0) return failed(`no address of ${host} may be dialled`);
    const signal = AbortSignal.any([stop, AbortSignal.timeout(options.timeoutMs ?? POST_MS)]);
    let last: Posted = { result: failed(''), answered: false };
    for (const address of addresses.slice(0, MAX_ADDRESSES)) {
      last = await post(url, address, gzipped, options, signal);
      if (last.answered || signal.aborted) break;
    }
    return last.result;
  };
}

interface Posted {
  readonly result: Result<null, string>;
  readonly answered: boolean;
}

function post(
  url: URL,
  address: string,
  gzipped: Buffer,
  { ca }: ReportPostOptions,
  signal: AbortSignal,
): Promise<Posted> {
  const { hostname, host, port, pathname, search } = url;
  return new Promise((resolve) => {
    const headers = { host, 'content-type': 'application/tlsrpt+gzip', 'content-length': gzipped.length };
    const asked = request({
      ...{
        host: address,
        port: port === '' ? 443 : Number(port),
        servername: hostname,
        agent: false,
        signal,
      },
      ...{ method: 'POST', path: `${pathname}${search}`, headers },
      ...(ca === undefined ? {} : { ca }),
    });
    asked.on('error', (error) =>
      resolve({ result: failed(`${hostname} [${address}]: ${describeError(error)}`), answered: false }),
    );
    asked.on('response', ({ statusCode = 0 }) => {
      // §3: anything but 2xx is a failure; redirects are not followed.
      const taken = statusCode >= 200 && statusCode < 300;
      resolve({ result: taken ? ok(null) : failed(`${hostname} answered ${statusCode}`), answered: true });
      asked.destroy();
    });
    asked.end(gzipped);
  });
}
