/** What is SQLite's own: pragmas, schema versions, locks, threads that die. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type BodyWriter,
  HANDED_ON_LIMIT_BYTES,
  type NewRecipient,
  type Storage,
} from '../../src/storage/contract.ts';
import { SqliteStorage } from '../../src/storage/sqlite/engine.ts';
import { openSqliteStorage, type SqliteOptions } from '../../src/storage/sqlite/index.ts';
import {
  APPLICATION_ID,
  MIGRATIONS,
  openConnection,
  PAGE_SIZE_BYTES,
  SCHEMA_VERSION,
} from '../../src/storage/sqlite/schema.ts';
import {
  accept,
  claimOne,
  local,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  states,
} from './storage-fixture.ts';

const BUSY_TIMEOUT_MS = 150;

async function withFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-sqlite-'));
  try {
    await use(join(folder, 'cmail.db'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function withStorage(use: (storage: Storage, path: string) => Promise<void>): Promise<void> {
  await withFolder(async (path) => {
    const storage = await openSqliteStorage({ path, busyTimeoutMs: BUSY_TIMEOUT_MS });
    try {
      await use(storage, path);
    } finally {
      await storage.close();
    }
  });
}

/** Opens a further store on the same file and closes it whatever happens. */
async function withSecond(options: SqliteOptions, use: (storage: Storage) => Promise<void>): Promise<void> {
  const storage = await openSqliteStorage(options);
  try {
    await use(storage);
  } finally {
    await storage.close();
  }
}

/** Keeps every other writer out, as a backup program or a second process would; lets what is being written end first. */
function lock(path: string): () => void {
  const other = new DatabaseSync(path, { timeout: 5000 });
  other.exec('BEGIN IMMEDIATE');
  return () => {
    other.exec('ROLLBACK');
    other.close();
  };
}

function pragmaOf(db: DatabaseSync, name: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

describe('sqlite: the file', () => {
  it('has the pragmas that make a commit durable, and keeps them', () =>
    withFolder(async (path) => {
      for (let round = 0; round < 2; round++) {
        const options = { path, readOnly: false, busyTimeoutMs: 1000, cacheBytes: 1_000_000 };
        // The second time another page size is asked for: a store keeps the one it was made with.
        const db = openConnection(round === 0 ? options : { ...options, pageSizeBytes: 4096 });
        const full = 2;
        const incremental = 2;
        assert.equal(pragmaOf(db, 'journal_mode'), 'wal');
        assert.equal(pragmaOf(db, 'synchronous'), full);
        assert.equal(pragmaOf(db, 'auto_vacuum'), incremental);
        assert.equal(pragmaOf(db, 'page_size'), PAGE_SIZE_BYTES);
        assert.equal(Number(pragmaOf(db, 'wal_autocheckpoint')) * PAGE_SIZE_BYTES, 4 * 1024 * 1024);
        assert.equal(pragmaOf(db, 'application_id'), APPLICATION_ID);
        assert.equal(pragmaOf(db, 'user_version'), SCHEMA_VERSION);
        db.close();
      }
    }));

  it('refuses a newer schema, another program’s file and no database at all', () =>
    withFolder(async (path) => {
      await (await openSqliteStorage({ path })).close();
      const db = new DatabaseSync(path, { timeout: 5000 });
      db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
      db.close();
      await assert.rejects(openSqliteStorage({ path }), {
        kind: 'schema',
        message: new RegExp(`version ${SCHEMA_VERSION + 1}.*newer CMail`),
      });
      const foreign = `${path}.foreign`;
      const other = new DatabaseSync(foreign);
      other.exec('CREATE TABLE things (a)');
      other.close();
      await assert.rejects(openSqliteStorage({ path: foreign }), {
        kind: 'schema',
        message: /another program/,
      });
      const text = `${path}.txt`;
      await writeFile(text, 'no database at all, but long enough to be looked at. '.repeat(40));
      await assert.rejects(openSqliteStorage({ path: text }), {
        kind: 'schema',
        message: /not a CMail store/,
      });
    }));

  it('says which path it cannot open', () =>
    withFolder(async (path) => {
      const missing = join(path, 'none', 'cmail.db');
      await assert.rejects(openSqliteStorage({ path: missing }), (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'unavailable');
        assert.ok(error.message.includes(missing));
        return true;
      });
      await assert.rejects(openSqliteStorage({ path, readOnly: true }), {
        kind: 'unavailable',
        message: /no store/,
      });
    }));

  it('can be read without being written', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      await accept(storage, [local(ann)], 'there');
      const reader = await openSqliteStorage({ path, readOnly: true });
      try {
        assert.ok((await readAll(await reader.openEntry(ann.id, 1))).toString().endsWith('there'));
        await assert.rejects(reader.addDomain('x.example'), { kind: 'unavailable', message: /reading only/ });
        assert.throws(() => reader.nextMessageId(), { kind: 'unavailable' });
        assert.deepEqual(await reader.verify(), []);
      } finally {
        await reader.close();
      }
    }));

  it('finds what does not add up', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      const id = await accept(storage, [local(ann), queued('a@x.example')]);
      const damage = new DatabaseSync(path, { timeout: 5000 });
      damage.exec(`UPDATE body SET refs = 9; UPDATE account SET used_bytes = 1; DELETE FROM body_chunk;
        UPDATE message SET open_count = 5; INSERT INTO event VALUES (77, 1, 1, 'held', NULL, '{}');
        INSERT INTO body_chunk VALUES (99 << 24, x'00')`);
      damage.close();
      const findings = (await storage.verify()).join('\n');
      for (const part of [
        `body ${id} has a wrong reference count`,
        `body ${id} does not have the size`,
        'bytes used by ann@example.com',
        `message ${id} does not know`,
        'message 77, which does not exist',
        'chunks of body 99 belong to no body',
      ]) {
        assert.ok(findings.includes(part), `${part} in:\n${findings}`);
      }
    }));
});

describe('sqlite: trouble', () => {
  it('waits for a lock that goes away in time', () =>
    withStorage(async (storage, path) => {
      await withSecond({ path }, async (patient) => {
        const unlock = lock(path);
        const added = patient.addDomain('x.example');
        await storage.nextDueAt();
        unlock();
        await added;
        assert.deepEqual(patient.alarms(), []);
      });
    }));

  it('defers and raises an alarm when a lock stays, and clears it when it goes', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      const unlock = lock(path);
      await assert.rejects(accept(storage, [local(ann)]), { kind: 'unavailable', message: /locked/ });
      assert.equal(storage.alarms().length, 1);
      assert.match(storage.alarms()[0] ?? '', /cannot be written.*locked/);
      assert.equal(storage.handedOnBytes(), 0);
      // Readers are not kept out.
      assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 9 })).entries.length, 0);
      unlock();
      await accept(storage, [local(ann)]);
      await noAlarm(storage);
      assert.deepEqual(await storage.verify(), []);
    }));

  it('holds what is handed on to 32 MB while the disk stands still, then takes the rest', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      await withSecond({ path }, async (patient) => {
        const unlock = lock(path);
        const chunk = Buffer.alloc(64 * 1024, 'z');
        const body = patient.openWriter();
        while (body.append(chunk));
        const limit = HANDED_ON_LIMIT_BYTES;
        assert.ok(patient.handedOnBytes() > limit - chunk.byteLength && patient.handedOnBytes() <= limit);
        const order: number[] = [];
        const waits = [1, 2, 3].map((n) => patient.drained().then(() => order.push(n)));
        await storage.nextDueAt();
        assert.deepEqual(order, []);
        unlock();
        await Promise.all(waits);
        assert.deepEqual(order, [1, 2, 3]);
        assert.ok(body.append(chunk));
        await acceptBody(patient, body, [local(ann, '')]);
        assert.equal(patient.handedOnBytes(), 0);
        assert.equal((await patient.openEntry(ann.id, 1))?.sizeBytes, body.sizeBytes);
      });
    }));

  it('refuses a body of which a part was not stored, and forgets the part', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      const body = storage.openWriter();
      body.append(Buffer.alloc(600_000));
      await storage.addDomain('flushed.example');
      const unlock = lock(path);
      body.append(Buffer.alloc(300_000));
      await assert.rejects(storage.addDomain('x.example'), { kind: 'unavailable' });
      unlock();
      await assert.rejects(acceptBody(storage, body, [local(ann)]), { kind: 'unavailable' });
      assert.equal(storage.handedOnBytes(), 0);
      await storage.addDomain('x.example');
      assert.equal(await chunkCount(storage, path), 0);
    }));

  it('refuses a body whose part fails while the message already waits for the next commit', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      const body = storage.openWriter();
      body.append(Buffer.alloc(300_000));
      await storage.addDomain('flushed.example');
      const unlock = lock(path);
      body.append(Buffer.alloc(300_000));
      const sameGroup = storage.addDomain('x.example');
      // The group with the part is under way now; the message goes into the next one, which succeeds.
      await Promise.resolve();
      const accepted = acceptBody(storage, body, [local(ann)]);
      const refused = assert.rejects(accepted, { kind: 'unavailable', message: /part of the body/ });
      await assert.rejects(sameGroup, { kind: 'unavailable', message: /locked/ });
      unlock();
      await refused;
      assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 9 })).entries.length, 0);
      assert.equal(await chunkCount(storage, path), 0);
    }));

  it('forgets the parts of a message that is refused', () =>
    withStorage(async (storage, path) => {
      const ann = await makeAccount(storage);
      const gone = { ...ann, id: ann.id + 1 };
      await assert.rejects(accept(storage, [local(gone)], Buffer.alloc(700_000)), { kind: 'conflict' });
      assert.equal(await chunkCount(storage, path), 0);
    }));

  it('rejects what was under way when the writer’s thread dies, and starts it again', () =>
    withStorage(async (storage, path) => {
      assert.ok(storage instanceof SqliteStorage);
      const ann = await makeAccount(storage);
      const unlock = lock(path);
      const underWay = storage.addDomain('x.example');
      await storage.threads.lookups.run('nextDueAt', null);
      const ended = storage.threads.writer?.thread?.terminate();
      await assert.rejects(underWay, { kind: 'unavailable', message: /thread/ });
      unlock();
      await ended;
      assert.equal(storage.alarms().length, 1);
      await accept(storage, [local(ann)]);
      await noAlarm(storage);
      assert.equal(await storage.domain('x.example'), null);
    }));

  it('starts a reader again that died', () =>
    withStorage(async (storage) => {
      assert.ok(storage instanceof SqliteStorage);
      await makeAccount(storage);
      await storage.threads.lookups.thread?.terminate();
      assert.equal((await storage.account('ann@example.com'))?.address, 'ann@example.com');
    }));

  it('sweeps old messages in slices of 1,000, so that other work comes in between', () =>
    withStorage(async (storage) => {
      assert.ok(storage instanceof SqliteStorage);
      const ann = await makeAccount(storage);
      await Promise.all(Array.from({ length: 2_100 }, () => accept(storage, [local(ann)], 'x')));
      const { writer } = storage.threads;
      assert.ok(writer);
      const run = writer.run.bind(writer);
      const slices: unknown[] = [];
      writer.run = async (op, ...rest) => {
        const result = await run(op, ...rest);
        if (op === 'sweepMessages') slices.push(result);
        return result;
      };
      assert.equal(await storage.sweep(-1), 2_100);
      assert.deepEqual(slices.slice(0, 3), [1_000, 1_000, 100]);
    }));

  it('sweeps at open what was being received or deleted when the last process ended', () =>
    withFolder(async (path) => {
      const first = await openSqliteStorage({ path });
      const body = first.openWriter();
      body.append(Buffer.alloc(20 * 1024 * 1024));
      const ann = await makeAccount(first);
      await makeAccount(first, 'bob@example.com');
      await accept(first, [local(ann)], Buffer.alloc(9_000_000));
      await first.movePostmaster('bob@example.com');
      await first.close();
      // As a crash in the middle of removing an account leaves it.
      const db = new DatabaseSync(path, { timeout: 5000 });
      db.exec(
        `UPDATE mailbox SET account_id = NULL WHERE account_id = ${ann.id}; DELETE FROM account WHERE id = ${ann.id}`,
      );
      db.close();
      await withSecond({ path }, async (second) => {
        assert.equal(await chunkCount(second, path), 0);
        assert.deepEqual(await second.verify(), []);
      });
    }));

  it('ends a dead process’s claims at a takeover, with the next attempt as written', () =>
    withFolder(async (path) => {
      const first = await openSqliteStorage({ path });
      const id = await accept(first, [queued('a@x.example')]);
      const before = Date.now();
      await claimOne(first, 'x.example', 3_600_000);
      await first.close();
      await withSecond({ path, takeOver: true }, async (second) => {
        assert.deepEqual(await states(second, id), ['queued']);
        const next = (await second.nextDueAt()) ?? 0;
        assert.ok(next >= before + 60_000 && next <= Date.now() + 60_000);
      });
    }));

  it('counts a dead process’s claims as crashes, not those that were given back or lapsed', () =>
    withFolder(async (path) => {
      const open = () => openSqliteStorage({ path, takeOver: true });
      let storage = await open();
      const id = await accept(storage, [queued('a@x.example')]);
      const reopen = async () => {
        await storage.close();
        storage = await open();
        await storage.retry({ all: true }, 'root');
      };
      const crashes = async () => (await storage.message(id))?.message.recipients[0]?.crashes;
      await claimOne(storage, 'x.example', 1);
      while ((await storage.releaseExpired()) === 0);
      await storage.retry({ all: true }, 'root');
      assert.equal(await crashes(), 0);
      for (let died = 1; died <= 3; died++) {
        const { token } = await claimOne(storage, 'x.example');
        if (died === 2) {
          const outcomes = [{ index: 0, result: { type: 'returned' }, ...NO_REPLY } as const];
          await storage.settle({ token, outcomes, events: [], notices: [] });
          await claimOne(storage, 'x.example');
        }
        await reopen();
        assert.equal(await crashes(), died);
        assert.deepEqual(await states(storage, id), [died < 3 ? 'queued' : 'held']);
      }
      const found = await storage.message(id);
      assert.match(found?.message.recipients[0]?.lastReply ?? '', /Set aside after 3 .* server ended/);
      assert.equal(found?.events.filter(({ kind }) => kind === 'held').length, 1);
      assert.equal((await storage.counts()).crashed, 1);
      await storage.close();
    }));

  it('opens a store of schema version 1, with its queue', () =>
    withFolder(async (path) => {
      const old = new DatabaseSync(path);
      old.exec('PRAGMA journal_mode = WAL');
      old.exec(MIGRATIONS[0] ?? '');
      old.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
      old.exec(`INSERT INTO body VALUES (1, 1, 0, 0);
        INSERT INTO message VALUES (1, 1, 's@example.org', 0, 1, NULL, 1, 1, NULL, NULL, NULL, NULL, 0, 0, '', NULL);
        INSERT INTO recipient (message_id, idx, address, original, rule, state, destination, attempts,
          next_attempt_at, due_at, claim, token)
        VALUES (1, 0, 'a@x.example', 'a@x.example', 'external', 1, 'x.example', 1, 1, 9000000000000, 1, 't')`);
      old.close();
      await withSecond({ path, takeOver: true }, async (storage) => {
        assert.deepEqual(await states(storage, 1), ['queued']);
        const claim = await claimOne(storage, 'x.example');
        assert.equal(claim.message.recipients[0]?.crashes, 1);
        assert.deepEqual(await storage.verify(), []);
      });
    }));

  it('finds the destinations that are due without reading every row', () =>
    withStorage(async (storage) => {
      const many = Array.from({ length: 1000 }, (_, n) => queued(`u${n}@big.example`));
      for (let n = 0; n < 20; n++) await accept(storage, many);
      await accept(storage, [queued('a@small.example')]);
      const time = async () => {
        const start = performance.now();
        const found = await storage.dueDestinations({ now: Date.now(), after: '', limit: 100 });
        assert.equal(found.length, 2);
        return performance.now() - start;
      };
      const times = [await time(), await time(), await time(), await time(), await time()];
      // Reading 20,000 rows takes tens of times longer; the fastest of five does not depend on the machine's load.
      const countStart = performance.now();
      await storage.counts();
      assert.ok(Math.min(...times) < Math.max(3, performance.now() - countStart), `${times}`);
    }));
});

/** Accepts a body as a message without added lines. */
function acceptBody(storage: Storage, body: BodyWriter, recipients: readonly NewRecipient[]): Promise<void> {
  const source = { kind: 'internal' as const, address: null, helo: null, user: null, protocol: null };
  const flags = { smtputf8: false, eightBit: false };
  const id = storage.nextMessageId();
  return storage.accept({ id, body, sender: '', source, ...flags, header: '', receivedAt: 1, recipients });
}

/** The store finds out by itself that it can be written again. */
async function noAlarm(storage: Storage): Promise<void> {
  while (storage.alarms().length > 0) await setTimeout(20);
}

/** Chunks in the file, once the sweeper has done what it has to do. */
async function chunkCount(storage: Storage, path: string): Promise<number> {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const statement = db.prepare('SELECT count(*) AS n FROM body_chunk');
    for (let round = 0; round < 50; round++) {
      await storage.releaseExpired();
      if (statement.get()?.n === 0) return 0;
    }
    return Number(statement.get()?.n);
  } finally {
    db.close();
  }
}
