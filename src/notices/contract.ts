import type { NoticeInput, QueuedMessage } from '../storage/contract.ts';

/** What a notice says of one recipient (RFC 3464 §2.3). */
export interface NoticeRecipient {
  readonly address: string;
  /** What the sender had written, `Original-Recipient` and the name people know. */
  readonly original: string;
  /** True enhanced status, such as 5.1.1 or 4.4.1. */
  readonly status: string;
  /** Name of the server that answered, null when none did. */
  readonly remoteMta: string | null;
  /** Its reply as received, null when none came. */
  readonly diagnostic: string | null;
  /** What happened, in one plain sentence. */
  readonly explanation: string;
}

export interface NoticeRequest {
  readonly kind: 'failure' | 'delay';
  readonly message: QueuedMessage;
  readonly recipients: readonly NoticeRecipient[];
  /** Delay notices: when the next attempt is and when CMail gives up, ms. */
  readonly nextAttemptAt?: number;
  readonly giveUpAt?: number;
}

/**
 * Makes the notices a set of outcomes calls for, ready to be accepted in the same commit. For a failure of
 * a message from the null sender (a notice itself) it is one to postmaster, never to a sender; for a delay
 * of such a message none. Never rejects for want of the original's header.
 */
export type MakeNotices = (request: NoticeRequest) => Promise<readonly NoticeInput[]>;
