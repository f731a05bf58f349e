import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertNoComplaints, barriers, pageAddress, startSignedIn } from '../support/browser.ts';
import type { Cmail } from '../support/cmail.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const CONFIGURATION = '/configuration/smtp';
const WORLD = { domains: ['example.test'], accounts: [{ address: 'anna@example.test' }] };
const KEY = 'smtp.destinationRules';

function row(page: Page, key: string) {
  return page.locator(`#field-${key.replaceAll('.', '-')}-row`);
}

async function stored(cmail: Cmail, key: string): Promise<unknown> {
  return (await cmail.json<{ value: unknown }>(['settings', 'get', key])).value;
}

test('a rule is added, refused at its field, mended, saved with the rest, changed and removed', async (t) => {
  const here = await startSignedIn(t, WORLD, CONFIGURATION);
  if (here === null) return;
  const { page, cmail } = here;
  await page.getByText('There is no rule: all destinations are treated alike.').waitFor();
  await page.getByRole('button', { name: 'Add a rule' }).click();
  const dialog = page.getByRole('dialog');
  const add = dialog.getByRole('button', { name: 'Add the rule' });
  assert.equal(await add.isDisabled(), true, 'without a destination');
  await dialog.getByLabel('Destination', { exact: true }).fill('partner.test');
  await dialog.getByLabel('Where its mail goes').selectOption('To another host');
  assert.equal(await add.isDisabled(), true, 'without the host');
  await dialog.getByLabel('Host', { exact: true }).fill('relay.partner.test:99999');
  await dialog.getByLabel('TLS', { exact: true }).selectOption('Always, with a trusted certificate');
  await dialog.getByLabel('Messages a minute').fill('60');
  assert.deepEqual(await barriers(page), [], 'in the dialog');
  await add.click();
  await row(page, KEY)
    .getByText(/Entry 1 .*the port needs a whole number from 1 to 65535/)
    .waitFor();
  const save = page.getByRole('button', { name: 'Save changes' });
  assert.equal(await save.isDisabled(), true);

  await page.getByRole('button', { name: /^Edit ?: partner\.test$/ }).click();
  await dialog.getByLabel('Host', { exact: true }).fill('relay.partner.test:2525');
  await dialog.getByRole('button', { name: 'Change the rule' }).click();
  await row(page, KEY).getByText('1 rule is in force, for partner.test.').waitFor();
  await page.getByRole('button', { name: 'Show the further SMTP hosts' }).click();
  await page.getByRole('textbox', { name: 'SMTP host', exact: true }).fill('one.provider.test');
  await page.getByRole('textbox', { name: 'SMTP host 2', exact: true }).fill('two.provider.test');
  await page.getByRole('textbox', { name: 'SMTP hosts of senders' }).fill('anna@example.test=3');
  await row(page, 'smtp.senderHosts')
    .getByText(/SMTP host 3, and none is entered/)
    .waitFor();
  await page.getByRole('textbox', { name: 'SMTP hosts of senders' }).fill('anna@example.test=2');
  await page.locator('.field-error').first().waitFor({ state: 'detached' });
  assert.deepEqual(await barriers(page), [], 'on the page');
  await save.click();
  await page.getByText('Saved: 4 settings changed.').waitFor();
  assert.deepEqual(await stored(cmail, KEY), [
    'partner.test route=host:relay.partner.test:2525 tls=verify rate=60',
  ]);
  assert.deepEqual(await stored(cmail, 'smtp.senderHosts'), ['anna@example.test=2']);
  assert.equal(await stored(cmail, 'smtp.host2.name'), 'two.provider.test');

  await page.getByRole('button', { name: /^Remove ?: partner\.test$/ }).click();
  await row(page, KEY).getByText('No destination has a rule of its own.').waitFor();
  await save.click();
  await page.getByText('Saved: 1 setting changed.').waitFor();
  assert.deepEqual(await stored(cmail, KEY), []);
  assertNoComplaints(here);
});

test('a destination is held with what arrives later, says so, and is released', async (t) => {
  const here = await startSignedIn(t, WORLD, '/');
  if (here === null) return;
  const { page, cmail } = here;
  const send = async (to: string): Promise<string> => {
    const from = 'anna@example.test';
    const client = await greeted(cmail.listeners.smtp);
    const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'Held' }) });
    client.destroy();
    return sent.id ?? '';
  };
  await send('first@far.test');
  await page.goto(pageAddress(cmail, '/queue'));
  const act = async (name: string) => {
    await page.getByRole('button', { name: 'Actions: far.test' }).click();
    await page.getByRole('menuitem', { name }).click();
  };
  await act('Hold');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Also hold what arrives later, until it is released').check();
  await dialog.getByRole('button', { name: 'Hold' }).click();
  await page.getByText('Held by the rule for far.test').waitFor();
  assert.deepEqual(await stored(cmail, KEY), ['far.test hold']);
  const second = await send('second@far.test');
  const told = await cmail.json<{ recipients: { why: string; attempts: number }[] }>(['message', second]);
  assert.match(told.recipients[0]?.why ?? '', /is held: the rule for far\.test holds it/);
  assert.deepEqual(await barriers(page), []);
  await act('Release');
  await dialog.getByRole('button', { name: 'Release' }).click();
  await page.getByText('Held by the rule for far.test').waitFor({ state: 'detached' });
  assert.deepEqual(await stored(cmail, KEY), []);
  await cmail.waitFor('an attempt of what was held', async () => {
    const { recipients } = await cmail.json<{ recipients: { attempts: number }[] }>(['message', second]);
    return (recipients[0]?.attempts ?? 0) > 0;
  });
  assertNoComplaints(here);
});
