import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeSelfSigned } from '../../src/server/tls-self-signed.ts';
import {
  assertNoComplaints,
  makeAdministrator,
  openPage,
  signIn,
  startBrowser,
  startCmailWithPage,
  startSignedIn,
} from '../support/browser.ts';
import { makeCertificates } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

test('an SMTP host that refuses our password is an alarm on the dashboard, which goes once the password is right', async (t) => {
  const auth = { user: 'me', password: 'the right one' };
  const provider = await startSmtpPeer({ hostname: 'smtp.provider.test', auth });
  t.after(() => provider.close());
  const here = await startSignedIn(t, {
    domains: ['example.test'],
    settings: {
      'smtp.useMxResolution': 'off',
      'smtp.host.name': '127.0.0.1',
      'smtp.host.port': String(provider.port),
      'smtp.host.username': auth.user,
      'smtp.host.password': 'an old one',
    },
  });
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByText('Live', { exact: true }).waitFor();
  await page.evaluate('globalThis.notLoadedAnew = true');
  const alarms = page.getByRole('region', { name: 'Alarms' });
  await alarms.getByText('All is well.').waitFor();

  const client = await greeted(cmail.listeners.smtp);
  const [from, to] = ['anna@example.test', 'bob@far.test'];
  await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'Out' }) });
  client.destroy();
  const alarm = alarms.getByRole('alert');
  await alarm
    .getByText(`Mail is held: the SMTP host 127.0.0.1:${provider.port} does not let us sign in`)
    .waitFor();
  const words = (await alarm.textContent()) ?? '';
  assert.match(words, /535/, 'what the host said');
  assert.match(words, /Check user name, password and TLS of the SMTP host/, 'what to do');
  assert.doesNotMatch(words, /an old one/);

  await page.getByRole('link', { name: 'SMTP Configuration' }).click();
  await page.getByLabel('SMTP host password', { exact: true }).fill(auth.password);
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText('Saved: 1 setting changed.').waitFor();
  await page.getByRole('link', { name: 'Queue', exact: true }).click();
  await page.getByRole('button', { name: 'Act on everything' }).click();
  await page.getByRole('menuitem', { name: 'Send now' }).click();
  await page.getByRole('dialog').getByText('1 message to 1 recipient').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Send now' }).click();
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await provider.waitForMessages(1);
  await alarms.getByText('All is well.').waitFor();
  assert.equal(await page.evaluate('globalThis.notLoadedAnew'), true);
  assertNoComplaints(here);
});

test('DNS that answers nobody is an alarm on the dashboard, which goes with the first answer', async (t) => {
  const port = await freePort('127.0.0.1');
  const here = await startSignedIn(t, { config: { dns: { servers: [`127.0.0.1:${port}`] } } });
  if (here === null) return;
  const { page, cmail } = here;
  const alarms = page.getByRole('region', { name: 'Alarms' });
  await alarms.getByText('All is well.').waitFor();
  const client = await greeted(cmail.listeners.smtp);
  const send = async (to: string) => {
    const from = 'anna@example.test';
    await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'Out' }) });
  };
  for (const domain of ['a.test', 'b.test', 'c.test']) await send(`bob@${domain}`);
  await alarms
    .getByRole('alert')
    .getByText(/^DNS is down: 127\.0\.0\.1:\d+ /)
    .waitFor();
  await alarms.getByText(/set dns\.servers in cmail\.toml/).waitFor();
  const dns = await startDnsServer({ 'd.test': ['MX 0 .'] }, { port });
  t.after(() => dns.close());
  await send('bob@d.test');
  client.destroy();
  await alarms.getByText('All is well.').waitFor();
  assertNoComplaints(here);
});

test('a certificate that ends soon is an alarm on the dashboard, which goes once a new one is in its files', async (t) => {
  const folder = await temporaryFolder(t);
  const files = { cert: join(folder, 'mail.pem'), key: join(folder, 'mail.key') };
  // The tests' certificates last two days.
  const ending = await makeCertificates(t, ['mail.cmail.test']);
  await writeFile(files.key, ending.key);
  await writeFile(files.cert, ending.cert);
  const here = await startSignedIn(t, { config: { tls: files } });
  if (here === null) return;
  const alarms = here.page.getByRole('region', { name: 'Alarms' });
  const words = (await alarms.getByRole('alert').textContent()) ?? '';
  assert.match(words, /^The TLS certificate \S+mail\.pem ends at \d+ \w+ \d{4}.*, in 1 day\./);
  assert.match(words, /Put the renewed certificate and key in the same files/, 'what to do');
  await makeSelfSigned(files, 'mail.cmail.test');
  await alarms.getByText('All is well.').waitFor();
  assertNoComplaints(here);
});

test('a full disk is an alarm on the dashboard, which goes when there is room again', async (t) => {
  const disk = await mountSmallDisk(t, 48);
  const browser = disk === null ? null : await startBrowser(t);
  if (disk === null || browser === null) return;
  const options = { dataDir: join(disk.path, 'data'), domains: ['example.test'] };
  const [from, to] = ['bob@far.test', 'anna@example.test'];
  const cmail = await startCmailWithPage(disk, { ...options, accounts: [{ address: to }] });
  await makeAdministrator(cmail);
  const watched = await openPage(browser);
  await signIn(watched.page, cmail);
  const alarms = watched.page.getByRole('region', { name: 'Alarms' });
  await alarms.getByText('All is well.').waitFor();

  await disk.fill();
  const client = await greeted(cmail.listeners.smtp);
  disk.after(() => client.destroy());
  const data = letter({ from, to, subject: 'Large', body: `${'x'.repeat(70)}\r\n`.repeat(4_000) });
  await cmail.waitFor('mail to be put off', async () => {
    return (await client.sendMessage({ from, to: [to], data })).id === undefined;
  });
  const words = (await alarms.getByRole('alert').textContent()) ?? '';
  assert.match(words, /cannot be written: the disk is full/);
  assert.match(words, /space/, 'what to do');

  await disk.free();
  await alarms.getByText('All is well.').waitFor();
  assertNoComplaints(watched);
});
