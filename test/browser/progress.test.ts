import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertNoComplaints, pageAddress, startSignedIn } from '../support/browser.ts';

/** What takes longer than a second must be seen to be under way before the second is over. */
const SIGN_WITHIN_MS = 1_000;

/** Calls to `path` wait for the function given back before they go on to the server. */
async function holdUp(page: Page, path: string): Promise<() => void> {
  const gate = Promise.withResolvers<void>();
  await page.route(`**/api/v1${path}`, async (route) => {
    await gate.promise;
    await route.continue();
  });
  return gate.resolve;
}

test('whatever takes long is seen to be under way within a second, and a dialog is not sent twice', async (t) => {
  const here = await startSignedIn(t, { domains: ['example.test'] });
  if (here === null) return;
  const { page, cmail } = here;
  const line = page.getByRole('progressbar', { name: 'Loading' });
  await page.getByText('Live', { exact: true }).waitFor();
  assert.equal(await line.count(), 0);

  await t.test('a page whose list is late', async () => {
    const goOn = await holdUp(page, '/domains?*');
    await page.getByRole('link', { name: 'Domains' }).click();
    await page.locator('.panel .waiting').waitFor({ timeout: SIGN_WITHIN_MS });
    await line.waitFor({ timeout: SIGN_WITHIN_MS });
    goOn();
    await page.getByRole('row', { name: /example\.test/ }).waitFor();
    await line.waitFor({ state: 'detached' });
  });

  await t.test('a change that is late', async () => {
    const goOn = await holdUp(page, '/domains');
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Add a domain' }).click();
    await dialog.getByLabel('Domain name').fill('late.test');
    const send = dialog.getByRole('button', { name: 'Add a domain' });
    await send.click();
    await dialog.locator('button[data-loading]').waitFor({ timeout: SIGN_WITHIN_MS });
    assert.equal(await send.isDisabled(), true);
    await line.waitFor({ timeout: SIGN_WITHIN_MS });
    await page.keyboard.press('Enter');
    goOn();
    await page.getByText('late.test is hosted now.').waitFor();
    assert.equal((await cmail.json<unknown[]>(['domain', 'list'])).length, 2);
  });

  await t.test('a check that is late', async () => {
    await page.goto(pageAddress(cmail, '/check'));
    const goOn = await holdUp(page, '/check');
    await page.getByRole('button', { name: 'Check now' }).click();
    await page.getByText('Looking; this can take half a minute.').waitFor({ timeout: SIGN_WITHIN_MS });
    await line.waitFor({ timeout: SIGN_WITHIN_MS });
    goOn();
    await line.waitFor({ state: 'detached' });
  });
  assertNoComplaints(here);
});
