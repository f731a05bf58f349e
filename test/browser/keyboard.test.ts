import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { ADMIN, assertNoComplaints, openPage, pageAddress, startSignedIn } from '../support/browser.ts';

/** What has the focus, as a reader would name it. */
function focused(page: Page): Promise<string> {
  return page.evaluate(
    '(document.activeElement?.labels?.[0]?.textContent || document.activeElement?.textContent || "").trim()',
  );
}

/** Presses Tab until something of this name has the focus, as somebody without a mouse would. */
async function tabTo(page: Page, name: string, most = 60): Promise<void> {
  for (let presses = 0; presses < most; presses += 1) {
    if ((await focused(page)) === name) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${name} is not reached with ${most} presses of Tab`);
}

test('by the keyboard only: signing in, finding a setting, changing and saving it, acting on a menu', async (t) => {
  const here = await startSignedIn(t);
  if (here === null) return;
  const { cmail, browser } = here;
  const watched = await openPage(browser);
  const { page } = watched;
  await page.goto(pageAddress(cmail));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await focused(page), 'Name', 'the first field has the focus');
  await page.keyboard.type(ADMIN.name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(ADMIN.password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Dashboard' }).waitFor();

  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Skip to the content');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /^A page, a setting/ }).waitFor();
  await page.keyboard.type('assume external');
  await page.getByRole('option', { name: /Assume recipient address external/ }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Advanced' }).waitFor();
  await tabTo(page, 'Assume recipient address external');
  await page.keyboard.press('Space');
  await page.getByText('1 unsaved change').waitFor();
  await tabTo(page, 'Save changes');
  await page.keyboard.press('Enter');
  await page.getByText('Saved: 1 setting changed.').waitFor();
  const { value } = await cmail.json<{ value: boolean }>(['settings', 'get', 'smtp.assumeExternal']);
  assert.equal(value, true);

  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /^A page, a setting/ }).waitFor();
  await page.keyboard.type('aliases');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Aliases' }).waitFor();
  await tabTo(page, 'Add an alias');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await focused(page), 'Add an alias', 'the focus is back where it was');
  assertNoComplaints(watched);
});
