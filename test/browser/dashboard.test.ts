/** What the dashboard says of mail that waits: why, where to, since when. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import {
  assertNoComplaints,
  makeAdministrator,
  openPage,
  signIn,
  startBrowser,
  startCmailWithPage,
} from '../support/browser.ts';
import type { Cmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

const HOUR_MS = 3_600_000;
const BUSY = '450 4.2.1 The mailbox is busy';
const BROKEN = '451 4.3.0 The filter is broken';

test('mail that waits shows on the dashboard by reason, the most frequent first, with the age of the oldest', async (t) => {
  const browser = await startBrowser(t);
  if (browser === null) return;
  const recipients = { 'a@far.test': BROKEN, 'b@far.test': BUSY, 'c@far.test': BROKEN };
  const peer = await startSmtpPeer({ hostname: 'mx.far.test', recipients });
  t.after(() => peer.close());
  const dns = await startDnsServer({ 'far.test': ['MX 0 mx.far.test'], 'mx.far.test': ['A 127.0.0.1'] });
  t.after(() => dns.close());
  const cmail = await startCmailWithPage(t, {
    config: { dns: { servers: [dns.address] } },
    settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(peer.port) },
  });
  await makeAdministrator(cmail);
  const ids = await sendAll(cmail, Object.keys(recipients));
  await cmail.waitFor('an attempt for each', async () => {
    const queue = await cmail.json<{ recipients: { lastReply: string | null }[] }[]>(['queue', 'list']);
    return queue.every((one) => one.recipients.every(({ lastReply }) => lastReply !== null));
  });
  await cmail.stop();
  makeOlder(cmail, 5.5 * HOUR_MS);
  await cmail.restart();

  const watched = await openPage(browser);
  const { page } = watched;
  await signIn(page, cmail);
  const reasons = page.getByRole('region', { name: 'Top reasons' }).getByRole('listitem');
  await reasons.first().waitFor();
  const shown = await reasons.allTextContents();
  assert.equal(shown.length, 2, shown.join());
  assert.match(shown[0] ?? '', /451 4\.3\.0 The filter is broken2$/);
  assert.match(shown[1] ?? '', /450 4\.2\.1 The mailbox is busy1$/);
  const queue = page.getByRole('region', { name: 'Queue' });
  await queue.getByText('Oldest: 5 hours ago').waitFor();

  await cmail.run(['queue', 'delete', ids[0] ?? '']);
  await queue.getByText(/^Oldest: (just now|\d+ (second|minute)s? ago)$/).waitFor();
  assert.deepEqual((await reasons.allTextContents()).map((text) => text.at(-1)).join(), '1,1');
  await cmail.run(['queue', 'delete', '--all']);
  await queue.getByText('Nothing is waiting.').waitFor();
  await page.getByText('Nothing that waits was put off.').waitFor();
  assertNoComplaints(watched);
});

async function sendAll(cmail: Cmail, to: readonly string[]): Promise<string[]> {
  const client = await greeted(cmail.listeners.smtp);
  const from = 'anna@near.test';
  const ids: string[] = [];
  for (const address of to) {
    const data = letter({ from, to: address, subject: 'Out' });
    ids.push((await client.sendMessage({ from, to: [address], data })).id ?? '');
  }
  client.destroy();
  return ids;
}

/** The first message came so much earlier; the server must not run. */
function makeOlder({ dataDir }: Cmail, ms: number): void {
  const db = new DatabaseSync(join(dataDir, 'cmail.db'));
  db.prepare('UPDATE message SET received_at = received_at - ? WHERE id = (SELECT min(id) FROM message)').run(
    ms,
  );
  db.close();
}
