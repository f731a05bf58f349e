import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ADMIN,
  assertNoComplaints,
  openPage,
  pageAddress,
  setupLink,
  startBrowser,
  startCmailWithPage,
} from '../support/browser.ts';

test('from an empty folder to a delivered message, by the link that the start printed', async (t) => {
  const browser = await startBrowser(t);
  if (browser === null) return;
  const cmail = await startCmailWithPage(t);
  const watched = await openPage(browser);
  const { page } = watched;
  await page.goto(setupLink(cmail));

  const make = page.getByRole('button', { name: 'Make the administrator' });
  await page.getByLabel('Name', { exact: true }).fill(ADMIN.name);
  await page.getByLabel('Password', { exact: true }).fill('short');
  await page.getByLabel('The password again').fill('short');
  assert.equal(await make.isDisabled(), true, 'a short password is not taken');
  await page.getByLabel('Password', { exact: true }).fill(ADMIN.password);
  await page.getByText('The two are not the same.').waitFor();
  await page.getByLabel('The password again').fill(ADMIN.password);
  await make.click();

  await page.getByRole('button', { name: 'Keep this name' }).click();
  await page.getByRole('textbox', { name: 'Domain' }).fill('example.test');
  await page.getByRole('button', { name: 'Add the domain' }).click();
  await page.getByLabel('Name before the @').fill('anna');
  await page.getByLabel('Password of the mailbox').fill('another long password');
  await page.getByRole('button', { name: 'Add the account' }).click();
  await page.getByLabel('Directly, by MX resolution').check();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  assert.equal(await page.getByLabel('To', { exact: true }).inputValue(), 'anna@example.test');
  await page.getByRole('button', { name: 'Send a test message' }).click();
  await page.getByText('Delivered. CMail is ready.').waitFor();
  await page.getByText('anna@example.test has it in the mailbox.').waitFor();
  assert.match(await cmail.run(['mail', 'show', 'anna@example.test']), /^Subject: /m);

  await page.getByRole('button', { name: 'To the dashboard' }).click();
  await page.getByRole('heading', { level: 1, name: 'Dashboard' }).waitFor();
  assertNoComplaints(watched);

  await t.test('the link does not work a second time', async () => {
    const again = await openPage(browser);
    await again.page.goto(pageAddress(cmail, '/setup#token=0123456789abcdef'));
    await again.page.getByRole('heading', { name: 'This link does not work' }).waitFor();
    await again.context.close();
  });
});
