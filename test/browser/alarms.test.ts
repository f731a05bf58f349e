import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, startSignedIn } from '../support/browser.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
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
