/**
 * A real browser (chromium) that administers a real server: signs in as a person would, collects what the page
 * complains of, and looks for barriers with axe.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { type CleanUp, type Cmail, type CmailOptions, startCmail } from './cmail.ts';
import { requireTool } from './require.ts';

export const ADMIN = { name: 'admin', password: 'correct horse battery staple' } as const;

/** How chromium is started, here and for the screenshots. */
export const BROWSER_ARGUMENTS: readonly string[] = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const STEP_LIMIT_MS = 15_000;

/** Answers that a page shows to its user on purpose, and that the browser writes into its console as well. */
const EXPECTED_ANSWERS = /Failed to load resource: the server responded with a status of (401|409|422|429)/;

/** Starts chromium; null, with the test skipped and the reason printed, where there is none. */
export async function startBrowser(t: TestContext): Promise<Browser | null> {
  const executablePath = requireTool(t, 'chromium');
  if (executablePath === null) return null;
  const browser = await chromium.launch({ executablePath, args: [...BROWSER_ARGUMENTS] });
  t.after(() => browser.close());
  return browser;
}

/** A server with its page on a free port. */
export function startCmailWithPage(t: CleanUp, options: CmailOptions = {}): Promise<Cmail> {
  const listen = { smtp: ['127.0.0.1:0'], pop3: ['127.0.0.1:0'], admin: '127.0.0.1:0' };
  const given = options.config?.listen;
  return startCmail(t, {
    ...options,
    config: { ...options.config, listen: { ...listen, ...(typeof given === 'object' ? given : {}) } },
  });
}

/** Where the page is. */
export function pageAddress(cmail: Cmail, path = '/'): string {
  const admin = cmail.listeners.admin;
  if (admin === undefined) throw new Error('the server has no admin listener');
  return `http://${admin.host}:${admin.port}${path}`;
}

/** The link of the first run, as the server printed it. */
export function setupLink(cmail: Cmail): string {
  const link = /https?:\/\/\S+\/setup#token=[^\s"\\]+/.exec(cmail.logText())?.[0];
  if (link === undefined) throw new Error(`no link of the first run in:\n${cmail.logText()}`);
  return pageAddress(cmail, new URL(link).pathname + new URL(link).hash);
}

/** Makes the first administrator through the API, for tests that are about something else. */
export async function makeAdministrator(cmail: Cmail): Promise<void> {
  const link = setupLink(cmail);
  const token = new URLSearchParams(new URL(link).hash.slice(1)).get('token') ?? '';
  const response = await fetch(pageAddress(cmail, '/api/v1/setup'), {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: new URL(pageAddress(cmail)).origin },
    body: JSON.stringify({ token, ...ADMIN }),
  });
  assert.equal(response.status, 201, await response.text());
}

/** A page that remembers what it complained of. */
export interface WatchedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors of the page, of its policy, of the console. */
  readonly complaints: string[];
}

export interface PageLook {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
  /** Pixels of a picture for each of the page; default 1. */
  readonly scale?: number;
}

/** Opens an empty page in a profile of its own. */
export async function openPage(browser: Browser, look: PageLook = {}): Promise<WatchedPage> {
  const { width = 1280, height = 900, scheme = 'light', scale = 1 } = look;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: scale,
  });
  context.setDefaultTimeout(STEP_LIMIT_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (!['error', 'warning'].includes(message.type()) || EXPECTED_ANSWERS.test(text)) return;
    complaints.push(text);
  });
  return { page, context, complaints };
}

/** Types name and password. */
export async function signIn(
  page: Page,
  cmail: Cmail,
  path = '/',
  who: { readonly name: string; readonly password: string } = ADMIN,
): Promise<void> {
  await page.goto(pageAddress(cmail, path));
  await page.getByLabel('Name', { exact: true }).fill(who.name);
  await page.getByLabel('Password', { exact: true }).fill(who.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('#page-title').waitFor();
}

/** A server with an administrator, and a browser signed in to it; null where there is no browser. */
export async function startSignedIn(
  t: TestContext,
  options: CmailOptions = {},
  path = '/',
): Promise<(WatchedPage & { readonly cmail: Cmail; readonly browser: Browser }) | null> {
  const browser = await startBrowser(t);
  if (browser === null) return null;
  const cmail = await startCmailWithPage(t, options);
  await makeAdministrator(cmail);
  const watched = await openPage(browser);
  await signIn(watched.page, cmail, path);
  return { ...watched, cmail, browser };
}

/** Nothing may have gone wrong in the page, its policy included. */
export function assertNoComplaints({ complaints }: WatchedPage): void {
  assert.deepEqual(complaints, []);
}

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
let axeSource: string | undefined;

/** What axe finds by the rules of WCAG 2.1 A and AA and good practice, a line each. */
export async function barriers(page: Page): Promise<string[]> {
  axeSource ??= await readFile(axeFile, 'utf8');
  // By the debugging protocol: a script element would be stopped by the page's own policy.
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe;
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
    const { violations } = await axe.run({ runOnly: tags });
    return violations.map(({ id, nodes }) => {
      const where = nodes
        .slice(0, 3)
        .map(({ target, failureSummary }) => `${target.join(' ')} (${failureSummary})`);
      return `${id}: ${where.join('; ')}`;
    });
  });
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[];
  }[];
}
