/** Talking to one server: the socket, the waits and the message bytes around a `SenderSession`. */
import type { Socket } from 'node:net';
import { describeError } from '../mail/failure.ts';
import type { PhaseTimeouts, Settings } from '../settings/values.ts';
import { CHUNK_ENCODER } from '../smtp/body-encoder.ts';
import { DotStuffer } from '../smtp/dot-stuffing.ts';
import type {
  RecipientResult,
  SenderAction,
  SenderPhase,
  SessionProblem,
  Transaction,
} from '../smtp/sender-contract.ts';
import { limitsOf } from '../smtp/sender-extensions.ts';
import type { SenderSession } from '../smtp/sender-session.ts';
import type { TlsPolicy } from '../trust/contract.ts';
import { BodyWriter, NO_PROGRESS_MS } from './body-writer.ts';
import { type Secured, startTls } from './connect.ts';

const RATE_GRACE_MS = 60_000;

/** The bytes of a message on their way out, before dot-stuffing; `sizeBytes` of the transaction, all in all. */
export type MessageBytes = () => AsyncIterable<Uint8Array>;

export interface TransactResult {
  /** One for each recipient; null where it is not known. */
  readonly results: readonly (RecipientResult | null)[];
  /** Set when the connection ended. */
  readonly problem: SessionProblem | null;
  /** Set when the message could not be read; the connection is closed before the end of the message. */
  readonly unreadable: string | null;
  /** Taken back by `mayGoOn`; the connection is closed before the end of the message. */
  readonly withdrawn: boolean;
}

/** Asked before each part of the message and just before its end, after which nothing can be taken back. */
export type MayGoOn = () => boolean;

const ALWAYS: MayGoOn = () => true;

export interface PeerConnectionOptions {
  readonly socket: Socket;
  readonly session: SenderSession;
  /** The name a certificate is checked against. */
  readonly host: string;
  /** What the TLS must be; null where the session's own level says all. */
  readonly policy?: TlsPolicy | null;
  /** Set when TLS is on already. */
  readonly secure: Secured | null;
  /** Asked anew for each wait, so that a change acts at once. */
  readonly settings: () => Pick<Settings, 'timeouts' | 'bufferSizeBytes' | 'minDataRate'>;
  /** Data may be slower than the average asked for at first; default a minute. */
  readonly rateGraceMs?: number;
}

export class PeerConnection {
  readonly session: SenderSession;
  /** Messages sent over it. */
  messages = 0;
  #socket: Socket;
  readonly #host: string;
  readonly #policy: TlsPolicy | null;
  readonly #settings: PeerConnectionOptions['settings'];
  readonly #rateGraceMs: number;
  #secured: Secured | null;
  #timer: NodeJS.Timeout | undefined;
  #armedFor = '';
  #waiter: ((action: SenderAction) => void) | null = null;
  readonly #actions: SenderAction[] = [];
  #interruptWrite: (() => void) | null = null;
  #ended: SessionProblem | null = null;

  constructor(options: PeerConnectionOptions) {
    this.session = options.session;
    this.#socket = options.socket;
    this.#host = options.host;
    this.#policy = options.policy ?? null;
    this.#secured = options.secure;
    this.#settings = options.settings;
    this.#rateGraceMs = options.rateGraceMs ?? RATE_GRACE_MS;
    this.#listen(options.socket);
    this.#advance();
  }

  /** TLS version and whether the certificate is trusted; null without TLS. */
  get tls(): string | null {
    return this.#secured?.text ?? null;
  }

  /** The same with its parts. */
  get secured(): Secured | null {
    return this.#secured;
  }

  get usable(): boolean {
    return this.#ended === null && this.session.phase === 'ready' && !this.isFull;
  }

  /** It has had as many messages as the server takes in a session (MAILMAX, RFC 9422). */
  get isFull(): boolean {
    return this.messages >= limitsOf(this.session.extensions).mailMax;
  }

  /** Bytes given to the socket and not yet taken by the system. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Greeting, EHLO, TLS and AUTH; null when messages can be sent. */
  async open(): Promise<SessionProblem | null> {
    const action = await this.#next();
    if (action.type === 'start-tls') {
      await this.#secure();
      return this.open();
    }
    return action.type === 'failed' ? action.problem : null;
  }

  /** Sends one message to up to 100 recipients. Never rejects. */
  async transact(
    transaction: Transaction,
    message: MessageBytes,
    mayGoOn: MayGoOn = ALWAYS,
  ): Promise<TransactResult> {
    const whole = { problem: null, unreadable: null, withdrawn: false };
    if (this.#ended !== null) return { ...whole, results: [], problem: this.#ended };
    this.messages += 1;
    this.session.begin(transaction);
    this.#advance();
    let action = await this.#next();
    if (action.type === 'send-body' || action.type === 'send-chunk') {
      const chunkBytes = action.type === 'send-chunk' ? action.sizeBytes : null;
      const sent = await this.#sendBody(message, chunkBytes, mayGoOn);
      if (sent !== 'sent') {
        const withdrawn = sent === 'withdrawn';
        this.destroy(withdrawn ? 'The message was taken back' : 'The message could not be read');
        const results = transaction.recipients.map(() => null);
        return { results, problem: this.#ended, unreadable: withdrawn ? null : sent.unreadable, withdrawn };
      }
      this.session.bodySent();
      this.#advance();
      action = await this.#next();
    }
    if (action.type === 'done') return { ...whole, results: action.results };
    const failed = action.type === 'failed' ? action : null;
    return { ...whole, results: failed?.results ?? [], problem: failed?.problem ?? this.#ended };
  }

  /** Calls back once the socket is closed for good. */
  whenClosed(listener: () => void): void {
    if (this.#socket.closed) listener();
    else this.#socket.once('close', listener);
  }

  /** Ends politely: QUIT, and closes when the server does or its time is over. */
  quit(): void {
    if (this.#ended !== null) return;
    this.session.quit();
    this.#ended = { kind: 'lost', phase: 'ended', reply: null, text: 'The session was ended by us' };
    clearTimeout(this.#timer);
    const socket = this.#socket;
    const output = this.session.takeOutput();
    if (!socket.destroyed) socket.end(output);
    const timer = setTimeout(() => socket.destroy(), Math.min(this.#settings().timeouts.quitMs, 10_000));
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
    // Its answer to QUIT is of no use, but unread it would turn the close into a reset.
    socket.resume();
  }

  /** Ends at once. */
  destroy(reason: string): void {
    this.session.lost(reason);
    this.#advance();
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('data', (bytes: Buffer) => {
      this.session.receive(bytes);
      this.#advance();
    });
    socket.on('error', (error) => this.#lost(describeError(error)));
    socket.on('close', () => this.#lost('The server closed the connection'));
  }

  #lost(reason: string): void {
    this.session.lost(reason, true);
    this.#advance();
  }

  /** After anything happened: write what is to be written, hand on actions, set the wait. */
  #advance(): void {
    const output = this.session.takeOutput();
    if (output.length > 0 && !this.#socket.destroyed) this.#socket.write(output);
    for (let action = this.session.next(); action !== null; action = this.session.next()) {
      if (action.type === 'failed') this.#end(action.problem);
      this.#actions.push(action);
    }
    this.#arm();
    if (this.#actions.length === 0) return;
    this.#interruptWrite?.();
    const waiter = this.#waiter;
    if (waiter === null) return;
    this.#waiter = null;
    waiter(this.#actions.shift() as SenderAction);
  }

  #end(problem: SessionProblem): void {
    this.#ended ??= problem;
    // Only after all that came with it is read: closing is not urgent, the verdict is.
    setImmediate(() => this.#socket.destroySoon());
  }

  #next(): Promise<SenderAction> {
    const action = this.#actions.shift();
    if (action !== undefined) return Promise.resolve(action);
    if (this.#ended !== null) return Promise.resolve({ type: 'failed', problem: this.#ended, results: [] });
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** A wait runs to the complete reply: bytes that do not complete one do not prolong it. */
  #arm(): void {
    const phase = this.session.phase;
    const wanted = `${phase} ${this.session.repliesSeen}`;
    if (wanted === this.#armedFor) return;
    this.#armedFor = wanted;
    clearTimeout(this.#timer);
    const waitMs = phaseWaitMs(phase, this.#settings().timeouts);
    if (waitMs === null) return;
    this.#timer = setTimeout(
      () => this.destroy(`The server did not answer within ${waitMs / 1000} s (${phase})`),
      Math.min(waitMs, NO_PROGRESS_MS),
    );
  }

  async #secure(): Promise<void> {
    clearTimeout(this.#timer);
    this.#socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
    const limit = AbortSignal.timeout(this.#settings().timeouts.tlsMs);
    const secured = await startTls(this.#socket, this.#host, limit, this.#policy);
    if (!secured.ok) {
      this.session.tlsFailed(secured.reason);
    } else {
      this.#socket = secured.socket;
      this.#secured = secured.secure;
      this.#listen(secured.socket);
      const { refused } = secured.secure;
      if (refused === null) this.session.tlsStarted(secured.secure);
      else this.session.tlsFailed(refused);
    }
    this.#advance();
  }

  /**
   * `sent` when all is written or the server interrupted; otherwise why it must not be ended. A chunk of
   * `chunkBytes` (null: DATA) is written to its last octet only when the message has that many and no more: what is
   * beyond would be read as commands.
   */
  async #sendBody(
    message: MessageBytes,
    chunkBytes: number | null,
    mayGoOn: MayGoOn,
  ): Promise<'sent' | 'withdrawn' | { readonly unreadable: string }> {
    const encoder = chunkBytes === null ? new DotStuffer() : CHUNK_ENCODER;
    const writer = new BodyWriter(encoder, this.#settings, this.#rateGraceMs, (bytes, waitMs) =>
      this.#write(bytes, waitMs),
    );
    let sizeBytes = 0;
    try {
      for await (const chunk of message()) {
        if (!mayGoOn()) return 'withdrawn';
        sizeBytes += chunk.length;
        if (chunkBytes !== null && sizeBytes > chunkBytes) return wrongSize(chunkBytes);
        if (!(await writer.take(chunk))) return 'sent';
      }
    } catch (error) {
      return { unreadable: describeError(error) };
    }
    if (chunkBytes !== null && sizeBytes < chunkBytes) return wrongSize(chunkBytes);
    if (!(await writer.makeRoomForEnd())) return 'sent';
    if (!mayGoOn()) return 'withdrawn';
    this.session.bodyEnding();
    await writer.end();
    return 'sent';
  }

  /** Resolves to true when the system has taken the bytes, false when there is no more use in going on. */
  #write(bytes: Uint8Array, waitMs: number): Promise<boolean> {
    if (this.#ended !== null || this.#actions.length > 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      const finish = (written: boolean) => {
        clearTimeout(timer);
        if (this.#interruptWrite === interrupt) this.#interruptWrite = null;
        resolve(written);
      };
      const interrupt = () => finish(false);
      const timer = setTimeout(() => {
        this.destroy('The server took the data too slowly');
        finish(false);
      }, waitMs);
      this.#interruptWrite = interrupt;
      this.#socket.write(bytes, (error) => {
        if (error) this.#lost(describeError(error));
        finish(!error);
      });
    });
  }
}

function wrongSize(sizeBytes: number): { readonly unreadable: string } {
  return { unreadable: `it does not have the ${sizeBytes} bytes it should have` };
}

function phaseWaitMs(phase: SenderPhase, timeouts: PhaseTimeouts): number | null {
  switch (phase) {
    case 'greeting':
      return timeouts.greetingMs;
    case 'ehlo':
      return timeouts.ehloMs;
    case 'starttls':
      return timeouts.tlsMs;
    case 'auth':
      return timeouts.authMs;
    case 'mail':
      return timeouts.mailMs;
    case 'rcpt':
      return timeouts.rcptMs;
    case 'data':
      return timeouts.dataMs;
    case 'data-end':
      return timeouts.dataEndMs;
    default:
      return null;
  }
}
