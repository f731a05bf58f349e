/**
 * The receiving side of SMTP as a pure state machine: bytes in, actions out. No sockets, no clock, no
 * storage. The host (receiving/, a test, a fuzzer) does:
 *
 *   session.receive(bytes)                 whenever the peer sent something
 *   loop: action = session.next()          until it returns null (needs more bytes)
 *         - a question (auth, mail, rcpt, data, end): find the answer, then session.answer(reply)
 *         - body: hand the bytes on; when nothing can take them, stop calling next() and stop reading
 *         - reset, close: do so
 *         - starttls: write takeOutput(), do the handshake, then session.secured()
 *   session.takeOutput()                   after the loop, before waiting: all replies as one write
 *
 * While a question is open, `next()` returns null and consumes nothing. Replies to pipelined commands
 * gather and leave in one write.
 */
import type { Address } from '../mail/address.ts';
import type { MessageDsn, RecipientDsn } from '../mail/dsn.ts';
import type { Reply } from '../mail/reply.ts';

/** What the session announces and enforces; asked anew at each command, so that a change acts at once. */
export interface ReceiverPolicy {
  /** Our name in greeting and EHLO. */
  readonly hostname: string;
  /** 0: no limit. Announced as SIZE (RFC 1870) and enforced for SIZE= and while data arrives. */
  readonly maxMessageBytes: number;
  /** `normalise` only for a client on the relay networks. */
  readonly bareNewline: 'refuse' | 'normalise';
  /** RCPTs of one message; more get 452 4.5.3 (RFC 5321 §4.5.3.1.8 asks for at least 100). */
  readonly maxRecipients: number;
  /** Failed or senseless commands before 421 4.7.0 and close. */
  readonly maxErrors: number;
  /** Commands that move no mail (NOOP, RSET, EHLO …) between two messages; each further one is an error. */
  readonly maxIdleCommands: number;
  /** Recipients of all messages of the session; more get 452 4.5.3. */
  readonly maxSessionRecipients: number;
  /** Messages of the session; the MAIL after them gets 421 4.7.0. */
  readonly maxMessages: number;
  /** There is a certificate, so STARTTLS can be had while the session is not under TLS. */
  readonly startTls: boolean;
  /** Where AUTH is taken: nowhere, under TLS only, or anyway (the client is this machine). */
  readonly auth: 'never' | 'under-tls' | 'always';
  /** MAIL is refused with 530 5.7.0 before sign-in (submission, RFC 6409 §4.3). */
  readonly signInRequired: boolean;
  /** Messages that must be passed on under TLS only are taken, from clients under TLS (RFC 8689). */
  readonly requireTls: boolean;
}

export interface MailParameters {
  readonly sizeBytes: number | null;
  readonly body: '7BIT' | '8BITMIME' | null;
  readonly smtputf8: boolean;
  readonly dsn: MessageDsn;
  /** Only ever true when it was offered. */
  readonly requireTls: boolean;
}

export type ReceiverAction =
  /** HELO or EHLO was accepted; for the trace. Also resets a transaction. Answered by the session itself. */
  | { readonly type: 'hello'; readonly name: string; readonly extended: boolean }
  /**
   * The client was told to begin TLS. What it sent before is forgotten: its HELO, its sign-in, a transaction (a
   * `reset` came before), and all bytes up to `secured()` (RFC 3207 §4.2, §5).
   */
  | { readonly type: 'starttls' }
  /** Answer with 235, which signs the client in, or a failure (535, 454). Never log the password. */
  | { readonly type: 'auth'; readonly user: string; readonly password: string }
  /** Answer with 250 or a failure. `sender` null is the null reverse-path. */
  | { readonly type: 'mail'; readonly sender: Address | null; readonly parameters: MailParameters }
  /**
   * Answer with 250 or a failure. `recipient` is a plain mailbox: source routes are already stripped
   * (RFC 5321 appendix C), `<postmaster>` without a domain has domain ''.
   */
  | { readonly type: 'rcpt'; readonly recipient: Address; readonly dsn: RecipientDsn }
  /**
   * MAIL or RCPT was refused by the session itself (syntax, declared size, order), for the log; nothing to
   * answer. `argument` is what followed the verb, at most a command line.
   */
  | {
      readonly type: 'refused';
      readonly verb: 'MAIL' | 'RCPT';
      readonly argument: string;
      readonly reply: Reply;
    }
  /** DATA, or the first BDAT. Answer 354 (`answerAccept()`) to take data, a failure to refuse it. */
  | { readonly type: 'data'; readonly chunking: boolean }
  /**
   * Message bytes, dot-unstuffed, CRLF lines; views of what `receive` was given, valid until the next `next()`.
   * None come once the message is known to be refused.
   */
  | { readonly type: 'body'; readonly bytes: Uint8Array }
  /**
   * The message is complete. `failure` null: answer with the final reply. Otherwise the session refuses it
   * itself (size 552 5.3.4, bare newline 550 5.5.2, BDAT aborted) and the answer is ignored: drop the body.
   */
  | {
      readonly type: 'end';
      readonly sizeBytes: number;
      readonly eightBit: boolean;
      readonly failure: Reply | null;
    }
  /** RSET, a new HELO/EHLO, or QUIT in a transaction: forget it, abort the body. */
  | { readonly type: 'reset' }
  /** Write what is left and close: QUIT, too many errors. */
  | { readonly type: 'close'; readonly reason: string };

/** The wait the host must limit now (RFC 5321 §4.5.3.2). `none` while a question is open or TLS begins. */
export type ReceiverDeadline = 'command' | 'data-block' | 'none';
