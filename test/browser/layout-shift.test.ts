import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { assertNoComplaints, openPage, pageAddress, signIn, startBrowser } from '../support/browser.ts';
import type { Cmail } from '../support/cmail.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startWorld, type World } from './world.ts';

/** What counts as "good" for Cumulative Layout Shift (web.dev/articles/cls). */
const MOST_SHIFT = 0.1;
/** A live view is sent anew every 2 s, lists are read anew every 5 s. */
const LIVE_MS = 6_000;
/** Until what comes after the first answer has come too. */
const SETTLE_MS = 700;
/** Pages that change while mail flows. */
const LIVE_PAGES: ReadonlySet<string> = new Set([
  'dashboard',
  'messages',
  'message-story',
  'queue',
  'queue-destination',
]);

/** The second is stored without effect, which the dashboard says. */
const ALARMING = { 'smtp.refuseUnknownUsers': 'off', 'smtp.assumeExternal': 'on' };

/** Runs in the page, before anything of it: sums up what moved without anybody having touched anything. */
const WATCH = `
  globalThis.shift = 0;
  globalThis.moved = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      globalThis.shift += value;
      const names = sources.slice(0, 4).map(({ node, previousRect: from, currentRect: to }) =>
        (node?.nodeName ?? 'gone') + '.' + (node?.className ?? '') + ' "' + (node?.textContent ?? '').slice(0, 30) +
        '" y ' + from.y + ' to ' + to.y + ', height ' + from.height + ' to ' + to.height);
      globalThis.moved.push(value.toFixed(4) + ': ' + names.join(' | '));
    }
  }).observe({ type: 'layout-shift', buffered: true });
`;

interface Measured {
  readonly shift: number;
  readonly moved: readonly string[];
}

function measured(page: Page): Promise<Measured> {
  return page.evaluate('({ shift: globalThis.shift, moved: globalThis.moved })');
}

/** One message delivered here and one that waits. */
async function sendTwo(cmail: Cmail): Promise<void> {
  const client = await greeted(cmail.listeners.smtp, 'desk.example.com');
  const from = 'anna@example.com';
  for (const to of ['anna@example.com', 'ida@dead.example']) {
    await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'One more' }) });
  }
  client.destroy();
}

/** A page is loaded; mail and an alarm come while one that is live stands open. */
async function lookAt(page: Page, cmail: Cmail, name: string, path: string): Promise<Measured> {
  await page.goto(pageAddress(cmail, path));
  await page.locator('#page-title').waitFor();
  await page.locator('.waiting').first().waitFor({ state: 'detached' });
  await page.waitForTimeout(SETTLE_MS);
  if (!LIVE_PAGES.has(name)) return measured(page);
  if (name === 'dashboard') await cmail.set(ALARMING);
  await sendTwo(cmail);
  if (name === 'dashboard') await page.getByText('All is well.').waitFor({ state: 'detached' });
  await page.waitForTimeout(LIVE_MS);
  return measured(page);
}

async function lookAtAll(
  t: TestContext,
  browser: Browser,
  { cmail, pages }: World,
  width: number,
): Promise<string[]> {
  const watched = await openPage(browser, { width, height: width === 1280 ? 900 : 844 });
  const { page } = watched;
  await watched.context.addInitScript(WATCH);
  await signIn(page, cmail);
  const jumps: string[] = [];
  for (const [name, path] of Object.entries(pages)) {
    const { shift, moved } = await lookAt(page, cmail, name, path);
    const words = `${name} at ${width} px: ${shift.toFixed(4)}`;
    t.diagnostic(words);
    if (shift > MOST_SHIFT) jumps.push(`${words}\n${moved.join('\n')}`);
  }
  assertNoComplaints(watched);
  await watched.context.close();
  return jumps;
}

for (const width of [1280, 390]) {
  test(`no page jumps at ${width} px: neither while it loads nor while mail flows`, async (t) => {
    const browser = await startBrowser(t);
    if (browser === null) return;
    assert.deepEqual(await lookAtAll(t, browser, await startWorld(t), width), []);
  });
}
