import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import {
  ADMIN,
  assertNoComplaints,
  barriers,
  openPage,
  pageAddress,
  setupLink,
  signIn,
  startBrowser,
  startCmailWithPage,
} from '../support/browser.ts';
import { startWorld } from './world.ts';

/** Until nothing is on its way any more. */
async function settled(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.locator('.waiting').first().waitFor({ state: 'detached' });
}

function sideways(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - innerWidth');
}

test('no page has a barrier, in light and in dark; none is wider than a phone', async (t) => {
  const browser = await startBrowser(t);
  if (browser === null) return;
  const { cmail, pages, owner, ownPages } = await startWorld(t);
  const ways = [
    { pages, who: ADMIN },
    { pages: ownPages, who: owner },
  ];
  for (const [scheme, width] of [
    ['light', 1280],
    ['dark', 390],
  ] as const) {
    for (const { pages: here, who } of ways) {
      const watched = await openPage(browser, { scheme, width });
      await signIn(watched.page, cmail, '/', who);
      for (const [name, path] of Object.entries(here)) {
        await watched.page.goto(pageAddress(cmail, path));
        await settled(watched.page);
        assert.deepEqual(await barriers(watched.page), [], `${name}, ${scheme}, ${width} px`);
        assert.equal(await sideways(watched.page), 0, `${name} scrolls sideways at ${width} px`);
      }
      await watched.page.emulateMedia({ colorScheme: scheme === 'light' ? 'dark' : 'light' });
      for (const [name, path] of Object.entries(here)) {
        await watched.page.goto(pageAddress(cmail, path));
        await settled(watched.page);
        assert.deepEqual(await barriers(watched.page), [], `${name}, not ${scheme}, ${width} px`);
      }
      assertNoComplaints(watched);
      await watched.context.close();
    }
  }
});

test('the sign-in and the first run have no barrier; windows within a page neither', async (t) => {
  const browser = await startBrowser(t);
  if (browser === null) return;
  const empty = await startCmailWithPage(t);
  const watched = await openPage(browser, { scheme: 'dark' });
  const { page } = watched;
  for (const address of [setupLink(empty), pageAddress(empty)]) {
    await page.goto('about:blank');
    await page.goto(address);
    await settled(page);
    assert.deepEqual(await barriers(page), [], address);
  }
  const { cmail } = await startWorld(t);
  await signIn(page, cmail, '/queue');
  await page.getByRole('button', { name: 'Act on everything' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await page
    .getByRole('dialog')
    .getByText(/\d messages to/)
    .waitFor();
  await page.waitForTimeout(400); // until the window has faded in: half a colour has half a contrast
  assert.deepEqual(await barriers(page), [], 'deleting');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+k');
  await page.getByRole('dialog').getByRole('option').first().waitFor();
  await page.waitForTimeout(400);
  assert.deepEqual(await barriers(page), [], 'finding');
  assertNoComplaints(watched);
});
