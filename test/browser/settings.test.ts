import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertNoComplaints, pageAddress, startSignedIn } from '../support/browser.ts';
import type { Cmail } from '../support/cmail.ts';
import { runCommand } from '../support/command.ts';
import { requireTool } from '../support/require.ts';

const ADVANCED = '/configuration/smtp/advanced';
const WORLD = { domains: ['example.test'], accounts: [{ address: 'anna@example.test' }] };

/** The row of a setting: its field with all that is said about it. */
function row(page: Page, key: string) {
  return page.locator(`#field-${key.replaceAll('.', '-')}-row`);
}

async function stored(cmail: Cmail, key: string): Promise<unknown> {
  return (await cmail.json<{ value: unknown }>(['settings', 'get', key])).value;
}

test('the eight stand in order, with default and range; what is wrong is said at the fields and nothing is saved', async (t) => {
  const here = await startSignedIn(t, WORLD, ADVANCED);
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByLabel('Use MX Resolution to send mail').waitFor();
  const labels = await page.locator('.field label').allTextContents();
  assert.deepEqual(labels, [
    'Buffer Size',
    'Socket Timeout',
    'Max incoming size',
    'Use MX Resolution to send mail',
    'Fallback to SMTP host if MX fails',
    'Outbound SMTP Port',
    'Refuse message if user unknown',
    'Assume recipient address external',
  ]);
  await row(page, 'smtp.bufferSize').getByText('Default 4 KB').waitFor();
  await row(page, 'smtp.socketTimeout').getByText('allowed: 1–600 s').waitFor();

  await page.getByLabel('Use MX Resolution to send mail').uncheck();
  for (const key of ['smtp.useMxResolution', 'smtp.host.name']) {
    await row(page, key).locator('.field-error').waitFor();
  }
  await page.getByRole('textbox', { name: 'Socket Timeout' }).fill('45');
  const save = page.getByRole('button', { name: 'Save changes' });
  await page.getByText('2 unsaved changes').waitFor();
  assert.equal(await save.isDisabled(), true);
  assert.equal(await stored(cmail, 'smtp.socketTimeout'), 30, 'not even what is valid by itself');

  await page.getByRole('textbox', { name: 'SMTP host', exact: true }).fill('smtp.provider.test');
  await page.locator('.field-error').first().waitFor({ state: 'detached' });
  await save.click();
  await page.getByText('Saved: 3 settings changed.').waitFor();
  assert.equal(await stored(cmail, 'smtp.useMxResolution'), false);
  assert.equal(await stored(cmail, 'smtp.socketTimeout'), 45);
  assertNoComplaints(here);
});

test('a preview of both unknown-user boxes, the same answer by swaks once saved, and back', async (t) => {
  if (requireTool(t, 'swaks') === null) return;
  const here = await startSignedIn(t, WORLD, ADVANCED);
  if (here === null) return;
  const { page, cmail } = here;
  const answer = async () => {
    const { host, port } = cmail.listeners.smtp;
    const words = [
      '--server',
      host,
      '--port',
      String(port),
      '--quit-after',
      'RCPT',
      '--local-interface',
      '127.0.0.2',
    ];
    const envelope = ['--from', 'stranger@elsewhere.test', '--to', 'nobody@example.test'];
    return (await runCommand('swaks', [...words, ...envelope])).stdout.toString();
  };
  assert.match(await answer(), /<\*\* 550 5\.1\.1/);

  await page.getByLabel('Recipient', { exact: true }).fill('nobody@example.test');
  const verdict = page.locator('.verdict');
  await verdict.getByText('Refused').waitFor();
  await page.getByLabel('Assume recipient address external').check();
  await row(page, 'smtp.assumeExternal').locator('.field-will span').getByText(/\w{3}/).waitFor();
  await page.getByText('Your changes make a difference to this address.').waitFor();
  assert.match((await verdict.first().textContent()) ?? '', /^Goes to the outgoing queue/);
  assert.match((await verdict.last().textContent()) ?? '', /^Refused/);
  await page.getByLabel('Refuse message if user unknown').uncheck();
  await row(page, 'smtp.assumeExternal').getByText('Stored, but without effect').waitFor();
  await page.getByText('Delivered to postmaster').waitFor();
  await page.getByLabel('Refuse message if user unknown').check();
  await page.getByText('1 unsaved change').waitFor();
  assert.match(await answer(), /<\*\* 550 5\.1\.1/, 'nothing is in force before it is saved');

  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText('Saved: 1 setting changed.').waitFor();
  assert.match(await answer(), /<- {2}250 2\.1\.5/);

  await page.getByRole('button', { name: 'Revert Assume recipient address external' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revert' }).click();
  await page.getByText('Assume recipient address external was put back.').waitFor();
  assert.match(await answer(), /<\*\* 550 5\.1\.1/);
  assertNoComplaints(here);
});

test('leaving with unsaved changes asks, by a link, by the way back and by closing', async (t) => {
  const here = await startSignedIn(t, WORLD, '/queue');
  if (here === null) return;
  const { page } = here;
  await page.getByRole('link', { name: 'Advanced' }).click();
  await page.getByRole('textbox', { name: 'Buffer Size' }).fill('8');
  for (const leave of [() => page.getByRole('link', { name: 'Messages' }).click(), () => page.goBack()]) {
    await leave();
    await page.getByRole('button', { name: 'Stay here' }).click();
    assert.equal(await page.getByRole('textbox', { name: 'Buffer Size' }).inputValue(), '8');
    assert.match(page.url(), /\/advanced$/);
  }
  const [asked] = await Promise.all([page.waitForEvent('dialog'), page.close({ runBeforeUnload: true })]);
  assert.equal(asked.type(), 'beforeunload');
  await asked.dismiss();
  await page.goBack();
  await page.getByRole('button', { name: 'Leave and discard' }).click();
  await page.getByRole('heading', { level: 1, name: 'Queue' }).waitFor();
  assertNoComplaints(here);
});

test('the other settings: the SMTP host is tested before it is saved, a password is never shown', async (t) => {
  const here = await startSignedIn(t, WORLD, '/configuration/smtp');
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByRole('textbox', { name: 'SMTP host', exact: true }).fill('127.0.0.1');
  await page.getByLabel('SMTP host port').fill('1');
  await page.getByRole('button', { name: 'Test the SMTP host' }).click();
  await page.locator('#group-host .note').getByText('127.0.0.1 port 1: connection refused').waitFor();
  assert.equal(await stored(cmail, 'smtp.host.name'), '', 'a test saves nothing');
  await page.getByLabel('SMTP host user name').fill('me');
  await page.getByLabel('SMTP host password', { exact: true }).fill('secret words');
  await page.getByLabel('Queue lifetime').fill('3d');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText(/^Saved: 5 settings changed\.$/).waitFor();
  assert.equal(await stored(cmail, 'smtp.host.password'), '(set)');
  await page.goto(pageAddress(cmail, '/configuration/smtp/history'));
  await page.getByRole('link', { name: 'SMTP host password' }).waitFor();
  assert.doesNotMatch(await page.content(), /secret words/);
  assertNoComplaints(here);
});
