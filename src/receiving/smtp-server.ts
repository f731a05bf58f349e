/** The SMTP listeners: opens them, counts sessions, keeps the clock of all deadlines, shuts down in order. */
import { createServer, type Server, type Socket } from 'node:net';
import { plainAddress } from './client.ts';
import { Connection, type ReceivingDependencies } from './connection.ts';

/** How many sessions may be open at once. */
export interface SessionLimits {
  readonly total: number;
  readonly perAddress: number;
}

export const DEFAULT_SESSION_LIMITS: SessionLimits = { total: 2_000, perAddress: 200 };

/**
 * A store that has answered nobody for so long is away, and new sessions are refused: clients then go to another
 * node or come back later, instead of being put off recipient by recipient.
 */
const AWAY_MS = 10_000;

/** Deadlines are checked this often. */
const TICK_MS = 250;

export class SmtpServer {
  readonly #deps: ReceivingDependencies;
  readonly #limits: SessionLimits;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #ticker: NodeJS.Timeout;
  #lastTickMs = Date.now();
  #whenEmpty: (() => void) | null = null;

  constructor(deps: ReceivingDependencies, limits: SessionLimits = DEFAULT_SESSION_LIMITS) {
    this.#deps = deps;
    this.#limits = limits;
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Opens one listener; resolves to what was opened (port 0 takes a free one), rejects when it cannot be. */
  listen(host: string, port: number): Promise<{ address: string; port: number }> {
    // The low mark makes a paused socket stop after one read, where Node would fill 64 KB behind our back.
    const options = { noDelay: true, allowHalfOpen: true, highWaterMark: 1 };
    const server = createServer(options, (socket) => this.#connected(socket));
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: 511 }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#deps.log('error', 'a listener failed', { why: error.message }));
        const opened = server.address();
        if (opened === null || typeof opened === 'string') reject(new Error('the listener has no address'));
        else resolve({ address: opened.address, port: opened.port });
      });
    });
  }

  get sessions(): number {
    return this.#connections.size;
  }

  /** Open sessions with what they hold, for status and tests. */
  sessionList(): { address: string; bytesRead: number; heldBytes: number }[] {
    return [...this.#connections].map(({ address, bytesRead, heldBytes }) => ({
      address,
      bytesRead,
      heldBytes,
    }));
  }

  /** Takes no new mail, lets open transactions finish for `graceMs`, then ends what is left. */
  async close(graceMs: number): Promise<void> {
    for (const server of this.#servers) server.close();
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) {
      const timer = setTimeout(() => {
        for (const connection of this.#connections) connection.destroy();
      }, graceMs);
      await empty;
      clearTimeout(timer);
    }
    clearInterval(this.#ticker);
  }

  #connected(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '');
    const fromHere = this.#perAddress.get(address) ?? 0;
    if (this.#connections.size >= this.#limits.total || fromHere >= this.#limits.perAddress) {
      this.#deps.log('warn', 'too many sessions', { client: address, sessions: this.#connections.size });
      this.#refuse(socket, '4.7.0', 'too many sessions; please try again later');
      return;
    }
    if (this.#deps.storeAwayMs() > AWAY_MS) {
      this.#deps.log('warn', 'a session was refused while the store is away', { client: address });
      this.#refuse(socket, '4.3.0', 'cannot take mail now; please try again later');
      return;
    }
    this.#perAddress.set(address, fromHere + 1);
    const connection = new Connection(socket, this.#deps, () => this.#gone(connection, address));
    this.#connections.add(connection);
  }

  #refuse(socket: Socket, enhanced: string, words: string): void {
    socket.on('error', () => socket.destroy());
    socket.end(`421 ${enhanced} ${this.#deps.hostname} ${words}\r\n`, () => socket.destroy());
  }

  #gone(connection: Connection, address: string): void {
    if (!this.#connections.delete(connection)) return;
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #tick(): void {
    const nowMs = Date.now();
    const elapsedMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    for (const connection of this.#connections) connection.tick(nowMs, elapsedMs);
  }
}
