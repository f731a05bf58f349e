/** The SMTP listeners: opens them, counts sessions, keeps the clock of all deadlines, shuts down in order. */
import { createServer, type Server, type Socket } from 'node:net';
import { type IsProxy, receiveArrival } from '../listening/arrival.ts';
import { Crowd, type CrowdLimits } from '../listening/crowd.ts';
import { describeError } from '../mail/failure.ts';
import { isOnRelayNetworks } from './client.ts';
import { Connection } from './connection.ts';
import type { ReceivingDependencies, Service } from './conversation.ts';
import { StrangerLimits } from './stranger-limits.ts';

/** What one listener offers. */
export interface ListenerOptions {
  readonly service?: Service;
  /** TLS from the first byte (RFC 8314 §3.3). */
  readonly implicitTls?: boolean;
}

export interface SmtpServerOptions {
  /** Instead of those of the settings, for tests. */
  readonly limits?: Partial<CrowdLimits>;
  /** Who connects for others; default nobody. */
  readonly isProxy?: IsProxy;
  /** The clock of the limits for strangers, ms since 1970, for tests. */
  readonly now?: () => number;
}

/**
 * A store that has answered nobody for so long is away, and new sessions are refused: clients then go to another
 * node or come back later, instead of being put off recipient by recipient.
 */
const AWAY_MS = 10_000;

/** Deadlines are checked this often. */
const TICK_MS = 250;

export class SmtpServer {
  readonly #deps: ReceivingDependencies;
  readonly #options: SmtpServerOptions;
  readonly #crowd = new Crowd();
  /** What strangers did in vain, over all their sessions. */
  readonly strangers: StrangerLimits;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #ticker: NodeJS.Timeout;
  #lastTickMs = Date.now();
  #whenEmpty: (() => void) | null = null;
  #closing = false;

  constructor(deps: ReceivingDependencies, options: SmtpServerOptions = {}) {
    this.#deps = deps;
    this.#options = options;
    this.strangers = new StrangerLimits(
      () => deps.settings().strangers.errorsInAnHour,
      deps.log,
      options.now,
    );
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Opens one listener; resolves to what was opened (port 0 takes a free one), rejects when it cannot be. */
  listen(
    host: string,
    port: number,
    listener: ListenerOptions = {},
  ): Promise<{ address: string; port: number }> {
    // The low mark makes a paused socket stop after one read, where Node would fill 64 KB behind our back.
    const options = { noDelay: true, allowHalfOpen: true, highWaterMark: 1 };
    const server = createServer(options, (socket) => {
      this.#connected(socket, listener).catch((error: unknown) => {
        this.#deps.log('error', 'a connection failed', { why: describeError(error) });
        socket.destroy();
      });
    });
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
    this.#closing = true;
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

  async #connected(socket: Socket, { service = 'smtp', implicitTls }: ListenerOptions): Promise<void> {
    const deps = this.#deps;
    const arrival = await receiveArrival(socket, {
      crowd: this.#crowd,
      limits: { ...deps.settings().strangers.sessions, ...this.#options.limits },
      isProxy: this.#options.isProxy ?? (() => false),
      implicitTls: implicitTls === true ? deps.tls : null,
      refuse: (refused, address, limit) => {
        deps.log('warn', 'too many sessions', { client: address, limit, sessions: this.#crowd.total });
        this.#refuse(refused, '4.7.0', 'too many sessions; please try again later');
      },
      log: deps.log,
    });
    if (arrival === null) return;
    const { address } = arrival;
    if (deps.storeAwayMs() > AWAY_MS || this.#closing) {
      this.#crowd.leave(address);
      if (!this.#closing)
        deps.log('warn', 'a session was refused while the store is away', { client: address });
      this.#refuse(arrival.socket, '4.3.0', 'cannot take mail now; please try again later');
      return;
    }
    const strangers = this.#counts(address, service) ? this.strangers : null;
    const refusal = isOnRelayNetworks(address, deps.settings()) ? null : strangers?.refusal(address);
    if (refusal) {
      this.#crowd.leave(address);
      this.#refuse(arrival.socket, '4.7.0', refusal);
      return;
    }
    const connection = new Connection(arrival, service, deps, strangers, () =>
      this.#gone(connection, address),
    );
    this.#connections.add(connection);
  }

  /**
   * Where people sign in, those behind one address with a stranger must not be shut out by what it does; and a proxy
   * that speaks for itself only looks whether we are there.
   */
  #counts(address: string, service: Service): boolean {
    return service === 'smtp' && this.#options.isProxy?.(address) !== true;
  }

  #refuse(socket: Socket, enhanced: string, words: string): void {
    socket.on('error', () => socket.destroy());
    socket.end(`421 ${enhanced} ${this.#deps.hostname} ${words}\r\n`, () => socket.destroy());
  }

  #gone(connection: Connection, address: string): void {
    if (!this.#connections.delete(connection)) return;
    this.#crowd.leave(address);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #tick(): void {
    const nowMs = Date.now();
    const elapsedMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    for (const connection of this.#connections) connection.tick(nowMs, elapsedMs);
  }
}
