/**
 * A port that neither accepts nor refuses: a listener nobody accepts from, with its queue full, drops SYNs
 * (Linux with `tcp_abort_on_overflow` 0), so connecting to it lasts until the client gives up.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface FullBacklog {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Runs in a process of its own and blocks once it listens, so that nothing is accepted; ends with its input. */
const LISTENER = `
const { createServer } = require('node:net');
const { readSync, writeSync } = require('node:fs');
const server = createServer().listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 });
server.on('listening', () => {
  writeSync(1, 'port ' + server.address().port + '\\n');
  readSync(0, Buffer.alloc(1));
  process.exit(0);
});
`;

/** How long a connection may take before it counts as dropped; loopback needs well under 1 ms. */
const DROPPED_MS = 400;
const FILL_LIMIT = 16;

/** Listens at `address` (127.0.0.1) and `port` (a free one) with its queue full. */
export async function startFullBacklog(
  place: { address?: string; port?: number } = {},
): Promise<FullBacklog> {
  const address = place.address ?? '127.0.0.1';
  const child = spawn(process.execPath, ['-e', LISTENER, address, String(place.port ?? 0)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const fillers: Socket[] = [];
  const close = async (): Promise<void> => {
    for (const socket of fillers) socket.destroy();
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const port = await readPort(child.stdout, ended);
    while (await connects(address, port, fillers)) {
      if (fillers.length >= FILL_LIMIT) throw new Error('the listener still takes connections');
    }
    return { address, port, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readPort(output: NodeJS.ReadableStream, ended: Promise<unknown>): Promise<number> {
  let text = '';
  const said = (async () => {
    for await (const piece of output) {
      text += String(piece);
      const port = /^port (\d+)$/m.exec(text)?.[1];
      if (port !== undefined) return Number(port);
    }
    return undefined;
  })();
  const port = await Promise.race([said, ended.then(() => said)]);
  if (port === undefined) throw new Error(`the listener did not start: ${text}`);
  return port;
}

/** True when a connection came about; it is kept either way, since half-open ones fill the queue too. */
async function connects(address: string, port: number, fillers: Socket[]): Promise<boolean> {
  const socket = connect({ host: address, port });
  socket.on('error', () => undefined); // ends with the listener
  fillers.push(socket);
  return Promise.race([once(socket, 'connect').then(() => true), delay(DROPPED_MS, false)]);
}
