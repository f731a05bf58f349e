/** What readers ask for; see read-queue.ts for the queue. */
import type { MailboxEntry, SettingChange } from '../contract.ts';
import {
  type AccountRow,
  type AliasRow,
  accountOf,
  aliasOf,
  type DomainRow,
  domainOf,
  lookupName,
} from '../shared/directory-rows.ts';
import type { In, Out, ReadOps, StoredContent } from '../shared/operations.ts';
import { CHECKS, SHOWN } from '../shared/verify-checks.ts';
import type { Runner } from './connection.ts';
import { credentialReads } from './credentials.ts';
import { ownerReads } from './owner.ts';
import { accessReads } from './read-access.ts';
import * as queue from './read-queue.ts';
import { searchReads } from './read-search.ts';
import { secondFactorReads } from './second-factor.ts';
import { trustReads } from './trust.ts';

const INBOX_PAGE = 10_000;
const HISTORY_PAGE = 10_000;

export type Reads = {
  readonly [K in keyof ReadOps]: (input: In<ReadOps, K>) => Promise<Out<ReadOps, K>>;
};

export function makeReads(db: Runner, nodeId: string): Omit<Reads, 'verify'> {
  return {
    dueDestinations: (request) => queue.dueDestinations(db, nodeId, request),
    nextDueAt: () => queue.nextDueAt(db),
    list: (request) => queue.list(db, request),
    message: (request) => queue.message(db, request),
    messageContent: (request) => queue.messageContent(db, request),
    counts: () => queue.counts(db),
    destinationsAtWork: () => queue.destinationsAtWork(db),
    newestTime: () => queue.newestTime(db),
    entryContent: (request) => entryContent(db, request),
    chunk: (request) => chunk(db, request),
    findChunk: (request) => findChunk(db, request),
    inbox: (request) => inbox(db, request),
    ...directoryReads(db),
    ...credentialReads(db),
    ...settingReads(db),
    ...accessReads(db),
    ...trustReads(db),
    ...secondFactorReads(db),
    ...searchReads(db),
    ...ownerReads(db),
  };
}

async function entryContent(
  db: Runner,
  { accountId, uid }: { accountId: number; uid: number },
): Promise<StoredContent | null> {
  const [row] = await db.run<StoredContent>(
    `SELECT entry.header, body.id AS "bodyId", body.size AS "bodySizeBytes", body.chunks
     FROM mailbox JOIN mailbox_message AS entry ON entry.mailbox_id = mailbox.id JOIN body ON body.id = entry.body_id
     WHERE mailbox.account_id = $1 AND mailbox.name = 'INBOX' AND entry.uid = $2`,
    [accountId, uid],
  );
  return row ?? null;
}

async function chunk(db: Runner, { bodyId, n }: { bodyId: number; n: number }): Promise<Uint8Array | null> {
  const [row] = await db.run<{ data: Uint8Array }>(
    'SELECT data FROM body_chunk WHERE id = ($1::bigint << 24) + $2::bigint',
    [bodyId, n],
  );
  return row?.data ?? null;
}

async function findChunk(
  db: Runner,
  { bodyId, at }: { bodyId: number; at: number },
): Promise<{ n: number; start: number }> {
  const [row] = await db.run<{ n: number; start: number }>(
    `SELECT n - 1 AS n, start FROM (
       SELECT row_number() OVER (ORDER BY id) AS n, length(data) AS size,
         coalesce(sum(length(data)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS start
       FROM body_chunk WHERE id >= ($1::bigint << 24) AND id < (($1::bigint + 1) << 24)
     ) AS chunks WHERE start <= $2::bigint ORDER BY n DESC LIMIT 1`,
    [bodyId, at],
  );
  return row ?? { n: 0, start: 0 };
}

async function inbox(
  db: Runner,
  { accountId, afterUid, limit }: { accountId: number; afterUid: number; limit: number },
): Promise<{ uidValidity: number; entries: MailboxEntry[] }> {
  const [mailbox] = await db.run<{ id: number; uidvalidity: number }>(
    "SELECT id, uidvalidity FROM mailbox WHERE account_id = $1 AND name = 'INBOX'",
    [accountId],
  );
  if (mailbox === undefined) return { uidValidity: 0, entries: [] };
  const rows = await db.run<MailboxEntry>(
    `SELECT uid, size AS "sizeBytes", received_at AS "receivedAt", flags, message_id AS "messageId", sender
     FROM mailbox_message WHERE mailbox_id = $1 AND uid > $2 ORDER BY uid LIMIT $3`,
    [mailbox.id, afterUid, Math.min(limit, INBOX_PAGE)],
  );
  return { uidValidity: mailbox.uidvalidity, entries: [...rows] };
}

function directoryReads(db: Runner) {
  const account = async (address: string) => {
    const [row] = await db.run<AccountRow>('SELECT * FROM account WHERE name = $1', [lookupName(address)]);
    return row === undefined ? null : accountOf(row);
  };
  return {
    domain: async ({ name }) => {
      const [row] = await db.run<DomainRow>('SELECT * FROM domain WHERE name = $1', [name]);
      return row === undefined ? null : domainOf(row);
    },
    account: ({ address }) => account(address),
    entry: async ({ address }) => {
      const found = await account(address);
      if (found !== null) return { type: 'account' as const, account: found };
      const [row] = await db.run<AliasRow>('SELECT address, targets FROM alias WHERE name = $1', [
        lookupName(address),
      ]);
      return row === undefined ? null : { type: 'alias' as const, alias: aliasOf(row) };
    },
    postmaster: async () => {
      const [row] = await db.run<AccountRow>('SELECT * FROM account WHERE postmaster = 1');
      return row === undefined ? null : accountOf(row);
    },
    passwordHash: async ({ accountId }) => {
      const [row] = await db.run<{ password_hash: string | null }>(
        'SELECT password_hash FROM account WHERE id = $1',
        [accountId],
      );
      return row?.password_hash ?? null;
    },
    listDomains: async () => (await db.run<DomainRow>('SELECT * FROM domain ORDER BY name')).map(domainOf),
    listAccounts: async ({ domain }) => {
      const rows = await db.run<AccountRow>(
        'SELECT * FROM account WHERE $1::text IS NULL OR domain = $1 ORDER BY domain, name',
        [domain],
      );
      return rows.map(accountOf);
    },
    listAliases: async ({ domain }) => {
      const rows = await db.run<AliasRow>(
        'SELECT address, targets FROM alias WHERE $1::text IS NULL OR domain = $1 ORDER BY domain, name',
        [domain],
      );
      return rows.map(aliasOf);
    },
  } satisfies Partial<Reads>;
}

function settingReads(db: Runner) {
  return {
    readSettings: async () => {
      // One statement: values and version belong together.
      const rows = await db.run<{ key: string | null; value: string; version: number }>(
        `SELECT setting.key, setting.value, s.version
         FROM (SELECT coalesce((SELECT value FROM sequence WHERE name = 'settings_version'), 0) AS version) AS s
         LEFT JOIN setting ON true`,
      );
      const values = rows.flatMap(({ key, value }): [string, string][] =>
        key === null ? [] : [[key, value]],
      );
      return { version: rows[0]?.version ?? 0, values: new Map(values) };
    },
    settingsHistory: async ({ limit, before }) => {
      const rows = await db.run<SettingChange>(
        'SELECT * FROM setting_change WHERE n < $1 ORDER BY n DESC LIMIT $2',
        [before ?? Number.MAX_SAFE_INTEGER, Math.min(limit, HISTORY_PAGE)],
      );
      return [...rows];
    },
    settingChange: async ({ n }) => {
      const [row] = await db.run<SettingChange>('SELECT * FROM setting_change WHERE n = $1', [n]);
      return row ?? null;
    },
    secret: async ({ name }) => {
      const [row] = await db.run<{ value: Uint8Array }>('SELECT value FROM secret WHERE name = $1', [name]);
      return row === undefined ? null : Uint8Array.from(row.value);
    },
  } satisfies Partial<Reads>;
}

/** Compares everything stored twice or counted with what it was counted from. Empty when the store is sound. */
export async function verifyStore(tx: Runner): Promise<string[]> {
  const findings: string[] = [];
  for (const { sql, finding } of CHECKS) {
    const rows = await tx.run<{ what: unknown }>(
      `WITH chunk_sum AS (SELECT id >> 24 AS body_id, sum(length(data)) AS size, count(*) AS chunks,
           max(id & 16777215) AS last FROM body_chunk GROUP BY id >> 24),
         entry_count AS (SELECT body_id, count(*) AS n FROM mailbox_message GROUP BY body_id),
         message_body AS (SELECT body_id FROM message WHERE finished_at IS NULL)
       ${sql} LIMIT ${SHOWN}`,
    );
    findings.push(...rows.map(({ what }) => finding(String(what))));
  }
  return findings;
}
