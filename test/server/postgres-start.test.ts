/** What a store on PostgreSQL can be like when the server starts: each one clear message, nothing changed. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { runCmail, startCmail, temporaryFolder, writeConfig } from '../support/cmail.ts';
import { freePort } from '../support/free-port.ts';
import { type ScratchDatabase, scratchDatabase } from '../support/postgres-shared.ts';
import { requirePostgres } from '../support/require.ts';

/** `cmail start` with a store there, which must end with one line on standard error; resolves to it. */
async function refusedStart(t: TestContext, url: string): Promise<string> {
  const folder = await temporaryFolder(t);
  const config = await writeConfig(folder, join(folder, 'data'), { store: { url } });
  const { code, stdout, stderr } = await runCmail(['start', '--config', config]);
  assert.equal(code, 1, stderr);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  assert.doesNotMatch(stdout, /ready/);
  const { password } = new URL(url);
  if (password !== '') assert.ok(!stderr.includes(password), 'the password stays secret');
  return stderr;
}

async function database(t: TestContext): Promise<ScratchDatabase | null> {
  return requirePostgres(t) ? scratchDatabase(t) : null;
}

/** Brings a database to the present schema. */
async function initialised(t: TestContext): Promise<ScratchDatabase | null> {
  const made = await database(t);
  if (made !== null) {
    const server = await startCmail(t, { config: { store: { url: made.url } }, domains: ['here.test'] });
    await server.stop();
  }
  return made;
}

describe('a store on PostgreSQL', () => {
  it('is created in an empty database, keeps what it is given, and is used by commands without a server', async (t) => {
    const made = await database(t);
    if (made === null) return;
    const server = await startCmail(t, { config: { store: { url: made.url } } });
    await server.run(['domain', 'add', 'here.test']);
    await server.stop();
    const offline = await server.cli(['domain', 'add', 'later.test']);
    assert.equal(offline.code, 0, offline.stderr);
    await server.restart();
    const names = (await server.json<{ name: string }[]>(['domain', 'list'])).map(({ name }) => name);
    assert.deepEqual(names, ['here.test', 'later.test']);
    assert.ok(!(await readdir(server.dataDir)).includes('cmail.db'), 'no SQLite file beside it');
  });

  it('of a newer CMail is left alone', async (t) => {
    const made = await initialised(t);
    if (made === null) return;
    await made.sql('UPDATE cmail_schema SET version = 999');
    assert.match(await refusedStart(t, made.url), /schema version 999.*newer CMail/);
    assert.equal(await made.sql('SELECT version FROM cmail_schema'), '999');
  });

  it('is not made among the tables of another program', async (t) => {
    const made = await database(t);
    if (made === null) return;
    await made.sql('CREATE TABLE customer (id int PRIMARY KEY); INSERT INTO customer VALUES (1)');
    assert.match(
      await refusedStart(t, made.url),
      /tables of another program \(customer\).*database for CMail alone/,
    );
    const tables = "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'";
    assert.equal(await made.sql(tables), 'customer');
  });

  it('with a wrong password', async (t) => {
    const made = await database(t);
    if (made === null) return;
    const url = made.url.replace(/:[^:@]*@/, ':not-the-password@');
    assert.match(await refusedStart(t, url), /refuses this user name or password: check store\.url/);
  });

  it('in a database that does not exist', async (t) => {
    const made = await database(t);
    if (made === null) return;
    const url = made.server.url('no_such_database');
    assert.match(
      await refusedStart(t, url),
      /no_such_database: there is no such database: create it, or check store\.url/,
    );
  });

  it('in a database where the role may not make tables', async (t) => {
    const made = await database(t);
    if (made === null) return;
    const role = await made.server.createRole();
    assert.match(
      await refusedStart(t, made.server.url(made.name, role)),
      /lacks rights in the database: make it the owner/,
    );
  });

  it('whose tables the role may not use', async (t) => {
    const made = await initialised(t);
    if (made === null) return;
    const role = await made.server.createRole();
    assert.match(
      await refusedStart(t, made.server.url(made.name, role)),
      /lacks rights in the database: make it the owner/,
    );
  });

  it('on a server that cannot be reached', async (t) => {
    if (!requirePostgres(t)) return;
    const port = await freePort('127.0.0.1');
    const url = `postgres://cmail:secret-word@127.0.0.1:${port}/cmail`;
    assert.match(
      await refusedStart(t, url),
      new RegExp(`127\\.0\\.0\\.1:${port}/cmail: no database answers there`),
    );
  });
});

describe('secret.key', () => {
  it('is shared by all nodes of a database: another one, or none, is refused, and which file to copy is said', async (t) => {
    const made = await database(t);
    if (made === null) return;
    const first = await startCmail(t, { config: { store: { url: made.url } } });
    const folder = await temporaryFolder(t);
    const data = join(folder, 'data');
    await mkdir(data, { mode: 0o700 });
    const config = await writeConfig(folder, data, { store: { url: made.url } });
    const start = () => runCmail(['domain', 'list', '--config', config]);
    const key = join(data, 'secret.key');

    const none = await start();
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /has no secret\.key.*copy secret\.key from the data folder of a node that runs to .*secret\.key/,
    );
    assert.ok(!(await readdir(data)).includes('secret.key'), 'no other key is made');

    await writeFile(key, `${'5a'.repeat(32)}\n`, { mode: 0o600 });
    const other = await start();
    assert.equal(other.code, 1);
    assert.match(other.stderr, /secret\.key is not the key.*copy secret\.key from/);
    assert.doesNotMatch(other.stderr, /5a5a/);

    await copyFile(join(first.dataDir, 'secret.key'), key);
    assert.equal((await start()).code, 0);
  });
});
