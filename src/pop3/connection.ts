import type net from 'node:net';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { Arrival } from '../listening/arrival.ts';
import { HANDSHAKE_LIMIT_MS, startTls, type TlsFacts } from '../listening/start-tls.ts';
import type { TlsProvider } from '../listening/tls-provider.ts';
import { describeError } from '../mail/failure.ts';
import type { MaildropLocks } from '../mailbox/lock.ts';
import { type Maildrop, openMaildrop } from '../mailbox/maildrop.ts';
import type { BodyReader, MailboxStore } from '../storage/contract.ts';
import { type LoginFailure, OUTPUT_LIMIT_BYTES, type Pop3Action, Pop3Session } from './session.ts';

export type Log = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void;

/** Checks a password; rejections count as our own trouble. */
export type Authenticate = (request: {
  readonly user: string;
  readonly password: string;
  /** The client's. */
  readonly address: string;
  /** Version of TLS; null in clear. */
  readonly tls: string | null;
}) => Promise<{ accountId: number } | LoginFailure>;

export interface ConnectionOptions {
  readonly mailboxes: MailboxStore;
  readonly authenticate: Authenticate;
  readonly locks: MaildropLocks;
  readonly hostname: string;
  readonly log: Log;
  /** A login is taken in clear. */
  readonly clearLogin: boolean;
  /** The certificates; null offers no STLS. */
  readonly tls: TlsProvider | null;
  readonly idleTimeoutMs: number;
  readonly loginDelayMs: number;
}

const MAX_ERRORS = 10;
const MAX_FAILED_LOGINS = 3;
/** How long a client may take to close its side after we closed ours. */
const LINGER_MS = 2_000;

/** One client's connection: carries out what its session asks for. No exception leaves it. */
export class Pop3Connection {
  /** Resolves when the connection is closed, its work done and its maildrop free. */
  readonly ended: Promise<void>;

  readonly #address: string;
  /** The clear one, or TLS on top of it. */
  #socket: net.Socket;
  #tls: TlsFacts | null;
  #detach: () => void = () => undefined;
  readonly #options: ConnectionOptions;
  readonly #session: Pop3Session;
  readonly #abort = new AbortController();
  readonly #idle: NodeJS.Timeout;
  readonly #whenClosed: () => void;
  #work: Promise<void> = Promise.resolve();
  #working = false;
  #finishing = false;
  #maildrop: Maildrop | null = null;
  #reason = 'the client closed the connection';
  #failedLogins = 0;
  #retrieved = 0;
  #removed = 0;

  constructor({ socket, address, tls }: Arrival, options: ConnectionOptions) {
    this.#socket = socket;
    this.#address = address;
    this.#tls = tls;
    this.#options = options;
    this.#session = new Pop3Session({
      hostname: options.hostname,
      login: options.clearLogin ? 'always' : 'under-tls',
      startTls: options.tls !== null,
      maxErrors: MAX_ERRORS,
      maxFailedLogins: MAX_FAILED_LOGINS,
    });
    this.#idle = setTimeout(() => this.abort('no progress for too long'), options.idleTimeoutMs);
    if (tls !== null) this.#session.secured();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#whenClosed = () => {
      this.#abort.abort();
      clearTimeout(this.#idle);
      void this.#work.then(() => this.#release()).then(resolve);
    };
    this.#attach(socket);
    this.#start();
  }

  /** Takes over a socket's events. */
  #attach(socket: net.Socket): void {
    const data = (bytes: Buffer): void => this.#onData(bytes);
    const broken = (error: Error): void => this.abort(describeError(error));
    // A client that has said all it wants to say still gets the answers.
    const end = (): void => void this.#work.then(() => socket.end());
    socket.on('data', data).on('end', end).on('error', broken).on('close', this.#whenClosed);
    this.#detach = () => {
      socket.off('data', data).off('end', end).off('error', broken).off('close', this.#whenClosed);
    };
  }

  /** Closes now when it waits for a command, else after the commands at work. */
  finish(): void {
    this.#finishing = true;
    if (!this.#working) this.abort('the server stops');
  }

  /** Closes now. Nothing is deleted unless the removal has already begun. */
  abort(reason: string): void {
    if (this.#socket.destroyed) return;
    this.#reason = reason;
    this.#abort.abort();
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    this.#idle.refresh();
    this.#session.receive(bytes);
    if (!this.#working) this.#start();
  }

  /** Reading stops while there is work, so that what a client sends ahead waits in the network. */
  #start(): void {
    this.#working = true;
    this.#socket.pause();
    this.#work = this.#run()
      .catch((error: unknown) => {
        this.#options.log('error', 'a POP3 session failed', { error: describeError(error) });
        this.abort('internal error');
      })
      .then(() => {
        this.#working = false;
        if (this.#finishing) this.abort('the server stops');
        else this.#socket.resume();
      });
  }

  async #run(): Promise<void> {
    while (!this.#socket.destroyed) {
      const action = this.#session.next();
      if (action === null) break;
      await this.#carryOut(action);
    }
    await this.#flush();
  }

  async #carryOut(action: Pop3Action): Promise<void> {
    switch (action.type) {
      case 'flush':
        await this.#flush();
        await turn();
        return;
      case 'starttls':
        await this.#startTls();
        return;
      case 'login':
        await this.#flush();
        this.#session.answerLogin(await this.#login(action.user, action.password));
        return;
      case 'retrieve':
        await this.#retrieve(action.uid);
        return;
      case 'update':
        await this.#update(action.uids);
        return;
      case 'close':
        this.#reason = action.reason;
        // Free before the client reads the last reply, since it may come back at once.
        await this.#release();
        await this.#flush();
        this.#hangUp();
        return;
    }
  }

  /** What fails ends the connection. */
  async #startTls(): Promise<void> {
    const { tls, log } = this.#options;
    if (tls === null) throw new Error('STLS without certificates');
    await this.#flush();
    const clear = this.#socket;
    if (clear.destroyed) return;
    this.#detach();
    const secured = await startTls(clear, tls, HANDSHAKE_LIMIT_MS);
    if (!secured.ok) {
      log('info', 'a TLS handshake failed', { address: this.#address, why: secured.failure });
      this.#reason = secured.failure;
      this.#whenClosed();
      return;
    }
    this.#socket = secured.value.socket;
    this.#tls = secured.value.tls;
    this.#attach(this.#socket);
    this.#session.secured();
    this.#idle.refresh();
  }

  async #login(user: string, password: string): Promise<Maildrop | LoginFailure> {
    const result = await this.#openMaildrop(user, password);
    const { log } = this.#options;
    const address = this.#address;
    if (!('failure' in result)) {
      this.#maildrop = result;
      log('info', 'POP3 login', { user, address, messages: result.uids.length, truncated: result.truncated });
      return result;
    }
    log('warn', 'POP3 login refused', { user, address, reason: result.failure });
    if (result.failure === 'auth') await this.#penalty();
    return result;
  }

  async #openMaildrop(user: string, password: string): Promise<Maildrop | LoginFailure> {
    const { authenticate, locks, mailboxes, log } = this.#options;
    let locked: number | null = null;
    try {
      const tls = this.#tls?.version ?? null;
      const account = await authenticate({ user, password, address: this.#address, tls });
      if ('failure' in account) return account;
      if (!(await locks.acquire(account.accountId))) {
        return { failure: 'in-use', text: 'another session has this mailbox open' };
      }
      locked = account.accountId;
      return await openMaildrop(mailboxes, account.accountId);
    } catch (error) {
      log('error', 'a POP3 maildrop could not be opened', { user, error: describeError(error) });
      if (locked !== null) await locks.release(locked);
      return { failure: 'sys', text: 'the mailbox cannot be opened at the moment, please try again later' };
    }
  }

  /** Makes guessing slow: one, two, four times the delay. */
  async #penalty(): Promise<void> {
    const waitMs = this.#options.loginDelayMs * 2 ** this.#failedLogins;
    this.#failedLogins += 1;
    await delay(waitMs, undefined, { signal: this.#abort.signal }).catch(() => {
      // The connection is gone or the server stops: nobody waits for the answer.
    });
  }

  async #retrieve(uid: number): Promise<void> {
    const reader = await this.#openEntry(uid);
    if (reader === 'sys' || reader === null) {
      this.#session.refuseMessage(reader ?? 'gone');
      return;
    }
    this.#session.beginMessage(reader.sizeBytes);
    try {
      await this.#sendContent(reader);
    } catch (error) {
      // A half-sent message cannot be taken back: without its final dot the client drops it.
      this.#options.log('error', 'a message could not be read', { uid, error: describeError(error) });
      this.abort('the message could not be read to its end');
      return;
    }
    this.#session.endMessage();
    this.#retrieved += 1;
  }

  async #openEntry(uid: number): Promise<BodyReader | 'sys' | null> {
    try {
      return await this.#options.mailboxes.openEntry(this.#maildrop?.accountId ?? 0, uid);
    } catch (error) {
      this.#options.log('error', 'a message could not be opened', { uid, error: describeError(error) });
      return 'sys';
    }
  }

  async #sendContent(reader: BodyReader): Promise<void> {
    for await (const chunk of reader.chunks()) {
      for (let at = 0; at < chunk.length; at += OUTPUT_LIMIT_BYTES) {
        const more = this.#session.messageBytes(chunk.subarray(at, at + OUTPUT_LIMIT_BYTES));
        if (this.#session.outputBytes >= OUTPUT_LIMIT_BYTES) await this.#flush();
        if (!more || this.#socket.destroyed) return;
      }
    }
  }

  async #update(uids: readonly number[]): Promise<void> {
    const accountId = this.#maildrop?.accountId ?? 0;
    try {
      this.#removed = await this.#options.mailboxes.removeEntries(accountId, uids);
      this.#session.answerUpdate('done');
    } catch (error) {
      this.#options.log('error', 'deleted messages could not be removed', { error: describeError(error) });
      this.#session.answerUpdate('sys');
    }
  }

  /** Writes what waits, and waits while the client does not take it. */
  async #flush(): Promise<void> {
    const output = this.#session.takeOutput();
    if (output.length === 0 || this.#socket.destroyed) return;
    this.#idle.refresh();
    if (this.#socket.write(output)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
    if (!this.#socket.destroyed) this.#idle.refresh();
  }

  /**
   * Closes our side and reads on for a while: closing with unread input would make the system send a reset,
   * which can overtake the last reply.
   */
  #hangUp(): void {
    this.#socket.end();
    this.#socket.resume();
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once('close', () => clearTimeout(linger));
  }

  /** Frees the maildrop, once. Never rejects. */
  async #release(): Promise<void> {
    const maildrop = this.#maildrop;
    if (maildrop === null) return;
    this.#maildrop = null;
    await this.#options.locks.release(maildrop.accountId);
    this.#options.log('info', 'POP3 session ended', {
      address: this.#address,
      reason: this.#reason,
      retrieved: this.#retrieved,
      removed: this.#removed,
    });
  }
}
