/** How a store made by one version of the schema becomes the next one's, with a list of steps that has one more. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Connection } from '../../src/storage/postgres/connection.ts';
import { openPostgresStorage } from '../../src/storage/postgres/index.ts';
import { MIGRATIONS, prepareSchema, SCHEMA_VERSION } from '../../src/storage/postgres/schema.ts';
import { type ScratchDatabase, scratchDatabase } from '../support/postgres-shared.ts';
import { requirePostgres } from '../support/require.ts';
import { accept, queued } from './storage-fixture.ts';

const NEXT = [
  ...MIGRATIONS,
  [
    "ALTER TABLE message ADD COLUMN colour text NOT NULL DEFAULT 'grey'",
    "UPDATE message SET colour = 'blue'",
  ],
];

/** A store of the present version with one message in it. */
async function olderStore(t: TestContext): Promise<ScratchDatabase> {
  const database = await scratchDatabase(t);
  const storage = await openPostgresStorage({ url: database.url });
  await accept(storage, [queued('x@far.test')]);
  await storage.close();
  return database;
}

async function prepare({ url }: ScratchDatabase, steps: readonly (readonly string[])[]): Promise<void> {
  const connection = new Connection({ url, max: 1, readOnly: false });
  try {
    await prepareSchema(connection, false, steps);
  } finally {
    await connection.close();
  }
}

describe('postgres: a store of an older schema', () => {
  it('is migrated once by nodes that start together, keeps its rows, and is then too new for the older program', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await olderStore(t);
    await Promise.all([1, 2, 3].map(() => prepare(database, NEXT)));
    assert.equal(await database.sql('SELECT version FROM cmail_schema'), String(SCHEMA_VERSION + 1));
    assert.equal(await database.sql('SELECT colour, size FROM message'), 'blue|25');
    await assert.rejects(openPostgresStorage({ url: database.url }), {
      kind: 'schema',
      message: /newer CMail/,
    });
  });

  it('is as it was when a step fails', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await olderStore(t);
    const broken = [...NEXT.slice(0, -1), [...(NEXT.at(-1) ?? []), 'UPDATE no_such_table SET a = 1']];
    await assert.rejects(prepare(database, broken), { kind: 'internal', message: /no_such_table/ });
    assert.equal(await database.sql('SELECT version FROM cmail_schema'), String(SCHEMA_VERSION));
    await assert.rejects(database.sql('SELECT colour FROM message'), /colour/);
    const storage = await openPostgresStorage({ url: database.url });
    assert.deepEqual(await storage.verify(), []);
    await storage.close();
  });

  it('is not marked as older by a program that was overtaken by a newer one', async (t) => {
    if (!requirePostgres(t)) return;
    const database = await scratchDatabase(t);
    const both = await Promise.allSettled(
      Array.from({ length: 6 }, (_, n) => prepare(database, n % 2 === 0 ? NEXT : MIGRATIONS)),
    );
    assert.ok(both.filter(({ status }) => status === 'fulfilled').length >= 3);
    assert.equal(await database.sql('SELECT version FROM cmail_schema'), String(SCHEMA_VERSION + 1));
    assert.equal(await database.sql("SELECT count(*) FROM message WHERE colour = 'blue'"), '0');
  });
});
