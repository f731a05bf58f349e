/** What a sending session is given and what it tells its host. */
import type { Reply } from '../mail/reply.ts';
import type { PassedOn } from './sender-dsn.ts';

/** What the session waits for now; the waits of RFC 5321 §4.5.3.2. `ready` and `ended` wait for nothing. */
export type SenderPhase =
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'ready'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'data-block'
  | 'data-end'
  | 'ended';

export interface SenderSessionOptions {
  /** Our name for EHLO. */
  readonly hostname: string;
  /** A greeting with our own name is ourselves: end with `self`. */
  readonly refuseSelf: boolean;
  /** `encrypt`: with any certificate; `required`: with one that is verified. */
  readonly tls: 'none' | 'opportunistic' | 'encrypt' | 'required' | 'implicit';
  /** Set when TLS is on from the first byte. */
  readonly secure: { readonly verified: boolean } | null;
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** The peer is on loopback, where a password may go in clear. */
  readonly loopback: boolean;
  /** Only ask about recipients: no DATA. */
  readonly probe?: boolean;
  /** Says HELO at once, to a server that drops the connection at EHLO. */
  readonly heloOnly?: boolean;
  /** In clear because TLS failed: 530 to MAIL (RFC 3207 §4) is then about this connection, not about the message. */
  readonly tlsFailed?: boolean;
}

/** Why a connection can be used no further. */
export interface SessionProblem {
  /**
   * `not-greeted`: closed, silent or refusing before 220. `self`: we greeted ourselves. `lost`: closed, timed
   * out, 421 or not SMTP after 220. `hello-refused`: EHLO and HELO both. `tls-failed`: STARTTLS or its
   * handshake, or a certificate that had to be verified and is not. `tls-unavailable`: required and not offered. `credentials`: AUTH refused, not offered, or the
   * password must not be sent over this connection. `auth-deferred`: 4yz to AUTH. `source-address`: no connection, for
   * the address to call from is not ours.
   */
  readonly kind:
    | 'not-greeted'
    | 'self'
    | 'lost'
    | 'hello-refused'
    | 'tls-failed'
    | 'tls-unavailable'
    | 'credentials'
    | 'auth-deferred'
    | 'source-address';
  readonly phase: SenderPhase;
  readonly reply: Reply | null;
  readonly text: string;
  /** The other side closed the connection without a word. */
  readonly closed?: true;
}

/** One message for up to 100 recipients. */
export interface Transaction extends PassedOn {
  /** '' is the null reverse-path. */
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  readonly smtputf8: boolean;
}

/** What became of one recipient of a transaction; null while unknown. */
export interface RecipientResult {
  readonly accepted: boolean;
  readonly stage: 'mail' | 'rcpt' | 'data' | 'data-end';
  readonly reply: Reply;
}

export type SenderAction =
  /** Do the TLS handshake, then call `tlsStarted` or `tlsFailed`. */
  | { readonly type: 'start-tls' }
  /** `begin` may be called. */
  | { readonly type: 'ready' }
  /** Write the dot-stuffed message and its end, then call `bodySent`. */
  | { readonly type: 'send-body' }
  /** Write exactly so many octets, the message as it is, then call `bodySent`; the last one commits. */
  | { readonly type: 'send-chunk'; readonly sizeBytes: number }
  /** The transaction is over; one result for each recipient. The session is ready for another. */
  | { readonly type: 'done'; readonly results: readonly RecipientResult[] }
  /** The end. `results` are those of the transaction under way, as far as known. */
  | {
      readonly type: 'failed';
      readonly problem: SessionProblem;
      readonly results: readonly (RecipientResult | null)[];
    };
