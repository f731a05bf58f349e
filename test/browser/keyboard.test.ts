import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { ADMIN, assertNoComplaints, openPage, pageAddress, startSignedIn } from '../support/browser.ts';

/** What has the focus, as a reader would name it. */
function focused(page: Page): Promise<string> {
  return page.evaluate(
    '(document.activeElement?.labels?.[0]?.textContent || document.activeElement?.textContent || "").trim()',
  );
}

/** Waits until this has the focus: it follows what is shown by a moment. */
async function hasFocus(page: Page, name: string, why: string): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while ((await focused(page)) !== name && performance.now() < untilMs) await sleep(50);
  assert.equal(await focused(page), name, why);
}

/** Opens the search over all pages and settings, types into it and follows the entry it finds. */
async function goTo(page: Page, words: string, entry: RegExp): Promise<void> {
  await page.keyboard.press('Control+k');
  const field = page.getByRole('combobox', { name: /^A page, a setting/ });
  await field.and(page.locator(':focus')).waitFor();
  await page.keyboard.type(words);
  await page.getByRole('option', { name: entry, selected: true }).waitFor();
  await page.keyboard.press('Enter');
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
  await hasFocus(page, 'Name', 'the first field has the focus');
  await page.keyboard.type(ADMIN.name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(ADMIN.password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Dashboard' }).waitFor();

  await page.keyboard.press('Tab');
  await hasFocus(page, 'Skip to the content', 'the first stop of Tab');
  await goTo(page, 'assume external', /Assume recipient address external/);
  await page.getByRole('heading', { level: 1, name: 'Advanced' }).waitFor();
  await tabTo(page, 'Assume recipient address external');
  await page.keyboard.press('Space');
  await page.getByText('1 unsaved change').waitFor();
  await tabTo(page, 'Save changes');
  await page.keyboard.press('Enter');
  await page.getByText('Saved: 1 setting changed.').waitFor();
  const { value } = await cmail.json<{ value: boolean }>(['settings', 'get', 'smtp.assumeExternal']);
  assert.equal(value, true);

  await goTo(page, 'aliases', /^Aliases/);
  await hasFocus(page, 'Aliases', 'the heading, so that who does not see it hears of the new page');
  await tabTo(page, 'Add an alias');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await hasFocus(page, 'Add an alias', 'the focus is back where it was');
  assertNoComplaints(watched);
});
