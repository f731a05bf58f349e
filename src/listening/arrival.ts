/** What happens to a connection before its protocol begins: PROXY header, counting, implicit TLS. */
import { BlockList, isIPv6, type Socket } from 'node:net';
import type { Crowd, CrowdLimits } from './crowd.ts';
import { plainAddress } from './network.ts';
import { readProxyHeader } from './proxy-header.ts';
import { HANDSHAKE_LIMIT_MS, startTls, type TlsFacts } from './start-tls.ts';
import type { TlsProvider } from './tls-provider.ts';

/** Addresses whose connections begin with a PROXY header. */
export type IsProxy = (address: string) => boolean;

/** A client as its protocol meets it. */
export interface Arrival {
  readonly socket: Socket;
  /** The client's, also behind a proxy; plain text. */
  readonly address: string;
  /** Agreed on before the protocol began; null in clear. */
  readonly tls: TlsFacts | null;
}

export interface ArrivalOptions {
  readonly crowd: Crowd;
  readonly limits: CrowdLimits;
  readonly isProxy: IsProxy;
  /** TLS from the first byte; null for none. */
  readonly implicitTls: TlsProvider | null;
  /** For the handshake then; default `HANDSHAKE_LIMIT_MS`. */
  readonly handshakeLimitMs?: number;
  /** Tells a client over a limit so; the socket is closed afterwards. */
  readonly refuse: (socket: Socket, address: string, limit: keyof CrowdLimits) => void;
  readonly log: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
}

/**
 * Brings a new connection to where its protocol can begin; null when it was refused or went away, with its socket
 * closed. Who arrived is counted in `crowd` and must leave it. While it is on its way it counts as its proxy or itself.
 */
export async function receiveArrival(socket: Socket, options: ArrivalOptions): Promise<Arrival | null> {
  const { crowd, limits, isProxy, log } = options;
  const peer = plainAddress(socket.remoteAddress ?? '');
  // What fails on its way has nobody else who listens.
  const ignore = (): void => undefined;
  socket.on('error', ignore);
  let address = peer;
  if (isProxy(peer)) {
    // A proxy's connections are many; only all there can be bounds those whose header has not come.
    const all = { total: limits.total, perAddress: limits.total, perNetwork: limits.total };
    const full = crowd.enter(peer, all);
    if (full !== null) {
      options.refuse(socket, peer, full);
      return null;
    }
    const header = await readProxyHeader(socket);
    crowd.leave(peer);
    if (!header.ok) {
      log('warn', 'a connection of a proxy was closed', { proxy: peer, why: header.failure });
      socket.destroy();
      return null;
    }
    address = header.value === null ? peer : plainAddress(header.value);
  }
  if (address === '' || socket.destroyed) {
    socket.destroy();
    return null;
  }
  const full = crowd.enter(address, limits);
  if (full !== null) {
    options.refuse(socket, address, full);
    return null;
  }
  if (options.implicitTls === null) {
    socket.off('error', ignore);
    return { socket, address, tls: null };
  }
  const secured = await startTls(socket, options.implicitTls, options.handshakeLimitMs ?? HANDSHAKE_LIMIT_MS);
  if (secured.ok) return { socket: secured.value.socket, address, tls: secured.value.tls };
  crowd.leave(address);
  log('info', 'a TLS handshake failed', { client: address, why: secured.failure });
  return null;
}

/** The proxies of a node's configuration: addresses and ranges. */
export function proxyList(networks: readonly string[]): IsProxy {
  if (networks.length === 0) return () => false;
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/', 2);
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  return (address) => address !== '' && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
