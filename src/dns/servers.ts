import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

/** A name server to ask. */
export interface ServerAddress {
  readonly address: string;
  readonly port: number;
  /** `address:port`, IPv6 in brackets. */
  readonly text: string;
}

const DNS_PORT = 53;
/** Servers of a resolv.conf that are used. */
const MAX_SYSTEM_SERVERS = 8;
/** How often the system's list is looked at again. */
const REREAD_MS = 10_000;

/** Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`; undefined for anything else. */
export function parseServer(text: string): ServerAddress | undefined {
  if (isIP(text) !== 0) return serverAddress(text, DNS_PORT);
  const parts = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const address = parts?.[1] ?? parts?.[2];
  const port = parts?.[3] === undefined ? DNS_PORT : Number(parts[3]);
  if (address === undefined || isIP(address) !== (parts?.[1] === undefined ? 4 : 6)) return undefined;
  return port >= 1 && port <= 65_535 ? serverAddress(address, port) : undefined;
}

/** A server on this machine: what it says cannot be changed on the way. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function serverAddress(address: string, port: number): ServerAddress {
  return { address, port, text: isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}` };
}

/** The name servers of a resolv.conf; without any it is the one on this machine (resolv.conf(5)). */
export function parseResolvConf(text: string): readonly ServerAddress[] {
  const servers = text
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((address) => address !== undefined && isIP(address) !== 0)
    .map((address) => serverAddress(address ?? '', DNS_PORT))
    .slice(0, MAX_SYSTEM_SERVERS);
  return servers.length > 0 ? servers : [serverAddress('127.0.0.1', DNS_PORT)];
}

/** Gives the system's name servers, following changes of the file. An unreadable file keeps what was known. */
export function systemServers(path: string, nowMs: () => number): () => Promise<readonly ServerAddress[]> {
  let servers: readonly ServerAddress[] = parseResolvConf('');
  let readAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (nowMs() - readAtMs < REREAD_MS) return servers;
    readAtMs = nowMs();
    try {
      servers = parseResolvConf(await readFile(path, 'utf8'));
    } catch {
      // A machine without this file resolves by a server of its own, or by the list last read.
    }
    return servers;
  };
}
