/** A store copied from one engine to the other: by the contract, over a kill, and refused when it would do harm. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Storage } from '../../src/storage/contract.ts';
import { copyStore } from '../../src/storage/copy/copy-store.ts';
import { openPostgresSide } from '../../src/storage/copy/postgres-side.ts';
import { openSqliteSide } from '../../src/storage/copy/sqlite-side.ts';
import { openPostgresStorage } from '../../src/storage/postgres/index.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { runCmail, startCmail, temporaryFolder, writeConfig } from '../support/cmail.ts';
import { type ScratchDatabase, scratchDatabase } from '../support/postgres-shared.ts';
import { requirePostgres } from '../support/require.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { describeStore, fillStore } from './full-store.ts';
import { accept, local, makeAccount, queued } from './storage-fixture.ts';

const MANY = 1_500;

/** A data folder with its configuration, and an empty database. */
interface Place {
  readonly folder: string;
  readonly file: string;
  readonly database: ScratchDatabase;
  /** `cmail` in this folder. */
  cmail(...args: string[]): ReturnType<typeof runCmail>;
  openSqlite(): Promise<Storage>;
  openPostgres(): Promise<Storage>;
}

async function makePlace(t: TestContext): Promise<Place> {
  const folder = await temporaryFolder(t);
  const config = await writeConfig(folder, folder);
  const database = await scratchDatabase(t);
  const file = join(folder, 'cmail.db');
  return {
    folder,
    file,
    database,
    cmail: (...args) => runCmail([...args, '--data', folder, '--config', config]),
    openSqlite: () => openSqliteStorage({ path: file, takeOver: true }),
    openPostgres: () => openPostgresStorage({ url: database.url }),
  };
}

async function withStorage<T>(open: Promise<Storage>, use: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await open;
  try {
    return await use(storage);
  } finally {
    await storage.close();
  }
}

async function succeeds(result: ReturnType<typeof runCmail>): Promise<string> {
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, stderr);
  return stdout;
}

async function refuses(result: ReturnType<typeof runCmail>, words: RegExp): Promise<void> {
  const { code, stdout, stderr } = await result;
  assert.equal(code, 1, stdout + stderr);
  assert.match(stderr, words);
}

describe('store copy', () => {
  it('brings every kind of row to PostgreSQL and back, with the numbers that were given', async (t) => {
    if (!requirePostgres(t)) return;
    const place = await makePlace(t);
    await withStorage(place.openSqlite(), fillStore);
    const before = await withStorage(place.openSqlite(), async (storage) => ({
      all: await describeStore(storage),
      id: storage.nextMessageId(),
    }));
    const there = await succeeds(place.cmail('store', 'copy', '--to', place.database.url));
    assert.match(there, /recipient +\d+ +[0-9a-f]{32}\n/);
    assert.doesNotMatch(there, new RegExp(new URL(place.database.url).password));
    const onPostgres = await withStorage(place.openPostgres(), async (storage) => {
      const all = await describeStore(storage);
      assert.ok(storage.nextMessageId() > before.id, 'no message number is given twice');
      return all;
    });
    assert.deepEqual(onPostgres, before.all);
    // The source is as it was.
    assert.deepEqual(await withStorage(place.openSqlite(), describeStore), before.all);

    await rm(place.file);
    const back = await succeeds(place.cmail('store', 'copy', '--from', place.database.url, '--to', 'sqlite'));
    assert.match(back, /recipient +\d+ +[0-9a-f]{32}\n/);
    await withStorage(place.openSqlite(), async (storage) => {
      assert.deepEqual(await describeStore(storage), before.all);
      const { id } = await makeAccount(storage, 'new@example.com');
      const ids = (await storage.listAccounts()).map((account) => account.id);
      // ann, bob and one that is gone came before.
      assert.equal(id, 4, `${ids}`);
    });
    await withStorage(place.openPostgres(), async (storage) => {
      assert.equal((await makeAccount(storage, 'new@example.com')).id, 4);
    });
  });

  for (const direction of ['to PostgreSQL', 'to SQLite'] as const) {
    it(`${direction}, killed on the way, goes on where it was`, async (t) => {
      if (!requirePostgres(t)) return;
      const place = await makePlace(t);
      const toPostgres = direction === 'to PostgreSQL';
      await withStorage(toPostgres ? place.openSqlite() : place.openPostgres(), fillMany);
      const from = toPostgres ? 'sqlite' : place.database.url;
      const to = toPostgres ? place.database.url : 'sqlite';
      const again = ['store', 'copy', '--from', from, '--to', to];
      await killAt(place, again, /copying (event|message|recipient)/);
      const open = toPostgres ? place.openPostgres : place.openSqlite;
      await assert.rejects(open(), { kind: 'schema', message: /copy that is not complete.*store copy/ });
      // Another source cannot go on with it, and a changed row that was copied already is found in the end.
      const change = "UPDATE account SET quota = 77 WHERE name = 'ann@example.com'";
      if (toPostgres) await place.database.sql(change);
      else changeFile(place.file, change);
      await refuses(place.cmail(...again), /not like .*account \(other contents\).*--restart/);
      await assert.rejects(open(), { kind: 'schema' });
      await killAt(place, [...again, '--restart'], /copying (event|message|recipient)/);
      await succeeds(place.cmail(...again));
      const copied = await withStorage(open(), describeStore);
      const source = toPostgres ? place.openSqlite : place.openPostgres;
      assert.deepEqual(copied, await withStorage(source(), describeStore));
    });
  }

  it('leaves a store as it is while it is open for that, so that a copy can go on later', async (t) => {
    if (!requirePostgres(t)) return;
    const { file, database } = await makePlace(t);
    const listed = 'SELECT count(*) AS n FROM search_todo';
    const engines = [
      {
        open: (atRest: boolean) => openSqliteStorage({ path: file, takeOver: true, atRest }),
        count: async () => countIn(file, listed),
      },
      {
        open: (atRest: boolean) => openPostgresStorage({ url: database.url, atRest }),
        count: async () => Number(await database.sql(listed)),
      },
    ];
    for (const { open, count } of engines) {
      // Closed at once, so that what came last is not searchable yet.
      await withStorage(open(false), async (storage) => accept(storage, [local(await makeAccount(storage))]));
      const before = await count();
      assert.ok(before > 0);
      await withStorage(open(true), () => delay(1_000));
      assert.equal(await count(), before);
      await withStorage(open(false), (storage) => storage.searchable());
      assert.equal(await count(), 0);
    }
  });

  it('refuses what would do harm, in words', async (t) => {
    if (!requirePostgres(t)) return;
    const place = await makePlace(t);
    const { url } = place.database;
    await refuses(place.cmail('store', 'copy', '--to', url), /there is no store .*--data/);
    await succeeds(place.cmail('domain', 'add', 'example.com'));
    await refuses(place.cmail('store', 'copy', '--to', 'sqlite'), /the same store/);
    await refuses(
      place.cmail('store', 'copy', '--to', 'mysql://u:pw@h/d'),
      /--to mysql:\/\/u:\*\*\*@h\/d: .*mysql/,
    );
    await withStorage(place.openPostgres(), (storage) => storage.addDomain('other.test'));
    await refuses(place.cmail('store', 'copy', '--to', url), /holds accounts, mail or settings already/);
    const usage = await place.cmail('store', 'copy');
    assert.equal(usage.code, 2);
  });

  it('is used by a server afterwards, and refused while one runs', async (t) => {
    if (!requirePostgres(t)) return;
    const place = await makePlace(t);
    const { folder, database } = place;
    await withStorage(place.openSqlite(), fillStore);
    await succeeds(place.cmail('store', 'copy', '--to', database.url));
    const config = { store: { url: database.url } };
    const server = await startCmail(t, { dataDir: folder, config });
    const before = await server.json<object[]>(['mail', 'list', 'ann@example.com']);
    const client = await greeted(server.listeners.smtp);
    const data = letter({ from: 's@example.org', to: 'ann@example.com', subject: 'after the copy' });
    const sent = await client.sendMessage({ from: 's@example.org', to: ['ann@example.com'], data });
    await client.quit();
    assert.equal(sent.end?.code, 250, sent.end?.text);
    const after = await server.json<object[]>(['mail', 'list', 'ann@example.com']);
    assert.equal(after.length, before.length + 1);
    await server.run(['verify']);

    const locked = await place.cmail('store', 'copy', '--from', database.url, '--to', 'sqlite');
    assert.match(locked.stderr, /in use by another CMail/);
    // From another folder the lock is no help; the node in the database is.
    const other = await makePlace(t);
    await copyFile(join(folder, 'secret.key'), join(other.folder, 'secret.key'));
    const back = () => other.cmail('store', 'copy', '--from', database.url, '--to', 'sqlite');
    await refuses(back(), /the node mail\.cmail\.test runs on .*stop every node first/);
    await server.stop();
    await succeeds(back());
    await withStorage(other.openSqlite(), async (storage) => {
      assert.deepEqual(await storage.verify(), []);
      assert.ok((await storage.account('ann@example.com')) !== null);
    });
  });

  it('refuses to go on with the copy of another store', async (t) => {
    if (!requirePostgres(t)) return;
    const [one, two] = [await makePlace(t), await makePlace(t)];
    await withStorage(one.openSqlite(), fillStore);
    await withStorage(two.openSqlite(), fillStore);
    await withStorage(one.openPostgres(), async () => undefined);
    const [source, target] = [
      await openSqliteSide(one.file),
      await openPostgresSide(one.database.url, 'the database'),
    ];
    const options = {
      restart: false,
      onStep: () => {
        throw new Error('stopped');
      },
    };
    await assert.rejects(copyStore(source, target, options), /stopped/);
    await source.close();
    await target.close();
    await refuses(
      two.cmail('store', 'copy', '--to', one.database.url),
      /holds an incomplete copy of .*cmail\.db: go on with that one, or .*--restart/,
    );
    await succeeds(two.cmail('store', 'copy', '--to', one.database.url, '--restart'));
  });
});

function changeFile(file: string, sql: string): void {
  const db = new DatabaseSync(file);
  db.exec(sql);
  db.close();
}

function countIn(file: string, sql: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return Number(db.prepare(sql).get()?.n);
  } finally {
    db.close();
  }
}

/** Enough for several pages of most tables. */
async function fillMany(storage: Storage): Promise<void> {
  await fillStore(storage);
  const account = await storage.account('ann@example.com');
  assert.ok(account);
  for (let from = 0; from < MANY; from += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        accept(storage, [
          n % 2 === 0 ? local(account) : queued(`x${from + n}@many.test`, Date.now() + 3_600_000),
        ]),
      ),
    );
  }
}

/** Starts a command and kills it with SIGKILL when its standard error matches. */
async function killAt(place: Place, args: readonly string[], words: RegExp): Promise<void> {
  const launcher = join(import.meta.dirname, '../../bin/cmail');
  const config = join(place.folder, 'cmail.toml');
  const child = spawn(launcher, [...args, '--data', place.folder, '--config', config]);
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    said += piece;
    if (words.test(said)) child.kill('SIGKILL');
  });
  const [, signal] = await once(child, 'close');
  assert.equal(signal, 'SIGKILL', `it ended by itself: ${said}`);
}
