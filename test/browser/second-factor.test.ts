/** The second factor and the bans as a person at the page meets them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import {
  ADMIN,
  assertNoComplaints,
  barriers,
  openPage,
  pageAddress,
  signIn,
  startSignedIn,
} from '../support/browser.ts';
import { codesOf, getBanned, wrongCode } from '../support/totp.ts';

const FADED_MS = 400;
const OWNER = { name: 'anna@example.test', password: 'secret-password' };

async function noBarrier(page: Page, what: string): Promise<void> {
  await page.waitForTimeout(FADED_MS); // until a window has faded in: half a colour has half a contrast
  assert.deepEqual(await barriers(page), [], what);
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out', exact: true }).click();
  await page.getByLabel('Password', { exact: true }).waitFor();
}

async function password(page: Page, person: typeof OWNER = ADMIN): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(person.name);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Second step' }).waitFor();
}

async function enterCode(page: Page, code: string): Promise<void> {
  await page.getByLabel('Code', { exact: true }).fill(code);
  await page.getByRole('button', { name: 'Continue' }).click();
}

interface Enrolled {
  readonly secret: string;
  readonly codes: string[];
  readonly recovery: string[];
}

/** Sets it up as a person does; what the app and the paper in the safe then hold. */
async function enrol(page: Page, person: typeof OWNER = ADMIN): Promise<Enrolled> {
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Second factor' }).click();
  await page.getByRole('button', { name: 'Set it up' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Your present password').fill('not it at all');
  await dialog.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByText(/present password is wrong/).waitFor();
  await dialog.getByLabel('Your present password').fill(person.password);
  await dialog.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByRole('img', { name: 'QR code' }).waitFor();
  await noBarrier(page, 'scanning');
  const secret = (await dialog.getByTestId('factor-secret').innerText()).trim();
  await dialog.getByLabel('Code', { exact: true }).fill(wrongCode(secret));
  await dialog.getByRole('button', { name: 'Turn on' }).click();
  await dialog.getByText(/code is wrong/).waitFor();
  const codes = codesOf(secret);
  await dialog.getByLabel('Code', { exact: true }).fill(codes[0] ?? '');
  await dialog.getByRole('button', { name: 'Turn on' }).click();
  await dialog.getByRole('list', { name: 'Recovery codes' }).waitFor();
  await noBarrier(page, 'recovery codes');
  const recovery = await dialog
    .getByRole('list', { name: 'Recovery codes' })
    .getByRole('listitem')
    .allInnerTexts();
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
  await page.getByText('Your second factor is on').waitFor();
  return { secret, codes, recovery };
}

test('a second factor is set up, asked for at the sign-in, replaced by a recovery code, and turned off', async (t) => {
  const here = await startSignedIn(t);
  if (here === null) return;
  const { page, cmail } = here;
  const { secret, codes, recovery } = await enrol(page);
  assert.equal(recovery.length, 10);
  await noBarrier(page, 'turned on');

  await signOut(page);
  await password(page);
  await noBarrier(page, 'the second step');
  assert.equal(await page.getByLabel('Code', { exact: true }).getAttribute('autocomplete'), 'one-time-code');
  await enterCode(page, wrongCode(secret));
  await page.getByText(/code is wrong/).waitFor();
  await enterCode(page, codes[1] ?? '');
  await page.locator('#page-title').waitFor();

  await signOut(page);
  await password(page);
  await enterCode(page, (recovery[0] ?? '').trim());
  await page.locator('#page-title').waitFor();
  await page.goto(pageAddress(cmail, '/access/audit'));
  await page.getByRole('row', { name: /secondFactor\.recoveryCode.*9 left/ }).waitFor();
  await page.goto(pageAddress(cmail, '/access/administrators'));
  await page.getByRole('row', { name: new RegExp(`${ADMIN.name}.* on `) }).waitFor();
  await page.goto(pageAddress(cmail, '/access/second-factor'));
  await page.getByText('Recovery codes left: 9').waitFor();
  await page.getByRole('button', { name: 'Turn off' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Your present password').fill(ADMIN.password);
  await dialog.getByLabel('Code, or a recovery code').fill(recovery[1] ?? '');
  await dialog.getByRole('button', { name: 'Turn off' }).click();
  await page.getByRole('button', { name: 'Set it up' }).waitFor();
  assertNoComplaints(here);
});

test('the owner of an account sets it up and signs in with a code; an administrator resets it', async (t) => {
  const here = await startSignedIn(t, {
    domains: ['example.test'],
    accounts: [{ address: 'boss@example.test' }, { address: OWNER.name }],
  });
  if (here === null) return;
  const { cmail, browser, page: boss } = here;
  const watched = await openPage(browser);
  const { page } = watched;
  await signIn(page, cmail, '/', OWNER);
  await page.getByRole('heading', { level: 1, name: 'Messages' }).waitFor();
  const { secret, codes } = await enrol(page, OWNER);
  await page.getByText('Mail programs cannot ask for a code').waitFor();
  await noBarrier(page, "turned on, at the owner's");

  await signOut(page);
  await password(page, OWNER);
  await enterCode(page, wrongCode(secret));
  await page.getByText(/code is wrong/).waitFor();
  await enterCode(page, codes[1] ?? '');
  await page.getByRole('link', { name: 'Password, sign-ins' }).click();
  await page.getByRole('row', { name: /Refused wrong code This page/ }).waitFor();

  await boss.goto(pageAddress(cmail, '/accounts'));
  await boss.getByRole('row', { name: /anna@example\.test Second factor on/ }).waitFor();
  await boss.getByRole('button', { name: `Actions: ${OWNER.name}` }).click();
  await boss.getByRole('menuitem', { name: 'Reset the second factor' }).click();
  await boss.getByRole('dialog').getByRole('button', { name: 'Reset the second factor' }).click();
  await boss.getByText(`The second factor of ${OWNER.name} is off.`).waitFor();
  await boss.getByText('Second factor on').waitFor({ state: 'detached' });
  await page.reload();
  await page.getByRole('button', { name: 'Set it up' }).waitFor();
  assertNoComplaints(here);
  assertNoComplaints(watched);
});

test("another administrator's second factor is reset", async (t) => {
  const here = await startSignedIn(t);
  if (here === null) return;
  const { page, cmail } = here;
  await cmail.run(['admin', 'add', 'zoe', '--password-stdin'], { input: `${ADMIN.password}\n` });
  const call = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const response = await fetch(pageAddress(cmail, `/api/v1${path}`), {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: new URL(pageAddress(cmail)).origin, ...headers },
      body: JSON.stringify(body),
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    const cookie = (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    return { cookie, json: (await response.json()) as Record<string, string> };
  };
  const zoe = await call('/session', { name: 'zoe', password: ADMIN.password });
  const headers = { cookie: zoe.cookie, 'x-csrf-token': zoe.json.csrf ?? '' };
  const { secret = '' } = (await call('/second-factor', { password: ADMIN.password }, headers)).json;
  await call('/second-factor/confirm', { code: codesOf(secret)[0] }, headers);
  await page.goto(pageAddress(cmail, '/access/administrators'));
  await page.getByRole('button', { name: 'Reset second factor: zoe' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reset second factor' }).click();
  await page.getByText('The second factor of zoe is off.').waitFor();
  await page.getByRole('button', { name: 'Reset second factor: zoe' }).waitFor({ state: 'detached' });
  assertNoComplaints(here);
});

test('a ban is shown with its reason and lifted', async (t) => {
  const here = await startSignedIn(t, {}, '/access/bans');
  if (here === null) return;
  const { page, cmail } = here;
  await page.setViewportSize({ width: 390, height: 844 });
  await page.reload();
  await page.getByText('Nobody is banned').waitFor();
  const tab = await page.getByRole('link', { name: 'Bans', exact: true }).boundingBox();
  assert.ok(tab !== null && tab.x >= 0 && tab.x + tab.width <= 390, 'the current tab is in sight on a phone');
  await noBarrier(page, 'no bans');
  await getBanned(cmail);
  await page.reload();
  await page.getByRole('row', { name: /127\.0\.0\..*20 failed sign-ins/ }).waitFor();
  await noBarrier(page, 'a ban');
  await page.getByRole('button', { name: /Lift the ban/ }).click();
  await page.getByText(/may sign in again/).waitFor();
  await page.getByText('Nobody is banned').waitFor();
  assertNoComplaints(here);
});
