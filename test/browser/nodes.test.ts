import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, makeAdministrator, openPage, signIn, startBrowser } from '../support/browser.ts';
import { startNodes } from '../support/nodes.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';

/** A node is silent once nothing was heard of it for 15 s. */
const SILENT_WITHIN_MS = 40_000;

test('two nodes on one PostgreSQL: both are on the dashboard, and one that dies is seen to be silent', async (t) => {
  if (!requirePostgres(t)) return;
  const browser = await startBrowser(t);
  if (browser === null) return;
  const database = await startPostgres();
  t.after(() => database.close());
  const { nodes, add } = await startNodes(t, database, { count: 1 });
  const first = nodes[0]?.cmail;
  assert.ok(first);
  await makeAdministrator(first);
  const watched = await openPage(browser);
  const { page } = watched;
  await signIn(page, first);
  await page.getByText('All is well.').waitFor();
  const panel = page.locator('#nodes');
  assert.equal(await panel.count(), 0, 'one node alone is no list');

  const second = (await add()).cmail;
  const row = (name: string) => panel.locator('.row', { hasText: name });
  await row('node2.cmail.test').getByText('alive').waitFor();
  await row('node1.cmail.test').getByText('alive').waitFor();
  // What is changed at one node is there at the other: the same administrator signs in at both.
  const other = await openPage(browser);
  await signIn(other.page, second);
  await other.page.locator('#nodes .row').nth(1).waitFor();
  await other.context.close();

  await second.kill9();
  await row('node2.cmail.test').getByText('silent').waitFor({ timeout: SILENT_WITHIN_MS });
  await row('node1.cmail.test').getByText('alive').waitFor();
  await second.restart();
  await panel.getByText('silent').waitFor({ state: 'detached' });
  assert.deepEqual(
    await panel.locator('dt').allTextContents(),
    ['node1.cmail.test', 'node2.cmail.test'],
    'an earlier run of a node is not another node',
  );
  assertNoComplaints(watched);
});
