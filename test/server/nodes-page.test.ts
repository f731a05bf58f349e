/** The page of two servers on one PostgreSQL: who signed in at one is signed in at the other, and is out at both. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, browserOf, shaped, signIn } from '../support/api.ts';
import type { Cmail } from '../support/cmail.ts';
import { startNodes } from '../support/nodes.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';

test('sessions and tokens of the page are valid on every node, and end on every node', async (t) => {
  if (!requirePostgres(t)) return;
  const database = await startPostgres();
  t.after(() => database.close());
  const { nodes } = await startNodes(t, database, { count: 2, domains: ['here.test'] });
  const [a, b] = nodes.map(({ cmail }) => cmail);
  assert.ok(a !== undefined && b !== undefined);

  const anna = await signIn(a);
  const asAnna = (server: Cmail, method: string, path: string, body?: unknown) =>
    ask(server, method, `/api/v1${path}`, {
      headers: { cookie: anna.cookie, 'x-csrf-token': anna.csrf },
      ...(body === undefined ? {} : { body }),
    });
  const domains = await asAnna(b, 'GET', '/domains');
  assert.equal(domains.status, 200, domains.text);
  assert.match(domains.text, /here\.test/);
  const added = await asAnna(b, 'POST', '/domains', { name: 'there.test' });
  assert.equal(added.status, 201, added.text);

  const made = shaped(
    'makeToken',
    await anna.send('POST', '/tokens', { name: 'watch', scopes: ['read'], days: 1 }),
  );
  const { token, id } = made as unknown as { token: string; id: string };
  const asProgram = (server: Cmail) =>
    ask(server, 'GET', '/api/v1/domains', { headers: { authorization: `Bearer ${token}` } });
  for (const server of [a, b]) assert.match((await asProgram(server)).text, /there\.test/);
  assert.equal((await asAnna(b, 'DELETE', `/tokens/${id}`)).status, 204);
  for (const server of [a, b]) assert.equal((await asProgram(server)).status, 401);

  assert.equal((await asAnna(b, 'DELETE', '/session')).status, 204);
  for (const server of [a, b]) assert.equal((await asAnna(server, 'GET', '/domains')).status, 401);
});

test('a session of an account is valid on every node, and ends on every node', async (t) => {
  if (!requirePostgres(t)) return;
  const database = await startPostgres();
  t.after(() => database.close());
  const bert = 'bert@here.test';
  const { nodes } = await startNodes(t, database, { count: 2, domains: ['here.test'] });
  const [a, b] = nodes.map(({ cmail }) => cmail);
  assert.ok(a !== undefined && b !== undefined);
  const root = await signIn(a);
  for (const address of ['boss@here.test', bert]) {
    shaped('addAccount', await root.send('POST', '/accounts', { address, password: 'secret-password' }));
  }
  const enter = async (server: Cmail) => {
    const body = { name: bert, password: 'secret-password' };
    return browserOf(server, await ask(server, 'POST', '/api/v1/session', { body })).cookie;
  };
  const status = async (server: Cmail, cookie: string) =>
    (await ask(server, 'GET', '/api/v1/me', { headers: { cookie } })).status;
  const first = await enter(a);
  for (const server of [a, b]) assert.equal(await status(server, first), 200);
  await root.send('PATCH', `/accounts/${bert}`, { enabled: false });
  for (const server of [a, b]) assert.equal(await status(server, first), 401);
  await root.send('PATCH', `/accounts/${bert}`, { enabled: true });
  const second = await enter(b);
  await a.set({ 'page.accounts': 'off' });
  assert.equal(await status(a, second), 401);
  await b.waitFor('the other node to hear of it', async () => (await status(b, second)) === 401);
});
