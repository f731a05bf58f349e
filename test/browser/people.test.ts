import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ADMIN,
  assertNoComplaints,
  openPage,
  pageAddress,
  signIn,
  startSignedIn,
} from '../support/browser.ts';
import { greeted } from '../support/smtp-client.ts';

test('domains, accounts and aliases are added, changed, disabled and removed', async (t) => {
  const here = await startSignedIn(t, {}, '/accounts');
  if (here === null) return;
  const { page, cmail } = here;
  const dialog = page.getByRole('dialog');
  const accounts = () => cmail.json<Record<string, unknown>[]>(['account', 'list']);
  await page.getByText('Add a domain first').waitFor();
  await page.getByRole('link', { name: 'Add a domain' }).click();
  await page.getByRole('button', { name: 'Add a domain' }).first().click();
  await dialog.getByLabel('Domain name').fill('not a domain');
  await dialog.getByRole('button', { name: 'Add a domain' }).click();
  await dialog
    .getByRole('alert')
    .getByText(/not a domain/)
    .waitFor();
  await dialog.getByLabel('Domain name').fill('example.test');
  await dialog.getByRole('button', { name: 'Add a domain' }).click();
  await page.getByText('example.test is hosted now.').waitFor();

  await page.getByRole('link', { name: 'Accounts', exact: true }).first().click();
  for (const name of ['anna', 'bert']) {
    await page.getByRole('button', { name: 'Add an account' }).first().click();
    await dialog.getByLabel('Address').fill(`${name}@example.test`);
    await dialog.getByRole('button', { name: 'Make one up' }).click();
    await dialog.getByLabel('Quota').fill('1MB');
    await dialog.getByRole('button', { name: 'Add an account' }).click();
    await dialog.waitFor({ state: 'detached' });
  }
  await page.getByRole('row', { name: /anna@example\.test Postmaster Enabled 0 bytes of 1 MB/ }).waitFor();
  const act = async (item: string) => {
    await page.getByRole('button', { name: 'Actions: bert@example.test' }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  await act('Disable');
  await dialog.getByRole('button', { name: 'Disable' }).click();
  await page.getByText('bert@example.test is disabled.').waitFor();
  await page.getByRole('button', { name: 'Undo' }).click();
  await cmail.waitFor('the undo', async () => (await accounts())[1]?.enabled === true);
  await act('Change the quota');
  await dialog.getByLabel('Quota').fill('');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /bert@example\.test Enabled 0 bytes, no limit/ }).waitFor();
  await act('Reset the password');
  await dialog.getByLabel('New password', { exact: true }).fill('short');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByRole('alert').waitFor();
  await dialog.getByLabel('New password', { exact: true }).fill('a long enough one');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('bert@example.test has a new password.').waitFor();
  await act('Remove');
  assert.equal(await dialog.getByRole('button', { name: 'Remove' }).isDisabled(), true);
  await dialog.getByLabel('Type the address to confirm').fill('bert@example.test');
  await dialog.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('bert@example.test was removed.').waitFor();
  assert.equal((await accounts()).length, 1);

  await page.getByRole('link', { name: 'Aliases' }).click();
  await page.getByRole('button', { name: 'Add an alias' }).first().click();
  await dialog.getByLabel('Alias').fill('sales@example.test');
  await dialog.getByLabel('Leads to').fill('anna@example.test\nsomeone@elsewhere.test');
  await dialog.getByRole('button', { name: 'Add an alias' }).click();
  await page.getByRole('row', { name: /sales@example\.test/ }).waitFor();
  const targets = async () =>
    (await cmail.json<{ targets: string[] }[]>(['alias', 'list']))[0]?.targets.join();
  await page.getByRole('button', { name: 'Actions: sales@example.test' }).click();
  await page.getByRole('menuitem', { name: 'Change where it leads' }).click();
  const field = dialog.getByLabel('Leads to');
  assert.equal(await field.inputValue(), 'anna@example.test\nsomeone@elsewhere.test');
  await field.fill('sales@example.test');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByRole('alert').waitFor();
  assert.equal(
    await targets(),
    'anna@example.test,someone@elsewhere.test',
    'what is refused changes nothing',
  );
  await field.fill('anna@example.test');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('sales@example.test was changed.').waitFor();
  await page.getByRole('row', { name: /^sales@example\.test anna@example\.test Actions/ }).waitFor();
  assert.equal(await targets(), 'anna@example.test');
  await page.getByRole('button', { name: 'Undo' }).last().click();
  await page.getByRole('row', { name: /someone@elsewhere\.test/ }).waitFor();
  assert.equal(await targets(), 'anna@example.test,someone@elsewhere.test');
  await page.getByRole('link', { name: 'Domains' }).click();
  await page.getByRole('button', { name: 'Actions: example.test' }).click();
  await page.getByRole('menuitem', { name: 'Forward and catch-all' }).click();
  await dialog.getByLabel('Catch-all').fill('anna@example.test');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /delivered here anna@example\.test/ }).waitFor();
  const forwardTo = async (text: string) => {
    await page.getByRole('button', { name: 'Actions: example.test' }).click();
    await page.getByRole('menuitem', { name: 'Forward and catch-all' }).click();
    await dialog.getByLabel('Forward').fill(text);
    await dialog.getByRole('button', { name: 'Save' }).click();
  };
  await forwardTo('mail.branch.test:70000');
  await dialog.getByRole('alert').waitFor();
  await dialog.getByLabel('Forward').fill('mail.branch.test:2526');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /mail\.branch\.test:2526/ }).waitFor();
  const forward = async () => (await cmail.json<{ forward: unknown }[]>(['domain', 'list']))[0]?.forward;
  assert.deepEqual(await forward(), { host: 'mail.branch.test', port: 2526 });
  await forwardTo('');
  await page.getByRole('row', { name: /delivered here/ }).waitFor();
  assert.equal(await forward(), null);
  assertNoComplaints(here);
});

test("an administrator sees an account's history of sign-ins", async (t) => {
  const bert = { name: 'bert@example.test', password: 'secret-password' };
  const accounts = [{ address: 'anna@example.test' }, { address: bert.name }];
  const here = await startSignedIn(t, { domains: ['example.test'], accounts }, '/accounts');
  if (here === null) return;
  const { page, cmail, browser } = here;
  const client = await greeted({ ...cmail.listeners.smtp, localAddress: '127.0.0.1' });
  const plain = Buffer.from(`\0${bert.name}\0a guess`).toString('base64');
  await client.expect(535, client.command(`AUTH PLAIN ${plain}`));
  client.destroy();
  const own = await openPage(browser);
  await signIn(own.page, cmail, '/', bert);

  const history = async (address: string) => {
    await page.getByRole('button', { name: `Actions: ${address}` }).click();
    await page.getByRole('menuitem', { name: 'Sign-ins' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sign-ins' }).waitFor();
    await page.getByText(address, { exact: true }).waitFor();
  };
  await history(bert.name);
  await page.getByRole('row', { name: /Signed in This page 127\.0\.0\.1 without TLS/ }).waitFor();
  await page.getByRole('row', { name: /Refused wrong password Sending mail 127\.0\.0\.1/ }).waitFor();
  assert.equal(await page.getByRole('row').count(), 3, 'two and the head');
  await page.getByRole('main').getByRole('link', { name: 'Accounts' }).click();
  await history('anna@example.test');
  await page.getByText('No sign-in yet').waitFor();
  assertNoComplaints(here);
});

test('an import shows every line first, names the wrong ones by number, and makes nothing until all are fine', async (t) => {
  const here = await startSignedIn(t, { domains: ['example.test'] }, '/import');
  if (here === null) return;
  const { page, cmail } = here;
  const lines = (third: string) =>
    [
      'address,password,quota,targets',
      'anna@example.test,a long password,1GB,',
      third,
      'all@example.test,,,anna@example.test',
    ].join('\n');
  await page.getByLabel('CSV', { exact: true }).fill(lines('bert@nowhere.test,another long one,,'));
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByRole('row', { name: /Line 3 .*error .*nowhere\.test/ }).waitFor();
  assert.equal(await page.getByRole('button', { name: /^Import/ }).isDisabled(), true);
  await page.getByLabel('CSV', { exact: true }).fill(lines('bert@example.test,another long one,,'));
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByRole('button', { name: 'Import 3 lines' }).click();
  await page.getByText('3 imported.').waitFor();
  await page.getByRole('row', { name: /bert@example\.test/ }).waitFor();
  assert.equal((await cmail.json<unknown[]>(['account', 'list'])).length, 2);
  assertNoComplaints(here);
});

test('signing in and out, tokens shown once, a second administrator, sessions ended elsewhere', async (t) => {
  const here = await startSignedIn(t, {}, '/access/tokens');
  if (here === null) return;
  const { page, cmail, browser } = here;
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Make a token' }).first().click();
  await dialog.getByLabel('Name', { exact: true }).fill('backup');
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  const token = (await page.getByTestId('token').textContent()) ?? '';
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  const byToken = async () =>
    (await fetch(pageAddress(cmail, '/api/v1/status'), { headers: { authorization: `Bearer ${token}` } }))
      .status;
  assert.equal(await byToken(), 200);
  await page.getByRole('row', { name: /backup active read/ }).waitFor();
  await page.reload();
  await page.getByRole('row', { name: /backup active/ }).waitFor();
  assert.equal((await page.content()).includes(token), false, 'it is shown only once');
  await page.getByRole('button', { name: 'Revoke backup' }).click();
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('The token was revoked.').waitFor();
  assert.equal(await byToken(), 401);

  await page.getByRole('link', { name: 'Administrators' }).click();
  await page.getByRole('button', { name: 'Add an administrator' }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('bert');
  await dialog.getByLabel('Password', { exact: true }).fill('many different words here');
  await dialog.getByRole('button', { name: 'Add an administrator' }).click();
  await page.getByText('bert may sign in now.').waitFor();

  const other = await openPage(browser);
  await signIn(other.page, cmail, '/queue');
  await page.getByRole('link', { name: 'Sessions' }).click();
  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await dialog.getByRole('button', { name: 'Sign out everywhere' }).click();
  await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor();
  await other.page.getByText('You were signed out.').waitFor();

  await page.getByLabel('Name', { exact: true }).fill(ADMIN.name);
  await page.getByLabel('Password', { exact: true }).fill('wrong words altogether');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByRole('navigation').count(), 0);
  assertNoComplaints(here);
});
