import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertNoComplaints, barriers, pageAddress, startSignedIn } from '../support/browser.ts';
import type { Cmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

const WORLD = {
  domains: ['example.test'],
  accounts: [{ address: 'anna@example.test' }, { address: 'bert@example.test' }],
};
const FROM = 'bert@example.test';

/** Sends by the real door; resolves to the queue IDs. Nothing answers DNS, so what goes out waits. */
async function send(
  cmail: Cmail,
  mails: readonly (readonly [to: string, subject: string])[],
): Promise<string[]> {
  const client = await greeted(cmail.listeners.smtp);
  const ids: string[] = [];
  for (const [to, subject] of mails) {
    const sent = await client.sendMessage({
      from: FROM,
      to: [to],
      data: letter({ from: FROM, to, subject }),
    });
    ids.push(sent.id ?? '');
  }
  client.destroy();
  return ids;
}

function subjects(page: Page): Promise<string[]> {
  return page.locator('tbody tr .cell-first a').allTextContents();
}

test('a message is found by sender, recipient, subject, ID and state, with story, headers and source', async (t) => {
  const here = await startSignedIn(t, WORLD, '/messages');
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByRole('heading', { name: 'No message yet' }).waitFor();
  const [first = ''] = await send(cmail, [['anna@example.test', 'Minutes of Monday']]);
  await page.getByRole('link', { name: 'Minutes of Monday' }).waitFor();
  const [second = ''] = await send(cmail, [
    ['anna@example.test', 'Holiday plan'],
    ['carl@far.test', 'Minutes of Tuesday'],
  ]);
  const newer = page.getByRole('button', { name: 'Show 2 new' });
  await newer.waitFor();
  assert.deepEqual(await subjects(page), ['Minutes of Monday'], 'no row moves before it is asked for');
  await newer.click();
  assert.deepEqual(await subjects(page), ['Minutes of Tuesday', 'Holiday plan', 'Minutes of Monday']);

  const search = async (label: string, text: string, found: readonly string[]) => {
    await page.goto(pageAddress(cmail, '/messages'));
    await page.getByLabel(label, { exact: true }).fill(text);
    // What is typed outlives that the list is read anew meanwhile.
    if (label === 'Subject words') await page.waitForResponse(/\/api\/v1\/messages$/);
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByRole('button', { name: 'Clear', exact: true }).waitFor();
    await cmail.waitFor(`messages by ${label}`, async () => (await subjects(page)).join() === found.join());
  };
  await search('Subject words', 'minutes', ['Minutes of Tuesday', 'Minutes of Monday']);
  await search('Recipient', '@far.test', ['Minutes of Tuesday']);
  await search('Recipient', 'anna', ['Holiday plan', 'Minutes of Monday']);
  await search('Sender', '@example.test', ['Minutes of Tuesday', 'Holiday plan', 'Minutes of Monday']);
  await search('ID', second, ['Holiday plan']);
  await page.goto(pageAddress(cmail, '/messages'));
  await page.getByLabel('State').selectOption('Waiting');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await cmail.waitFor('the waiting one', async () => (await subjects(page)).join() === 'Minutes of Tuesday');
  await page.getByLabel('Sender', { exact: true }).fill('nobody@nowhere.test');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.getByRole('heading', { name: 'No message found' }).waitFor();

  await page.goto(pageAddress(cmail, `/messages/${first}`));
  await page.getByRole('heading', { level: 1, name: 'Minutes of Monday' }).waitFor();
  await page.getByText('anna@example.test has it in the mailbox.').waitFor();
  const time = page.locator('time').first();
  assert.match((await time.textContent()) ?? '', /ago|now/, 'relative …');
  assert.match((await time.getAttribute('title')) ?? '', /\d{4}, \d\d:\d\d:\d\d/, '… and exact on hover');
  await page.getByText('Headers', { exact: true }).click();
  await page.locator('pre', { hasText: 'Subject: Minutes of Monday' }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download the source' }).click(),
  ]);
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  assert.match(Buffer.concat(chunks).toString(), /Subject: Minutes of Monday\r\n/);
  await page.goto(pageAddress(cmail, '/access/audit'));
  await page.locator('tbody tr', { hasText: first }).waitFor();
  assertNoComplaints(here);
});

test('the queue: by destination, why each waits, and what is done is counted before and can be undone', async (t) => {
  const here = await startSignedIn(t, WORLD, '/queue');
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByRole('heading', { name: 'Nothing is waiting' }).waitFor();
  const ids = await send(cmail, [
    ['a@far.test', 'One'],
    ['b@far.test', 'Two'],
    ['c@other.test', 'Three'],
  ]);
  const states = async () => {
    const rows = await cmail.json<{ id: string; recipients: { state: string }[] }[]>(['queue', 'list']);
    return new Map(rows.map(({ id, recipients }) => [id, recipients.map(({ state }) => state).join()]));
  };
  await page.getByRole('row', { name: /far\.test 2 0/ }).waitFor();
  await page.getByRole('link', { name: 'far.test' }).click();
  await page.getByText(/a@far\.test waits since/).waitFor();

  await page.getByRole('checkbox', { name: `Select ${ids[0]}` }).check();
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('1 message to 1 recipient').waitFor();
  assert.equal((await states()).get(ids[0] ?? ''), 'queued', 'counting touches nothing');
  await dialog.getByRole('button', { name: 'Hold' }).click();
  await page.getByText('1 held.').waitFor();
  assert.deepEqual(
    [(await states()).get(ids[0] ?? ''), (await states()).get(ids[1] ?? '')],
    ['held', 'queued'],
  );
  await page.getByText(/a@far\.test is held/).waitFor();
  await page.getByRole('button', { name: 'Undo' }).click();
  await cmail.waitFor('the undo', async () => (await states()).get(ids[0] ?? '') === 'queued');

  await page.goto(pageAddress(cmail, '/queue'));
  await page.getByRole('button', { name: 'Actions: far.test' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await dialog.getByText('2 messages to 2 recipients').waitFor();
  await dialog.getByLabel('Tell the senders by a failure notice').uncheck();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('2 deleted.').waitFor();
  await page.getByRole('link', { name: 'far.test' }).waitFor({ state: 'detached' });
  assert.deepEqual([...(await states()).keys()], [ids[2]]);

  await page.getByRole('button', { name: 'Act on everything' }).click();
  await page.getByRole('menuitem', { name: 'Hold' }).click();
  await dialog.getByText('1 message to 1 recipient').waitFor();
  await dialog.getByRole('button', { name: 'Hold' }).click();
  await page.getByText(/^Everything is held/).waitFor();
  await page.getByRole('button', { name: 'Act on everything' }).click();
  await page.getByRole('menuitem', { name: 'Release' }).click();
  await dialog.getByRole('button', { name: 'Release' }).click();
  await page.getByText(/^Everything is held/).waitFor({ state: 'detached' });
  assert.equal((await states()).get(ids[2] ?? ''), 'queued');

  await page.getByRole('button', { name: 'Actions: other.test' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('1 deleted.').waitFor();
  await page.getByRole('heading', { name: 'Nothing is waiting' }).waitFor();
  const { events } = await cmail.json<{ events: { kind: string }[] }>(['message', ids[2] ?? '']);
  assert.deepEqual(
    events.slice(-2).map(({ kind }) => kind),
    ['deleted', 'notice'],
  );
  assertNoComplaints(here);
});

test('a destination that is backed off says until when and why, and is tried now by its button', async (t) => {
  const far = '127.0.0.24';
  const port = await freePort(far);
  const dns = await startDnsServer({ 'far.test': ['MX 10 mx.far.test'], 'mx.far.test': [`A ${far}`] });
  t.after(() => dns.close());
  const here = await startSignedIn(
    t,
    {
      ...WORLD,
      config: { dns: { servers: [dns.address] } },
      settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(port) },
    },
    '/queue',
  );
  if (here === null) return;
  const { page, cmail } = here;
  await send(cmail, [['carl@far.test', 'Later']]);
  const row = page.locator('tbody tr', { hasText: 'far.test' });
  await row.getByText('Backed off until').waitFor();
  assert.match((await row.locator('.cell-first').textContent()) ?? '', /refused/i);
  assert.deepEqual(await barriers(page), []);
  const peer = await startSmtpPeer({}, { address: far, port });
  t.after(() => peer.close());
  await page.getByRole('button', { name: 'Try now: far.test' }).click();
  await page.getByText('One message finds out now whether far.test takes mail again.').waitFor();
  await peer.waitForMessages(1, 30_000);
  await page.getByRole('heading', { name: 'Nothing is waiting' }).waitFor();
  assertNoComplaints(here);
});

test('the dashboard is live: figures, plot and queue come without loading anew, and it says when it is not', async (t) => {
  const here = await startSignedIn(t, WORLD);
  if (here === null) return;
  const { page, cmail } = here;
  const figure = (name: string) =>
    page.locator('#flow .figures > div', { hasText: name }).locator('.figure-value').textContent();
  await page.getByText('Live', { exact: true }).waitFor();
  assert.equal(await figure('Accepted'), '0');
  await send(cmail, [
    ['anna@example.test', 'One'],
    ['carl@far.test', 'Two'],
  ]);
  await cmail.waitFor('two accepted', async () => (await figure('Accepted')) === '2');
  await cmail.waitFor('one delivered', async () => (await figure('Delivered')) === '1');
  await page.locator('#destinations').getByRole('link', { name: 'far.test' }).waitFor();
  assert.ok(await page.locator('.plot canvas').isVisible());
  await page.locator('.plot .u-over').hover({ position: { x: 300, y: 80 } });
  await page.getByText(/^in the minute of \d\d:\d\d$/).waitFor();
  await cmail.stop();
  await page.getByText('Reconnecting').waitFor();
});
