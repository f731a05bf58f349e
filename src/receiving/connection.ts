/**
 * One SMTP client's connection: the socket on one side, the protocol engine on the other. Feeds bytes in,
 * finds the answers to the engine's questions, keeps its deadlines, and stops reading when nothing can take
 * what comes.
 */
import type { Socket } from 'node:net';
import type { Arrival } from '../listening/arrival.ts';
import { HANDSHAKE_LIMIT_MS, startTls, type TlsFacts } from '../listening/start-tls.ts';
import { describeError } from '../mail/failure.ts';
import { type Reply, reply, replyText } from '../mail/reply.ts';
import type { ReceiverAction } from '../smtp/receiver-contract.ts';
import { ReceiverSession } from '../smtp/receiver-session.ts';
import { HANDED_ON_LIMIT_BYTES } from '../storage/contract.ts';
import { isOnRelayNetworks } from './client.ts';
import { Conversation, FAULT, type ReceivingDependencies, type Service } from './conversation.ts';
import type { StrangerLimits } from './stranger-limits.ts';

/** With less room than one read, the store counts as full. */
const NEARLY_FULL_BYTES = HANDED_ON_LIMIT_BYTES - 64 * 1024;
/** A session in which nothing completes for this long is closed, whatever it waits for. */
const STUCK_MS = 30 * 60_000;
/** Replies a client has not read; above it CMail stops reading commands. */
const MAX_UNREAD_REPLY_BYTES = 64 * 1024;
/** Wait for the client to close after our last words. */
const CLOSE_WAIT_MS = 2_000;

const EARLY_TALKER = reply(554, '5.5.1', 'A client waits for the greeting before it speaks');

export class Connection {
  readonly #deps: ReceivingDependencies;
  readonly #session: ReceiverSession;
  readonly #conversation: Conversation;
  readonly #address: string;
  readonly #onClose: () => void;
  /** The clear one, or TLS on top of it. */
  #socket: Socket;
  #detach: () => void = () => undefined;
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
  #greetTimer: NodeJS.Timeout | null = null;
  /** When the present wait began, moved on while the wait is ours. */
  #waitSinceMs = Date.now();
  #progressAtMs = Date.now();
  #windowBytes = 0;
  #closeAtMs = 0;

  /** `strangers` null: what the client does in vain is not counted. */
  constructor(
    arrival: Arrival,
    service: Service,
    deps: ReceivingDependencies,
    strangers: StrangerLimits | null,
    onClose: () => void,
  ) {
    const { socket, address, tls } = arrival;
    this.#socket = socket;
    this.#deps = deps;
    this.#onClose = onClose;
    this.#address = address;
    this.#conversation = new Conversation(deps, service, arrival, strangers);
    this.#session = new ReceiverSession(() => this.#conversation.policy());
    if (tls !== null) this.#session.secured();
    this.#attach(socket);
    this.#greet(service);
  }

  /** Takes over a socket's events. */
  #attach(socket: Socket): void {
    const listeners = [
      ['data', (bytes: Buffer) => this.#receive(bytes)],
      ['end', () => this.#ended()],
      ['drain', () => this.#run()],
      ['error', (error: Error) => this.#log('connection lost', { why: describeError(error) })],
      ['close', () => this.#closed()],
    ] as const satisfies readonly (readonly [string, (argument: never) => void])[];
    for (const [event, listener] of listeners) socket.on(event, listener);
    // A socket that was read from before, for a PROXY header, is paused.
    socket.resume();
    this.#reading = true;
    this.#detach = () => {
      for (const [event, listener] of listeners) socket.off(event, listener);
    };
  }

  /** At once, or after a wait in which only those speak who do not listen. */
  #greet(service: Service): void {
    const settings = this.#deps.settings();
    const waitMs =
      service === 'submission' || isOnRelayNetworks(this.#address, settings)
        ? 0
        : settings.strangers.greetDelayMs;
    const greet = (): void => {
      this.#greetTimer = null;
      if (this.#closing) return;
      this.#session.greet();
      this.#run();
    };
    if (waitMs === 0) greet();
    else this.#greetTimer = setTimeout(greet, waitMs);
  }

  #log(message: string, fields: Record<string, unknown>): void {
    this.#deps.log('info', message, { client: this.#address, ...fields });
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

  #receive(bytes: Buffer): void {
    if (this.#closing) return;
    if (this.#greetTimer !== null) {
      this.#log('early talker', { bytes: bytes.length });
      this.#fail(EARLY_TALKER, 'spoke before the greeting');
      return;
    }
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
      if (this.#draining && this.#conversation.transaction === null) {
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
    if (this.#countFruitless()) return;
    this.#flushAndWait(progressed || this.#session.deadline !== before);
  }

  /** Whether that was too much for a stranger, who then is told so and closed. */
  #countFruitless(): boolean {
    const fruitless = this.#session.takeFruitless();
    if (fruitless.errors + fruitless.idleCommands === 0) return false;
    this.#conversation.count(fruitless);
    // While an answer is on its way, perhaps a 250, the session goes on; the next MAIL ends it.
    if (this.#busy || this.#closing) return false;
    return this.#refuseStranger();
  }

  #refuseStranger(): boolean {
    const refusal = this.#conversation.refuseStranger();
    if (refusal !== null) this.#fail(refusal, replyText(refusal));
    return refusal !== null;
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
    } else if (this.#conversation.transaction?.append(this.#refusedBytes) !== false) {
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
    const conversation = this.#conversation;
    switch (action.type) {
      case 'hello':
        conversation.greeted(action.name, action.extended);
        return null;
      case 'starttls':
        return this.#startTls();
      case 'auth':
        return this.#answer(conversation.signIn(action));
      case 'mail':
        return this.#refuseStranger() ? null : this.#answer(conversation.mail(action));
      case 'rcpt':
        return this.#answer(conversation.recipient(action));
      case 'refused': {
        const command = `${action.verb} ${action.argument}`;
        conversation.logRefusal('command refused', action.reply, { command });
        return null;
      }
      case 'data':
        conversation.transaction?.openBody();
        this.#session.answerAccept();
        return null;
      case 'body':
        if (conversation.transaction?.append(action.bytes) === false) this.#refusedBytes = action.bytes;
        return null;
      case 'end':
        return this.#answer(conversation.finish(action));
      case 'reset':
        this.#forget();
        return null;
      case 'close':
        this.#close(action.reason);
        return null;
    }
  }

  #answer(answer: Promise<Reply> | Reply): Promise<void> | null {
    if (answer instanceof Promise) return answer.then((value) => this.#session.answer(value));
    this.#session.answer(answer);
    return null;
  }

  /** Says that TLS may begin, and goes on under it; what fails ends the connection (RFC 3207 §4.1). */
  async #startTls(): Promise<void> {
    const { tls, settings } = this.#deps;
    if (tls === null) throw new Error('STARTTLS without certificates');
    const clear = this.#socket;
    const limitMs = Math.min(settings().timeouts.tlsMs, HANDSHAKE_LIMIT_MS);
    await new Promise<void>((resolve) => clear.write(this.#session.takeOutput(), () => resolve()));
    if (this.#closing || clear.destroyed) return;
    this.#detach();
    const secured = await startTls(clear, tls, limitMs);
    if (!secured.ok) {
      this.#log('a TLS handshake failed', { why: secured.failure });
      this.#closed();
      return;
    }
    this.#secured(secured.value.socket, secured.value.tls);
  }

  #secured(socket: Socket, facts: TlsFacts): void {
    this.#socket = socket;
    this.#conversation.secured(facts);
    this.#session.secured();
    this.#attach(socket);
    this.#startWait();
    if (this.#closing) socket.destroy();
  }

  #forget(): void {
    this.#conversation.forget();
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
    this.#log('connection closed', { why: reason });
    // What the client still sends is read and dropped, so that our last words are not lost to a reset.
    this.#socket.resume();
    this.#socket.end(output);
  }

  #closed(): void {
    this.#closing = true;
    if (this.#greetTimer !== null) clearTimeout(this.#greetTimer);
    this.#forget();
    this.#onClose();
  }
}
