/** Drives a ReceiverSession as a host would, for tests and the fuzzer, and checks what must always hold. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type Reply, reply } from '../../src/mail/reply.ts';
import { MAX_COMMAND_LINE_BYTES } from '../../src/smtp/grammar.ts';
import type { ReceiverAction, ReceiverPolicy } from '../../src/smtp/receiver-contract.ts';
import { ReceiverSession } from '../../src/smtp/receiver-session.ts';

export const POLICY: ReceiverPolicy = {
  hostname: 'mx.example.org',
  maxMessageBytes: 500,
  bareNewline: 'refuse',
  maxRecipients: 3,
  maxErrors: 30,
  maxIdleCommands: 100,
  maxSessionRecipients: 1000,
  maxMessages: 1000,
  startTls: false,
  auth: 'never',
  signInRequired: false,
  requireTls: true,
};

/** A submission listener towards a client elsewhere, and towards one on this machine. */
export const SUBMISSION: ReceiverPolicy = {
  ...POLICY,
  startTls: true,
  auth: 'under-tls',
  signInRequired: true,
};
export const LOCAL: ReceiverPolicy = { ...POLICY, startTls: true, auth: 'always' };

/** In a session as bytes: here the client waits for the answer to STARTTLS, and begins TLS when it was yes. */
export const TLS_MARK = '\x01TLS\x01';
/** The same among reads. */
export const TLS_READY = Buffer.from(TLS_MARK);

/** A session as reads: cut where the client waits for TLS, and nowhere else. */
export function segments(bytes: Buffer): Buffer[] {
  const reads: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(TLS_READY); at !== -1; at = bytes.indexOf(TLS_READY, from)) {
    reads.push(bytes.subarray(from, at), TLS_READY);
    from = at + TLS_READY.length;
  }
  return [...reads, bytes.subarray(from)];
}

/** What came of a session. Pieces of a body are joined: where they are cut is no part of the result. */
export interface Outcome {
  /** Everything sent to the client. */
  readonly output: string;
  /** The actions in short words, bodies left out. */
  readonly log: readonly string[];
  /** Content of each message that ended without failure. */
  readonly messages: readonly string[];
  readonly closed: boolean;
  readonly deadline: string;
}

/** The host of the tests: what it refuses follows from the local part. */
export function decide(action: ReceiverAction): Reply {
  if (action.type === 'mail' && action.sender?.localPart === 'refused') return reply(550, '5.7.1', 'Refused');
  if (action.type === 'rcpt' && action.recipient.localPart === 'unknown') {
    return reply(550, '5.1.1', `No such user: ${action.recipient.text}`);
  }
  if (action.type === 'rcpt' && action.recipient.localPart === 'later') return reply(451, '4.3.0', 'Later');
  return reply(250, '2.0.0', 'Ok');
}

/** The host's passwords: `pass` is right, `later` cannot be checked. */
function signIn(password: string): Reply {
  if (password === 'pass') return reply(235, '2.7.0', 'Signed in');
  return password === 'later' ? reply(454, '4.7.0', 'Later') : reply(535, '5.7.8', 'Wrong');
}

export class Driver {
  readonly session: ReceiverSession;
  readonly log: string[] = [];
  readonly messages: string[] = [];
  output = '';
  closed = false;
  /** Bytes of bodies seen, refused messages included. */
  bodyBytes = 0;
  readonly #policy: ReceiverPolicy;
  #tlsBegins = false;
  #sender = '';
  #body: Buffer[] | null = null;

  constructor(policy: ReceiverPolicy = POLICY) {
    this.#policy = policy;
    this.session = new ReceiverSession(() => policy);
  }

  /** Feeds one read and answers all it leads to; returns what is sent back. */
  feed(bytes: Buffer | string): string {
    const held = this.session.bufferedBytes;
    const read = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    this.session.receive(read);
    assert.ok(this.session.bufferedBytes <= held + read.length, 'holds more than it was given');
    for (let action = this.session.next(); action !== null; action = this.session.next()) this.#take(action);
    assert.ok(this.session.bufferedBytes <= MAX_COMMAND_LINE_BYTES, 'holds more than a line between reads');
    const sent = this.session.takeOutput().toString('utf8');
    checkReplies(sent);
    this.output += sent;
    return sent;
  }

  /** The client has its 220 and begins TLS, if there is one to begin. */
  tlsReady(): void {
    if (this.#tlsBegins) this.session.secured();
    this.#tlsBegins = false;
  }

  outcome(): Outcome {
    const { output, log, messages, closed } = this;
    return { output, log, messages, closed, deadline: this.session.deadline };
  }

  #take(action: ReceiverAction): void {
    assert.ok(!this.closed, 'an action after close');
    if (action.type === 'body') this.#takeBody(action.bytes);
    else if (action.type === 'data') this.#takeData(action.chunking);
    else if (action.type === 'end') this.#takeEnd(action);
    else if (action.type === 'mail' || action.type === 'rcpt') this.#takeAddress(action);
    else if (action.type === 'auth') {
      this.log.push(`auth ${action.user}`);
      this.session.answer(signIn(action.password));
    } else if (action.type === 'starttls') {
      this.log.push('starttls');
      this.#tlsBegins = true;
    } else if (action.type === 'refused') this.log.push(JSON.stringify(action));
    else {
      this.#body = null;
      this.closed = action.type === 'close';
      this.log.push(JSON.stringify(action));
    }
  }

  #takeAddress(action: ReceiverAction & { type: 'mail' | 'rcpt' }): void {
    if (action.type === 'mail') {
      this.#sender = action.sender?.localPart ?? '';
      this.log.push(`mail ${action.sender?.text ?? ''} ${JSON.stringify(action.parameters)}`);
    } else {
      this.log.push(`rcpt ${action.recipient.text}`);
    }
    this.session.answer(decide(action));
  }

  #takeData(chunking: boolean): void {
    this.log.push(`data ${chunking}`);
    if (this.#sender === 'nodata') {
      this.session.answer(reply(451, '4.3.1', 'No space'));
    } else {
      this.#body = [];
      this.session.answerAccept();
    }
  }

  #takeBody(bytes: Uint8Array): void {
    assert.ok(this.#body !== null, 'a body without data');
    assert.ok(bytes.length > 0, 'an empty piece');
    this.#body.push(Buffer.from(bytes));
    this.bodyBytes += bytes.length;
    const { maxMessageBytes } = this.#policy;
    const total = this.#body.reduce((sum, piece) => sum + piece.length, 0);
    assert.ok(maxMessageBytes === 0 || total <= maxMessageBytes, 'body beyond the limit');
  }

  #takeEnd(action: ReceiverAction & { type: 'end' }): void {
    assert.ok(this.#body !== null, 'an end without data');
    this.log.push(JSON.stringify(action));
    if (action.failure === null) {
      const content = Buffer.concat(this.#body);
      assert.equal(content.length, action.sizeBytes);
      assert.equal(
        content.some((byte) => byte > 127),
        action.eightBit,
      );
      this.messages.push(content.toString('latin1'));
      this.session.answer(reply(250, '2.0.0', 'Ok: queued as 000001'));
    }
    this.#body = null;
  }
}

/** Runs a whole session, given as the reads it arrives in. */
export function run(reads: readonly (Buffer | string)[], policy: ReceiverPolicy = POLICY): Outcome {
  const driver = new Driver(policy);
  for (const read of reads) {
    if (read === TLS_READY) driver.tlsReady();
    else driver.feed(read);
  }
  return driver.outcome();
}

/** Every line is a reply of the grammar (RFC 5321 §4.2), of at most 512 octets; no reply is left open. */
export function checkReplies(output: string): void {
  if (output === '') return;
  assert.ok(output.endsWith('\r\n'), 'output ends within a line');
  let open: string | null = null;
  for (const line of output.slice(0, -2).split('\r\n')) {
    const match = /^([2-5]\d\d)([ -])([^\p{Cc}]*)$/u.exec(line);
    assert.ok(match !== null, `malformed reply: ${JSON.stringify(line)}`);
    assert.ok(Buffer.byteLength(line) + 2 <= 512, 'reply line too long');
    if (open !== null) assert.equal(match[1], open, 'codes differ within a reply');
    open = match[2] === '-' ? match[1]! : null;
    const plain = ['220', '250', '334', '354'].includes(match[1]!);
    assert.ok(plain || /^[245]\.\d{1,3}\.\d{1,3} /.test(match[3]!), `no enhanced code: ${line}`);
  }
  assert.equal(open, null, 'a reply is left open');
}

/** Whole sessions, as bytes, by file name. */
export function corpus(): ReadonlyMap<string, Buffer> {
  const folder = new URL('../fuzz/corpus/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.smtp'));
  return new Map(names.sort().map((name) => [name, readFileSync(new URL(name, folder))]));
}
