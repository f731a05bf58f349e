/** The owner of an account does what an owner does, in a browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, openPage, pageAddress, signIn, startSignedIn } from '../support/browser.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const ANNA = { name: 'anna@example.test', password: 'secret-password' };

test('an owner signs in, sets up a program, follows a message, forwards, and changes the password', async (t) => {
  const here = await startSignedIn(t, {
    config: { listen: { submission: ['127.0.0.1:0'] } },
    domains: ['example.test'],
    accounts: [{ address: 'boss@example.test' }, { address: ANNA.name }, { address: 'bert@example.test' }],
    aliases: { 'sales@example.test': [ANNA.name] },
  });
  if (here === null) return;
  const { cmail, browser, page: boss } = here;
  const watched = await openPage(browser);
  const { page } = watched;
  const dialog = page.getByRole('dialog');
  await signIn(page, cmail, '/', ANNA);
  await page.getByRole('heading', { level: 1, name: 'Messages' }).waitFor();
  await page.getByText('Mail for sales@example.test reaches you too.').waitFor();
  await page.getByText('No message yet').waitFor();
  assert.deepEqual(await page.getByRole('navigation').first().getByRole('link').allTextContents(), [
    'Messages',
    'Mail programs',
    'Password, sign-ins',
    'Forwarding',
  ]);

  await page.getByRole('link', { name: 'Set up a mail program' }).click();
  await page.getByRole('row', { name: /Sending \(SMTP\) mail\.cmail\.test \d+ STARTTLS/ }).waitFor();
  await page.getByRole('button', { name: 'Make an app password' }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('laptop');
  await dialog.getByLabel('collect mail').uncheck();
  await dialog.getByRole('button', { name: 'Make an app password' }).click();
  const secret = (await dialog.getByTestId('app-password').textContent()) ?? '';
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('row', { name: /laptop send mail .* never used/ }).waitFor();

  const client = await greeted({ ...cmail.listeners.smtp, localAddress: '127.0.0.2' });
  const plain = Buffer.from(`\0${ANNA.name}\0${secret}`).toString('base64');
  await client.expect(235, client.command(`AUTH PLAIN ${plain}`));
  const data = letter({ from: ANNA.name, to: 'bert@example.test', subject: 'The plan' });
  await client.sendMessage({ from: ANNA.name, to: ['bert@example.test'], data });
  client.destroy();
  await page.getByRole('link', { name: 'Messages' }).first().click();
  await page.getByRole('link', { name: 'The plan' }).click();
  await page.getByText('bert@example.test has it in the mailbox.').waitFor();
  await page.getByText(`signed in as ${ANNA.name}`).waitFor();

  await page.getByRole('link', { name: 'Forwarding' }).click();
  await page.getByText('nothing is forwarded.').waitFor();
  await page.getByLabel('Forward to').fill(ANNA.name);
  await page.getByRole('button', { name: 'Save' }).click();
  await page
    .getByRole('alert')
    .getByText(/leads back to anna@example\.test/)
    .waitFor();
  await page.getByLabel('Forward to').fill('anna@home.test\nbert@example.test');
  await page.getByLabel('Keep a copy in my mailbox').uncheck();
  await page.getByRole('button', { name: 'Save' }).click();
  await page
    .getByText('Your mail is forwarded to anna@home.test, bert@example.test. No copy stays in your mailbox.')
    .waitFor();
  await page.getByText('The forward was saved.').waitFor();

  await boss.goto(pageAddress(cmail, '/accounts'));
  await boss.getByText('forwards to anna@home.test, bert@example.test, without a copy').waitFor();
  await boss.getByRole('button', { name: `Actions: ${ANNA.name}` }).click();
  await boss.getByRole('menuitem', { name: 'Turn off forwarding' }).click();
  await boss.getByRole('dialog').getByRole('button', { name: 'Turn off forwarding' }).click();
  await boss.getByText(`${ANNA.name} forwards nothing any more.`).waitFor();
  await page.reload();
  await page.getByText('nothing is forwarded.').waitFor();

  await page.getByRole('link', { name: 'Password, sign-ins' }).click();
  await page.getByRole('row', { name: /Signed in Sending mail with laptop 127\.0\.0\.2/ }).waitFor();
  await page.getByLabel('Present password', { exact: true }).fill('guessed');
  await page.getByLabel('New password', { exact: true }).fill('several words will do');
  await page.getByText('Very strong.').waitFor();
  await page.getByRole('button', { name: 'Change the password' }).click();
  await page.getByRole('alert').getByText('the present password is wrong').waitFor();
  await page.getByLabel('Present password', { exact: true }).fill(ANNA.password);
  await page.getByRole('button', { name: 'Change the password' }).click();
  await page.getByText('Your password was changed.').waitFor();

  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await dialog.getByRole('button', { name: 'Sign out everywhere' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill(ANNA.name);
  await page.getByLabel('Password', { exact: true }).fill(ANNA.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('name or password is wrong').waitFor();
  assertNoComplaints(watched);
  assertNoComplaints(here);
});

test('on a phone the pages of an owner are in the drawer, and one for administrators is not found', async (t) => {
  const here = await startSignedIn(t, {
    domains: ['example.test'],
    accounts: [{ address: ANNA.name }],
  });
  if (here === null) return;
  const watched = await openPage(here.browser, { width: 390, height: 844 });
  const { page } = watched;
  await signIn(page, here.cmail, '/accounts', ANNA);
  await page.getByRole('heading', { level: 1, name: 'There is no such page' }).waitFor();
  await page.getByRole('button', { name: 'To your messages' }).click();
  await page.getByRole('button', { name: 'Open the menu' }).click();
  await page.getByRole('dialog').getByRole('link', { name: 'Mail programs' }).click();
  await page.getByText('No app password yet').waitFor();
  await page.keyboard.press('Control+k');
  assert.equal(await page.getByRole('dialog', { name: 'Find' }).count(), 0);
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Change your password' }).click();
  await page.getByRole('heading', { level: 1, name: 'Password and sign-ins' }).waitFor();
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out', exact: true }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assertNoComplaints(watched);
});
