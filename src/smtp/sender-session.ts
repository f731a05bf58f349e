/**
 * One outbound SMTP connection as a pure state machine: bytes in, actions out. No sockets, no clock. The
 * host (sending/talk.ts, a test) does:
 *
 *   session.receive(bytes)     whenever the peer sent something; session.lost(reason) when it is gone
 *   loop: action = session.next() until it returns null
 *   session.takeOutput()       after the loop: all that is to be written, as one write
 *
 * and keeps the wait of `session.phase`, anew whenever `session.repliesSeen` grew or the phase changed.
 */
import type { Reply } from '../mail/reply.ts';
import { ReplyParser } from './reply-parser.ts';
import type {
  RecipientResult,
  SenderAction,
  SenderPhase,
  SenderSessionOptions,
  SessionProblem,
  Transaction,
} from './sender-contract.ts';
import { mailParameters, rcptParameters } from './sender-dsn.ts';
import { needsUtf8, parseExtensions } from './sender-extensions.ts';

interface Expected {
  readonly phase: SenderPhase;
  readonly handle: (reply: Reply) => void;
}

export class SenderSession {
  readonly #options: SenderSessionOptions;
  readonly #parser = new ReplyParser();
  readonly #expected: Expected[] = [];
  readonly #actions: SenderAction[] = [];
  #output: string[] = [];
  #state: SenderPhase = 'greeting';
  #secure: { readonly verified: boolean } | null;
  #extensions = new Map<string, string>();
  #greeting: Reply | null = null;
  #repliesSeen = 0;
  #transaction: Transaction | null = null;
  #results: (RecipientResult | null)[] = [];
  #needsReset = false;
  #ending = false;
  /** The phase of the reply being handled. */
  #handling: SenderPhase | null = null;

  constructor(options: SenderSessionOptions) {
    this.#options = options;
    this.#secure = options.secure;
    this.#expected.push({ phase: 'greeting', handle: (reply) => this.#onGreeting(reply) });
  }

  get phase(): SenderPhase {
    return this.#state === 'ended' ? 'ended' : (this.#expected[0]?.phase ?? this.#state);
  }

  /** Complete replies so far; each begins a new wait. */
  get repliesSeen(): number {
    return this.#repliesSeen;
  }

  /** The 220 we were greeted with. */
  get greeting(): Reply | null {
    return this.#greeting;
  }

  /** Extensions of the last EHLO by upper-case keyword, with their parameters. */
  get extensions(): ReadonlyMap<string, string> {
    return this.#extensions;
  }

  /** TLS as it is now; null in clear. */
  get secure(): { readonly verified: boolean } | null {
    return this.#secure;
  }

  /** EHLO was left out, so that what the server can do is not known. */
  get heloOnly(): boolean {
    return this.#options.heloOnly === true;
  }

  receive(bytes: Uint8Array): void {
    if (this.#state === 'ended' || this.#handshaking) return;
    this.#parser.push(bytes);
    for (;;) {
      if (this.phase === 'ended') return;
      const reply = this.#parser.next();
      if (reply === null) return;
      if (reply === 'malformed') {
        this.#fail(this.#lossKind(), 'The server did not speak SMTP', null);
        return;
      }
      this.#onReply(reply);
    }
  }

  /** Between the reply to STARTTLS and TLS; what the peer says in clear there is not heard (RFC 3207 §6). */
  get #handshaking(): boolean {
    return this.#state === 'starttls' && this.#expected.length === 0;
  }

  next(): SenderAction | null {
    return this.#actions.shift() ?? null;
  }

  takeOutput(): Buffer {
    const output = Buffer.from(this.#output.join(''), 'utf8');
    this.#output = [];
    return output;
  }

  /** The connection is closed (by the other side: `closed`) or a wait has run out. */
  lost(reason: string, closed = false): void {
    this.#fail(this.#lossKind(), reason, null, closed);
  }

  tlsStarted(secure: { readonly verified: boolean }): void {
    this.#secure = secure;
    this.#parser.clear();
    if (this.#options.tls === 'required' && !secure.verified) {
      const text =
        'TLS with a verified certificate is required, and the certificate is not trusted for this name';
      this.#fail('tls-failed', text, null);
      return;
    }
    this.#hello();
  }

  tlsFailed(reason: string): void {
    this.#fail('tls-failed', reason, null);
  }

  /** Starts a message. Only when `ready`; check `unsendable` before. */
  begin(transaction: Transaction): void {
    this.#transaction = transaction;
    this.#results = transaction.recipients.map(() => null);
    const pipelining = this.#extensions.has('PIPELINING') && this.#options.probe !== true;
    if (this.#needsReset) {
      this.#needsReset = false;
      // Whatever it answers: if the old transaction is still there, MAIL will be refused and say so.
      this.#send('RSET', 'mail', () => (pipelining ? undefined : this.#sendMail(transaction)));
      if (!pipelining) return;
    }
    this.#sendMail(transaction);
    if (!pipelining) return;
    for (let index = 0; index < transaction.recipients.length; index += 1) this.#sendRcpt(index);
    // A chunk is read by the server whatever it answers to RCPT: it goes when somebody was accepted.
    if (!this.#chunked(transaction)) this.#sendData(transaction);
  }

  /** The end of the message is about to be written: its 2yz may be here before `bodySent`. */
  bodyEnding(): void {
    this.#ending = this.#state === 'data-block';
  }

  /** The message and its end are written. */
  bodySent(): void {
    if (this.#state !== 'data-block') return;
    this.#ending = false;
    this.#state = 'ready';
    this.#expected.push({ phase: 'data-end', handle: (reply) => this.#onDataEnd(reply) });
  }

  /** Asks the peer to end; the host closes when it has, or soon. */
  quit(): void {
    if (this.#state === 'ended') return;
    this.#output.push('QUIT\r\n');
    this.#state = 'ended';
  }

  #onReply(reply: Reply): void {
    this.#repliesSeen += 1;
    if (this.#ending && isPositive(reply)) this.bodySent();
    if (this.#state === 'data-block') {
      this.#onEarlyReply(reply);
      return;
    }
    const expected = this.#expected[0];
    if (expected === undefined) {
      this.#fail('lost', 'The server ended the session', reply);
      return;
    }
    if (reply.code === 421 && expected.phase !== 'greeting') {
      this.#fail('lost', 'The server closed the session', reply);
      return;
    }
    this.#expected.shift();
    this.#handling = expected.phase;
    expected.handle(reply);
    this.#handling = null;
  }

  /** A reply in the middle of the data: the server has seen enough and will not read the rest. */
  #onEarlyReply(reply: Reply): void {
    if (reply.code >= 400 && reply.code !== 421) this.#setUnknown(false, 'data-end', reply);
    this.#fail('lost', 'The server answered before the message was complete', reply);
  }

  #onGreeting(reply: Reply): void {
    if (reply.code !== 220) {
      this.#fail('not-greeted', 'The server refused the connection', reply);
      return;
    }
    this.#greeting = reply;
    const name = (reply.lines[0] ?? '').split(' ')[0]?.toLowerCase();
    if (this.#options.refuseSelf && name === this.#options.hostname.toLowerCase()) {
      this.#fail('self', 'The server greeted us with our own name', reply);
      return;
    }
    this.#hello();
  }

  #hello(): void {
    this.#extensions = new Map();
    if (this.#options.heloOnly === true) {
      this.#helo();
      return;
    }
    this.#send(`EHLO ${this.#options.hostname}`, 'ehlo', (reply) => {
      if (!isPositive(reply)) return this.#helo();
      this.#extensions = parseExtensions(reply.lines);
      this.#afterHello();
    });
  }

  #helo(): void {
    this.#send(`HELO ${this.#options.hostname}`, 'ehlo', (reply) => {
      if (!isPositive(reply)) return this.#fail('hello-refused', 'The server refused EHLO and HELO', reply);
      this.#afterHello();
    });
  }

  #afterHello(): void {
    const { tls, credentials } = this.#options;
    if (this.#secure === null && tls !== 'none') {
      if (this.#extensions.has('STARTTLS')) {
        this.#startTls();
        return;
      }
      if (tls !== 'opportunistic') {
        this.#fail('tls-unavailable', 'TLS is required and the server does not offer it', null);
        return;
      }
    }
    if (credentials === null) {
      this.#ready();
      return;
    }
    if (this.#secure?.verified !== true && !this.#options.loopback) {
      const text =
        'The password is sent only under TLS with a verified certificate, which this connection has not';
      this.#fail('credentials', text, null);
      return;
    }
    this.#authenticate(credentials.username, credentials.password);
  }

  #startTls(): void {
    this.#send('STARTTLS', 'starttls', (reply) => {
      if (reply.code !== 220) return this.#fail('tls-failed', 'The server refused STARTTLS', reply);
      this.#parser.clear();
      this.#state = 'starttls';
      this.#actions.push({ type: 'start-tls' });
    });
  }

  /** RFC 4954 §4; PLAIN (RFC 4616) before LOGIN. */
  #authenticate(username: string, password: string): void {
    const mechanisms = (this.#extensions.get('AUTH') ?? '').toUpperCase().split(/\s+/);
    const base64 = (text: string) => Buffer.from(text, 'utf8').toString('base64');
    if (mechanisms.includes('PLAIN')) {
      const response = base64(`\0${username}\0${password}`);
      this.#sendAuth(`AUTH PLAIN ${response}`, [response]);
      return;
    }
    if (mechanisms.includes('LOGIN')) {
      this.#sendAuth('AUTH LOGIN', [base64(username), base64(password)]);
      return;
    }
    this.#fail('credentials', 'The server offers no way to sign in that we have (PLAIN, LOGIN)', null);
  }

  #sendAuth(line: string, responses: readonly string[]): void {
    this.#send(line, 'auth', (reply) => {
      if (reply.code === 334) return this.#sendAuth(responses[0] ?? '*', responses.slice(1));
      if (isPositive(reply)) return this.#ready();
      // 454 4.7.0 is "temporary authentication failure" (RFC 4954 §4.7.0) and for us a refused credential.
      const kind = reply.code >= 500 || reply.code === 454 ? 'credentials' : 'auth-deferred';
      this.#fail(kind, 'The server refused the user name or password', reply);
    });
  }

  #ready(): void {
    this.#state = 'ready';
    this.#actions.push({ type: 'ready' });
  }

  #sendMail(transaction: Transaction): void {
    let line = `MAIL FROM:<${transaction.sender}>`;
    if (this.#extensions.has('SIZE')) line += ` SIZE=${transaction.sizeBytes}`;
    if (transaction.eightBit && this.#extensions.has('8BITMIME')) line += ' BODY=8BITMIME';
    if (needsUtf8(transaction) && this.#extensions.has('SMTPUTF8')) line += ' SMTPUTF8';
    line += mailParameters(transaction, this.#extensions);
    this.#send(line, 'mail', (reply) => this.#onMail(reply));
  }

  #sendRcpt(index: number): void {
    const recipient = this.#transaction?.recipients[index] ?? '';
    const asked =
      this.#transaction === null ? '' : rcptParameters(this.#transaction, index, this.#extensions);
    this.#send(`RCPT TO:<${recipient}>${asked}`, 'rcpt', (reply) => this.#onRcpt(index, reply));
  }

  #onMail(reply: Reply): void {
    if (reply.code === 530 && this.#options.tlsFailed === true) {
      this.#fail('tls-failed', 'TLS failed, and the server takes no mail in clear', reply);
      return;
    }
    if (!isPositive(reply)) {
      this.#setUnknown(false, 'mail', reply);
      if (this.#expected.length === 0) this.#finish();
      return;
    }
    // Until the end of data there is a transaction at the other side that the next MAIL would collide with.
    this.#needsReset = true;
    if (this.#expected.length === 0) this.#sendRcpt(0);
  }

  #onRcpt(index: number, reply: Reply): void {
    if (this.#results[index]?.stage !== 'mail') {
      this.#results[index] = { accepted: isPositive(reply), stage: 'rcpt', reply };
    }
    if (this.#expected.length > 0) return;
    if (index + 1 < this.#results.length) {
      this.#sendRcpt(index + 1);
      return;
    }
    if (this.#transaction !== null && this.#hasAccepted() && this.#options.probe !== true)
      this.#sendData(this.#transaction);
    else this.#finish();
  }

  /** Goes by BDAT. An empty message has no last octet to hold back until its end is sure, and goes by DATA. */
  #chunked({ sizeBytes }: Transaction): boolean {
    return this.#extensions.has('CHUNKING') && sizeBytes > 0;
  }

  /** DATA; or BDAT with the whole message as its one chunk, for which there is no go-ahead. */
  #sendData(transaction: Transaction): void {
    if (!this.#chunked(transaction)) {
      this.#send('DATA', 'data', (reply) => this.#onData(reply));
      return;
    }
    const { sizeBytes } = transaction;
    this.#output.push(`BDAT ${sizeBytes} LAST\r\n`);
    this.#state = 'data-block';
    this.#actions.push({ type: 'send-chunk', sizeBytes });
  }

  #onData(reply: Reply): void {
    if (reply.code === 354 && this.#hasAccepted()) {
      this.#state = 'data-block';
      this.#actions.push({ type: 'send-body' });
    } else if (reply.code === 354) {
      // RFC 2920 §3.1: 354 although no recipient was accepted is answered with an empty message.
      this.#send('.', 'data-end', () => {
        this.#needsReset = false;
        this.#finish();
      });
    } else if (reply.code < 400) {
      this.#fail('lost', 'The server gave a senseless answer to DATA', reply);
    } else {
      this.#setAccepted(false, 'data', reply);
      this.#finish();
    }
  }

  #onDataEnd(reply: Reply): void {
    // After a failed BDAT the transaction has to be cleared (RFC 3030 §2); DATA clears it in any case.
    this.#needsReset = !isPositive(reply) && this.#transaction !== null && this.#chunked(this.#transaction);
    this.#setAccepted(isPositive(reply), 'data-end', reply);
    this.#finish();
  }

  #finish(): void {
    this.#actions.push({ type: 'done', results: this.#results.filter((result) => result !== null) });
    this.#transaction = null;
    this.#results = [];
  }

  #hasAccepted(): boolean {
    return this.#results.some((result) => result?.accepted === true);
  }

  #setAccepted(accepted: boolean, stage: RecipientResult['stage'], reply: Reply): void {
    this.#results = this.#results.map((old) => (old?.accepted === true ? { accepted, stage, reply } : old));
  }

  #setUnknown(accepted: boolean, stage: RecipientResult['stage'], reply: Reply): void {
    this.#results = this.#results.map((old) => (old?.accepted === false ? old : { accepted, stage, reply }));
  }

  #lossKind(): 'not-greeted' | 'tls-failed' | 'lost' {
    if (this.phase === 'greeting') return 'not-greeted';
    return this.phase === 'starttls' ? 'tls-failed' : 'lost';
  }

  #fail(kind: SessionProblem['kind'], text: string, reply: Reply | null, closed = false): void {
    if (this.#state === 'ended') return;
    const phase = this.#handling ?? this.phase;
    const problem: SessionProblem = { kind, phase, reply, text, ...(closed ? { closed } : {}) };
    // Accepted at RCPT is not yet delivered: only refusals are known now.
    const results = this.#results.map((result) => (result?.accepted === true ? null : result));
    this.#state = 'ended';
    this.#expected.length = 0;
    this.#actions.push({ type: 'failed', problem, results });
  }

  #send(line: string, phase: SenderPhase, handle: (reply: Reply) => void): void {
    this.#output.push(line, '\r\n');
    this.#expected.push({ phase, handle });
  }
}

function isPositive(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}
