/** What a receiving session is in the middle of. */
import type { Reply } from '../mail/reply.ts';
import type { ChunkHeader } from './grammar.ts';
import type { IncomingMessage } from './incoming-message.ts';
import * as replies from './receiver-replies.ts';

/** From an accepted MAIL to the end of its message. */
export interface Transaction {
  readonly smtputf8: boolean;
  /** Recipients accepted. */
  recipients: number;
  /** A RCPT was put to the host, whatever became of it. */
  asked: boolean;
  /** DATA or BDAT was accepted. */
  message: IncomingMessage | null;
  /** The host refused BDAT: what every further chunk is told. */
  refusal: Reply | null;
}

/** A BDAT chunk being read. */
export interface Chunk {
  readonly header: ChunkHeader;
  remainingBytes: number;
  /** Set when the chunk is read and dropped: its reply. */
  readonly refusal: Reply | null;
}

/** A question put to the host and not yet answered. */
export type Question =
  | { readonly type: 'mail'; readonly smtputf8: boolean }
  | { readonly type: 'auth' | 'rcpt' | 'end' }
  | { readonly type: 'data'; readonly chunk: ChunkHeader | null };

/**
 * What the next bytes are. `overlong`: the rest of a line that is too long. `auth`: a line of a sign-in. `tls`: what
 * came in clear after STARTTLS, to be dropped.
 */
export type Phase = 'command' | 'overlong' | 'auth' | 'data' | 'chunk' | 'tls' | 'closed';

/** Why no message may come now, or null; RFC 5321 §3.3 leaves the choice between 503 and 554. */
export function notReady(transaction: Transaction | null): Reply | null {
  if (transaction === null) return replies.NO_MAIL;
  if (transaction.recipients > 0) return null;
  return transaction.asked ? replies.NO_VALID_RCPT : replies.NO_RCPT;
}
