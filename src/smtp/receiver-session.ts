import type { Failure } from '../mail/failure.ts';
import { asReply, type Reply, replyText } from '../mail/reply.ts';
import {
  type ChunkHeader,
  type CommandLine,
  MAX_COMMAND_LINE_BYTES,
  parseChunkHeader,
  parseCommandLine,
  parseHello,
  parseMail,
  parseRcpt,
  unknownParameter,
} from './grammar.ts';
import { IncomingMessage, sizeLimit } from './incoming-message.ts';
import { InputBuffer } from './input-buffer.ts';
import { SessionAccess } from './receiver-access.ts';
import type { AuthStep } from './receiver-auth.ts';
import type { ReceiverAction, ReceiverDeadline, ReceiverPolicy } from './receiver-contract.ts';
import * as replies from './receiver-replies.ts';
import { type Chunk, notReady, type Phase, type Question, type Transaction } from './receiver-state.ts';
import { type Fruitless, SessionTally } from './receiver-tally.ts';
import { formatReply } from './reply-format.ts';

const EMPTY = Buffer.alloc(0);

/** The decoder makes a string of what it searches; small ones die young, also while a client waits for the store. */
const DECODED_AT_ONCE_BYTES = 8 * 1024;

/**
 * One receiving SMTP session (RFC 5321, 1870, 2920, 3030, 3461, 6152, 6531, 8689); `receiver-contract.ts` says how a host
 * drives it. Bytes given to `receive` are kept without copying until they are consumed, so they must not
 * change meanwhile. Memory is bounded by what one `receive` brought and one command line; the replies
 * gathered between two `takeOutput` calls are bounded by a small multiple of that.
 */
export class ReceiverSession {
  readonly #policy: () => ReceiverPolicy;
  readonly #input = new InputBuffer();
  #output = '';
  readonly #actions: ReceiverAction[] = [];
  #phase: Phase = 'command';
  #question: Question | null = null;
  /** The last action was an `end` the session answered itself; an answer to it is ignored. */
  #endAnswered = false;
  #greeted = false;
  readonly #access = new SessionAccess();
  #transaction: Transaction | null = null;
  #chunk: Chunk | null = null;
  readonly #tally = new SessionTally();

  constructor(policy: () => ReceiverPolicy) {
    this.#policy = policy;
  }

  /** Queues the 220 greeting. */
  greet(): void {
    this.#send(replies.greeting(this.#policy()));
  }

  /** Takes what the peer sent. */
  receive(bytes: Buffer): void {
    // In clear after STARTTLS: whoever sent it did not wait for TLS, or is somebody else (RFC 3207 §5).
    if (this.#phase !== 'closed' && this.#phase !== 'tls') this.#input.receive(bytes);
  }

  /** TLS is in use now: after `starttls`, or before the greeting. */
  secured(): void {
    this.#access.secured();
    if (this.#phase === 'tls') this.#phase = 'command';
  }

  /** The next thing for the host to do, or null while more bytes or an answer are needed. */
  next(): ReceiverAction | null {
    this.#endAnswered = false;
    for (;;) {
      const action = this.#actions.shift();
      if (action !== undefined) {
        this.#endAnswered = action.type === 'end' && action.failure !== null;
        return action;
      }
      if (this.#question !== null || !this.#advance()) return null;
    }
  }

  /**
   * Answers the open question. Ignored after an `end` that carried a failure and in a closed session; with
   * no question at all it is a fault of the host and throws.
   */
  answer(value: Reply | Failure): void {
    if (this.#phase === 'closed' || this.#endAnswered) return;
    const question = this.#question;
    if (question === null) throw new Error('ReceiverSession.answer: no question is open');
    const answer = 'lines' in value ? value : asReply(value);
    this.#question = null;
    if (question.type === 'data') {
      if (answer.code < 400) this.#beginMessage(question.chunk);
      else this.#refuseMessage(question.chunk, answer);
      return;
    }
    if (answer.code < 400) this.#accepted(question);
    this.#respond(answer);
    if (question.type === 'end') this.#transaction = null;
    if (question.type === 'auth' && answer.code >= 400) this.#countFailedSignIn();
  }

  /** Answers `data`: the message may come (354 for DATA, nothing yet for BDAT). */
  answerAccept(): void {
    if (this.#phase !== 'closed' && this.#question?.type !== 'data') {
      throw new Error('ReceiverSession.answerAccept: no data question is open');
    }
    this.answer(replies.START_DATA);
  }

  /** Queues a closing reply such as 421; the next action is `close`, and an open question lapses. */
  fail(closing: Reply): void {
    if (this.#phase === 'closed') return;
    this.#actions.length = 0;
    this.#hangUp(closing);
  }

  /** All replies gathered since the last call; empty when there are none. */
  takeOutput(): Buffer {
    if (this.#output === '') return EMPTY;
    const output = Buffer.from(this.#output);
    this.#output = '';
    return output;
  }

  /** What the client did without moving mail, since the last call. */
  takeFruitless(): Fruitless {
    return this.#tally.takeFruitless();
  }

  /** The wait the host must limit now. */
  get deadline(): ReceiverDeadline {
    if (this.#question !== null || this.#phase === 'closed' || this.#phase === 'tls') return 'none';
    return this.#phase === 'data' || this.#phase === 'chunk' ? 'data-block' : 'command';
  }

  /** Bytes received and neither handed on nor consumed. */
  get bufferedBytes(): number {
    return this.#input.length + (this.#transaction?.message?.pendingBytes ?? 0);
  }

  // ---------------------------------------------------------------- input

  /** Consumes one line or one piece of content; false when more bytes are needed. */
  #advance(): boolean {
    switch (this.#phase) {
      case 'command':
        return this.#advanceCommand();
      case 'overlong':
        return this.#advanceOverlong();
      case 'auth':
        return this.#advanceAuth();
      case 'data':
        return this.#advanceData();
      case 'chunk':
        return this.#advanceChunk();
      case 'tls':
      case 'closed':
        return false;
    }
  }

  /** The next whole line without its end; null when there is none, or it is too long. */
  #takeLine(): Buffer | null {
    const line = this.#input.takeLine(MAX_COMMAND_LINE_BYTES);
    if (line !== 'too-long') return line;
    this.#phase = 'overlong';
    return null;
  }

  #advanceCommand(): boolean {
    const bytes = this.#takeLine();
    if (bytes === null) return this.#phase === 'overlong';
    const line = parseCommandLine(bytes);
    const answer = line.ok ? this.#command(line.value) : asReply(line.failure);
    if (line.ok && answer !== null) this.#tellRefusal(line.value, answer);
    if (answer !== null) this.#respond(answer);
    if (line.ok && this.#tally.idleCommand(line.value.verb, this.#policy())) this.#countError();
    return true;
  }

  #advanceAuth(): boolean {
    const bytes = this.#takeLine();
    if (bytes === null) return this.#phase === 'overlong';
    // What is no base64 need not be read as what it is.
    this.#takeStep(this.#access.line(bytes.toString('latin1')));
    return true;
  }

  #tellRefusal({ verb, argument }: CommandLine, answer: Reply): void {
    if (answer.code >= 400 && (verb === 'MAIL' || verb === 'RCPT'))
      this.#actions.push({ type: 'refused', verb, argument, reply: answer });
  }

  #advanceOverlong(): boolean {
    if (!this.#input.dropLine()) return false;
    this.#phase = 'command';
    this.#respond(this.#access.drop() ? replies.AUTH_TOO_LONG : replies.TOO_LONG);
    return true;
  }

  #advanceData(): boolean {
    const message = this.#transaction!.message!;
    const piece = message.read();
    if (piece !== null) {
      this.#actions.push({ type: 'body', bytes: piece });
      return true;
    }
    if (message.finished) {
      // What was pipelined behind the end mark is the next command.
      this.#input.putBack(message.takeRest());
      this.#endMessage(message);
      return true;
    }
    if (this.#input.length === 0) return false;
    message.write(this.#input.take(DECODED_AT_ONCE_BYTES));
    return true;
  }

  #advanceChunk(): boolean {
    const chunk = this.#chunk!;
    const message = chunk.refusal === null ? this.#transaction!.message : null;
    const piece = message?.read();
    if (piece) {
      this.#actions.push({ type: 'body', bytes: piece });
      return true;
    }
    if (chunk.remainingBytes === 0) {
      this.#chunk = null;
      this.#phase = 'command';
      if (message === null) this.#endRefusedChunk(chunk);
      else this.#endChunk(chunk.header, message);
      return true;
    }
    if (this.#input.length === 0) return false;
    const bytes = this.#input.take(Math.min(chunk.remainingBytes, DECODED_AT_ONCE_BYTES));
    chunk.remainingBytes -= bytes.length;
    message?.write(bytes);
    return true;
  }

  // ---------------------------------------------------------------- message

  #beginMessage(chunk: ChunkHeader | null): void {
    const message = new IncomingMessage(chunk !== null, this.#policy());
    this.#transaction!.message = message;
    if (chunk === null) {
      this.#send(replies.START_DATA);
      this.#phase = 'data';
    } else {
      message.limit(this.#policy(), chunk.sizeBytes);
      this.#beginChunk(chunk, null);
    }
  }

  #refuseMessage(chunk: ChunkHeader | null, refusal: Reply): void {
    if (chunk === null) {
      this.#respond(refusal);
    } else {
      this.#transaction!.refusal = refusal;
      this.#beginChunk(chunk, refusal);
    }
  }

  #beginChunk(header: ChunkHeader, refusal: Reply | null): void {
    this.#chunk = { header, remainingBytes: header.sizeBytes, refusal };
    this.#phase = 'chunk';
  }

  #endChunk(header: ChunkHeader, message: IncomingMessage): void {
    if (!header.last) {
      // An error is counted once, at the end: a client may have sent many chunks ahead.
      this.#send(message.tooLarge ? replies.TOO_LARGE : replies.chunkReceived(header.sizeBytes));
      return;
    }
    const piece = message.finish();
    if (piece !== null) this.#actions.push({ type: 'body', bytes: piece });
    this.#endMessage(message);
  }

  #endRefusedChunk(chunk: Chunk): void {
    const ofMessage = this.#transaction !== null && this.#transaction.refusal !== null;
    if (ofMessage && chunk.header.last) this.#reset();
    if (ofMessage && !chunk.header.last) this.#send(chunk.refusal!);
    else this.#respond(chunk.refusal!);
  }

  #endMessage(message: IncomingMessage): void {
    const { sizeBytes, eightBit, failure } = message;
    this.#phase = 'command';
    this.#transaction!.message = null;
    this.#actions.push({ type: 'end', sizeBytes, eightBit, failure });
    if (failure === null) {
      this.#question = { type: 'end' };
    } else {
      this.#transaction = null;
      this.#respond(failure);
    }
  }

  // ---------------------------------------------------------------- commands

  /** Carries out a command; its reply, or null when that comes later. */
  #command({ verb, argument }: CommandLine): Reply | null {
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        return this.#hello(argument, verb === 'EHLO');
      case 'MAIL':
        return this.#mail(argument);
      case 'RCPT':
        return this.#rcpt(argument);
      case 'DATA':
        return argument === '' ? this.#data() : replies.NO_ARGUMENT;
      case 'BDAT':
        return this.#bdat(argument);
      case 'RSET':
        if (argument !== '') return replies.NO_ARGUMENT;
        this.#reset();
        return replies.OK;
      case 'NOOP':
        return replies.OK;
      case 'VRFY':
        return argument === '' ? replies.VRFY_SYNTAX : replies.NOT_VERIFIED;
      case 'HELP':
        return replies.HELP;
      case 'QUIT':
        return argument === '' ? this.#quit() : replies.NO_ARGUMENT;
      case 'STARTTLS':
        return argument === '' ? this.#startTls() : replies.NO_ARGUMENT;
      case 'AUTH':
        return this.#beginAuth(argument);
      case 'EXPN':
        return replies.NOT_IMPLEMENTED;
      default:
        return replies.NOT_RECOGNISED;
    }
  }

  #hello(argument: string, extended: boolean): Reply {
    const name = parseHello(argument);
    if (!name.ok) return asReply(name.failure);
    this.#reset();
    this.#greeted = true;
    this.#actions.push({ type: 'hello', name: name.value, extended });
    const policy = this.#policy();
    return replies.helloReply(policy, extended, this.#access.offers(policy));
  }

  /** RFC 3207: everything known of the client so far was told by whoever could write on the line. */
  #startTls(): Reply | null {
    const refusal = this.#access.beginTls(this.#policy(), this.#greeted);
    if (refusal !== null) return refusal;
    this.#reset();
    this.#greeted = false;
    this.#input.clear();
    this.#send(replies.READY_FOR_TLS);
    this.#phase = 'tls';
    this.#actions.push({ type: 'starttls' });
    return null;
  }

  #beginAuth(argument: string): null {
    const state = { greeted: this.#greeted, inTransaction: this.#transaction !== null };
    this.#takeStep(this.#access.beginAuth(argument, this.#policy(), state));
    return null;
  }

  #takeStep(step: AuthStep): void {
    if (step.type === 'challenge') {
      this.#phase = 'auth';
      this.#send(step.reply);
      return;
    }
    this.#phase = 'command';
    if (step.type === 'refused') {
      this.#respond(step.reply);
      return;
    }
    this.#question = { type: 'auth' };
    this.#actions.push({ type: 'auth', ...step.credentials });
  }

  #mail(argument: string): Reply | null {
    if (!this.#greeted) return replies.NO_HELLO;
    const refusal = this.#access.refuseMail(this.#policy());
    if (refusal !== null) return refusal;
    if (this.#transaction !== null) return replies.MAIL_BEGUN;
    if (this.#tally.messages >= this.#policy().maxMessages) return this.#hangUp(replies.TOO_MANY_MESSAGES);
    const mail = parseMail(argument);
    if (!mail.ok) return asReply(mail.failure);
    const { sender, parameters } = mail.value;
    if (parameters.requireTls && !this.#access.offers(this.#policy()).requireTls)
      return asReply(unknownParameter('REQUIRETLS').failure);
    if ((parameters.sizeBytes ?? 0) > sizeLimit(this.#policy())) return replies.TOO_LARGE;
    this.#question = { type: 'mail', smtputf8: parameters.smtputf8 };
    this.#actions.push({ type: 'mail', sender, parameters });
    return null;
  }

  #rcpt(argument: string): Reply | null {
    const transaction = this.#transaction;
    if (transaction === null) return replies.NO_MAIL;
    if (transaction.message !== null || transaction.refusal !== null) return replies.CHUNKS_BEGUN;
    transaction.asked = true;
    const recipient = parseRcpt(argument, transaction.smtputf8);
    if (!recipient.ok) return asReply(recipient.failure);
    const { maxRecipients, maxSessionRecipients } = this.#policy();
    if (transaction.recipients >= maxRecipients) return replies.tooManyRecipients(maxRecipients);
    if (this.#tally.recipients >= maxSessionRecipients) return replies.tooManyInSession(maxSessionRecipients);
    this.#question = { type: 'rcpt' };
    this.#actions.push({ type: 'rcpt', ...recipient.value });
    return null;
  }

  #data(): Reply | null {
    if (this.#transaction?.message || this.#transaction?.refusal) return replies.CHUNKS_BEGUN;
    const refusal = notReady(this.#transaction);
    if (refusal !== null) return refusal;
    this.#question = { type: 'data', chunk: null };
    this.#actions.push({ type: 'data', chunking: false });
    return null;
  }

  /** The octets of a chunk follow whatever the answer is, so they are read even when it is refused. */
  #bdat(argument: string): Reply | null {
    const header = parseChunkHeader(argument);
    if (!header.ok) {
      // Where the chunk ends is not known, and its octets must not be read as commands.
      this.#send(asReply(header.failure));
      this.#reset();
      return this.#hangUp(replies.CHUNK_UNREADABLE);
    }
    const refusal = this.#transaction?.refusal ?? notReady(this.#transaction);
    const message = this.#transaction?.message ?? null;
    if (refusal !== null || message !== null) {
      message?.limit(this.#policy(), header.value.sizeBytes);
      this.#beginChunk(header.value, refusal);
      return null;
    }
    this.#question = { type: 'data', chunk: header.value };
    this.#actions.push({ type: 'data', chunking: true });
    return null;
  }

  #quit(): null {
    this.#reset();
    this.#send(replies.BYE);
    this.#close('QUIT');
    return null;
  }

  // ---------------------------------------------------------------- replies

  /** What a positive answer to a question changes. */
  #accepted(question: Question): void {
    if (question.type === 'mail') {
      const { smtputf8 } = question;
      this.#transaction = { smtputf8, recipients: 0, asked: false, message: null, refusal: null };
    } else if (question.type === 'rcpt') {
      this.#transaction!.recipients += 1;
      this.#tally.recipients += 1;
    } else if (question.type === 'auth') {
      this.#access.signedIn();
    } else {
      this.#tally.message();
    }
  }

  /** Forgets the transaction; tells the host when there was one. */
  #reset(): void {
    if (this.#transaction === null) return;
    this.#transaction = null;
    this.#actions.push({ type: 'reset' });
  }

  #close(reason: string): void {
    this.#phase = 'closed';
    this.#question = null;
    this.#transaction = null;
    this.#chunk = null;
    this.#input.clear();
    this.#actions.push({ type: 'close', reason });
  }

  /** Says why, and closes. */
  #hangUp(why: Reply): null {
    this.#send(why);
    this.#close(replyText(why));
    return null;
  }

  /** Queues a reply without judging it. */
  #send(value: Reply): void {
    this.#output += formatReply(value, this.#transaction?.smtputf8 ?? false);
  }

  /** Queues a reply and counts it when it is a permanent failure. */
  #respond(value: Reply): void {
    this.#send(value);
    if (value.code >= 500) this.#countError();
  }

  #countFailedSignIn(): void {
    if (!this.#tally.failedSignIn() || this.#phase === 'closed') return;
    this.#hangUp(replies.TOO_MANY_SIGN_INS);
  }

  #countError(): void {
    if (!this.#tally.error(this.#policy()) || this.#phase === 'closed') return;
    this.#reset();
    this.#hangUp(replies.TOO_MANY_ERRORS);
  }
}
