/** What is asked of every request before it reaches a route. */
import { isIP } from 'node:net';
import { HttpProblem } from './problem.ts';

/** `host` without port and brackets, lower case; null when it is not one. */
export function hostOf(header: string): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(header);
  const host = match?.[1] ?? match?.[2];
  return host === undefined ? null : host.toLowerCase().replace(/\.$/, '');
}

function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
  );
}

/**
 * Against DNS rebinding: a foreign name that is pointed at this listener is no name of ours. `local` is the address
 * the connection came in on.
 */
export function checkHost(header: string | null, hostname: string, local: string): void {
  const host = header === null ? null : hostOf(header);
  const own = local.replace(/^::ffff:/i, '').toLowerCase();
  if (host !== null && (host === hostname || isLoopback(host) || (isIP(host) !== 0 && host === own))) return;
  throw new HttpProblem({
    status: 421,
    detail: 'this server does not answer to the name in the Host header',
    mend: `Use ${hostname}, localhost or the address of the listener.`,
  });
}

/**
 * Strict-Transport-Security (RFC 6797) for a browser that came with TLS to a name of ours. Never for the machine's own
 * names: there the listener in clear has its place.
 */
export function strictTransport(header: string | null, encrypted: boolean): string | null {
  const host = header === null ? null : hostOf(header);
  return encrypted && host !== null && !isLoopback(host) && isIP(host) === 0 ? 'max-age=31536000' : null;
}

/** The request target as it came: an absolute path without anything that only serves to lead elsewhere. */
export function checkTarget(target: string): void {
  const path = target.split(/[?#]/, 1)[0] ?? '';
  const plain = path.startsWith('/') && !path.startsWith('//') && target.length <= 4096;
  const tricks = /\\|%00|%5c|[\x00-\x20\x7f]|(?:^|\/|%2f)(?:\.|%2e){1,2}(?:\/|%2f|$)/i;
  // A slash in a name of the API is part of the name: a local part may hold one.
  const slash = !path.startsWith('/api/') && /%2f/i.test(path);
  let decodes = true;
  try {
    decodeURIComponent(path);
  } catch {
    decodes = false;
  }
  if (plain && decodes && !slash && !tricks.test(path)) return;
  throw new HttpProblem({ status: 400, detail: 'the path of the request is not one of this server' });
}

/**
 * A call that changes something must come from a page of ours, when it says where it comes from. Over TLS of our own a
 * page in clear of the same name is foreign.
 */
export function checkOrigin(headers: Headers, encrypted: boolean): void {
  const site = headers.get('sec-fetch-site');
  const origin = headers.get('origin');
  const foreignSite = site !== null && site !== 'same-origin' && site !== 'none';
  const host = headers.get('host')?.toLowerCase();
  if (!foreignSite && (origin === null || originHost(origin, encrypted) === host)) return;
  throw new HttpProblem({
    status: 403,
    detail: 'the call comes from another page',
    mend: 'Call it from the page of this server, or with an API token.',
  });
}

function originHost(origin: string, encrypted: boolean): string | null {
  try {
    const { protocol, host } = new URL(origin);
    return encrypted && protocol !== 'https:' ? null : host;
  } catch {
    // `null` and other forms are no origin of ours.
    return null;
  }
}
