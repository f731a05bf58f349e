import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { poll, temporaryFolder } from '../support/cmail.ts';
import { postgresPrograms, startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';

test('a scratch PostgreSQL keeps what was committed over kill -9, and so does its promoted replica', async (t) => {
  if (!requirePostgres(t)) return;
  const server = await startPostgres();
  t.after(() => server.close());
  const name = await server.createDatabase();
  await server.sql('CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)', name);
  await server.kill9();
  await assert.rejects(server.sql('SELECT 1', name), /refused/);
  await server.start();
  const replica = await server.replica();
  t.after(() => replica.close());
  await server.sql('INSERT INTO kept VALUES (2)', name);
  await server.kill9();
  await assert.rejects(replica.sql('INSERT INTO kept VALUES (3)', name), /read-only/);
  await replica.promote();
  await replica.sql('INSERT INTO kept VALUES (4)', name);
  assert.equal(await replica.sql('SELECT n FROM kept ORDER BY n', name), '1\n2\n4');
  await replica.dropDatabase(name);
  await assert.rejects(replica.sql('SELECT 1', name), /does not exist/);
});

test('a role of its own may log in, and only with its password', async (t) => {
  if (!requirePostgres(t)) return;
  const server = await startPostgres();
  t.after(() => server.close());
  const role = await server.createRole();
  const psql = (url: string) =>
    execFileSync(join(String(postgresPrograms()), 'psql'), ['-XAtc', 'SELECT current_user', url], {
      stdio: 'pipe',
    });
  assert.equal(psql(server.url('postgres', role)).toString().trim(), role.user);
  const wrong = server.url('postgres', { ...role, password: 'wrong' });
  assert.throws(() => psql(wrong), /password authentication failed/);
});

test('one that is not closed ends with the process that started it', async (t) => {
  if (!requirePostgres(t)) return;
  const program = `
    import { postgresPrograms, startPostgres } from '${import.meta.resolve('../support/postgres-server.ts')}';
    console.log((await startPostgres()).port);
    process.kill(process.pid, 'SIGKILL');`;
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const env = { ...process.env, TMPDIR: folder };
  const args = ['--input-type=module-typescript', '-e', program];
  let port = '';
  try {
    execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  } catch (error) {
    port = String((error as { stdout: Buffer }).stdout).trim();
  }
  assert.match(port, /^\d+$/);
  const taken = () => execFileSync('ps', ['-eo', 'args']).toString().includes(`-p ${port}`);
  await poll('PostgreSQL to end', async () => !taken());
});
