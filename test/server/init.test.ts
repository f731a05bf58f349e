/** What the first run on the page does, from the command line. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { ADMIN_PASSWORD, ask } from '../support/api.ts';
import { runCmail, startCmail, temporaryFolder } from '../support/cmail.ts';

it('init makes host name, administrator, domain and account, with which the server then works', async (t) => {
  const folder = await temporaryFolder(t);
  const config = join(folder, 'cmail.toml');
  await writeFile(config, '[listen]\nsmtp = ["127.0.0.1:0"]\n');
  const place = ['--data', join(folder, 'data'), '--config', config];
  const init = ['init', '--hostname', 'mail.example.test', '--admin', 'anna', '--password-stdin'];
  const done = await runCmail(
    [...init, '--domain', 'example.test', '--account', 'bob@example.test', ...place],
    { input: `${ADMIN_PASSWORD}\n` },
  );
  assert.equal(done.code, 0, done.stderr);
  assert.match(await readFile(config, 'utf8'), /^hostname = "mail\.example\.test"\n\[listen\]\n/);
  const again = await runCmail(['init', '--admin', 'eve', '--password-stdin', ...place], {
    input: `${ADMIN_PASSWORD}\n`,
  });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /there is an administrator already/);
  const weak = await runCmail(['admin', 'add', 'eve', '--password-stdin', ...place], {
    input: 'password123\n',
  });
  assert.equal(weak.code, 1);

  // The folder's own store, whatever the one of this run.
  const server = await startCmail(t, { dataDir: join(folder, 'data'), config: { store: { url: 'sqlite' } } });
  assert.equal(server.logText().includes('/setup#token='), false);
  const body = { name: 'anna', password: ADMIN_PASSWORD };
  assert.equal((await ask(server, 'POST', '/api/v1/session', { body })).status, 201);
  const [bob] = await server.json<{ address: string }[]>(['account', 'list']);
  assert.equal(bob?.address, 'bob@example.test');
  await server.run(['admin', 'add', 'bea', '--password-stdin'], { input: `${ADMIN_PASSWORD}\n` });
  await server.run(['admin', 'remove', 'anna']);
  assert.deepEqual(
    (await server.json<{ name: string }[]>(['admin', 'list'])).map(({ name }) => name),
    ['bea'],
  );
  const last = await server.cli(['admin', 'remove', 'bea']);
  assert.match(last.stderr, /bea is the last administrator/);
  const [entry] = await server.json<{ action: string; details: string }[]>(['audit', '--limit', '1']);
  assert.deepEqual([entry?.action, entry?.details], ['administrator.remove', 'anna']);
});
