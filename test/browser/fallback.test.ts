import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, pageAddress, startSignedIn } from '../support/browser.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

test('mail that waits for a dead MX leaves by the SMTP host once fallback is on, and its story says why', async (t) => {
  const dns = await startDnsServer({
    'dead.test': ['MX 10 mx.dead.test'],
    'mx.dead.test': ['A 127.0.0.9'],
    'smtp.provider.test': ['A 127.0.0.1'],
  });
  t.after(() => dns.close());
  const provider = await startSmtpPeer({ hostname: 'smtp.provider.test' });
  t.after(() => provider.close());
  const here = await startSignedIn(t, {
    config: { dns: { servers: [dns.address] } },
    settings: {
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.outboundPort': String(await freePort('127.0.0.9')),
      'smtp.host.name': 'smtp.provider.test',
      'smtp.host.port': String(provider.port),
    },
  });
  if (here === null) return;
  const { page, cmail } = here;
  const client = await greeted(cmail.listeners.smtp);
  const from = 'anna@example.test';
  const to = 'bob@dead.test';
  const { id } = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'Out' }) });
  client.destroy();
  assert.ok(id);

  await page.getByRole('link', { name: 'Queue', exact: true }).click();
  await page.getByRole('link', { name: 'dead.test' }).click();
  await page.getByText(/bob@dead\.test waits since .*No server could be reached/).waitFor();

  await page.getByRole('link', { name: 'Advanced' }).click();
  await page.getByLabel('Recipient', { exact: true }).fill(to);
  await page.getByLabel('Who brings it').selectOption('A client at this address');
  await page.getByLabel('Fallback to SMTP host if MX fails').check();
  await page.getByText('Your changes make a difference to this address.').waitFor();
  await page
    .getByText(/^the SMTP host smtp\.provider\.test port \d+ instead, in the same attempt$/)
    .first()
    .waitFor();
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText('Saved: 1 setting changed.').waitFor();

  await page.goto(pageAddress(cmail, '/queue/destination?name=dead.test'));
  await page.getByRole('button', { name: `Actions: ${id}` }).click();
  await page.getByRole('menuitem', { name: 'Send now' }).click();
  await page.getByRole('dialog').getByText('1 message to 1 recipient').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Send now' }).click();
  await provider.waitForMessages(1);

  await page.goto(pageAddress(cmail, `/messages/${id}`));
  await page.locator('.chapter', { hasText: /^Delivered/ }).waitFor();
  const fallback = page.locator('.chapter', { hasText: /^Fallback/ });
  assert.match(
    (await fallback.textContent()) ?? '',
    /Went over to the SMTP host smtp\.provider\.test: .*mx\.dead\.test/,
  );
  assert.match(
    (await page
      .locator('.chapter', { hasText: /^Attempt/ })
      .last()
      .textContent()) ?? '',
    /by the SMTP host, because MX failed \(unreachable\)/,
  );
  assertNoComplaints(here);
});
