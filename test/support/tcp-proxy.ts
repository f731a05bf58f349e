/** A way to a server that can be made slow, cut, or turned to another one while connections use it. */
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const HOST = '127.0.0.1';
/** Bytes on the way in each direction of a connection; beyond, the sender waits. */
const HELD_BYTES = 256 * 1024;

export interface TcpProxy {
  readonly port: number;
  /** New connections go to this port of loopback. */
  target(port: number): void;
  /** Each piece of bytes takes this much longer from now on, in both directions. */
  delay(ms: number): void;
  /** Nothing gets through and nobody is told, as when a cable is pulled: `heal` lets what waited go on. */
  stall(): void;
  /** Ends every connection and refuses new ones until `heal`. */
  drop(): void;
  /** Ends every connection; new ones get through. */
  cut(): void;
  heal(): void;
  readonly connections: number;
  close(): Promise<void>;
}

/** Listens on a free port of loopback for connections to another one. `onSent` sees what clients send, in pieces. */
export async function startTcpProxy(
  targetPort: number,
  onSent: (piece: Buffer) => void = () => undefined,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const state = { port: targetPort, delayMs: 0, refusing: false, open: Promise.resolve() };
  let heal: () => void = () => undefined;
  const server = createServer({ noDelay: true }, (client) => {
    if (state.refusing) return void client.destroy();
    const upstream = createConnection({ host: HOST, port: state.port, noDelay: true });
    client.on('data', onSent);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('error', () => to.destroy());
      carry(from, to, state);
    }
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    get connections() {
      return sockets.size / 2;
    },
    target(port) {
      state.port = port;
    },
    delay(ms) {
      state.delayMs = ms;
    },
    stall() {
      const healed = Promise.withResolvers<void>();
      state.open = healed.promise;
      heal = healed.resolve;
    },
    drop() {
      state.refusing = true;
      cut();
    },
    cut,
    heal() {
      state.refusing = false;
      heal();
    },
    async close() {
      heal();
      cut();
      await new Promise((done) => server.close(done));
    },
  };
}

interface Way {
  readonly delayMs: number;
  /** Settled while bytes get through. */
  readonly open: Promise<void>;
}

/** Hands on pieces in order, each no earlier than its delay after it came. */
function carry(from: Socket, to: Socket, way: Way): void {
  let held = 0;
  let last: Promise<void> = Promise.resolve();
  from.on('data', (piece: Buffer) => {
    held += piece.byteLength;
    if (held > HELD_BYTES) from.pause();
    const due = way.delayMs === 0 ? undefined : sleep(way.delayMs);
    last = last.then(async () => {
      await due;
      await way.open;
      if (!to.destroyed && !to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      held -= piece.byteLength;
      if (from.isPaused() && held <= HELD_BYTES) from.resume();
    });
    // A socket that broke has closed its other half; what was on the way is lost, as on a network.
    last = last.catch(() => undefined);
  });
  from.on('end', () => {
    last = last.then(() => void to.end());
  });
}
