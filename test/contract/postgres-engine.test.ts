/** What is PostgreSQL's own: schema versions, rights, lost connections and lost commits. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HANDED_ON_LIMIT_BYTES, type Storage } from '../../src/storage/contract.ts';
import { openPostgresStorage } from '../../src/storage/postgres/index.ts';
import { SCHEMA_VERSION } from '../../src/storage/postgres/schema.ts';
import { freePort } from '../support/free-port.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type ScratchDatabase, scratchDatabase } from '../support/postgres-shared.ts';
import { requirePostgres } from '../support/require.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { accept, local, makeAccount, queued, readAll } from './storage-fixture.ts';

/** A call is answered within this time, whatever the database does. */
const ANSWER_MS = 40_000;

async function withStorage(url: string, use: (storage: Storage) => Promise<void>): Promise<void> {
  const storage = await openPostgresStorage({ url });
  try {
    await use(storage);
  } finally {
    await storage.close();
  }
}

async function throughProxy(t: TestContext, { url }: ScratchDatabase): Promise<[string, TcpProxy]> {
  const { port } = new URL(url);
  const proxy = await startTcpProxy(Number(port));
  t.after(() => proxy.close());
  return [url.replace(`:${port}/`, `:${proxy.port}/`), proxy];
}

/** The store finds out by itself that it can be used again. */
async function noAlarm(storage: Storage): Promise<void> {
  const until = performance.now() + ANSWER_MS;
  while (storage.alarms().length > 0) {
    assert.ok(performance.now() < until, storage.alarms().join('\n'));
    await sleep(20);
  }
}

async function refusal(url: string): Promise<{ kind: string; message: string }> {
  try {
    await (await openPostgresStorage({ url })).close();
  } catch (error) {
    return error as { kind: string; message: string };
  }
  return { kind: 'none', message: 'it was opened' };
}

describe('postgres: opening', () => {
  it('makes the schema once, also for three nodes that start at once', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    const opened = await Promise.all([1, 2, 3].map(() => openPostgresStorage({ url: database.url })));
    assert.equal(await database.sql('SELECT version FROM cmail_schema'), String(SCHEMA_VERSION));
    await Promise.all(opened.map((storage) => storage.close()));
    assert.equal(await database.sql('SELECT count(*) FROM node'), '0');
  });

  it('refuses a newer schema and another program’s tables', async (t) => {
    if (!requirePostgres(t)) return;
    const newer = await scratchDatabase(t);
    await (await openPostgresStorage({ url: newer.url })).close();
    await newer.sql(`UPDATE cmail_schema SET version = ${SCHEMA_VERSION + 1}`);
    const told = await refusal(newer.url);
    assert.equal(told.kind, 'schema');
    assert.match(told.message, new RegExp(`version ${SCHEMA_VERSION + 1}.*newer CMail`));
    const foreign = await scratchDatabase(t);
    await foreign.sql('CREATE TABLE things (a integer)');
    const other = await refusal(foreign.url);
    assert.equal(other.kind, 'schema');
    assert.match(other.message, /another program \(things\)/);
  });

  it('says in one message what keeps it out, never the password', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    const role = await database.server.createRole();
    const wrong = { user: role.user, password: 'not-the-password' };
    const cases: [string, RegExp, string][] = [
      [database.server.url(database.name, wrong), /user name or password/, wrong.password],
      [database.server.url('no_such_database', role), /no such database/, role.password],
      [database.server.url(database.name, role), /lacks rights/, role.password],
      [
        `postgres://u:secret-word@127.0.0.1:${await freePort('127.0.0.1')}/cmail`,
        /no database answers/,
        'secret-word',
      ],
      ['postgres://u:secret-word@nowhere.invalid:5432/cmail', /no address/, 'secret-word'],
    ];
    for (const [url, words, password] of cases) {
      const { kind, message } = await refusal(url);
      assert.equal(kind, 'unavailable', message);
      assert.match(message, words);
      assert.ok(!message.includes(password), message);
      assert.ok(!message.includes('\n'), message);
    }
  });

  it('refuses a database that may forget commits', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    await database.sql(`ALTER DATABASE ${database.name} SET synchronous_commit = off`);
    const { kind, message } = await refusal(database.url);
    assert.equal(kind, 'unavailable');
    assert.match(message, /synchronous_commit = off/);
  });

  it('keeps text that PostgreSQL has no place for', async (t) => {
    if (!requirePostgres(t)) return;
    const { url } = await scratchDatabase(t);
    await withStorage(url, async (storage) => {
      const id = await accept(storage, [queued('a@x.example')], 'x', { header: 'X: a\0b\ud800\r\n' });
      assert.equal((await storage.message(id))?.message.header, 'X: a\ufffdb\ufffd\r\n');
    });
  });

  it('finds what does not add up', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    await withStorage(database.url, async (storage) => {
      const ann = await makeAccount(storage);
      const id = await accept(storage, [local(ann), queued('a@x.example')]);
      await database.sql(`UPDATE body SET refs = 9; UPDATE account SET used_bytes = 1; DELETE FROM body_chunk;
        UPDATE message SET open_count = 5; INSERT INTO event VALUES (77, 1, 1, 'held', NULL, '{}');
        INSERT INTO body_chunk VALUES (99::bigint << 24, '\\x00')`);
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
    });
  });
});

describe('postgres: trouble', () => {
  it('defers and raises an alarm while the database is away, and goes on by itself', async (t) => {
    if (!requirePostgres(t)) return;
    const server = await startPostgres();
    t.after(() => server.close());
    const name = await server.createDatabase();
    await withStorage(server.url(name), async (storage) => {
      const ann = await makeAccount(storage);
      await accept(storage, [local(ann)], 'before');
      await server.kill9();
      await assert.rejects(accept(storage, [local(ann)], 'meanwhile'), { kind: 'unavailable' });
      await assert.rejects(storage.account(ann.address), { kind: 'unavailable' });
      assert.match(storage.alarms()[0] ?? '', /database cannot be used/);
      assert.equal(storage.handedOnBytes(), 0);
      await server.start();
      await noAlarm(storage);
      await accept(storage, [local(ann)], 'after');
      assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 9 })).entries.length, 2);
      assert.deepEqual(await storage.verify(), []);
    });
  });

  it('takes a restart between two messages without a refusal', async (t) => {
    if (!requirePostgres(t)) return;
    const server = await startPostgres();
    t.after(() => server.close());
    const name = await server.createDatabase();
    await withStorage(server.url(name), async (storage) => {
      const ann = await makeAccount(storage);
      await accept(storage, [local(ann)], 'before');
      await server.stop('fast');
      await server.start();
      await accept(storage, [local(ann)], 'after');
      assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 9 })).entries.length, 2);
    });
  });

  it('is answered in time when the database falls silent, holds 32 MB at most, and takes mail again', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    const [url, proxy] = await throughProxy(t, database);
    await withStorage(url, async (storage) => {
      const ann = await makeAccount(storage);
      proxy.stall();
      const startedAt = performance.now();
      const bodies = Array.from({ length: 10 }, () => storage.openWriter());
      const chunk = Buffer.alloc(64 * 1024, 'z');
      let taken = 0;
      while (bodies[taken % bodies.length]?.append(chunk)) taken++;
      assert.ok(storage.handedOnBytes() <= HANDED_ON_LIMIT_BYTES);
      await assert.rejects(storage.addDomain('x.example'), { kind: 'unavailable' });
      await assert.rejects(storage.entry('a@example.com'), { kind: 'unavailable' });
      assert.ok(performance.now() - startedAt < 2 * ANSWER_MS);
      for (const body of bodies) body.abort();
      proxy.heal();
      await noAlarm(storage);
      await accept(storage, [local(ann)], 'after');
      assert.ok((await readAll(await storage.openEntry(ann.id, 1))).toString().endsWith('after'));
      while (storage.handedOnBytes() > 0) await sleep(20);
      assert.deepEqual(await storage.verify(), []);
    });
  });

  it('answers each accept by what became of it, with connections cut all the time', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    const [url, proxy] = await throughProxy(t, database);
    await withStorage(url, async (storage) => {
      const ann = await makeAccount(storage);
      const cutter = setInterval(() => proxy.cut(), 40);
      const accepted: number[] = [];
      let refused = 0;
      for (let round = 0; round < 60; round++) {
        const results = await Promise.allSettled(
          Array.from({ length: 5 }, () => accept(storage, [local(ann, '')], `${round}`)),
        );
        for (const result of results) {
          if (result.status === 'fulfilled') accepted.push(result.value);
          else refused++;
        }
      }
      clearInterval(cutter);
      await noAlarm(storage);
      const { entries } = await storage.inbox(ann.id, { afterUid: 0, limit: 1000 });
      const stored = entries.map(({ messageId }) => messageId).sort((a, b) => a - b);
      assert.ok(accepted.length > 0);
      const lost = accepted.filter((id) => !stored.includes(id));
      const refusedYetStored = stored.filter((id) => !accepted.includes(id));
      assert.deepEqual(
        { lost, refusedYetStored },
        { lost: [], refusedYetStored: [] },
        `${accepted.length} accepted, ${refused} refused; ${JSON.stringify({ lost, refusedYetStored })}`,
      );
      assert.deepEqual(await storage.verify(), []);
    });
  });
});
