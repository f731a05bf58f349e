/** The owner of an account at the API: signs in, reaches the own account and nothing else. Real server, real HTTP. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ROUTES, type RouteShape } from '../../src/admin/http/routes.ts';
import { type Answer, ask, type Browser, browserOf, shaped, signIn } from '../support/api.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const PASSWORD = 'secret-password';
const ANNA = 'anna@here.test';
const BOB = 'bob@here.test';

type Rows = { rows: Record<string, never>[]; next: string | null };

function post(server: Cmail, name: string, password = PASSWORD): Promise<Answer> {
  return ask(server, 'POST', '/api/v1/session', { body: { name, password } });
}

async function enter(server: Cmail, name: string, password = PASSWORD): Promise<Browser> {
  const answer = await post(server, name, password);
  assert.equal(answer.status, 201, answer.text);
  return browserOf(server, answer);
}

/** `from` sends by SMTP; with a user it signs in. Resolves to the message's number. */
async function send(
  server: Cmail,
  { from, to, user, subject = 'Hello' }: { from: string; to: string[]; user?: string; subject?: string },
): Promise<string> {
  const client = await greeted({ ...server.listeners.smtp, localAddress: '127.0.0.2' });
  try {
    if (user !== undefined) {
      const plain = Buffer.from(`\0${user}\0${PASSWORD}`).toString('base64');
      await client.expect(235, client.command(`AUTH PLAIN ${plain}`));
    }
    const data = letter({ from, to: to[0] ?? '', subject });
    const { id, end, rcpt } = await client.sendMessage({ from, to, data });
    assert.ok(id !== undefined, JSON.stringify([rcpt, end]));
    return id;
  } finally {
    client.destroy();
  }
}

describe('the owner of an account', async () => {
  const server = await startCmail(
    { after },
    {
      config: { listen: { submission: ['127.0.0.1:0'] } },
      domains: ['here.test'],
      accounts: [
        { address: 'boss@here.test' },
        { address: ANNA },
        { address: BOB },
        { address: 'carol@here.test' },
      ],
      aliases: { 'team@here.test': [ANNA, BOB], 'everybody@here.test': ['team@here.test'] },
    },
  );
  const root = await signIn(server, 'root');

  it('reaches the own account, of all the routes there are', async () => {
    const anna = await enter(server, ANNA);
    const made = shaped(
      'makeToken',
      await root.send('POST', '/tokens', { name: 't', scopes: ['read', 'write', 'mail-source'], days: 1 }),
    );
    const authorization = `Bearer ${made.token}`;
    let walked = 0;
    for (const [name, route] of Object.entries(ROUTES) as [string, RouteShape][]) {
      const path = route.path.replace(/:\w+/g, 'x');
      if (route.access === 'none' || route.accounts) continue;
      walked += 1;
      const call = (browser: Browser) =>
        route.method === 'GET' ? browser.get(path) : browser.send(route.method, path, route.body && {});
      if (route.access === 'owner') {
        assert.equal((await call(root)).status, 403, `${name} for an administrator`);
        const headers = { authorization };
        const body = route.body === undefined ? {} : { body: {} };
        const byToken = await ask(server, route.method, `/api/v1${path}`, { headers, ...body });
        assert.equal(byToken.status, 403, `${name} for a token`);
        assert.match(path, /^\/me(?:\/|$)/);
      } else {
        const refused = await call(anna);
        assert.equal(refused.status, 403, `${name} for an account: ${refused.text}`);
        assert.match(String(refused.json.detail), /for administrators/);
      }
    }
    assert.ok(walked > 50);
    // What is left: the own session, and what anybody may ask.
    const about = Object.values(ROUTES as Record<string, RouteShape>).filter(({ accounts }) => accounts);
    assert.deepEqual(
      about.map(({ method, path }) => `${method} ${path}`),
      ['GET /session', 'DELETE /session'],
    );
    const told = shaped('session', await anna.get('/session')) as Record<string, unknown>;
    assert.deepEqual([told.kind, told.name, told.scopes], ['account', ANNA, []]);
    assert.equal(shaped('session', await root.get('/session')).kind, 'administrator');
    assert.equal((await ask(server, 'GET', '/api/v1/me')).status, 401);
    const headers = { cookie: anna.cookie };
    assert.equal((await ask(server, 'DELETE', '/api/v1/me/sessions', { headers })).status, 403);
    assert.equal((await anna.send('DELETE', '/session')).status, 204);
    assert.equal((await anna.get('/me')).status, 401);
  });

  it('is told what the account is, and what to enter in a mail program', async () => {
    const anna = await enter(server, 'Anna@HERE.test');
    const me = shaped('me', await anna.get('/me')) as Record<string, unknown>;
    assert.deepEqual(
      [me.address, me.aliases, me.forward, me.externalForwards],
      [ANNA, ['everybody@here.test', 'team@here.test'], null, true],
    );
    const programs = me.programs as { protocol: string; server: string }[];
    assert.ok(programs.every((one) => one.server === 'mail.cmail.test'));
    assert.deepEqual(new Set(programs.map(({ protocol }) => protocol)), new Set(['smtp', 'pop3']));
  });

  it('signs in with the own password only, and sees every try', async () => {
    const carol = await enter(server, 'carol@here.test');
    const app = shaped(
      'addMyAppPassword',
      await carol.send('POST', '/me/app-passwords', { name: 'phone', scopes: ['collect'] }),
    ) as Record<string, string>;
    assert.equal((await post(server, 'carol@here.test', app.password ?? '')).status, 401);
    assert.equal((await post(server, 'nobody@here.test')).status, 401);
    const { rows: list } = shaped('myAppPasswords', await carol.get('/me/app-passwords')) as unknown as Rows;
    assert.deepEqual(
      list.map(({ name, scopes }) => [name, scopes]),
      [['phone', ['collect']]],
    );
    const { rows } = shaped('mySignIns', await carol.get('/me/sign-ins')) as unknown as Rows;
    const ofCarol = '/accounts/carol@here.test/sign-ins';
    assert.deepEqual(
      shaped('accountSignIns', await root.get(ofCarol)).rows,
      rows,
      'as administrators see it',
    );
    assert.equal((await carol.get(ofCarol)).status, 403);
    assert.equal((await root.get('/accounts/nobody@here.test/sign-ins')).status, 404);
    assert.deepEqual(
      rows.map(({ outcome, service, reason }) => [outcome, service, reason]),
      [
        ['refused', 'page', 'wrong password'],
        ['ok', 'page', null],
      ],
    );
    assert.equal((await carol.send('DELETE', '/me/app-passwords/phone')).status, 204);
    assert.equal((await carol.send('DELETE', '/me/app-passwords/phone')).status, 404);
    const audit = shaped('audit', await root.get('/audit?limit=2')) as unknown as Rows;
    assert.deepEqual(
      audit.rows.map(({ who, action }) => [who, action]),
      [
        ['account carol@here.test', 'account.appPassword.revoke'],
        ['account carol@here.test', 'account.appPassword.add'],
      ],
    );
  });

  it('changes the password with the old one, which ends the other sessions and no app password', async () => {
    const [one, other] = [await enter(server, 'carol@here.test'), await enter(server, 'carol@here.test')];
    await one.send('POST', '/me/app-passwords', { name: 'tablet', scopes: ['send'] });
    const change = (currentPassword: string, password: string) =>
      one.send('PUT', '/me/password', { currentPassword, password });
    const wrong = await change('guessed', 'several words will do');
    assert.deepEqual([wrong.status, wrong.json.errors?.[0]?.key], [422, 'currentPassword']);
    const weak = await change(PASSWORD, 'password123');
    assert.deepEqual([weak.status, weak.json.errors?.[0]?.key], [422, 'password']);
    assert.equal((await other.get('/me')).status, 200);
    assert.equal((await change(PASSWORD, 'several words will do')).status, 204);
    assert.equal((await one.get('/me')).status, 200);
    assert.equal((await other.get('/me')).status, 401);
    assert.equal(
      (shaped('myAppPasswords', await one.get('/me/app-passwords')) as unknown as Rows).rows.length,
      1,
    );
    assert.equal((await post(server, 'carol@here.test')).status, 401);
    const again = await enter(server, 'carol@here.test', 'several words will do');
    assert.equal((await again.send('DELETE', '/me/sessions')).status, 204);
    assert.equal((await one.get('/me')).status, 401);
  });

  it('is out at once when the account is disabled, its password set, or the page turned off', async () => {
    const first = await enter(server, BOB);
    await root.send('PATCH', `/accounts/${BOB}`, { enabled: false });
    assert.equal((await first.get('/me')).status, 401);
    const refused = await post(server, BOB);
    assert.deepEqual([refused.status, refused.json.detail], [401, 'the account is disabled']);
    await root.send('PATCH', `/accounts/${BOB}`, { enabled: true });
    assert.equal((await first.get('/me')).status, 401);
    const second = await enter(server, BOB);
    await root.send('PATCH', `/accounts/${BOB}`, { password: PASSWORD });
    assert.equal((await second.get('/me')).status, 401);
    const third = await enter(server, BOB);
    await server.set({ 'page.accounts': 'off' });
    assert.equal((await third.get('/me')).status, 401);
    assert.match(String((await post(server, BOB)).json.detail), /turned off/);
    assert.equal((await root.get('/accounts')).status, 200);
    await server.set({ 'page.accounts': 'on' });
  });

  it('sees what was sent and received, and nothing of other recipients', async () => {
    const list = await send(server, {
      from: 'far@away.test',
      to: ['team@here.test'],
      subject: 'To the team',
    });
    const open = await send(server, {
      from: ANNA,
      user: ANNA,
      to: [BOB, 'carol@here.test'],
      subject: 'Carol is blind copied',
    });
    const foreign = await send(server, { from: 'far@away.test', to: ['carol@here.test'] });
    const anna = await enter(server, ANNA);
    const bob = await enter(server, BOB);
    const story = shaped('myMessage', await anna.get(`/me/messages/${open}`)) as Record<string, unknown>;
    assert.deepEqual(
      [story.sent, story.received, (story.recipients as { address: string }[]).map(({ address }) => address)],
      [true, false, [BOB, 'carol@here.test']],
    );
    const his = await bob.get(`/me/messages/${open}`);
    const told = shaped('myMessage', his) as Record<string, unknown>;
    assert.deepEqual([told.sent, told.received, told.subject], [false, true, 'Carol is blind copied']);
    assert.deepEqual(
      (told.events as { kind: string }[]).map(({ kind }) => kind),
      ['received', 'decided', 'delivered'],
    );
    assert.doesNotMatch(his.text, /carol@|127\.0\.0|client\.test/);
    const ofList = await anna.get(`/me/messages/${list}`);
    assert.equal(ofList.status, 200);
    assert.doesNotMatch(ofList.text, /bob@/);
    assert.equal((await anna.get(`/me/messages/${foreign}`)).status, 404);
    assert.equal((await anna.get('/me/messages/nonsense')).status, 404);

    const rows = await server.waitFor('both to be found', async () => {
      const found = shaped('myMessages', await bob.get('/me/messages')) as unknown as Rows;
      return found.rows.length === 2 && found.rows;
    });
    assert.deepEqual(
      rows.map(({ id, recipientCount, state }) => [id, recipientCount, state]),
      [
        [open, 1, 'delivered'],
        [list, 1, 'delivered'],
      ],
    );
    const page = shaped('myMessages', await bob.get('/me/messages?limit=1')) as unknown as Rows;
    const next = shaped(
      'myMessages',
      await bob.get(`/me/messages?limit=1&after=${page.next}`),
    ) as unknown as Rows;
    assert.deepEqual([page.rows[0]?.id, next.rows[0]?.id], [open, list]);
    assert.deepEqual(
      (shaped('myMessages', await bob.get('/me/messages?which=sent')) as unknown as Rows).rows,
      [],
    );
    assert.equal((await bob.get('/me/messages?after=x')).status, 422);
  });

  it('forwards mail, within bounds, and an administrator sees and ends it', async () => {
    const anna = await enter(server, ANNA);
    const set = (...targets: string[]) =>
      anna.send('PUT', '/me/forward', { forward: { targets, keep: true } });
    const refused = async (pattern: RegExp, ...targets: string[]) => {
      const answer = await set(...targets);
      assert.equal(answer.status, 422, answer.text);
      assert.equal(answer.json.errors?.[0]?.key, 'targets');
      assert.match(String(answer.json.detail), pattern);
    };
    await refused(/not an address/, 'nonsense');
    await refused(/leads back to anna@here\.test/, ANNA);
    await refused(/leads back/, 'anna+tag@here.test');
    await refused(/leads back/, 'everybody@here.test');
    await refused(/no nobody@here\.test/, 'nobody@here.test');
    await refused(/1 to 5 addresses, not 6/, ...Array.from({ length: 6 }, (_, n) => `n${n}@far.test`));
    const me = shaped('setMyForward', await set('anna@home.test', BOB)) as Record<string, unknown>;
    const forward = { targets: ['anna@home.test', BOB], keep: true };
    assert.deepEqual(me.forward, forward);
    const bob = await enter(server, BOB);
    const circle = await bob.send('PUT', '/me/forward', { forward: { targets: [ANNA], keep: true } });
    assert.match(String(circle.json.detail), /leads back to bob@here\.test/);
    assert.deepEqual(shaped('account', await root.get(`/accounts/${ANNA}`)).forward, forward);
    assert.match(
      await server.run(['account', 'list']),
      /forwards to anna@home\.test, bob@here\.test, and keeps a copy/,
    );
    await server.set({ 'account.externalForwards': 'off' });
    await refused(/forwards to others are turned off/, 'anna@home.test');
    await server.set({ 'account.externalForwards': 'on' });
    const ended = await root.send('PATCH', `/accounts/${ANNA}`, { forward: null });
    assert.equal(shaped('changeAccount', ended).forward, null);
    const audit = shaped('audit', await root.get('/audit?limit=500')) as unknown as Rows;
    const entries = audit.rows.filter(({ action }) => action === 'account.forward');
    assert.deepEqual(
      entries.map(({ who, details }) => `${who}: ${details}`),
      [
        `root: ${ANNA} forwards to nobody`,
        `account ${ANNA}: ${ANNA} forwards to anna@home.test, ${BOB}, with a copy kept`,
      ],
    );
  });

  it('has to wait after wrong passwords, whatever the case of the address', async () => {
    const names = ['boss@here.test', 'Boss@Here.test'];
    const answers: number[] = [];
    // A slow machine may let a short wait pass; each further failure makes it longer.
    while (answers.length < 20 && !answers.includes(429)) {
      answers.push((await post(server, names[answers.length % 2] ?? '', 'wrong')).status);
    }
    assert.equal(answers.at(-1), 429, answers.join(' '));
    assert.equal(
      answers.slice(0, -1).every((status) => status === 401),
      true,
    );
  });
});
