import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type IsProxy, receiveArrival } from '../listening/arrival.ts';
import { Crowd } from '../listening/crowd.ts';
import { isLoopback } from '../listening/network.ts';
import type { TlsProvider } from '../listening/tls-provider.ts';
import { describeError } from '../mail/failure.ts';
import { type MailboxLockStore, MaildropLocks } from '../mailbox/lock.ts';
import type { MailboxStore } from '../storage/contract.ts';
import { type Authenticate, type Log, Pop3Connection } from './connection.ts';

export interface Pop3Dependencies {
  readonly mailboxes: MailboxStore & MailboxLockStore;
  /** Checks a password. Rejections count as our own trouble and are answered `-ERR [SYS/TEMP]`. */
  readonly authenticate: Authenticate;
  /** Our name in the greeting. */
  readonly hostname: string;
  readonly log: Log;
  /** Sessions open at once, asked at each connection; default 200 in all, 20 of one address. */
  readonly limits?: () => { readonly total: number; readonly perAddress: number };
  /** The certificates; without them there is no STLS. */
  readonly tls?: TlsProvider | null;
  /** Who connects for others; default nobody. */
  readonly isProxy?: IsProxy;
  /** Default 10 minutes, the least RFC 1939 §3 allows. */
  readonly idleTimeoutMs?: number;
  /** Wait before the first refused login is answered, doubled for each next one; default 1 s. */
  readonly loginDelayMs?: number;
  /** From where a login without TLS is taken; default loopback addresses only. */
  readonly cleartextLogin?: (address: string) => boolean;
}

const DEFAULT_LIMITS = { total: 200, perAddress: 20 };

/** Connections over the limit that are told so; still more are closed without a word. */
const REFUSALS_AT_ONCE = 50;

/** What a store operation may take after all connections have been cut. */
const STORE_GRACE_MS = 1_000;

/** Listens for POP3 clients and bounds how many there are. */
export class Pop3Server {
  readonly #deps: Pop3Dependencies;
  readonly #crowd = new Crowd();
  readonly #locks: MaildropLocks;
  readonly #servers: net.Server[] = [];
  readonly #connections = new Map<Pop3Connection, Promise<void>>();
  #closing = false;

  constructor(deps: Pop3Dependencies) {
    this.#deps = deps;
    this.#locks = new MaildropLocks(deps.mailboxes);
  }

  /** Opens a listener; several may be opened. Rejects with the system's error, such as EADDRINUSE. */
  listen(
    host: string,
    port: number,
    { implicitTls = false }: { readonly implicitTls?: boolean } = {},
  ): Promise<{ address: string; port: number }> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      server.maxConnections = this.#limits().total + REFUSALS_AT_ONCE;
      this.#accept(socket, implicitTls).catch((error: unknown) => {
        this.#deps.log('error', 'a POP3 connection failed', { error: describeError(error) });
        socket.destroy();
      });
    });
    server.maxConnections = this.#limits().total + REFUSALS_AT_ONCE;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', (error) => {
          this.#deps.log('error', 'the POP3 listener failed', { error: describeError(error) });
        });
        this.#servers.push(server);
        const bound = server.address() as net.AddressInfo;
        resolve({ address: bound.address, port: bound.port });
      });
    });
  }

  /** Sessions open now. */
  get sessions(): number {
    return this.#connections.size;
  }

  /**
   * Stops listening. Sessions that wait for a command are closed at once (their deletions are forgotten, RFC
   * 1939 §6); those at work may finish for `graceMs`, then are cut. Resolves a second after that at the latest.
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const connection of this.#connections.keys()) connection.finish();
    const ended = Promise.all(this.#connections.values());
    const timer = setTimeout(() => {
      for (const connection of this.#connections.keys()) connection.abort('the server stops');
    }, graceMs);
    const stuck = new AbortController();
    // A store that never answers must not keep the server from stopping.
    const lastWait = delay(graceMs + STORE_GRACE_MS, undefined, { signal: stuck.signal }).catch(
      () => undefined,
    );
    await Promise.race([ended, lastWait]);
    stuck.abort();
    this.#locks.close();
    clearTimeout(timer);
    await Promise.all(closed);
  }

  #limits(): { readonly total: number; readonly perAddress: number } {
    return this.#deps.limits?.() ?? DEFAULT_LIMITS;
  }

  async #accept(socket: net.Socket, implicitTls: boolean): Promise<void> {
    const deps = this.#deps;
    const tls = deps.tls ?? null;
    if (this.#closing) {
      socket.destroy();
      return;
    }
    const limits = this.#limits();
    const arrival = await receiveArrival(socket, {
      crowd: this.#crowd,
      limits: { ...limits, perNetwork: limits.total },
      isProxy: deps.isProxy ?? (() => false),
      implicitTls: implicitTls ? tls : null,
      refuse: (refused, address) => {
        deps.log('warn', 'POP3 connection refused: too many sessions', { address });
        refused.on('error', () => refused.destroy());
        refused.end('-ERR [SYS/TEMP] too many sessions, please try again later\r\n', () => refused.destroy());
      },
      log: deps.log,
    });
    if (arrival === null) return;
    if (this.#closing) {
      arrival.socket.destroy();
      this.#crowd.leave(arrival.address);
      return;
    }
    const connection = new Pop3Connection(arrival, {
      mailboxes: deps.mailboxes,
      authenticate: deps.authenticate,
      locks: this.#locks,
      hostname: deps.hostname,
      log: deps.log,
      clearLogin: (deps.cleartextLogin ?? isLoopback)(arrival.address),
      tls,
      idleTimeoutMs: deps.idleTimeoutMs ?? 600_000,
      loginDelayMs: deps.loginDelayMs ?? 1_000,
    });
    const ended = connection.ended.then(() => {
      this.#connections.delete(connection);
      this.#crowd.leave(arrival.address);
    });
    this.#connections.set(connection, ended);
  }
}
