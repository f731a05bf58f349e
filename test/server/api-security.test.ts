/** The admin listener against what strangers, foreign pages and broken programs send. Real server, real HTTP. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, describe, it } from 'node:test';
import { MAX_BODY_BYTES } from '../../src/admin/http/read-request.ts';
import { ADMIN_PASSWORD, ask, type Browser, browserOf, shaped, signIn } from '../support/api.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';

describe('the admin listener', async () => {
  const server: Cmail = await startCmail({ after }, { domains: ['example.test'] });
  const anna: Browser = await signIn(server);
  const problem = (answer: Awaited<ReturnType<typeof ask>>, status: number) => {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    assert.equal(answer.json.status, status);
    assert.ok(String(answer.json.detail).length > 5 && String(answer.json.title).length > 2);
    return answer.json;
  };

  it('asks who calls, for every route but those that sign in', async () => {
    for (const path of ['/settings', '/messages', '/sessions', '/live', '/session', '/audit', '/status']) {
      problem(await ask(server, 'GET', `/api/v1${path}`), 401);
    }
    problem(await ask(server, 'PATCH', '/api/v1/settings', { body: {} }), 401);
    problem(
      await ask(server, 'GET', '/api/v1/settings', { headers: { cookie: 'cmail_session=made-up' } }),
      401,
    );
  });

  it('a wrong content type, broken JSON, unknown fields and oversized bodies are told apart', async () => {
    const headers = { cookie: anna.cookie, 'x-csrf-token': anna.csrf };
    const post = (raw: string | Buffer, type: string) =>
      ask(server, 'POST', '/api/v1/domains', { raw, headers: { ...headers, 'content-type': type } });
    problem(await post('name=x', 'application/x-www-form-urlencoded'), 415);
    problem(await post('{"name":"x.test"}', 'text/plain'), 415);
    problem(await post('{"name":', 'application/json'), 400);
    problem(await post(Buffer.from([0x22, 0xff, 0x22]), 'application/json'), 400);
    const { errors = [] } = problem(await post('{"name":"x.test","colour":"red"}', 'application/json'), 422);
    assert.deepEqual(
      (errors as { key: string }[]).map(({ key }) => key),
      ['colour'],
    );
    problem(await post('x'.repeat(MAX_BODY_BYTES + 1), 'application/json'), 413);
    problem(await anna.get('/messages?colour=red'), 400);
    problem(await anna.get('/messages?limit=1&limit=2'), 400);
    problem(await anna.get('/messages?after=nonsense'), 422);
    const { rows } = shaped('domains', await anna.get('/domains')) as unknown as { rows: { name: string }[] };
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['example.test'],
    );
  });

  it('an oversized body without a length is cut off too', async () => {
    const { host, port } = server.listeners.admin;
    const said = await new Promise<string>((done, fail) => {
      const socket = connect({ host, port });
      let text = '';
      socket.on('data', (data) => {
        text += data.toString();
      });
      socket.on('close', () => done(text));
      socket.on('error', () => done(text));
      socket.setTimeout(10_000, () => fail(new Error(`no end: ${text}`)));
      socket.write(
        `POST /api/v1/domains HTTP/1.1\r\nHost: localhost\r\nCookie: ${anna.cookie}\r\nX-CSRF-Token: ${anna.csrf}\r\n` +
          'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      for (let n = 0; n < 20; n++) socket.write(chunk);
    });
    assert.match(said, /^HTTP\/1\.1 413 /);
  });

  it('unknown routes are 404, wrong methods 405 with what is allowed', async () => {
    problem(await anna.get('/nothing'), 404);
    problem(await ask(server, 'GET', '/api/v2/settings'), 404);
    const wrong = await anna.send('DELETE', '/settings', {});
    problem(wrong, 405);
    assert.equal(wrong.headers.allow, 'GET, PATCH');
    problem(await ask(server, 'POST', '/'), 405);
    problem(await ask(server, 'OPTIONS', '/api/v1/settings'), 405);
  });

  it('a change needs the proof of the session and must not come from a foreign page', async () => {
    const body = { name: 'evil.test' };
    const send = (headers: Record<string, string>) =>
      ask(server, 'POST', '/api/v1/domains', { body, headers: { cookie: anna.cookie, ...headers } });
    problem(await send({}), 403);
    problem(await send({ 'x-csrf-token': 'wrong' }), 403);
    const good = { 'x-csrf-token': anna.csrf };
    problem(await send({ ...good, origin: 'http://evil.example' }), 403);
    problem(await send({ ...good, origin: 'null' }), 403);
    problem(await send({ ...good, 'sec-fetch-site': 'cross-site' }), 403);
    problem(await send({ ...good, 'sec-fetch-site': 'same-site' }), 403);
    const signIn = { name: 'anna', password: ADMIN_PASSWORD };
    const foreign = { origin: 'http://evil.example' };
    problem(await ask(server, 'POST', '/api/v1/session', { body: signIn, headers: foreign }), 403);
    assert.equal(JSON.stringify(shaped('domains', await anna.get('/domains'))).includes('evil'), false);
    const { port } = server.listeners.admin;
    const own = await send({ ...good, origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' });
    assert.equal(own.status, 201, own.text);
    assert.equal((await anna.send('DELETE', '/domains/evil.test')).status, 204);
  });

  it('answers to no foreign name', async () => {
    for (const host of ['evil.example', 'evil.example:8025', '10.0.0.1', 'localhost.evil.example', 'a,b']) {
      const answer = await ask(server, 'GET', '/api/v1/setup', { headers: { host } });
      assert.ok(answer.status === 421 || answer.status === 400, `${host}: ${answer.status} ${answer.text}`);
    }
    for (const host of ['localhost:8025', '127.0.0.1', 'mail.cmail.test', '[::1]:8025', 'MAIL.cmail.test']) {
      assert.equal((await ask(server, 'GET', '/api/v1/setup', { headers: { host } })).status, 200, host);
    }
  });

  it('no path leads out of the page or past the guards', async () => {
    for (const path of [
      '/../package.json',
      '/assets/../../package.json',
      '/%2e%2e/package.json',
      '/..%2fpackage.json',
      '/assets/%2e%2e%2f%2e%2e%2fpackage.json',
      '/..\\package.json',
      '/%5c..%5cpackage.json',
      '//evil.example/x.js',
      '/a%00.js',
      '/%',
      '/api/v1/../../package.json',
      'http://evil.example/x.js',
    ]) {
      const answer = await ask(server, 'GET', path);
      assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`);
      assert.equal(answer.text.includes('"dependencies"'), false, path);
    }
    for (const path of ['/package.json', '/.git/config', '/assets/nothing.js', '/cmail.toml']) {
      assert.equal((await ask(server, 'GET', path)).status, 404, path);
    }
  });

  it('the page comes with a strict policy, and another nonce each time', async () => {
    const [first, second] = [await ask(server, 'GET', '/smtp/advanced'), await ask(server, 'GET', '/')];
    const policies = [first, second].map(({ headers }) => String(headers['content-security-policy']));
    for (const policy of policies) {
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self' 'nonce-[\w-]{22}'; /);
      assert.match(policy, /frame-ancestors 'none'$/);
      assert.equal(policy.includes('unsafe'), false);
    }
    assert.notEqual(policies[0], policies[1]);
    assert.equal(first.headers['x-content-type-options'], 'nosniff');
    assert.equal(first.headers['referrer-policy'], 'no-referrer');
    assert.equal(first.headers['cache-control'], 'no-store');
    assert.equal((await anna.get('/session')).headers['cache-control'], 'no-store');
  });

  it('the cookie is out of reach of scripts and other sites, and secure behind TLS', async () => {
    const body = { name: 'anna', password: ADMIN_PASSWORD };
    const plain = await ask(server, 'POST', '/api/v1/session', { body });
    assert.match(
      String(plain.headers['set-cookie']),
      /^cmail_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
    const headers = { 'x-forwarded-proto': 'https' };
    const secure = await ask(server, 'POST', '/api/v1/session', { body, headers });
    assert.match(
      String(secure.headers['set-cookie']),
      /^__Host-cmail_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/,
    );
  });

  it('signing out ends the session, everywhere ends all of them', async () => {
    const body = { name: 'anna', password: ADMIN_PASSWORD };
    const open = async () => browserOf(server, await ask(server, 'POST', '/api/v1/session', { body }));
    const [one, two, three] = [await open(), await open(), await open()];
    assert.equal((await one.send('DELETE', '/session')).status, 204);
    problem(await one.get('/settings'), 401);
    assert.equal((await two.get('/settings')).status, 200);
    const { rows } = shaped('sessions', await two.get('/sessions')) as unknown as {
      rows: { id: string; current: boolean }[];
    };
    assert.equal(rows.filter(({ current }) => current).length, 1);
    assert.equal((await two.send('DELETE', '/sessions')).status, 204);
    problem(await two.get('/settings'), 401);
    problem(await three.get('/settings'), 401);
  });

  it('nothing of this stands in the log as a crash, and no secret does', () => {
    const log = server.logText();
    assert.equal(/an API call failed|"level":50|Unhandled|internal fault/.test(log), false, log.slice(-2000));
    assert.equal(log.includes(ADMIN_PASSWORD), false);
    assert.equal(log.includes(anna.csrf), false);
  });
});

describe('signing in', async () => {
  const server: Cmail = await startCmail({ after });
  await signIn(server);
  const attempt = (name: string, password: string) =>
    ask(server, 'POST', '/api/v1/session', { body: { name, password } });

  it('takes as long for a name that does not exist, and says the same', async () => {
    const timed = async (name: string) => {
      const startedAt = performance.now();
      const answer = await attempt(name, 'wrong password');
      return { ms: performance.now() - startedAt, answer };
    };
    const [known, unknown] = [await timed('anna'), await timed('nobody')];
    assert.equal(known.answer.status, 401);
    assert.deepEqual(unknown.answer.json, known.answer.json);
    // Both derive a key; without it the answer would come within a millisecond or two.
    assert.ok(unknown.ms > 5, `${unknown.ms} ms`);
  });

  it('waits longer and longer after wrong passwords, also for the right one', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 6; n++) statuses.push((await attempt('carl', `wrong password ${n}`)).status);
    assert.deepEqual(statuses, [401, 401, 401, 401, 429, 429]);
    const refused = await attempt('carl', 'wrong password');
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    assert.equal((await attempt('anna', ADMIN_PASSWORD)).status, 201);
  });
});

describe('API tokens', async () => {
  const server: Cmail = await startCmail({ after }, { domains: ['example.test'] });
  const anna = await signIn(server);
  const make = async (scopes: string[], days = 1) =>
    shaped(
      'makeToken',
      await anna.send('POST', '/tokens', { name: scopes.join('+'), scopes, days }),
    ) as unknown as {
      id: string;
      token: string;
    };
  const use = (token: string, method: string, path: string, body?: unknown) =>
    ask(server, method, `/api/v1${path}`, {
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    });

  it('do what their scope allows, without a cookie or its proof, and nothing else', async () => {
    const [read, write] = [await make(['read']), await make(['write'])];
    assert.equal((await use(read.token, 'GET', '/domains')).status, 200);
    assert.equal((await use(read.token, 'POST', '/domains', { name: 'a.test' })).status, 403);
    assert.equal((await use(write.token, 'POST', '/domains', { name: 'a.test' })).status, 201);
    assert.equal((await use(write.token, 'GET', '/domains')).status, 403);
    for (const path of ['/tokens', '/sessions', '/administrators', '/audit']) {
      assert.equal((await use(read.token, 'GET', path)).status, 403, path);
    }
    assert.equal((await use(read.token, 'GET', '/messages/000001/source')).status, 403);
    const { name, csrf } = shaped('session', await use(read.token, 'GET', '/session')) as unknown as {
      name: string;
      csrf: null;
    };
    assert.deepEqual([name, csrf], ['token read', null]);
  });

  it('revoked and made-up ones are refused, and the list never shows one', async () => {
    const { id, token } = await make(['read']);
    assert.equal((await anna.send('DELETE', `/tokens/${id}`)).status, 204);
    const revoked = await use(token, 'GET', '/domains');
    assert.equal(revoked.status, 401);
    assert.match(String(revoked.json.detail), /revoked/);
    assert.equal((await use('cmail_made-up', 'GET', '/domains')).status, 401);
    assert.equal((await use('x', 'GET', '/domains')).status, 401);
    const list = await anna.get('/tokens');
    shaped('tokens', list);
    assert.equal(list.text.includes(token), false);
  });
});
