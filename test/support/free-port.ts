import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports the kernel hands out (net.ipv4.ip_local_port_range), so that no client's end takes one. */
const FIRST = 10_000;
const PAST = 32_000;
const TRIES = 200;

/** A port nobody listens on now, for programs that cannot take port 0. Another may take it before they do. */
export async function freePort(host: string): Promise<number> {
  for (let tried = 0; tried < TRIES; tried++) {
    const port = randomInt(FIRST, PAST);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port on ${host} between ${FIRST} and ${PAST}`);
}

function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
