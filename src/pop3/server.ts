import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from '../mail/failure.ts';
import { type MailboxLockStore, MaildropLocks } from '../mailbox/lock.ts';
import type { MailboxStore } from '../storage/contract.ts';
import { type Log, Pop3Connection } from './connection.ts';
import type { LoginFailure } from './session.ts';

export interface Pop3Dependencies {
  readonly mailboxes: MailboxStore & MailboxLockStore;
  /** Checks a password. Rejections count as our own trouble and are answered `-ERR [SYS/TEMP]`. */
  readonly authenticate: (user: string, password: string) => Promise<{ accountId: number } | LoginFailure>;
  /** Our name in the greeting. */
  readonly hostname: string;
  readonly log: Log;
  /** Sessions in all; default 200. */
  readonly maxSessions?: number;
  /** Sessions from one address; default 20. */
  readonly maxSessionsPerAddress?: number;
  /** Default 10 minutes, the least RFC 1939 §3 allows. */
  readonly idleTimeoutMs?: number;
  /** Wait before the first refused login is answered, doubled for each next one; default 1 s. */
  readonly loginDelayMs?: number;
  /** From where a login without TLS is taken; default loopback addresses only. */
  readonly cleartextLogin?: (address: string) => boolean;
}

/** Connections over the limit that are told so; still more are closed without a word. */
const REFUSALS_AT_ONCE = 50;

/** What a store operation may take after all connections have been cut. */
const STORE_GRACE_MS = 1_000;

/** Whether an address (IPv4-mapped counts as IPv4) is this machine's loopback. */
export function isLoopback(address: string): boolean {
  const plain = plainAddress(address);
  return plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}

function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Listens for POP3 clients and bounds how many there are. */
export class Pop3Server {
  readonly #deps: Pop3Dependencies;
  readonly #maxSessions: number;
  readonly #maxSessionsPerAddress: number;
  readonly #locks: MaildropLocks;
  readonly #servers: net.Server[] = [];
  readonly #connections = new Map<Pop3Connection, Promise<void>>();
  readonly #perAddress = new Map<string, number>();
  #closing = false;

  constructor(deps: Pop3Dependencies) {
    this.#deps = deps;
    this.#locks = new MaildropLocks(deps.mailboxes);
    this.#maxSessions = deps.maxSessions ?? 200;
    this.#maxSessionsPerAddress = deps.maxSessionsPerAddress ?? 20;
  }

  /** Opens a listener; several may be opened. Rejects with the system's error, such as EADDRINUSE. */
  listen(host: string, port: number): Promise<{ address: string; port: number }> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    server.maxConnections = this.#maxSessions + REFUSALS_AT_ONCE;
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

  #accept(socket: net.Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '');
    const fromAddress = this.#perAddress.get(address) ?? 0;
    if (this.#closing || address === '') {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#maxSessions || fromAddress >= this.#maxSessionsPerAddress) {
      this.#deps.log('warn', 'POP3 connection refused: too many sessions', { address });
      socket.on('error', () => socket.destroy());
      socket.end('-ERR [SYS/TEMP] too many sessions, please try again later\r\n', () => socket.destroy());
      return;
    }
    this.#perAddress.set(address, fromAddress + 1);
    const connection = new Pop3Connection(socket, {
      mailboxes: this.#deps.mailboxes,
      authenticate: this.#deps.authenticate,
      locks: this.#locks,
      hostname: this.#deps.hostname,
      log: this.#deps.log,
      address,
      loginAllowed: (this.#deps.cleartextLogin ?? isLoopback)(address),
      idleTimeoutMs: this.#deps.idleTimeoutMs ?? 600_000,
      loginDelayMs: this.#deps.loginDelayMs ?? 1_000,
    });
    const ended = connection.ended.then(() => {
      this.#connections.delete(connection);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
    this.#connections.set(connection, ended);
  }
}
