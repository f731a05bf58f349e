/** The operations that the contract is made of, carried out by each engine. */
import type {
  AcceptWithNotices,
  Account,
  AddressEntry,
  Alias,
  Claim,
  ClaimRequest,
  Domain,
  DueDestination,
  MailboxEntry,
  MessageEvent,
  QueuedMessage,
  QueueSelector,
  SettingChange,
  SettingsStore,
  SettleInput,
} from '../contract.ts';
import type { AppPassword, CredentialStore, SignIn, SignInRecord } from '../credentials-contract.ts';
import type { AccessReadOps, AccessWriteOps } from './access-operations.ts';
import type { OwnerReadOps, OwnerWriteOps } from './owner-operations.ts';
import type { SearchReadOps, SearchWriteOps } from './search-operations.ts';
import type { SecondFactorReadOps, SecondFactorWriteOps } from './second-factor-operations.ts';
import type { TrustReadOps, TrustWriteOps } from './trust-operations.ts';

export interface Op<In, Out> {
  readonly in: In;
  readonly out: Out;
}

/** An accepted message on its way to the writer; the bytes of its last chunk travel beside it. */
export interface AcceptOp extends Omit<AcceptWithNotices, 'body'> {
  readonly bodyId: number;
  /** Chunks of the body written before. */
  readonly storedChunks: number;
  readonly sizeBytes: number;
}

/** Everything the writer does. Each is one operation with its own savepoint. */
export interface WriteOps
  extends AccessWriteOps,
    OwnerWriteOps,
    SecondFactorWriteOps,
    SearchWriteOps,
    TrustWriteOps {
  reserveIds: Op<{ count: number }, number>;
  putChunk: Op<{ bodyId: number; n: number }, void>;
  dropBody: Op<{ bodyId: number }, void>;
  /** Commits a chunk nobody needs, to see whether the disk takes one. */
  probeDisk: Op<null, void>;
  /** At open: bodies that were being received when the last process ended are nobody's now. */
  orphanBodies: Op<null, void>;
  /** Deletes a slice of what nothing refers to; true while there is more. */
  sweepBodies: Op<null, boolean>;
  sweepMailboxes: Op<null, boolean>;
  accept: Op<AcceptOp, void>;

  claimDue: Op<ClaimRequest, Claim[]>;
  renewClaims: Op<{ tokens: readonly string[]; leaseMs: number }, string[]>;
  settle: Op<SettleInput, void>;
  releaseExpired: Op<{ all: boolean }, number>;
  setHoldAll: Op<{ on: boolean; by: string }, void>;
  retry: Op<{ selector: QueueSelector; by: string; now: number }, number>;
  hold: Op<{ selector: QueueSelector; by: string }, number>;
  release: Op<{ selector: QueueSelector; by: string }, number>;
  delete: Op<{ selector: QueueSelector; by: string }, number>;
  claimForRemoval: Op<{ selector: QueueSelector; leaseMs: number }, Claim[]>;
  sweepMessages: Op<{ before: number }, number>;

  addDomain: Op<{ name: string }, void>;
  removeDomain: Op<{ name: string }, void>;
  setForward: Op<{ name: string; forward: Domain['forward'] }, void>;
  setCatchAll: Op<{ name: string; address: string | null }, void>;
  addAccount: Op<{ address: string; passwordHash: string | null; quotaBytes: number | null }, Account>;
  removeAccount: Op<{ address: string }, void>;
  setPassword: Op<{ address: string; passwordHash: string; keepSession: string | null }, void>;
  setEnabled: Op<{ address: string; enabled: boolean }, void>;
  setQuota: Op<{ address: string; quotaBytes: number | null }, void>;
  movePostmaster: Op<{ address: string }, void>;
  addAlias: Op<Alias, void>;
  removeAlias: Op<{ address: string }, void>;

  addAppPassword: Op<Parameters<CredentialStore['addAppPassword']>[0], void>;
  revokeAppPassword: Op<{ address: string; name: string }, void>;
  recordSignIn: Op<{ accountId: number; record: SignInRecord }, void>;

  removeEntries: Op<{ accountId: number; uids: readonly number[] }, number>;

  writeSettings: Op<Parameters<SettingsStore['writeSettings']>[0], { version: number }>;
  keepSecret: Op<{ name: string; value: Uint8Array }, Uint8Array>;
}

/** Where a body is and what stands in front of it. */
export interface StoredContent {
  readonly header: string;
  readonly bodyId: number;
  /** Of the body alone. */
  readonly bodySizeBytes: number;
  readonly chunks: number;
}

/** Everything the readers do. */
export interface ReadOps
  extends AccessReadOps,
    OwnerReadOps,
    SecondFactorReadOps,
    SearchReadOps,
    TrustReadOps {
  dueDestinations: Op<{ now: number; after: string; limit: number }, DueDestination[]>;
  nextDueAt: Op<null, number | null>;
  list: Op<{ limit: number; after: number }, QueuedMessage[]>;
  message: Op<{ id: number }, { message: QueuedMessage; events: MessageEvent[] } | null>;
  messageContent: Op<{ id: number }, StoredContent | null>;
  entryContent: Op<{ accountId: number; uid: number }, StoredContent | null>;
  chunk: Op<{ bodyId: number; n: number }, Uint8Array | null>;
  /** Number and start of the chunk that holds byte `at`. */
  findChunk: Op<{ bodyId: number; at: number }, { n: number; start: number }>;
  counts: Op<
    null,
    {
      queued: number;
      sending: number;
      held: number;
      crashed: number;
      messages: number;
      oldestAt: number | null;
      holdAll: boolean;
    }
  >;
  domain: Op<{ name: string }, Domain | null>;
  entry: Op<{ address: string }, AddressEntry>;
  account: Op<{ address: string }, Account | null>;
  postmaster: Op<null, Account | null>;
  passwordHash: Op<{ accountId: number }, string | null>;
  appPasswords: Op<{ accountId: number }, AppPassword[]>;
  findAppPassword: Op<{ accountId: number; hash: string }, AppPassword | null>;
  signIns: Op<{ accountId: number; limit: number; before: number | null }, SignIn[]>;
  listDomains: Op<null, Domain[]>;
  listAccounts: Op<{ domain: string | null }, Account[]>;
  listAliases: Op<{ domain: string | null }, Alias[]>;
  inbox: Op<
    { accountId: number; afterUid: number; limit: number },
    { uidValidity: number; entries: MailboxEntry[] }
  >;
  readSettings: Op<null, { version: number; values: Map<string, string> }>;
  settingsHistory: Op<{ limit: number; before: number | null }, SettingChange[]>;
  settingChange: Op<{ n: number }, SettingChange | null>;
  secret: Op<{ name: string }, Uint8Array | null>;
  newestTime: Op<null, number | null>;
  /** Destinations something is claimed at. */
  destinationsAtWork: Op<null, number>;
  verify: Op<null, string[]>;
}

export type OpTable = { [name: string]: Op<unknown, unknown> };
export type In<Ops, K extends keyof Ops> = Ops[K] extends Op<infer I, unknown> ? I : never;
export type Out<Ops, K extends keyof Ops> = Ops[K] extends Op<never, infer O> | Op<unknown, infer O>
  ? O
  : never;

/** What carries out a table's operations; `bytes` are those sent beside an operation. */
export type Handlers<Ops> = {
  readonly [K in keyof Ops]: (input: In<Ops, K>, bytes: Uint8Array) => Out<Ops, K>;
};

/** What a committed group leaves to be done. */
export interface GroupFlags {
  /** Recipients were queued that are due now. */
  readonly queued: boolean;
  /** Large bodies lost their last reference and are to be swept. */
  readonly deadBodies: boolean;
  /** Messages were listed to be made searchable. */
  readonly unsearchable: boolean;
}

export const NO_FLAGS: GroupFlags = {
  queued: false,
  deadBodies: false,
  unsearchable: false,
};
