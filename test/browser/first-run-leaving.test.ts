import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import {
  ADMIN,
  assertNoComplaints,
  openPage,
  setupLink,
  startBrowser,
  startCmailWithPage,
} from '../support/browser.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { requireTool } from '../support/require.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

/** From the link of the first run to the step about how mail leaves. */
async function toLeavingStep(page: Page, link: string): Promise<void> {
  await page.goto(link);
  await page.getByLabel('Name', { exact: true }).fill(ADMIN.name);
  await page.getByLabel('Password', { exact: true }).fill(ADMIN.password);
  await page.getByLabel('The password again').fill(ADMIN.password);
  await page.getByRole('button', { name: 'Make the administrator' }).click();
  await page.getByRole('button', { name: 'Keep this name' }).click();
  for (const step of ['Domain', 'First account']) {
    await page.getByRole('heading', { level: 2, name: step }).waitFor();
    await page.getByRole('button', { name: 'Later' }).click();
  }
}

test('the first run tries the SMTP host (EHLO, TLS, AUTH) and the way out before anything is saved', async (t) => {
  if (requireTool(t, 'openssl') === null) return;
  const browser = await startBrowser(t);
  if (browser === null) return;
  const certificates = await makeCertificates(t, ['smtp.provider.test']);
  const auth = { user: 'me', password: 'the right one' };
  const provider = await startSmtpPeer({ hostname: 'smtp.provider.test', tls: certificates, auth });
  t.after(() => provider.close());
  const far = await startSmtpPeer({ hostname: 'mx.far.test' });
  t.after(() => far.close());
  const dns = await startDnsServer({
    'smtp.provider.test': ['A 127.0.0.1'],
    'far.test': ['MX 10 mx.far.test'],
    'mx.far.test': ['A 127.0.0.1'],
    'shut.test': ['MX 10 mx.shut.test'],
    // Nobody listens there.
    'mx.shut.test': ['A 127.0.0.9'],
  });
  t.after(() => dns.close());
  const cmail = await startCmailWithPage(t, {
    config: { dns: { servers: [dns.address] } },
    env: { NODE_EXTRA_CA_CERTS: certificates.caFile },
    settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(far.port) },
  });
  const watched = await openPage(browser);
  const { page } = watched;
  await toLeavingStep(page, setupLink(cmail));

  const probe = async (domain: string, finding: RegExp) => {
    await page.getByLabel('Asks the mail servers of this domain').fill(domain);
    await page.getByRole('button', { name: 'Is port 25 open outward?' }).click();
    await page.locator('.note', { hasText: finding }).waitFor();
  };
  await probe(
    'shut.test',
    /no host of shut\.test can be reached.*127\.0\.0\.9.*ask your provider to open the port/,
  );
  await probe(
    'far.test',
    new RegExp(`port ${far.port} is open outward: mx\\.far\\.test .* of far\\.test answers`),
  );
  assert.deepEqual(
    far.sessions.map(({ commands }) => commands),
    [['EHLO mail.cmail.test', 'QUIT']],
    'no mail is sent for it',
  );

  await page.getByLabel('Through an SMTP host', { exact: true }).check();
  const tryHost = page.getByRole('button', { name: 'Test the SMTP host' });
  assert.equal(await tryHost.isDisabled(), true, 'without a name there is nothing to try');
  await page.getByRole('textbox', { name: 'SMTP host', exact: true }).fill('smtp.provider.test');
  await page.getByLabel('Port', { exact: true }).fill(String(provider.port));
  await page.getByLabel('TLS', { exact: true }).selectOption('required');
  await page.getByLabel('User name').fill(auth.user);
  await page.getByLabel('Password', { exact: true }).fill('a wrong one');
  await tryHost.click();
  await page
    .locator('.note', { hasText: /refused the user name or password: 535 .*Enter smtp\.host\.username/ })
    .waitFor();
  await page.getByLabel('Password', { exact: true }).fill(auth.password);
  await tryHost.click();
  await page
    .locator('.note', {
      hasText: /smtp\.provider\.test .* answers in \d+ ms, with TLSv1\.3.*, accepts user name and password/,
    })
    .waitFor();
  const [last] = provider.sessions.slice(-1);
  assert.deepEqual([last?.tls, last?.user], [true, auth.user]);
  const name = await cmail.json<{ value: unknown }>(['settings', 'get', 'smtp.host.name']);
  assert.equal(name.value, '', 'a test saves nothing');

  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByLabel('To', { exact: true }).fill('somebody@elsewhere.test');
  await page.getByRole('button', { name: 'Send a test message' }).click();
  const [message] = await provider.waitForMessages(1);
  assert.deepEqual(message?.to, ['somebody@elsewhere.test']);
  await page.getByText('Delivered. CMail is ready.').waitFor();
  assertNoComplaints(watched);
});
