/** The second factor over the API and at the command line, and bans: a real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN_PASSWORD, type Answer, ask, type Browser, browserOf, shaped, signIn } from '../support/api.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { codesOf, getBanned, wrongCode } from '../support/totp.ts';

const OPTIONS = { config: { listen: { admin: '127.0.0.1:0', pop3: ['127.0.0.1:0'] } } };
const PERSON = { name: 'anna', password: ADMIN_PASSWORD };

function firstStep(server: Cmail, body: object = PERSON): Promise<Answer> {
  return ask(server, 'POST', '/api/v1/session', { body });
}

async function pendingOf(server: Cmail): Promise<string> {
  const answer = await firstStep(server);
  assert.equal(answer.headers['set-cookie'], undefined, 'the password alone opens nothing');
  return String(shaped('signIn', answer).pending);
}

function secondStep(server: Cmail, pending: string, code: string): Promise<Answer> {
  return ask(server, 'POST', '/api/v1/session/code', { body: { pending, code } });
}

async function turnOn(anna: Browser): Promise<{ secret: string; codes: string[]; recovery: string[] }> {
  const begun = shaped('beginSecondFactor', await anna.send('POST', '/second-factor', PASSWORD));
  const secret = String(begun.secret);
  const codes = codesOf(secret);
  const on = shaped(
    'confirmSecondFactor',
    await anna.send('POST', '/second-factor/confirm', { code: codes[0] }),
  );
  return { secret, codes, recovery: on.recoveryCodes as unknown as string[] };
}

const PASSWORD = { password: ADMIN_PASSWORD };

test('set up, signed in with, reused in vain, turned off; the audit tells', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const anna = await signIn(server);
  const begin = (password: string) => anna.send('POST', '/second-factor', { password });
  const refused = await begin('not it at all');
  assert.deepEqual([refused.status, refused.json.errors?.[0]?.key], [422, 'password']);
  const { secret, codes, recovery } = await turnOn(anna);
  assert.equal((await begin(ADMIN_PASSWORD)).status, 409);
  const state = shaped('secondFactor', await anna.get('/second-factor'));
  assert.deepEqual([state.on, state.recoveryCodesLeft], [true, 10]);

  const pending = await pendingOf(server);
  assert.equal((await secondStep(server, pending, codes[0] ?? '')).status, 401, 'it was used to turn it on');
  assert.equal((await secondStep(server, `${pending.slice(0, -4)}AAAA`, codes[1] ?? '')).status, 401);
  const again = browserOf(server, await secondStep(server, pending, codes[1] ?? ''));
  assert.equal((await again.get('/session')).status, 200);
  assert.equal((await secondStep(server, await pendingOf(server), codes[1] ?? '')).status, 401, 'a replay');
  shaped('signInCode', await secondStep(server, pending, recovery[0] ?? ''));
  assert.equal((await secondStep(server, pending, recovery[0] ?? '')).status, 401);

  const token = shaped(
    'makeToken',
    await anna.send('POST', '/tokens', { name: 'p', scopes: ['read'], days: 1 }),
  );
  const headers = { authorization: `Bearer ${token.token}` };
  assert.equal((await ask(server, 'GET', '/api/v1/domains', { headers })).status, 200, 'tokens need no code');

  const off = (code: string, password = ADMIN_PASSWORD) =>
    anna.send('POST', '/second-factor/off', { password, code });
  assert.equal((await off(wrongCode(secret))).status, 422);
  assert.equal((await off(recovery[1] ?? '', 'not it')).status, 422);
  assert.equal((await anna.send('DELETE', '/administrators/anna/second-factor')).status, 422, "one's own");
  shaped('turnOffSecondFactor', await off(recovery[1] ?? ''));
  shaped('signIn', await firstStep(server));
  const audit = shaped('audit', await anna.get('/audit')).rows as unknown as Record<string, string>[];
  assert.deepEqual(
    audit
      .filter(({ action = '' }) => action.startsWith('secondFactor'))
      .map((row) => [row.action, row.details]),
    [
      ['secondFactor.turnOff', 'administrator anna'],
      ['secondFactor.recoveryCode', 'signed in with a recovery code; 9 left'],
      ['secondFactor.turnOn', 'administrator anna'],
    ],
  );
  assert.ok(!JSON.stringify(audit).includes(secret) && !server.logText().includes(secret));
});

test('another administrator and the command line reset it; a half sign-in is over then', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const anna = await signIn(server);
  const bea = await signIn(server, 'bea');
  await turnOn(anna);
  const list = async () =>
    (
      shaped('administrators', await bea.get('/administrators')).rows as unknown as Record<string, unknown>[]
    ).map(({ name, secondFactor }) => [name, secondFactor]);
  assert.deepEqual(await list(), [
    ['anna', true],
    ['bea', false],
  ]);
  const pending = await pendingOf(server);
  shaped('resetSecondFactor', await bea.send('DELETE', '/administrators/anna/second-factor'));
  const over = await secondStep(server, pending, '123456');
  assert.deepEqual([over.status, over.json.startAgain], [401, true]);
  assert.equal((await bea.send('DELETE', '/administrators/anna/second-factor')).status, 404);
  shaped('signIn', await firstStep(server));
  await turnOn(anna);
  assert.match(await server.run(['access', 'reset-factor', 'Anna']), /the second factor of anna is off/);
  assert.match((await server.cli(['access', 'reset-factor', 'anna'])).stderr, /not on/);
  assert.match(
    (await server.cli(['access', 'reset-factor', '--account', 'x@example.test'])).stderr,
    /x@example\.test is not on/,
  );
});

test('bans are told with their end and reason, and lifted', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const anna = await signIn(server);
  assert.deepEqual(shaped('bans', await anna.get('/bans')).rows, []);
  await getBanned(server);
  const rows = shaped('bans', await anna.get('/bans')).rows as unknown as Record<string, unknown>[];
  assert.equal(rows.length, 1);
  const { network, failures, times, until } = rows[0] ?? {};
  assert.deepEqual([failures, times], [20, 1]);
  assert.ok(Date.parse(String(until)) > Date.now());
  shaped('liftBan', await anna.send('POST', '/bans/lift', { network }));
  assert.equal((await anna.send('POST', '/bans/lift', { network })).status, 422);
  assert.deepEqual(shaped('bans', await anna.get('/bans')).rows, []);
  const audit = shaped('audit', await anna.get('/audit')).rows as unknown as Record<string, string>[];
  assert.deepEqual([audit[0]?.action, audit[0]?.details], ['access.unban', network]);
});
