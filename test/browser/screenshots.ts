/**
 * Pictures of every page at 1280 and 390 px, light and dark: `npm run screenshots [FOLDER]` (default:
 * .cmail-test/screenshots). A real server with real mail stands behind them. With `--readme` only the three small
 * ones of docs/images.
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import {
  BROWSER_ARGUMENTS,
  openPage,
  pageAddress,
  setupLink,
  signIn,
  startCmailWithPage,
} from '../support/browser.ts';
import type { CleanUp } from '../support/cmail.ts';
import { startWorld } from './world.ts';

const EXECUTABLE = '/usr/bin/chromium';
const SIZES = [
  [1280, 900],
  [390, 844],
] as const;
const SCHEMES = ['light', 'dark'] as const;
/** Until what comes after the first answer (a plot, a table below) has come too. */
const SETTLE_MS = 900;

async function shoot(page: Page, folder: string, name: string): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.waitForTimeout(SETTLE_MS);
  // A window as high as the page: what sticks to the window's edge then stands where it belongs.
  const size = page.viewportSize() ?? { width: 1280, height: 900 };
  const height = Number(await page.evaluate('document.documentElement.scrollHeight'));
  await page.evaluate('scrollTo(0, 0)');
  await page.setViewportSize({ width: size.width, height: Math.max(size.height, height) });
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.setViewportSize(size);
}

/** The heart of the product with something edited and tried. */
async function editAdvanced(page: Page): Promise<void> {
  await page.getByLabel('Fallback to SMTP host if MX fails').check();
  await page.getByLabel('Recipient', { exact: true }).fill('hugo@dead.example');
  await page.getByLabel('Who brings it').selectOption('A client at this address');
  await page.getByText(/^Your changes make/).waitFor();
}

async function main(folder: string, readme: boolean): Promise<void> {
  const cleanUps: (() => Promise<void> | void)[] = [];
  const t = { after: (action: () => Promise<void> | void) => void cleanUps.unshift(action) };
  try {
    await mkdir(folder, { recursive: true });
    const browser = await chromium.launch({ executablePath: EXECUTABLE, args: [...BROWSER_ARGUMENTS] });
    t.after(() => browser.close());
    await (readme ? takeForReadme(t, browser, folder) : takeAll(t, browser, folder));
  } finally {
    for (const action of cleanUps) await action();
  }
  console.log(`pictures are in ${folder}`);
}

async function takeAll(t: CleanUp, browser: Browser, folder: string): Promise<void> {
  const { cmail, pages, owner, ownPages } = await startWorld(t);
  const empty = await startCmailWithPage(t);
  for (const [width, height] of SIZES) {
    for (const scheme of SCHEMES) {
      const { page, context } = await openPage(browser, { width, height, scheme });
      const end = `-${width}-${scheme}`;
      await page.goto(setupLink(empty));
      await shoot(page, folder, `setup${end}`);
      await page.goto(pageAddress(cmail));
      await shoot(page, folder, `sign-in${end}`);
      await signIn(page, cmail);
      for (const [name, path] of Object.entries(pages)) {
        await page.goto(pageAddress(cmail, path));
        await shoot(page, folder, name + end);
      }
      await page.goto(pageAddress(cmail, pages['smtp-advanced']));
      await editAdvanced(page);
      await shoot(page, folder, `smtp-advanced-edited${end}`);
      await context.close();
      const own = await openPage(browser, { width, height, scheme });
      await signIn(own.page, cmail, '/', owner);
      for (const [name, path] of Object.entries(ownPages)) {
        await own.page.goto(pageAddress(cmail, path));
        await shoot(own.page, folder, name + end);
      }
      await own.context.close();
    }
  }
}

/** The pictures of the README: a part of three pages, small. */
async function takeForReadme(t: CleanUp, browser: Browser, folder: string): Promise<void> {
  const { cmail, pages } = await startWorld(t);
  const wide = await openPage(browser, { height: 1040, scale: 0.8 });
  await signIn(wide.page, cmail, pages['smtp-advanced']);
  await editAdvanced(wide.page);
  await wide.page.evaluate('scrollTo(0, 330)');
  await wide.page.waitForTimeout(SETTLE_MS);
  await wide.page.screenshot({ path: join(folder, 'advanced.png') });
  await wide.page.getByRole('button', { name: 'Discard changes' }).click();
  await wide.page.setViewportSize({ width: 1280, height: 860 });
  await wide.page.goto(pageAddress(cmail, pages['message-story']));
  await wide.page.waitForTimeout(SETTLE_MS);
  await wide.page.screenshot({ path: join(folder, 'story.png') });
  const phone = await openPage(browser, { width: 390, height: 860, scheme: 'dark', scale: 0.8 });
  await signIn(phone.page, cmail, pages['queue-destination']);
  await phone.page.waitForTimeout(SETTLE_MS);
  await phone.page.screenshot({ path: join(folder, 'phone.png') });
}

const words = process.argv.slice(2);
const folder = words.find((word) => !word.startsWith('--'));
await main(
  resolve(folder ?? join(import.meta.dirname, '../../.cmail-test/screenshots')),
  words.includes('--readme'),
);
