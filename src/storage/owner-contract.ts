/**
 * What the store keeps for the owner of an account: sessions at the page, the account's own forward, and which
 * messages are the owner's. Times are ms since 1970.
 */
import type { MessageId } from '../mail/message-id.ts';
import type { RecipientState } from './contract.ts';
import type { FoundPosition } from './search-contract.ts';

export interface AccountSession {
  /** Public name of the session. */
  readonly id: string;
  readonly accountId: number;
  readonly createdAt: number;
  readonly lastSeenAt: number;
  /** Ends then whatever happens. */
  readonly expiresAt: number;
  /** The browser's. */
  readonly address: string;
  readonly userAgent: string;
}

/** Sessions of one account; one more ends the oldest. */
export const MAX_ACCOUNT_SESSIONS = 20;

/** Where an account's own mail goes besides, or instead of, its mailbox. */
export interface AccountForward {
  /** Canonical addresses, 1 to `MAX_FORWARD_TARGETS`. */
  readonly targets: readonly string[];
  /** A copy stays in the mailbox. */
  readonly keep: boolean;
}

export const MAX_FORWARD_TARGETS = 5;

export interface OwnMessagesRequest {
  /** The account's address. */
  readonly address: string;
  /** When the account was made: what an earlier account of this address had is not its owner's. */
  readonly since: number;
  readonly which: 'all' | 'sent' | 'received';
  /** Only older ones than this. */
  readonly after: FoundPosition | null;
  readonly limit: number;
}

export interface OwnRecipient {
  readonly address: string;
  readonly original: string;
  readonly rule: string;
  readonly state: RecipientState;
}

/** A message that was sent by the account (signed in, or by a local client in its name) or came for it. */
export interface OwnMessage {
  readonly id: MessageId;
  readonly receivedAt: number;
  readonly sent: boolean;
  readonly received: boolean;
  readonly sender: string;
  readonly rawSubject: string;
  readonly sizeBytes: number;
  /** Of a message sent all; else the account's own ones only. */
  readonly recipients: readonly OwnRecipient[];
}

export interface OwnerStore {
  /** `not-found` when the account is gone or disabled. */
  addAccountSession(session: AccountSession & { tokenHash: string }): Promise<void>;
  /** The session of a token, expired or not, with its account's address; null when it was ended. */
  accountSession(tokenHash: string): Promise<(AccountSession & { readonly account: string }) | null>;
  /** Newest first. */
  accountSessions(accountId: number): Promise<readonly AccountSession[]>;
  touchAccountSession(id: string, lastSeenAt: number): Promise<void>;
  removeAccountSession(id: string): Promise<boolean>;
  /** Every session of the account; resolves to how many there were. */
  removeAccountSessions(accountId: number): Promise<number>;
  /** null: none. `not-found`. */
  setAccountForward(address: string, forward: AccountForward | null): Promise<void>;
  /** Newest first. What came trails the mail as search does. */
  ownMessages(request: OwnMessagesRequest): Promise<readonly OwnMessage[]>;
}
