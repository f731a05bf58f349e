/**
 * The far side of `many-destinations.ts`, in a process of its own: made-up DNS and, at an address for each
 * destination, a small SMTP server that behaves as its destination's kind. Started with `startFarServers`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { startDnsServer } from '../test/support/dns-server.ts';

/**
 * `dead`: nothing listens. `silent`: takes the connection and never greets. `slow`: 200 ms a reply. `grey`: 450
 * to each recipient's first RCPT. `limited`: 421 to more than one connection. `ruled`: the same, and the sender has
 * a rule that says so. `busy`: 421 to every connection.
 */
export type Kind = 'healthy' | 'dead' | 'silent' | 'slow' | 'grey' | 'limited' | 'ruled' | 'busy';

export interface Destination {
  readonly domain: string;
  readonly address: string;
  readonly kind: Kind;
}

export interface Seen {
  /** Messages taken. */
  readonly taken: number;
  /** When the last one was taken, ms since 1970; 0 without any. */
  readonly lastAt: number;
  /** Connections open at once, those answered 421 included. */
  readonly mostOpen: number;
  readonly connections: number;
}

export interface FarServers {
  /** What each destination saw, in their order, since the start. */
  seen(): Promise<readonly Seen[]>;
  close(): Promise<void>;
}

interface Setup {
  readonly destinations: readonly Destination[];
  readonly port: number;
  readonly dnsAddress: string;
}

const SLOW_REPLY_MS = 200;
const END_OF_DATA = '\r\n.\r\n';

/** DNS at `dnsAddress` port 53, the servers at `port`. */
export async function startFarServers(setup: Setup): Promise<FarServers> {
  const child = fork(import.meta.filename, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  const close = async () => {
    child.kill();
    await ended;
  };
  try {
    child.send(setup);
    await answer(child, ended);
    const seen = async () => {
      child.send('seen');
      return (await answer(child, ended)) as Seen[];
    };
    return { seen, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function answer(child: ChildProcess, ended: Promise<unknown>): Promise<unknown> {
  const gone = ended.then(() => {
    throw new Error('the far servers ended');
  });
  const [message] = await Promise.race([once(child, 'message'), gone]);
  return message;
}

class FarServer {
  readonly #kind: Kind;
  readonly #greeted = new Set<string>();
  #open = 0;
  taken = 0;
  lastAt = 0;
  mostOpen = 0;
  connections = 0;

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  connected(socket: Socket): void {
    this.connections += 1;
    this.#open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.#open);
    let gone = false;
    const left = () => {
      if (!gone) this.#open -= 1;
      gone = true;
    };
    socket
      .on('error', () => socket.destroy())
      .on('end', left)
      .on('close', left);
    const crowded = (this.#kind === 'limited' || this.#kind === 'ruled') && this.#open > 1;
    if (this.#kind === 'busy' || crowded) {
      socket.end('421 4.3.2 too many connections, come back later\r\n');
      socket.resume();
    } else if (this.#kind === 'silent') socket.resume();
    else this.#serve(socket);
  }

  #serve(socket: Socket): void {
    let received = '';
    let inData = false;
    let recipients = 0;
    let replyAt = 0;
    const reply = (text: string) => {
      if (this.#kind !== 'slow') {
        socket.write(`${text}\r\n`);
        return;
      }
      replyAt = Math.max(replyAt, Date.now()) + SLOW_REPLY_MS;
      setTimeout(() => socket.writable && socket.write(`${text}\r\n`), replyAt - Date.now());
    };
    reply('220 far.example ESMTP');
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      for (;;) {
        const mark = inData ? END_OF_DATA : '\r\n';
        const end = received.indexOf(mark);
        if (end < 0) return;
        const line = received.slice(0, end);
        received = received.slice(end + mark.length);
        if (inData) {
          inData = false;
          recipients = 0;
          this.taken += 1;
          this.lastAt = Date.now();
          reply('250 2.0.0 taken');
          continue;
        }
        const said = this.#answer(line, recipients);
        if (/^RCPT/i.test(line) && said.startsWith('250')) recipients += 1;
        if (/^(MAIL|RSET)/i.test(line)) recipients = 0;
        inData = said.startsWith('354');
        reply(said);
        if (said.startsWith('221')) socket.end();
      }
    });
  }

  #answer(line: string, recipients: number): string {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO')
      return '250-far.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES';
    if (verb === 'RCPT' && this.#kind === 'grey' && !this.#greeted.has(line)) {
      this.#greeted.add(line);
      return '450 4.7.1 greylisted, come back later';
    }
    // Pipelined behind recipients of which none was taken (RFC 2920 §3.1).
    if (verb === 'DATA') return recipients > 0 ? '354 go on' : '554 5.5.1 no valid recipients';
    return verb === 'QUIT' ? '221 2.0.0 bye' : '250 2.0.0 ok';
  }
}

async function serve({ destinations, port, dnsAddress }: Setup): Promise<FarServer[]> {
  const zones = destinations.flatMap(({ domain, address }) => [
    [domain, [`3600 MX 10 mx.${domain}`]],
    [`mx.${domain}`, [`3600 A ${address}`]],
  ]);
  await startDnsServer(Object.fromEntries(zones), {
    address: dnsAddress,
    port: 53,
    negativeTtlSeconds: 3600,
  });
  const servers: FarServer[] = [];
  for (const { kind, address } of destinations) {
    const far = new FarServer(kind);
    servers.push(far);
    if (kind === 'dead') continue;
    const server = createServer({ noDelay: true }, (socket) => far.connected(socket));
    server.listen({ port, host: address, backlog: 500 });
    await once(server, 'listening');
  }
  return servers;
}

if (process.argv[1] === import.meta.filename) {
  const [setup] = (await once(process, 'message')) as [Setup];
  const servers = await serve(setup);
  process.on('message', () => {
    process.send?.(
      servers.map(({ taken, lastAt, mostOpen, connections }) => ({ taken, lastAt, mostOpen, connections })),
    );
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}
