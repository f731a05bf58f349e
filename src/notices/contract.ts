import type { RecipientDsn } from '../mail/dsn.ts';
import type { NoticeInput, QueuedMessage } from '../storage/contract.ts';

/** `success` tells of what went well: delivered, relayed, expanded (RFC 3464 §2.3.3). */
export type NoticeKind = 'failure' | 'delay' | 'success';

/** What a notice says of one recipient (RFC 3464 §2.3). */
export interface NoticeRecipient {
  readonly address: string;
  /** What the sender had written in RCPT, the name people know. */
  readonly original: string;
  /** What RCPT asked for; a recipient whose sender did not ask for this kind of notice is left out. */
  readonly dsn: RecipientDsn;
  /** Success notices. */
  readonly action?: 'delivered' | 'relayed' | 'expanded';
  /** True enhanced status, such as 5.1.1 or 4.4.1. */
  readonly status: string;
  /** Name of the server that answered, null when none did. */
  readonly remoteMta: string | null;
  /** Its reply as received, null when none came. */
  readonly diagnostic: string | null;
  /** What happened, in one plain sentence; of a success `action` says it. */
  readonly explanation: string;
  /** Delay notices. */
  readonly outlook?: RetryOutlook;
}

/** What the schedule in force says of the attempts still to come; times in ms. */
export interface RetryOutlook {
  readonly nextAttemptAt: number;
  /** Attempts still to come if all fail, the next one and the last included. */
  readonly attempts: number;
  /** When the last of them is: the end of the queue lifetime. */
  readonly giveUpAt: number;
}

/** What a notice has to know of the message it is about. */
export type NoticeMessage = Pick<
  QueuedMessage,
  'id' | 'sender' | 'receivedAt' | 'source' | 'smtputf8' | 'header' | 'noticeFor' | 'dsn' | 'requireTls'
>;

export interface NoticeRequest {
  readonly kind: NoticeKind;
  readonly message: NoticeMessage;
  readonly recipients: readonly NoticeRecipient[];
  /**
   * Header section of a message that is not stored yet, bytes as `latin1` characters, without what CMail adds; else it
   * is read from the store.
   */
  readonly originalHeader?: string;
}

/**
 * Makes the notices a set of outcomes calls for, ready to be accepted in the same commit. For a failure of
 * a message from the null sender (a notice itself) it is one to postmaster, never to a sender; for a delay or
 * success of such a message none. Never rejects for want of the original's content.
 */
export type MakeNotices = (request: NoticeRequest) => Promise<readonly NoticeInput[]>;
