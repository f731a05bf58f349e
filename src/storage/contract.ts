/**
 * The storage contract: intents, not tables. An engine implements `Storage`; one suite
 * (`test/contract/`) runs against every engine. Times are ms since 1970 by the store's clock unless said
 * otherwise. No call blocks the event loop. A call rejects with `StorageError` only.
 */
import type { MessageDsn, RecipientDsn } from '../mail/dsn.ts';
import type { MessageId } from '../mail/message-id.ts';
import type { AccessStore } from './access-contract.ts';
import type { CredentialStore } from './credentials-contract.ts';
import type { NodeStore } from './nodes-contract.ts';
import type { AccountForward, OwnerStore } from './owner-contract.ts';
import type { SearchStore } from './search-contract.ts';
import type { SecondFactorStore } from './second-factor-contract.ts';
import type { TrustStore } from './trust-contract.ts';

export type StorageErrorKind =
  /** Disk full, read-only, locked too long, connection lost: defer and raise an alarm. */
  | 'unavailable'
  /** The named thing does not exist. */
  | 'not-found'
  /** The named thing exists already, or changed since it was read. */
  | 'conflict'
  /** A claim's token is not (or no longer) valid. */
  | 'stale-claim'
  /** A limit was reached (quota, list size). */
  | 'limit'
  /** The schema is newer than this program, or the file is not a CMail store. */
  | 'schema'
  /** A fault of ours. */
  | 'internal';

/** What a store stands on, so that whoever is told of trouble knows where to look. */
export type TroublePlace = 'disk' | 'database';

export class StorageError extends Error {
  readonly kind: StorageErrorKind;
  /** Where the trouble is when the kind is `unavailable`. */
  readonly place: TroublePlace;
  constructor(
    kind: StorageErrorKind,
    message: string,
    options: ErrorOptions & { readonly place?: TroublePlace } = {},
  ) {
    super(message, options);
    this.name = 'StorageError';
    this.kind = kind;
    this.place = options.place ?? 'disk';
  }
}

// ---------------------------------------------------------------- bodies

/** Bytes handed on and not yet on disk, for the whole server. */
export const HANDED_ON_LIMIT_BYTES = 32 * 1024 * 1024;

/**
 * A body being received. `append` copies, so the caller may reuse its buffer at once. Nothing is visible
 * until `accept`; an aborted body's chunks are swept.
 */
export interface BodyWriter {
  readonly sizeBytes: number;
  /** Takes all of `bytes`, or none and returns false when 32 MB wait for the disk; then await `drained()`. */
  append(bytes: Uint8Array): boolean;
  abort(): void;
}

/** A stored body, read in chunks of up to 256 KB, so that memory never depends on its size. */
export interface BodyReader {
  readonly sizeBytes: number;
  chunks(fromByte?: number): AsyncIterable<Uint8Array>;
}

// ---------------------------------------------------------------- messages

/** Who brought a message; `internal` is CMail itself (notices). */
export interface MessageSource {
  readonly kind: 'local' | 'external' | 'internal';
  readonly address: string | null;
  readonly helo: string | null;
  readonly user: string | null;
  /** `ESMTPSA` (RFC 3848) and the like; under TLS its version and cipher follow in parentheses. */
  readonly protocol: string | null;
}

/** One mailbox a message goes into. `header` holds the lines for this recipient (Return-Path, X-Original-To), CRLF-ended. */
export interface LocalDelivery {
  readonly accountId: number;
  readonly header: string;
}

export interface NewRecipient {
  /** Where it goes now, canonical text `local@domain`. */
  readonly address: string;
  /** What RCPT said; differs after an alias, catch-all or forward. */
  readonly original: string;
  /** The rule that decided, as explain names it. */
  readonly rule: string;
  /** What RCPT asked to be told of; default nothing asked. */
  readonly dsn?: RecipientDsn;
  /** `local`: delivered in the transaction that accepts. `queue`: waits for the sender. */
  readonly to:
    | { readonly type: 'local'; readonly delivery: LocalDelivery }
    | {
        readonly type: 'queue';
        /** The scheduling key: the recipient's domain, lower-case A-labels. */
        readonly destination: string;
        /** First attempt not before this time; default now. */
        readonly notBefore?: number;
      };
}

export interface AcceptInput {
  /** From `nextMessageId()`. */
  readonly id: MessageId;
  readonly body: BodyWriter;
  /** As `findSubject` gives it; left out, it is found in the body. */
  readonly subject?: string;
  /** Envelope sender; '' is the null reverse-path. */
  readonly sender: string;
  readonly source: MessageSource;
  /** MAIL had SMTPUTF8 and the message needs it. */
  readonly smtputf8: boolean;
  /** The body holds bytes above 127. */
  readonly eightBit: boolean;
  /** Lines CMail puts in front (Received), CRLF-ended, the same for all recipients. */
  readonly header: string;
  readonly receivedAt: number;
  readonly recipients: readonly NewRecipient[];
  /** The message this one tells about, when it is a notice. */
  readonly noticeFor?: MessageId;
  /** What MAIL asked of notices; default nothing asked. */
  readonly dsn?: MessageDsn;
  /** MAIL had REQUIRETLS (RFC 8689); default false. */
  readonly requireTls?: boolean;
}

/** A message that somebody sent, with what its acceptance calls for. */
export interface AcceptWithNotices extends AcceptInput {
  /** Accepted in the same transaction: what was delivered here is never told of before it is, nor untold after. */
  readonly notices?: readonly NoticeInput[];
  /** Entries of the message's timeline beside those every message has. */
  readonly events?: readonly NewEvent[];
}

export type RecipientState = 'queued' | 'sending' | 'held' | 'delivered' | 'failed' | 'deleted' | 'expanded';

export interface QueuedRecipient {
  /** Position in the message, from 0; with the message's id the recipient's identity. */
  readonly index: number;
  readonly address: string;
  readonly original: string;
  readonly rule: string;
  readonly state: RecipientState;
  readonly destination: string | null;
  /** How it went or last tried to go: `mailbox`, `mx`, `smtp-host`, `forward`; null before the first attempt. */
  readonly via: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: number | null;
  readonly lastReply: string | null;
  /** Route failure kind of the last attempt, for "confirmed by a second lookup". */
  readonly lastKind: string | null;
  readonly delayNoticeSent: boolean;
  /** Times running that working on it crashed; at `CRASHES_UNTIL_HELD` it is set aside. */
  readonly crashes: number;
  /** What RCPT asked to be told of. */
  readonly dsn: RecipientDsn;
}

/** A recipient whose attempts crashed this often running becomes held, so that it harms nobody and is not lost. */
export const CRASHES_UNTIL_HELD = 3;

export interface QueuedMessage {
  readonly id: MessageId;
  readonly sender: string;
  readonly sizeBytes: number;
  readonly receivedAt: number;
  readonly source: MessageSource;
  readonly smtputf8: boolean;
  readonly eightBit: boolean;
  readonly header: string;
  readonly noticeFor: MessageId | null;
  /** What MAIL asked of notices. */
  readonly dsn: MessageDsn;
  /** MAIL had REQUIRETLS (RFC 8689). */
  readonly requireTls: boolean;
  readonly recipients: readonly QueuedRecipient[];
}

// ---------------------------------------------------------------- sending

/** Work taken for one message at one destination. `message.recipients` holds the claimed ones only. */
export interface Claim {
  readonly token: string;
  readonly destination: string;
  readonly message: QueuedMessage;
  readonly leaseUntil: number;
}

export interface ClaimRequest {
  readonly destination: string;
  /** Messages at most. */
  readonly limit: number;
  readonly leaseMs: number;
  /**
   * Written as next attempt before anything is dialled, so that a crash cannot cause a tight loop:
   * wait before attempt n+2 by the number n of attempts made; the last entry repeats.
   */
  readonly retryScheduleMs: readonly number[];
  /** Only what was due by then, ms since 1970; without it all that is due now. */
  readonly dueUntil?: number;
  /**
   * Messages never tried (`new`) and tried before take turns in what is taken; this says which comes first,
   * default `new`. One that has recipients of both kinds counts as either.
   */
  readonly first?: 'new' | 'retried';
}

/** What became of one claimed recipient. */
export interface RecipientOutcome {
  readonly index: number;
  readonly result:
    | { readonly type: 'delivered' }
    | { readonly type: 'failed' }
    /** Try again; `nextAttemptAt` replaces the one written at the claim. */
    | { readonly type: 'deferred'; readonly nextAttemptAt: number; readonly delayNoticeSent?: boolean }
    /** Working on it threw: as `deferred`, but held with a `held` event the `CRASHES_UNTIL_HELD`th time running. */
    | { readonly type: 'crashed'; readonly nextAttemptAt: number }
    /** Re-decided: replaced by these (a user exists now, an alias took over). */
    | { readonly type: 'expanded'; readonly into: readonly NewRecipient[] }
    /** Not attempted after all (shut down, no slot): the attempt is taken back and it is due again at once. */
    | { readonly type: 'returned' };
  readonly via: string | null;
  /** The reply or reason, one line. */
  readonly lastReply: string | null;
  readonly lastKind: string | null;
}

/** A timeline entry; `detail` is what the kind needs (attempt: hosts, address, TLS, replies, duration). */
export interface NewEvent {
  readonly kind:
    | 'received'
    | 'decided'
    | 'attempt'
    | 'fallback'
    | 'deferred'
    | 'delivered'
    | 'failed'
    | 'notice'
    | 'held'
    | 'released'
    /** Made due at once by an administrator. */
    | 'retried'
    | 'deleted';
  /** Recipient address, or null when it concerns the message. */
  readonly recipient: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface MessageEvent extends NewEvent {
  readonly at: number;
}

/** A small message made by CMail itself, stored whole in the transaction that causes it. */
export interface NoticeInput extends Omit<AcceptInput, 'body'> {
  readonly content: Uint8Array;
}

export interface SettleInput {
  readonly token: string;
  readonly outcomes: readonly RecipientOutcome[];
  readonly events: readonly NewEvent[];
  /** Accepted in the same transaction, so a failure is never recorded without its notice. */
  readonly notices: readonly NoticeInput[];
}

export interface DueDestination {
  readonly destination: string;
  /** Earliest due time of its queued recipients. */
  readonly dueAt: number;
}

/** Which queued recipients an administrator's action is for. */
export type QueueSelector =
  | { readonly ids: readonly MessageId[] }
  | { readonly destination: string }
  | { readonly all: true };

export interface QueueStore {
  /** Destinations with due work, in name order after `after`, at most `limit`; a page of the whole. */
  dueDestinations(request: { now: number; after: string; limit: number }): Promise<readonly DueDestination[]>;
  /** Earliest next attempt of all queued recipients, or null; expired leases count as due. */
  nextDueAt(): Promise<number | null>;
  /** Takes due work of a destination; recipients of one message at it come in one claim (1,000 at most). */
  claimDue(request: ClaimRequest): Promise<readonly Claim[]>;
  /** Prolongs claims while their sessions live. Resolves to the tokens that were still valid. */
  renewClaims(tokens: readonly string[], leaseMs: number): Promise<readonly string[]>;
  /** Records outcomes, events and notices in one transaction. Rejects with `stale-claim` and changes nothing when the token lapsed. */
  settle(input: SettleInput): Promise<void>;
  /**
   * Puts back what was claimed and is no longer held, by whatever node: expired leases become queued again, due at
   * once, so that who takes over needs no retry interval for it. A claim that a dead process left (found when the
   * store is taken over, or by other nodes) counts as a crash of each of its recipients.
   */
  releaseExpired(): Promise<number>;

  list(request: { limit: number; after?: MessageId }): Promise<readonly QueuedMessage[]>;
  /** Any kept message, finished ones too. */
  message(id: MessageId): Promise<{ message: QueuedMessage; events: readonly MessageEvent[] } | null>;
  openBody(id: MessageId): Promise<BodyReader | null>;
  /**
   * Each resolves to the number of recipients changed; done in slices of 1,000. Each recipient changed gets an event
   * in the same commit (`retried`, `held`, `released`, `deleted`) with `by`, who asked for it, in its detail.
   */
  retry(selector: QueueSelector, by: string): Promise<number>;
  /**
   * `{all: true}` also holds what arrives or comes back from an attempt later, until release of all; that gets a
   * `held` event with `reason` and without `by`.
   */
  hold(selector: QueueSelector, by: string): Promise<number>;
  /** Also forgets crashes: what was set aside gets all its tries again. */
  release(selector: QueueSelector, by: string): Promise<number>;
  /** Unclaimed recipients only, without a notice; `claimForRemoval` is for deletion with one. */
  delete(selector: QueueSelector, by: string): Promise<number>;
  /** One page (1,000 recipients) of unclaimed recipients a selector names, claimed so that `settle` can fail them with their notices in the same commit. */
  claimForRemoval(selector: QueueSelector, leaseMs: number): Promise<readonly Claim[]>;
  counts(): Promise<{
    queued: number;
    sending: number;
    held: number;
    /** Of the held ones those that were set aside because attempts crashed. */
    crashed: number;
    messages: number;
    oldestAt: number | null;
    holdAll: boolean;
  }>;
  /** Drops finished messages and their events older than `keepMs`, in slices; resolves to how many went. */
  sweep(keepMs: number): Promise<number>;
}

// ---------------------------------------------------------------- directory

export interface Domain {
  readonly name: string;
  /** `{host, port}` or `{address}` (an account's or external mailbox), null without forward. */
  readonly forward: { readonly host: string; readonly port: number } | { readonly address: string } | null;
  readonly catchAll: string | null;
}

export interface Account {
  readonly id: number;
  readonly address: string;
  readonly enabled: boolean;
  /** null: no limit. */
  readonly quotaBytes: number | null;
  readonly usedBytes: number;
  readonly createdAt: number;
  readonly isPostmaster: boolean;
  /** Its owner's, null without one. */
  readonly forward: AccountForward | null;
}

export interface Alias {
  readonly address: string;
  readonly targets: readonly string[];
}

export type AddressEntry =
  | { readonly type: 'account'; readonly account: Account }
  | { readonly type: 'alias'; readonly alias: Alias }
  | null;

/** All names are canonical (lower-case A-label domain); local parts are compared without case. */
export interface DirectoryStore {
  /** Grows with every change of the directory; cheap, from memory. */
  directoryVersion(): number;
  domain(name: string): Promise<Domain | null>;
  /** Account or alias with exactly this address. */
  entry(address: string): Promise<AddressEntry>;
  account(address: string): Promise<Account | null>;
  /** The account that gets postmaster's mail: the first one made, or the one it was moved to. */
  postmaster(): Promise<Account | null>;
  /** PHC string of the account's password, null without one. */
  passwordHash(accountId: number): Promise<string | null>;

  listDomains(): Promise<readonly Domain[]>;
  listAccounts(domain?: string): Promise<readonly Account[]>;
  listAliases(domain?: string): Promise<readonly Alias[]>;

  addDomain(name: string): Promise<void>;
  /** `conflict` while it has accounts or aliases. */
  removeDomain(name: string): Promise<void>;
  setForward(name: string, forward: Domain['forward']): Promise<void>;
  setCatchAll(name: string, address: string | null): Promise<void>;
  addAccount(input: {
    address: string;
    passwordHash: string | null;
    quotaBytes: number | null;
  }): Promise<Account>;
  /** `conflict` when it is the server's postmaster. Its mail goes with it. */
  removeAccount(address: string): Promise<void>;
  /** Also ends the account's sessions at the page, but `keepSession`. */
  setPassword(address: string, passwordHash: string, keepSession?: string): Promise<void>;
  /** Disabling also ends its sessions at the page. */
  setEnabled(address: string, enabled: boolean): Promise<void>;
  setQuota(address: string, quotaBytes: number | null): Promise<void>;
  movePostmaster(address: string): Promise<void>;
  addAlias(alias: Alias): Promise<void>;
  removeAlias(address: string): Promise<void>;
}

// ---------------------------------------------------------------- mailboxes

export interface MailboxEntry {
  readonly uid: number;
  /** As retrieved: per-recipient header, message header, body. */
  readonly sizeBytes: number;
  readonly receivedAt: number;
  readonly flags: number;
  readonly messageId: MessageId;
  readonly sender: string;
}

export interface MailboxStore {
  /** The INBOX of an account in uid order, in pages. uidValidity never changes while the account lives. */
  inbox(
    accountId: number,
    request: { afterUid: number; limit: number },
  ): Promise<{ uidValidity: number; entries: readonly MailboxEntry[] }>;
  /** The whole content: added lines, then the body. null when it is gone. */
  openEntry(accountId: number, uid: number): Promise<BodyReader | null>;
  /** Removes entries in one transaction; resolves to how many were there. */
  removeEntries(accountId: number, uids: readonly number[]): Promise<number>;
}

// ---------------------------------------------------------------- settings

export interface SettingChange {
  readonly n: number;
  readonly at: number;
  readonly author: string;
  readonly key: string;
  /** Text forms; null for "default"; `(set)` or `(changed)` for secrets. */
  readonly old: string | null;
  readonly new: string | null;
}

export interface SettingsStore {
  /** Stored text by key (secrets encrypted), and the version all of it has. */
  readSettings(): Promise<{ version: number; values: ReadonlyMap<string, string> }>;
  /** All or nothing; null removes (default again). `conflict` when the version is no longer `expectedVersion`. */
  writeSettings(input: {
    expectedVersion: number;
    author: string;
    changes: readonly {
      key: string;
      value: string | null;
      historyOld: string | null;
      historyNew: string | null;
    }[];
  }): Promise<{ version: number }>;
  settingsHistory(request: { limit: number; before?: number }): Promise<readonly SettingChange[]>;
  settingChange(n: number): Promise<SettingChange | null>;
  /** Random bytes kept in the store, made at first use: `received-token`. The same on every node. */
  serverSecret(name: string, bytes: number): Promise<Uint8Array>;
  /** Keeps `value` under a name that has none yet; resolves to what is kept, which may be another's. */
  keepSecret(name: string, value: Uint8Array): Promise<Uint8Array>;
}

// ---------------------------------------------------------------- the whole

/** Messages taken in; recipients delivered, put off, given up. */
export type Traffic = 'accepted' | 'delivered' | 'deferred' | 'failed';

export interface Storage
  extends AccessStore,
    SearchStore,
    QueueStore,
    DirectoryStore,
    MailboxStore,
    SettingsStore,
    CredentialStore,
    OwnerStore,
    TrustStore,
    SecondFactorStore,
    NodeStore {
  /** Known at once; never given twice, also across nodes and crashes. */
  nextMessageId(): MessageId;
  openWriter(): BodyWriter;
  /** Resolves when bytes handed on are below the limit again. */
  drained(): Promise<void>;
  /** Bytes handed on that wait for the disk now. */
  handedOnBytes(): number;
  /** Makes body, envelope and recipients durable and visible, local deliveries done, in one commit. */
  accept(input: AcceptWithNotices): Promise<void>;
  /** Called after each commit that queued something due now. */
  onQueued(listener: () => void): void;
  /** Called after each commit that took mail in or brought it further on this node, with how much of it. */
  onTraffic(listener: (what: Traffic, count: number) => void): void;
  /** What is wrong with the store now (disk full …) and what to do, for `status`; clears by itself when it is well. */
  alarms(): readonly string[];
  /** The newest time among the latest messages and changes, ms; null when there are none. */
  newestTime(): Promise<number | null>;
  /** Consistency of the store: findings, empty when sound. */
  verify(): Promise<readonly string[]>;
  close(): Promise<void>;
}
