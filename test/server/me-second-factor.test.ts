/** The second factor of an account's owner: over the API of a real server, and with the mail services beside it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, ask, type Browser, browserOf, shaped, signIn } from '../support/api.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { greeted } from '../support/smtp-client.ts';
import { codesOf, wrongCode } from '../support/totp.ts';

const PASSWORD = 'secret-password';
const ANN = 'ann@here.test';
const OPTIONS = {
  config: { listen: { submission: ['127.0.0.1:0'] } },
  domains: ['here.test'],
  accounts: [{ address: 'boss@here.test' }, { address: ANN }, { address: 'bob@here.test' }],
};

function firstStep(server: Cmail, password = PASSWORD): Promise<Answer> {
  return ask(server, 'POST', '/api/v1/session', { body: { name: 'Ann@here.test', password } });
}

async function pendingOf(server: Cmail): Promise<string> {
  const answer = await firstStep(server);
  assert.equal(answer.headers['set-cookie'], undefined, 'the password alone opens nothing');
  return String(shaped('signIn', answer).pending);
}

function secondStep(server: Cmail, pending: string, code: string): Promise<Answer> {
  return ask(server, 'POST', '/api/v1/session/code', { body: { pending, code } });
}

interface Enrolled {
  readonly ann: Browser;
  readonly secret: string;
  readonly codes: string[];
  readonly recovery: string[];
}

/** Signs in with the password alone and turns the second factor on. */
async function enrol(server: Cmail): Promise<Enrolled> {
  const ann = browserOf(server, await firstStep(server));
  const begun = await ann.send('POST', '/me/second-factor', { password: PASSWORD });
  const secret = String(shaped('beginMySecondFactor', begun).secret);
  const codes = codesOf(secret);
  const on = await ann.send('POST', '/me/second-factor/confirm', { code: codes[0] });
  const recovery = shaped('confirmMySecondFactor', on).recoveryCodes as unknown as string[];
  return { ann, secret, codes, recovery };
}

async function history(ann: Browser): Promise<unknown[]> {
  const { rows } = shaped('mySignIns', await ann.get('/me/sign-ins')) as unknown as {
    rows: { outcome: string; service: string; reason: string | null }[];
  };
  return rows.map(({ outcome, service, reason }) => [outcome, service, reason]);
}

async function mayStartAgain(answer: Answer): Promise<void> {
  assert.deepEqual([answer.status, answer.json.startAgain], [401, true], answer.text);
}

test('an owner sets it up, signs in in two steps and turns it off; only then the history says ok', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const root = await signIn(server, 'root');
  const before = browserOf(server, await firstStep(server));
  const refused = await before.send('POST', '/me/second-factor', { password: 'not it' });
  assert.deepEqual([refused.status, refused.json.errors?.[0]?.key], [422, 'password']);
  const { ann, secret, codes, recovery } = await enrol(server);
  assert.equal(recovery.length, 10);
  const state = shaped('mySecondFactor', await ann.get('/me/second-factor')) as Record<string, unknown>;
  assert.deepEqual([state.on, state.recoveryCodesLeft], [true, 10]);
  assert.equal((await ann.send('POST', '/me/second-factor', { password: PASSWORD })).status, 409);
  const ok = ['ok', 'page', null];
  assert.deepEqual(await history(ann), [ok, ok]);

  const pending = await pendingOf(server);
  assert.deepEqual(await history(ann), [ok, ok], 'half a sign-in is none');
  assert.equal((await secondStep(server, pending, wrongCode(secret))).status, 401);
  const wrong = ['refused', 'page', 'wrong code'];
  assert.deepEqual(await history(ann), [wrong, ok, ok]);
  const entered = await secondStep(server, pending, codes[1] ?? '');
  assert.deepEqual([shaped('signInCode', entered).kind, entered.json.name], ['account', ANN]);
  const again = browserOf(server, entered);
  assert.equal((await again.get('/me')).status, 200);
  assert.equal((await again.get('/accounts')).status, 403, 'a code makes nobody an administrator');
  assert.deepEqual(await history(again), [ok, wrong, ok, ok]);
  shaped('signInCode', await secondStep(server, await pendingOf(server), recovery[0] ?? ''));

  const off = (code: string) => again.send('POST', '/me/second-factor/off', { password: PASSWORD, code });
  assert.equal((await off(wrongCode(secret))).status, 422);
  shaped('turnOffMySecondFactor', await off(recovery[1] ?? ''));
  assert.equal(shaped('signIn', await firstStep(server)).kind, 'account');
  const audit = shaped('audit', await root.get('/audit')).rows as unknown as Record<string, string>[];
  assert.deepEqual(
    audit
      .filter(({ action = '' }) => action.startsWith('secondFactor'))
      .map(({ who, action, details }) => [who, action, details]),
    [
      [`account ${ANN}`, 'secondFactor.turnOff', `account ${ANN}`],
      [`account ${ANN}`, 'secondFactor.recoveryCode', 'signed in with a recovery code; 9 left'],
      [`account ${ANN}`, 'secondFactor.turnOn', `account ${ANN}`],
    ],
  );
});

test('the first step has to be made again when the account was changed meanwhile', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const root = await signIn(server, 'root');
  const { recovery } = await enrol(server);
  const change = async (body: object) =>
    shaped('changeAccount', await root.send('PATCH', `/accounts/${ANN}`, body));
  const pending = await pendingOf(server);
  const enter = () => secondStep(server, pending, recovery[0] ?? '');

  await change({ enabled: false });
  await mayStartAgain(await enter());
  assert.equal((await firstStep(server)).status, 401);
  await change({ enabled: true });
  await server.set({ 'page.accounts': 'off' });
  await mayStartAgain(await enter());
  await server.set({ 'page.accounts': 'on' });
  await change({ password: 'quite another password' });
  await mayStartAgain(await enter());
  await change({ password: PASSWORD });
  await mayStartAgain(await enter());
  shaped('signInCode', await secondStep(server, await pendingOf(server), recovery[0] ?? ''));
});

test('an administrator sees and resets it, on the page and at the command line; mail programs need no code', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const root = await signIn(server, 'root');
  const { ann } = await enrol(server);
  const seen = async () => shaped('account', await root.get(`/accounts/${ANN}`)).secondFactor;
  assert.equal(await seen(), true);
  const { rows } = shaped('accounts', await root.get('/accounts')) as unknown as {
    rows: { address: string; secondFactor: boolean }[];
  };
  assert.deepEqual(
    rows.filter(({ secondFactor }) => secondFactor).map(({ address }) => address),
    [ANN],
  );
  assert.match(await server.run(['account', 'list']), /ann@here\.test .*second factor/);

  const client = await greeted({ ...server.listeners.smtp, localAddress: '127.0.0.2' });
  try {
    const plain = Buffer.from(`\0${ANN}\0${PASSWORD}`).toString('base64');
    await client.expect(235, client.command(`AUTH PLAIN ${plain}`));
  } finally {
    client.destroy();
  }

  const path = `/accounts/${ANN}/second-factor`;
  assert.equal((await ann.send('DELETE', path)).status, 403, 'not by its owner');
  shaped('resetAccountSecondFactor', await root.send('DELETE', path));
  assert.equal((await root.send('DELETE', path)).status, 404, 'it is off');
  assert.equal(await seen(), false);
  shaped('signIn', await firstStep(server));

  await enrol(server);
  assert.match(
    await server.run(['access', 'reset-factor', ANN, '--account']),
    /factor of ann@here\.test is off/,
  );
  assert.equal(shaped('signIn', await firstStep(server)).kind, 'account');
});

test('the code has to wait after wrong ones, and the right password clears nothing', async (t) => {
  const server = await startCmail(t, OPTIONS);
  const { secret } = await enrol(server);
  const pending = await pendingOf(server);
  const answers: number[] = [];
  // A slow machine may let a short wait pass; each further failure makes it longer.
  while (answers.length < 20 && !answers.includes(429)) {
    answers.push((await secondStep(server, pending, wrongCode(secret))).status);
    const half = await firstStep(server);
    if (half.status === 429) answers.push(429);
    else assert.equal(typeof half.json.pending, 'string');
  }
  assert.equal(answers.at(-1), 429, answers.join(' '));
});
