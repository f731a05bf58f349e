/**
 * The SQLite schema and its versions. `PRAGMA user_version` counts the migrations applied,
 * `PRAGMA application_id` tells a CMail store from any other SQLite file.
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../contract.ts';
import { COPY_TABLE, incompleteCopy } from '../copy/contract.ts';
import { toStorageError } from './errors.ts';

/** "CMai" in ASCII. */
export const APPLICATION_ID = 0x434d6169;
/** Fixed at creation; see docs/decisions/0002-sqlite-page-size.md. */
export const PAGE_SIZE_BYTES = 8192;
const AUTOCHECKPOINT_BYTES = 4 * 1024 * 1024;
const WAL_KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Version 1. Whole numbers stand for states (see rows.ts). A chunk's key is `body id << 24 | chunk number`
 * and so needs no index beside the table; partial indexes leave finished rows out, so that mail for local
 * accounts costs no index entry. While a recipient is `sending`, `due_at` is the end of its lease.
 */
const VERSION_1 = `
CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE body (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, size INTEGER NOT NULL, chunks INTEGER NOT NULL);
CREATE INDEX body_unreferenced ON body (refs) WHERE refs < 1;
CREATE TABLE body_chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);

CREATE TABLE message (
  id INTEGER PRIMARY KEY, body_id INTEGER NOT NULL, sender TEXT NOT NULL, size INTEGER NOT NULL,
  received_at INTEGER NOT NULL, finished_at INTEGER, open_count INTEGER NOT NULL,
  source_kind INTEGER NOT NULL, source_address TEXT, source_helo TEXT, source_user TEXT, source_protocol TEXT,
  smtputf8 INTEGER NOT NULL, eight_bit INTEGER NOT NULL, header TEXT NOT NULL, notice_for INTEGER
);
CREATE INDEX message_open ON message (id, received_at) WHERE finished_at IS NULL;
CREATE INDEX message_finished ON message (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE recipient (
  message_id INTEGER NOT NULL, idx INTEGER NOT NULL, address TEXT NOT NULL, original TEXT NOT NULL,
  rule TEXT NOT NULL, state INTEGER NOT NULL, destination TEXT, via TEXT, attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER, due_at INTEGER, last_reply TEXT, last_kind TEXT,
  delay_notice INTEGER NOT NULL DEFAULT 0, decided_at INTEGER, claim INTEGER NOT NULL DEFAULT 0, token TEXT,
  PRIMARY KEY (message_id, idx)
) WITHOUT ROWID;
CREATE INDEX recipient_destination ON recipient (state, destination, due_at) WHERE state < 3;
CREATE INDEX recipient_due ON recipient (state, due_at) WHERE state < 3;

CREATE TABLE event (
  message_id INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, recipient TEXT,
  detail TEXT NOT NULL, PRIMARY KEY (message_id, n)
) WITHOUT ROWID;

CREATE TABLE domain (
  name TEXT PRIMARY KEY, forward_host TEXT, forward_port INTEGER, forward_address TEXT, catch_all TEXT
) WITHOUT ROWID;
CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL, domain TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1, password_hash TEXT, quota INTEGER, used_bytes INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, postmaster INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX account_domain ON account (domain);
CREATE UNIQUE INDEX account_postmaster ON account (postmaster) WHERE postmaster = 1;
CREATE TABLE alias (name TEXT PRIMARY KEY, address TEXT NOT NULL, domain TEXT NOT NULL, targets TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX alias_domain ON alias (domain);

CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER, name TEXT NOT NULL, uidvalidity INTEGER NOT NULL,
  uidnext INTEGER NOT NULL, modseq INTEGER NOT NULL, UNIQUE (account_id, name)
);
CREATE TABLE mailbox_message (
  mailbox_id INTEGER NOT NULL, uid INTEGER NOT NULL, body_id INTEGER NOT NULL, size INTEGER NOT NULL,
  flags INTEGER NOT NULL, modseq INTEGER NOT NULL, received_at INTEGER NOT NULL, message_id INTEGER NOT NULL,
  sender TEXT NOT NULL, header TEXT NOT NULL, PRIMARY KEY (mailbox_id, uid)
) WITHOUT ROWID;

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE setting_change (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, author TEXT NOT NULL, key TEXT NOT NULL, old TEXT, new TEXT
);
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
`;

/** Version 2 counts crashes. What was set aside is few rows, so the index costs the others nothing. */
const VERSION_2 = `
ALTER TABLE recipient ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX recipient_crashed ON recipient (message_id) WHERE state = 2 AND crashes > 2;
`;

/**
 * Who may administer, and what is searched. `search_todo` lists messages to be made searchable: new ones and
 * those just finished. A message that came before has no subject kept; it is found in its body if that is there.
 */
const ACCESS_AND_SEARCH = `
CREATE TABLE administrator (
  name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, created_at INTEGER NOT NULL, last_sign_in_at INTEGER
) WITHOUT ROWID;
CREATE TABLE admin_session (
  token_hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, administrator TEXT NOT NULL, created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX admin_session_of ON admin_session (administrator);
CREATE TABLE api_token (
  token_hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, last_used_at INTEGER,
  revoked_at INTEGER
) WITHOUT ROWID;
CREATE TABLE audit (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, address TEXT, action TEXT NOT NULL,
  details TEXT NOT NULL
);

ALTER TABLE message ADD COLUMN subject TEXT;
CREATE TABLE search_todo (id INTEGER PRIMARY KEY);
CREATE TABLE search_message (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, state INTEGER NOT NULL, sender TEXT NOT NULL, sender_domain TEXT NOT NULL
);
CREATE INDEX search_by_time ON search_message (at, id);
CREATE INDEX search_by_state ON search_message (state, at, id);
CREATE INDEX search_by_sender ON search_message (sender, at, id);
CREATE INDEX search_by_sender_domain ON search_message (sender_domain, at, id);
CREATE TABLE search_recipient (
  id INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (id, address)
) WITHOUT ROWID;
CREATE INDEX search_by_recipient ON search_recipient (address, at, id);
CREATE INDEX search_by_recipient_domain ON search_recipient (domain, at, id);
CREATE TABLE search_word (
  word TEXT NOT NULL, at INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (word, at, id)
) WITHOUT ROWID;
CREATE INDEX recipient_waiting ON recipient (destination, message_id) WHERE state < 3;
INSERT INTO search_todo (id) SELECT id FROM message;
`;

/** Passwords beside an account's own, and who signed in. The hash is of a secret nobody can guess. */
const CREDENTIALS = `
CREATE TABLE app_password (
  account_id INTEGER NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL, last_used_at INTEGER, PRIMARY KEY (account_id, name)
) WITHOUT ROWID;
CREATE TABLE sign_in (
  account_id INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY (account_id, n)
) WITHOUT ROWID;
`;

/** Sessions of accounts at the page, their forwards, and who sent a message by signing in. */
const OWNER = `
CREATE TABLE account_session (
  token_hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, account_id INTEGER NOT NULL, created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX account_session_of ON account_session (account_id);
ALTER TABLE account ADD COLUMN forward_to TEXT;
ALTER TABLE account ADD COLUMN forward_keep INTEGER NOT NULL DEFAULT 1;
CREATE INDEX message_by_user ON message (source_user, received_at, id) WHERE source_user IS NOT NULL;
`;

/** Who put the whole queue on hold. */
const HOLD_AUTHOR = 'ALTER TABLE sequence ADD COLUMN note TEXT;';

/** What the sender asked to be told of; `dsn_notify` is 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY, NULL when not asked. */
const DSN = `
ALTER TABLE message ADD COLUMN dsn_ret TEXT;
ALTER TABLE message ADD COLUMN dsn_envid TEXT;
ALTER TABLE message ADD COLUMN require_tls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recipient ADD COLUMN dsn_notify INTEGER;
ALTER TABLE recipient ADD COLUMN dsn_orcpt TEXT;
`;

/** How other domains want their mail protected: MTA-STS policies as last fetched. */
const STS_POLICIES = `
CREATE TABLE sts_policy (
  domain TEXT PRIMARY KEY, id TEXT NOT NULL, mode TEXT NOT NULL, max_age INTEGER NOT NULL, mx TEXT NOT NULL,
  fetched_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sts_policy_by_end ON sts_policy (expires_at, domain);
`;

/** New mail and the backlog of a destination, each in the order it is due. */
const TURNS = `
CREATE INDEX recipient_new ON recipient (destination, due_at) WHERE state = 0 AND attempts = 0;
CREATE INDEX recipient_retried ON recipient (destination, due_at) WHERE state = 0 AND attempts > 0;
`;

/** Second factors. The secret is encrypted; recovery codes are hashes, separated by blanks. */
const SECOND_FACTOR = `
CREATE TABLE second_factor (
  kind TEXT NOT NULL, name TEXT NOT NULL, secret TEXT NOT NULL, created_at INTEGER NOT NULL, confirmed_at INTEGER,
  last_step INTEGER NOT NULL, recovery TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
`;

/** What is counted for TLS reports, and which report is due when. */
const TLS_REPORTS = `
CREATE TABLE tls_report (
  day INTEGER NOT NULL, domain TEXT NOT NULL, due_at INTEGER NOT NULL, sent TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (day, domain)
) WITHOUT ROWID;
CREATE INDEX tls_report_by_due ON tls_report (due_at);
CREATE TABLE tls_count (
  day INTEGER NOT NULL, domain TEXT NOT NULL, key TEXT NOT NULL, detail TEXT NOT NULL, sessions INTEGER NOT NULL,
  PRIMARY KEY (day, domain, key)
) WITHOUT ROWID;
`;

/** Step n brings a store from version n to n + 1; a step that was released is never edited. */
export const MIGRATIONS: readonly string[] = [
  ...[
    VERSION_1,
    VERSION_2,
    ACCESS_AND_SEARCH,
    CREDENTIALS,
    OWNER,
    HOLD_AUTHOR,
    DSN,
    STS_POLICIES,
    TURNS,
    SECOND_FACTOR,
    TLS_REPORTS,
  ],
];
export const SCHEMA_VERSION = MIGRATIONS.length;

export interface ConnectionOptions {
  readonly path: string;
  readonly readOnly: boolean;
  /** Longest wait for another process's lock. */
  readonly busyTimeoutMs: number;
  readonly cacheBytes: number;
  /** For measurements and tests only; an existing store keeps its own. */
  readonly pageSizeBytes?: number;
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
}

/** Says `schema` when the file is not ours or is too new; true when it holds nothing yet. */
function checkIdentity(db: DatabaseSync, path: string): boolean {
  const version = pragma(db, 'user_version');
  const applicationId = pragma(db, 'application_id');
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n ?? 0);
  if (version === 0 && applicationId === 0 && tables === 0) return true;
  if (applicationId !== APPLICATION_ID) {
    throw new StorageError('schema', `${path} is an SQLite file of another program, not a CMail store`);
  }
  if (db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(COPY_TABLE) !== undefined) {
    throw new StorageError('schema', incompleteCopy(path));
  }
  if (version > SCHEMA_VERSION) {
    throw new StorageError(
      'schema',
      `${path} has schema version ${version}; this CMail knows versions up to ${SCHEMA_VERSION}: start the newer CMail that wrote it`,
    );
  }
  return false;
}

function migrate(db: DatabaseSync, path: string): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    checkIdentity(db, path);
    for (const step of MIGRATIONS.slice(pragma(db, 'user_version'))) db.exec(step);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function prepareWriter(db: DatabaseSync, options: ConnectionOptions): void {
  const fresh = checkIdentity(db, options.path);
  if (fresh) {
    // Both act only while the file is empty, before WAL is switched on.
    db.exec(
      `PRAGMA page_size = ${options.pageSizeBytes ?? PAGE_SIZE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL`,
    );
  }
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = FULL');
  if (pragma(db, 'user_version') < SCHEMA_VERSION) migrate(db, options.path);
  const pages = Math.max(1, Math.round(AUTOCHECKPOINT_BYTES / pragma(db, 'page_size')));
  db.exec(`PRAGMA wal_autocheckpoint = ${pages}; PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`);
}

/**
 * Opens a connection of a writer (creating or migrating the store) or of a reader. Throws `StorageError`:
 * `schema` for a newer or foreign file, `unavailable` when it cannot be opened or written.
 */
export function openConnection(options: ConnectionOptions): DatabaseSync {
  if (options.readOnly && !existsSync(options.path)) {
    throw new StorageError('unavailable', `there is no store at ${options.path}`);
  }
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(options.path, { readOnly: options.readOnly, timeout: options.busyTimeoutMs });
    db.exec(`PRAGMA cache_size = -${Math.ceil(options.cacheBytes / 1024)}; PRAGMA temp_store = MEMORY`);
    if (options.readOnly) {
      if (checkIdentity(db, options.path)) throw new StorageError('schema', `${options.path} is empty`);
    } else {
      prepareWriter(db, options);
    }
    return db;
  } catch (error) {
    db?.close();
    const { kind, message } = toStorageError(error);
    const text = message.includes(options.path) ? message : `${options.path}: ${message}`;
    throw new StorageError(kind, text, { cause: error });
  }
}
