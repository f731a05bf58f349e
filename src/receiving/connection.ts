/**
 * One SMTP client's connection: the socket on one side, the protocol engine on the other. Feeds bytes in,
 * finds the answers to the engine's questions, keeps its deadlines, and stops reading when nothing can take
 * what comes.
 */
import type { Socket } from 'node:net';
import { describeError } from '../mail/failure.ts';
import { type Reply, reply, replyText } from '../mail/reply.ts';
import type { CurrentSettings, Settings } from '../settings/values.ts';
import type { ReceiverAction, ReceiverPolicy } from '../smtp/receiver-contract.ts';
import { ReceiverSession } from '../smtp/receiver-session.ts';
import { HANDED_ON_LIMIT_BYTES, type Storage } from '../storage/contract.ts';
import { type Client, clientAt, isOnRelayNetworks } from './client.ts';
import { type DecisionDependencies, decide } from './decision.ts';
import type { Trace } from './trace.ts';
import { Transaction } from './transaction.ts';

export interface ReceivingDependencies {
  readonly hostname: string;
  readonly settings: CurrentSettings;
  readonly storage: Storage;
  /** For how long the store has answered nobody, ms; 0 when it does. */
  readonly storeAwayMs: () => number;
  readonly trace: Trace;
  readonly decision: DecisionDependencies;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** With less room than one read, the store counts as full. */
const NEARLY_FULL_BYTES = HANDED_ON_LIMIT_BYTES - 64 * 1024;
/** RCPTs of one message (RFC 5321 §4.5.3.1.8 asks for 100 at least). */
const MAX_RECIPIENTS = 1_000;
/** Senseless or refused commands before the session is closed. */
const MAX_ERRORS = 20;
/** A session in which nothing completes for this long is closed, whatever it waits for. */
const STUCK_MS = 30 * 60_000;
/** Replies a client has not read; above it CMail stops reading commands. */
const MAX_UNREAD_REPLY_BYTES = 64 * 1024;
/** Wait for the client to close after our last words. */
const CLOSE_WAIT_MS = 2_000;

const FAULT = reply(451, '4.3.0', 'Something went wrong here; please try again later');

export class Connection {
  readonly #socket: Socket;
  readonly #deps: ReceivingDependencies;
  readonly #session: ReceiverSession;
  readonly #address: string;
  readonly #onClose: () => void;
  #transaction: Transaction | null = null;
  #helo = '';
  #extended = false;
  /** Bytes the store would not take, tried again when it has room. */
  #refusedBytes: Uint8Array | null = null;
  /** The read the engine works on, when it is the only one. */
  #lastRead: Buffer | null = null;
  #waitsForRoom = false;
  #busy = false;
  #closing = false;
  #draining = false;
  #peerEnded = false;
  #reading = true;
  /** When the present wait began, moved on while the wait is ours. */
  #waitSinceMs = Date.now();
  #progressAtMs = Date.now();
  #windowBytes = 0;
  #closeAtMs = 0;
  #policySettings: Settings | null = null;
  #policy: ReceiverPolicy | null = null;

  constructor(socket: Socket, deps: ReceivingDependencies, onClose: () => void) {
    this.#socket = socket;
    this.#deps = deps;
    this.#onClose = onClose;
    this.#address = socket.remoteAddress ?? '';
    this.#session = new ReceiverSession(() => this.#currentPolicy());
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('end', () => this.#ended());
    socket.on('drain', () => this.#run());
    socket.on('error', (error) =>
      deps.log('info', 'connection lost', { client: this.#address, why: describeError(error) }),
    );
    socket.on('close', () => this.#closed());
    this.#session.greet();
    this.#run();
  }

  /** Message bytes held and not handed on, for tests and status. */
  get heldBytes(): number {
    return this.#session.bufferedBytes + (this.#refusedBytes?.length ?? 0);
  }

  get address(): string {
    return this.#address;
  }

  /** Bytes read from the socket so far. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** No further mail: says 421 now, or when the open transaction is over. */
  drain(): void {
    this.#draining = true;
    if (!this.#busy) this.#run();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Called about twice a second: ends what takes too long. `elapsedMs` since the last call. */
  tick(nowMs: number, elapsedMs: number): void {
    if (this.#closing) {
      if (nowMs >= this.#closeAtMs) this.#socket.destroy();
      return;
    }
    // Time in which we ourselves do not read or are deciding is not the client's.
    if (this.#busy || this.#waitsForRoom) this.#waitSinceMs += elapsedMs;
    const reason = this.#overdue(nowMs);
    if (reason !== null)
      this.#fail(reply(421, '4.4.2', `${this.#deps.hostname} ${reason}, closing connection`), reason);
  }

  #overdue(nowMs: number): string | null {
    const { timeouts, minDataRate } = this.#deps.settings();
    if (nowMs - this.#progressAtMs > STUCK_MS) return 'nothing completed for 30 minutes';
    const waitedMs = nowMs - this.#waitSinceMs;
    const deadline = this.#session.deadline;
    if (deadline === 'command') return waitedMs > timeouts.commandMs ? 'timeout waiting for a command' : null;
    if (deadline !== 'data-block' || waitedMs <= timeouts.dataBlockMs) return null;
    if (this.#windowBytes < (minDataRate * waitedMs) / 1000) return 'message data came too slowly';
    this.#startWait();
    return null;
  }

  #startWait(): void {
    this.#waitSinceMs = Date.now();
    this.#windowBytes = 0;
  }

  #currentPolicy(): ReceiverPolicy {
    const settings = this.#deps.settings();
    if (this.#policy === null || this.#policySettings !== settings) {
      this.#policySettings = settings;
      this.#policy = {
        hostname: this.#deps.hostname,
        maxMessageBytes: settings.maxIncomingSizeBytes,
        bareNewline: isOnRelayNetworks(this.#address, settings) ? settings.bareNewline : 'refuse',
        maxRecipients: MAX_RECIPIENTS,
        maxErrors: MAX_ERRORS,
      };
    }
    return this.#policy;
  }

  #receive(bytes: Buffer): void {
    if (this.#closing) return;
    if (this.#session.deadline === 'data-block') {
      this.#windowBytes += bytes.length;
      this.#progressAtMs = Date.now();
    }
    this.#lastRead = this.#session.bufferedBytes === 0 ? bytes : null;
    this.#session.receive(bytes);
    this.#run();
  }

  /**
   * Frees the memory of a read that is used up. Left to the collector, reads that waited for the store would
   * pile up in its old generation, far beyond what is held.
   */
  #freeRead(): void {
    const bytes = this.#lastRead;
    if (bytes === null || this.#session.bufferedBytes > 0 || this.#refusedBytes !== null) return;
    this.#lastRead = null;
    // Only a read that has its memory for itself, not one cut from a shared pool.
    const { buffer } = bytes;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) buffer.transfer(0);
  }

  /** Lets the engine go on until it needs more bytes or an answer that is not there yet. */
  #run(): void {
    if (this.#busy || this.#closing) return;
    let progressed = false;
    const before = this.#session.deadline;
    while (!this.#closing && this.#socket.writableLength <= MAX_UNREAD_REPLY_BYTES) {
      if (!this.#handOn()) break;
      if (this.#draining && this.#transaction === null) {
        this.#fail(reply(421, '4.3.2', `${this.#deps.hostname} is shutting down`), 'shutting down');
        return;
      }
      const action = this.#session.next();
      if (action === null) break;
      progressed = true;
      const answer = this.#act(action);
      if (answer !== null) {
        this.#await(answer);
        break;
      }
    }
    this.#freeRead();
    this.#flushAndWait(progressed || this.#session.deadline !== before);
  }

  #flushAndWait(progressed: boolean): void {
    if (!this.#busy) {
      const output = this.#session.takeOutput();
      if (output.length > 0) this.#socket.write(output);
      if (output.length > 0 || progressed) {
        this.#progressAtMs = Date.now();
        if (this.#session.deadline === 'command' || progressed) this.#startWaitUnlessData(output.length > 0);
      }
      if (this.#peerEnded && !this.#waitsForRoom && !this.#closing)
        this.#close('the client closed the connection');
    }
    this.#regulateReading();
  }

  /** A data window runs on across blocks; a wait for a command begins anew with each completed one. */
  #startWaitUnlessData(replied: boolean): void {
    if (this.#session.deadline !== 'data-block' || replied) this.#startWait();
  }

  /** Reading stops while as much is held as the buffer size allows; one read of the runtime may come on top. */
  #regulateReading(): void {
    const full =
      this.heldBytes >= this.#deps.settings().bufferSizeBytes ||
      this.#socket.writableLength > MAX_UNREAD_REPLY_BYTES;
    if (full === !this.#reading) return;
    this.#reading = !full;
    if (full) this.#socket.pause();
    else this.#socket.resume();
  }

  #await(answer: Promise<void>): void {
    this.#busy = true;
    answer.then(
      () => {
        this.#busy = false;
        this.#run();
      },
      (error: unknown) => {
        this.#busy = false;
        this.#deps.log('error', 'a session failed', { client: this.#address, why: describeError(error) });
        this.#fail(
          reply(421, '4.3.0', `${this.#deps.hostname} something went wrong here, please try again later`),
          'a fault',
        );
      },
    );
  }

  /** Hands on what the store refused before; false while it has no room for message bytes. */
  #handOn(): boolean {
    if (this.#refusedBytes === null) {
      // Bytes that could not be handed on are not even looked at: what a look makes would only pile up.
      if (this.#session.deadline !== 'data-block' || this.#deps.storage.handedOnBytes() <= NEARLY_FULL_BYTES)
        return true;
    } else if (this.#transaction === null || this.#transaction.append(this.#refusedBytes)) {
      this.#refusedBytes = null;
      return true;
    }
    if (!this.#waitsForRoom) {
      this.#waitsForRoom = true;
      this.#deps.storage.drained().then(
        () => this.#roomAgain(),
        (error: unknown) => this.#fail(FAULT, `the store failed: ${describeError(error)}`),
      );
    }
    return false;
  }

  #roomAgain(): void {
    this.#waitsForRoom = false;
    this.#run();
  }

  /** Does what the engine asks; a promise when the answer takes time. */
  #act(action: ReceiverAction): Promise<void> | null {
    switch (action.type) {
      case 'hello':
        this.#helo = action.name;
        this.#extended = action.extended;
        return null;
      case 'mail':
        this.#transaction = new Transaction(
          this.#deps.storage,
          this.#deps.trace,
          action.sender,
          action.parameters,
        );
        this.#session.answer(reply(250, '2.1.0', `<${action.sender?.text ?? ''}> sender ok`));
        return null;
      case 'rcpt':
        return this.#decide(action);
      case 'refused':
        this.#logRefusal('command refused', action.reply, { command: `${action.verb} ${action.argument}` });
        return null;
      case 'data':
        this.#transaction?.openBody();
        this.#session.answerAccept();
        return null;
      case 'body':
        if (this.#transaction !== null && !this.#transaction.append(action.bytes)) {
          this.#refusedBytes = action.bytes;
        }
        return null;
      case 'end':
        return this.#finish(action);
      case 'reset':
        this.#forget();
        return null;
      case 'close':
        this.#close(action.reason);
        return null;
    }
  }

  #client(): Client {
    return clientAt(this.#address, null, this.#deps.settings());
  }

  async #decide(action: Extract<ReceiverAction, { type: 'rcpt' }>): Promise<void> {
    const transaction = this.#transaction;
    const decision = await decide(this.#deps.decision, {
      recipient: action.recipient,
      client: this.#client(),
      sender: transaction?.sender ?? null,
      declaredSizeBytes: transaction?.parameters.sizeBytes ?? 0,
      settings: this.#deps.settings(),
      purpose: 'rcpt',
    });
    if (decision.reply.code < 400) transaction?.add(decision);
    else {
      const about = { recipient: action.recipient.text, rule: decision.rule };
      this.#logRefusal('recipient refused', decision.reply, about);
    }
    this.#session.answer(decision.reply);
  }

  #finish(action: Extract<ReceiverAction, { type: 'end' }>): Promise<void> | null {
    const transaction = this.#transaction;
    this.#transaction = null;
    if (action.failure !== null || transaction === null) {
      transaction?.abort();
      const answer = action.failure ?? FAULT;
      this.#logRefusal('message refused', answer, {}, transaction);
      this.#session.answer(answer);
      return null;
    }
    const { hostname, settings } = this.#deps;
    const facts = { client: this.#client(), helo: this.#helo, extended: this.#extended, hostname };
    return transaction.finish(facts, settings(), action.eightBit).then((answer: Reply) => {
      if (answer.code >= 400) this.#logRefusal('message refused', answer, {}, transaction);
      this.#session.answer(answer);
    });
  }

  /** What is refused leaves no message behind to ask about: the log says who asked what, and which rule refused. */
  #logRefusal(
    words: string,
    answer: Reply,
    about: Readonly<Record<string, string>>,
    transaction = this.#transaction,
  ): void {
    const { address, kind } = this.#client();
    const sender = transaction?.sender?.text ?? '';
    this.#deps.log('info', words, { client: address, kind, sender, ...about, reply: replyText(answer) });
  }

  #forget(): void {
    this.#transaction?.abort();
    this.#transaction = null;
    this.#refusedBytes = null;
  }

  #ended(): void {
    this.#peerEnded = true;
    if (!this.#busy) this.#run();
  }

  #fail(answer: Reply, reason: string): void {
    this.#session.fail(answer);
    this.#close(reason);
  }

  #close(reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeAtMs = Date.now() + CLOSE_WAIT_MS;
    this.#forget();
    const output = this.#session.takeOutput();
    this.#deps.log('info', 'connection closed', { client: this.#address, why: reason });
    // What the client still sends is read and dropped, so that our last words are not lost to a reset.
    this.#socket.resume();
    this.#socket.end(output);
  }

  #closed(): void {
    this.#closing = true;
    this.#forget();
    this.#onClose();
  }
}
