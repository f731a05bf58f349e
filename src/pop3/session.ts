/**
 * POP3 (RFC 1939, CAPA of RFC 2449, response codes of RFC 2449 §8 and RFC 3206) as a pure state machine:
 * bytes in, actions out. No sockets, no clock, no storage. The host does:
 *
 *   session.receive(bytes)                 whenever the client sent something
 *   loop: action = session.next()          until it returns null (needs more bytes)
 *         - login, update: find the answer, then answerLogin / answerUpdate
 *         - starttls: write takeOutput(), do the handshake, then session.secured()
 *         - retrieve: beginMessage, messageBytes…, endMessage; or refuseMessage
 *         - flush: write takeOutput() and wait until the client takes more
 *         - close: write takeOutput() and close
 *   write session.takeOutput()             after the loop: the replies to pipelined commands as one write
 *
 * While a question is open, `next()` returns null and consumes nothing.
 */
import { parsePlain } from '../mail/sasl.ts';
import type { Maildrop } from '../mailbox/maildrop.ts';
import { LineReader } from './line-reader.ts';
import { MultiLineEncoder } from './multi-line.ts';

/** RFC 2449 §4 asks for 255; a sign-in in base64 with a long name and a long password needs this. CRLF included. */
export const LINE_LIMIT_BYTES = 2048;
/** Output that waits; beyond it the session asks for a flush before it goes on. */
export const OUTPUT_LIMIT_BYTES = 32 * 1024;
/** Messages a listing looks at before the host gets its turn, so that other sessions do not wait. */
const LISTING_STEP = 5_000;

export interface Pop3Policy {
  /** Our name in the greeting. */
  readonly hostname: string;
  /** Where a login is taken: anyway, or under TLS only. Elsewhere it gets `-ERR [AUTH]` and is not announced. */
  readonly login: 'always' | 'under-tls';
  /** There is a certificate, so STLS can be had while the session is not under TLS. */
  readonly startTls: boolean;
  /** Senseless commands before the session is closed. */
  readonly maxErrors: number;
  /** Refused logins before the session is closed. */
  readonly maxFailedLogins: number;
}

export type Pop3Action =
  /** USER and PASS, or AUTH, are there. Answer with answerLogin. */
  | { readonly type: 'login'; readonly user: string; readonly password: string }
  /** Begin TLS: all that came before is forgotten, and what comes in clear up to `secured()` too (RFC 2595 §4). */
  | { readonly type: 'starttls' }
  /** Send a message, for TOP only `bodyLines` lines of its body. */
  | { readonly type: 'retrieve'; readonly uid: number; readonly bodyLines: number | null }
  /** QUIT: remove the messages marked deleted, all or none. Answer with answerUpdate. */
  | { readonly type: 'update'; readonly uids: readonly number[] }
  /** Enough output or work for one turn: write, let others run, come back. */
  | { readonly type: 'flush' }
  | { readonly type: 'close'; readonly reason: string };

/** Why a login was refused: wrong credentials, our own trouble, or another session has the maildrop. */
export interface LoginFailure {
  readonly failure: 'auth' | 'sys' | 'in-use';
  readonly text: string;
}

type State = 'authorization' | 'transaction' | 'closed';
type Question = 'none' | 'login' | 'starttls' | 'retrieve' | 'update';

const FAILURE_CODES = { auth: '[AUTH]', sys: '[SYS/TEMP]', 'in-use': '[IN-USE]' } as const;
const NO_LOGIN_TEXT = '[AUTH] a login needs TLS: send STLS first';
const MESSAGE_NUMBER = /^\d{1,10}$/;

export class Pop3Session {
  readonly #policy: Pop3Policy;
  readonly #lines = new LineReader(LINE_LIMIT_BYTES);
  #state: State = 'authorization';
  #question: Question = 'none';
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #user: string | null = null;
  /** The next line is what AUTH PLAIN asked for. */
  #plain = false;
  #secured = false;
  #errors = 0;
  #failedLogins = 0;
  #maildrop: Maildrop | null = null;
  readonly #deleted = new Set<number>();
  /** Sizes of all that is not deleted; kept, since STAT and LIST must not walk the maildrop. */
  #remainingBytes = 0;
  #encoder: MultiLineEncoder | null = null;
  /** The rest of a LIST or UIDL response. */
  #listing: { next: number; line: (index: number) => string } | null = null;
  #yield = false;
  #closing: { type: 'close'; reason: string } | null = null;

  constructor(policy: Pop3Policy) {
    this.#policy = policy;
    this.#write(`+OK ${policy.hostname} CMail POP3 ready\r\n`);
  }

  /** Bytes that wait for takeOutput. */
  get outputBytes(): number {
    return this.#outputBytes;
  }

  /** Bytes received and not yet consumed. */
  get pendingBytes(): number {
    return this.#lines.pendingBytes;
  }

  receive(bytes: Uint8Array): void {
    // In clear after STLS: whoever sent it did not wait for TLS, or is somebody else.
    if (this.#state !== 'closed' && this.#question !== 'starttls') this.#lines.receive(bytes);
  }

  /** TLS is in use now: after `starttls`, or from the beginning. */
  secured(): void {
    this.#secured = true;
    if (this.#question === 'starttls') this.#question = 'none';
  }

  next(): Pop3Action | null {
    for (;;) {
      if (this.#question !== 'none') return null;
      if (this.#closing !== null) {
        const close = this.#closing;
        this.#closing = null;
        this.#state = 'closed';
        this.#lines.clear();
        return close;
      }
      if (this.#state === 'closed') return null;
      if (this.#outputBytes >= OUTPUT_LIMIT_BYTES || this.#yield) {
        this.#yield = false;
        return { type: 'flush' };
      }
      if (this.#listing !== null) {
        this.#continueListing();
        continue;
      }
      const line = this.#lines.next();
      if (line === null) return null;
      const action = 'tooLong' in line ? this.#tooLong() : this.#line(line.text);
      if (action !== null) return action;
    }
  }

  /** Everything to be sent now. */
  takeOutput(): Buffer {
    const output = Buffer.concat(this.#output);
    this.#output = [];
    this.#outputBytes = 0;
    return output;
  }

  /** Answers `login`: the maildrop to serve, or why not. */
  answerLogin(result: Maildrop | LoginFailure): void {
    this.#answering('login');
    if (!('failure' in result)) {
      this.#maildrop = result;
      this.#state = 'transaction';
      this.#restore(result);
      const count = result.uids.length;
      const more = result.truncated ? `; these are the oldest, the rest comes in the next session` : '';
      this.#ok(`${count} messages${more}`);
      return;
    }
    this.#failedLogins += 1;
    this.#refuse(`${FAILURE_CODES[result.failure]} ${result.text}`);
    if (this.#failedLogins >= this.#policy.maxFailedLogins) this.#close('too many failed logins');
  }

  /** Answers `retrieve`: the message is there, its content follows by messageBytes. */
  beginMessage(sizeBytes: number): void {
    if (this.#encoder === null) throw new Error('beginMessage without a retrieve question');
    this.#ok(`${sizeBytes} octets`);
  }

  /** Takes a piece of content as stored; false once no more is wanted (TOP). */
  messageBytes(bytes: Uint8Array): boolean {
    if (this.#encoder === null) throw new Error('messageBytes without a retrieve question');
    for (const piece of this.#encoder.encode(bytes)) this.#write(piece);
    return !this.#encoder.done;
  }

  endMessage(): void {
    this.#write(this.#takeEncoder().end());
  }

  /** Answers `retrieve`: the message cannot be sent. Only before beginMessage. */
  refuseMessage(code: 'gone' | 'sys'): void {
    this.#takeEncoder();
    if (code === 'gone') this.#refuse('that message has been removed since this session began');
    else this.#refuse('[SYS/TEMP] the message cannot be read at the moment, please try again later');
  }

  /** Answers `update`. */
  answerUpdate(result: 'done' | 'sys'): void {
    this.#answering('update');
    if (result === 'done') this.#ok('bye');
    else this.#refuse('[SYS/TEMP] the deleted messages could not be removed and will be there next time');
    this.#close('quit');
  }

  #takeEncoder(): MultiLineEncoder {
    const encoder = this.#encoder;
    if (encoder === null) throw new Error('there is no open retrieve question');
    this.#answering('retrieve');
    this.#encoder = null;
    return encoder;
  }

  #answering(question: Question): void {
    if (this.#question !== question) throw new Error(`there is no open ${question} question`);
    this.#question = 'none';
  }

  #tooLong(): null {
    this.#plain = false;
    return this.#error('the line is too long');
  }

  #line(text: string): Pop3Action | null {
    if (!this.#plain) return this.#command(text);
    this.#plain = false;
    return this.#takePlain(text);
  }

  get #loginAllowed(): boolean {
    return this.#secured || this.#policy.login === 'always';
  }

  #startTls(rest: string): Pop3Action | null {
    if (rest !== '') return this.#error('STLS takes no argument');
    if (this.#secured) return this.#error('TLS is in use already');
    if (!this.#policy.startTls) return this.#error('no such command');
    this.#user = null;
    this.#lines.clear();
    this.#ok('begin TLS now');
    this.#question = 'starttls';
    return { type: 'starttls' };
  }

  /** SASL (RFC 5034): PLAIN, with an initial response or after an empty challenge. */
  #auth(rest: string): Pop3Action | null {
    if (!this.#loginAllowed) return this.#error(NO_LOGIN_TEXT);
    const [mechanism = '', response, ...more] = rest.split(' ');
    if (mechanism.toUpperCase() !== 'PLAIN') return this.#error('the mechanism known here is PLAIN');
    if (more.length > 0) return this.#error('AUTH PLAIN takes one argument');
    if (response !== undefined) return this.#takePlain(response === '=' ? '' : response);
    this.#write('+ \r\n');
    this.#plain = true;
    return null;
  }

  #takePlain(text: string): Pop3Action | null {
    if (text === '*') return this.#error('login cancelled');
    const credentials = parsePlain(text);
    if (!credentials.ok) {
      return this.#error(
        credentials.failure === 'malformed'
          ? 'not what PLAIN sends, in base64'
          : '[AUTH] logging in to act for another account is not possible',
      );
    }
    this.#question = 'login';
    return { type: 'login', ...credentials.value };
  }

  #command(text: string): Pop3Action | null {
    const space = text.indexOf(' ');
    const keyword = (space < 0 ? text : text.slice(0, space)).toUpperCase();
    const rest = space < 0 ? '' : text.slice(space + 1);
    if (keyword === 'QUIT') return rest === '' ? this.#quit() : this.#error('QUIT takes no argument');
    if (keyword === 'CAPA') return rest === '' ? this.#capabilities() : this.#error('CAPA takes no argument');
    return this.#maildrop === null
      ? this.#authorization(keyword, rest)
      : this.#transaction(this.#maildrop, keyword, rest.trim());
  }

  #authorization(keyword: string, rest: string): Pop3Action | null {
    if (keyword === 'STLS') return this.#startTls(rest);
    if (keyword === 'AUTH') return this.#auth(rest);
    if (keyword !== 'USER' && keyword !== 'PASS') return this.#error('log in first, with USER and PASS');
    if (!this.#loginAllowed) return this.#error(NO_LOGIN_TEXT);
    if (rest === '') return this.#error(`${keyword} needs an argument`);
    if (keyword === 'USER') {
      this.#user = rest.trim();
      // The same for every name, so that nobody learns which exist.
      this.#ok('password please');
      return null;
    }
    const user = this.#user;
    if (user === null) return this.#error('USER first');
    this.#user = null;
    this.#question = 'login';
    return { type: 'login', user, password: rest };
  }

  #transaction(maildrop: Maildrop, keyword: string, rest: string): Pop3Action | null {
    const words = rest === '' ? [] : rest.split(/ +/);
    const [wanted, allowed] = ARGUMENTS[keyword] ?? [-1, -1];
    if (wanted < 0) return this.#error('no such command');
    if (words.length < wanted || words.length > allowed) return this.#error(`wrong arguments for ${keyword}`);
    switch (keyword) {
      case 'STAT': {
        const count = maildrop.uids.length - this.#deleted.size;
        return this.#ok(`${count} ${this.#remainingBytes}`);
      }
      case 'NOOP':
        return this.#ok('');
      case 'RSET':
        this.#restore(maildrop);
        return this.#ok(`${maildrop.uids.length} messages`);
      case 'LIST':
        return this.#list(maildrop, words[0], (index) => `${index + 1} ${maildrop.sizesBytes[index]}`);
      case 'UIDL':
        return this.#list(
          maildrop,
          words[0],
          (index) => `${index + 1} ${maildrop.uidValidity}-${maildrop.uids[index]}`,
        );
      default:
        return this.#onMessage(maildrop, keyword, words);
    }
  }

  /** RETR, DELE and TOP. */
  #onMessage(maildrop: Maildrop, keyword: string, words: readonly string[]): Pop3Action | null {
    const index = this.#index(maildrop, words[0] ?? '');
    if (typeof index === 'string') return this.#error(index);
    if (keyword === 'DELE') {
      this.#deleted.add(index);
      this.#remainingBytes -= maildrop.sizesBytes[index] ?? 0;
      return this.#ok(`message ${index + 1} deleted`);
    }
    const lines = words[1];
    if (lines !== undefined && !MESSAGE_NUMBER.test(lines))
      return this.#error('that is not a number of lines');
    const bodyLines = lines === undefined ? null : Number(lines);
    this.#encoder = new MultiLineEncoder(bodyLines);
    this.#question = 'retrieve';
    return { type: 'retrieve', uid: maildrop.uids[index] ?? 0, bodyLines };
  }

  #list(maildrop: Maildrop, number: string | undefined, line: (index: number) => string): null {
    if (number !== undefined) {
      const index = this.#index(maildrop, number);
      return typeof index === 'string' ? this.#error(index) : this.#ok(line(index));
    }
    const count = maildrop.uids.length - this.#deleted.size;
    this.#ok(`${count} messages (${this.#remainingBytes} octets)`);
    this.#listing = { next: 0, line };
    return null;
  }

  /** Writes one step of the listing. */
  #continueListing(): void {
    const listing = this.#listing;
    const maildrop = this.#maildrop;
    if (listing === null || maildrop === null) return;
    let text = '';
    const stop = Math.min(maildrop.uids.length, listing.next + LISTING_STEP);
    while (listing.next < stop && text.length < OUTPUT_LIMIT_BYTES) {
      if (!this.#deleted.has(listing.next)) text += `${listing.line(listing.next)}\r\n`;
      listing.next += 1;
    }
    if (listing.next >= maildrop.uids.length) {
      text += '.\r\n';
      this.#listing = null;
    }
    this.#write(text);
    this.#yield = listing.next === stop;
  }

  /** Index of a message number, or why there is none. */
  #index(maildrop: Maildrop, number: string): number | string {
    const index = MESSAGE_NUMBER.test(number) ? Number(number) - 1 : -1;
    if (index < 0 || index >= maildrop.uids.length) {
      return `no such message, there are ${maildrop.uids.length}`;
    }
    return this.#deleted.has(index) ? `message ${index + 1} is deleted` : index;
  }

  /** Nothing is deleted (again). */
  #restore(maildrop: Maildrop): void {
    if (this.#deleted.size === 0 && this.#remainingBytes > 0) return;
    this.#deleted.clear();
    this.#remainingBytes = maildrop.sizesBytes.reduce((sum, size) => sum + size, 0);
  }

  #capabilities(): null {
    const before = this.#maildrop === null;
    const login = before && this.#loginAllowed ? ['USER', 'SASL PLAIN'] : [];
    const tls = before && this.#policy.startTls && !this.#secured ? ['STLS'] : [];
    const lines = [
      'TOP',
      'UIDL',
      ...login,
      ...tls,
      'PIPELINING',
      'RESP-CODES',
      'AUTH-RESP-CODE',
      'EXPIRE NEVER',
      'IMPLEMENTATION CMail',
    ];
    this.#ok('capabilities follow');
    this.#write(`${lines.join('\r\n')}\r\n.\r\n`);
    return null;
  }

  #quit(): Pop3Action | null {
    const maildrop = this.#maildrop;
    if (maildrop === null || this.#deleted.size === 0) {
      this.#ok('bye');
      this.#close('quit');
      return null;
    }
    this.#question = 'update';
    return { type: 'update', uids: [...this.#deleted].map((index) => maildrop.uids[index] ?? 0) };
  }

  #error(text: string): null {
    this.#refuse(text);
    this.#errors += 1;
    if (this.#errors >= this.#policy.maxErrors) this.#close('too many errors');
    return null;
  }

  #close(reason: string): void {
    this.#closing = { type: 'close', reason };
  }

  #ok(text: string): null {
    this.#write(text === '' ? '+OK\r\n' : `+OK ${text}\r\n`);
    return null;
  }

  #refuse(text: string): void {
    // Texts come from outside the session too: one line, within the 512 octets of RFC 1939 §3.
    const line = text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 500);
    this.#write(`-ERR ${line}\r\n`);
  }

  #write(piece: string | Uint8Array): void {
    const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
    if (bytes.length === 0) return;
    this.#output.push(bytes);
    this.#outputBytes += bytes.length;
  }
}

/** Fewest and most arguments of each command of the TRANSACTION state. */
const ARGUMENTS: Readonly<Record<string, readonly [number, number]>> = {
  STAT: [0, 0],
  NOOP: [0, 0],
  RSET: [0, 0],
  LIST: [0, 1],
  UIDL: [0, 1],
  RETR: [1, 1],
  DELE: [1, 1],
  TOP: [2, 2],
};
