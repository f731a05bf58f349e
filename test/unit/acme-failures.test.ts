/** What the ACME client does and says when a certificate is not to be had. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';
import { acmeWorld, failureOf, until } from './acme-support.ts';

test('the CA cannot reach us: the message names the address, what the CA says and that nobody came', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.httpPort = await freePort('127.0.0.1');
  const acme = await world.start({ names: ['mail.example.test'] });
  const failure = await failureOf(acme);
  assert.equal(failure.kind, 'validation');
  assert.match(
    failure.text,
    /http:\/\/mail\.example\.test\/\.well-known\/acme-challenge\/[\w-]+: connection: .*ECONNREFUSED/,
  );
  assert.match(failure.text, /No request for it came to 127\.0\.0\.1 port \d+/);
  assert.match(failure.mend, /firewall/);
  assert.match(
    acme.alarms()[0] ?? '',
    /There is no certificate for mail\.example\.test .* The next attempt is at /,
  );
  // Ten minutes at first, here one, with its jitter.
  const waitMs = Date.parse(failure.nextAttemptAt) - Date.now();
  assert.ok(waitMs > 45_000 && waitMs < 73_000, `${waitMs}`);
  await sleep(300);
  assert.equal(world.server.count('POST /new-order'), 1);
});

test('something else answers for the name: the message shows what the CA saw', async (t) => {
  const world = await acmeWorld(t);
  const other = createHttpServer((_, answer) => answer.end('a web shop')).listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  world.server.behaviour.httpPort = (other.address() as AddressInfo).port;
  const failure = await failureOf(await world.start());
  assert.match(failure.text, /incorrectResponse: .*a web shop/);
  assert.match(failure.mend, /another web server/);
});

test('a TLS server that is not ours answers for TLS-ALPN-01', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.tlsPort = Number(new URL(world.server.origin).port);
  const failure = await failureOf(await world.start({ challenge: 'tls-alpn-01' }));
  assert.equal(failure.kind, 'validation');
  assert.match(failure.text, /port 443 of mail\.example\.test \(acme-tls\/1\)/);
});

test('the challenge wanted is not offered', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.challenges = ['dns-01', 'tls-alpn-01'];
  const failure = await failureOf(await world.start());
  assert.match(failure.text, /does not offer http-01, but dns-01, tls-alpn-01/);
});

test('rate limited: waits as long as the CA asks, over a restart, a change and a call by hand', async (t) => {
  const world = await acmeWorld(t, { backOffFirstMs: 10 });
  world.server.behaviour.injected.push({
    ...{ on: 'POST /new-order', times: 1, status: 429, type: 'rateLimited', detail: 'too many certificates' },
    headers: { 'retry-after': '3' },
  });
  const first = await world.start();
  const failure = await failureOf(first);
  assert.equal(failure.kind, 'rate-limited');
  assert.match(failure.text, /the new order: 429 rateLimited: too many certificates/);
  const asked = world.server.seen.length;
  const limitedAtMs = world.server.seen.at(-1)?.atMs ?? 0;
  first.retryNow();
  await sleep(500);
  await first.close();
  const second = await world.start({ contact: ['other@example.test'] });
  second.retryNow();
  await sleep(500);
  assert.equal(world.server.seen.length, asked, 'the CA is left alone');
  await until('the certificate', () => second.certificate());
  assert.ok((world.server.seen[asked]?.atMs ?? 0) >= limitedAtMs + 3_000);
});

test('a limit without Retry-After is an hour; one of years is cut to a week', async (t) => {
  const world = await acmeWorld(t, { retryAfterMaxMs: 7 * 86_400_000 });
  const limit = { on: 'POST /new-order', times: 1, status: 429, type: 'rateLimited', detail: 'slowly' };
  world.server.behaviour.injected.push({ ...limit });
  const hour = Date.parse((await failureOf(await world.start())).nextAttemptAt) - Date.now();
  assert.ok(hour > 3_590_000 && hour < 3_790_000, `${hour}`);

  const other = await acmeWorld(t, { retryAfterMaxMs: 7 * 86_400_000 });
  other.server.behaviour.injected.push({ ...limit, headers: { 'retry-after': '99999999' } });
  const week = Date.parse((await failureOf(await other.start())).nextAttemptAt) - Date.now();
  assert.ok(week > 6.9 * 86_400_000 && week < 7.4 * 86_400_000, `${week}`);
});

test('the CA is away: the old certificate goes on, then the alarm, then the renewal when it is back', async (t) => {
  const world = await acmeWorld(t, { backOffFirstMs: 1_200, backOffMaxMs: 1_200, betweenOrdersMs: 0 });
  world.server.behaviour.lifeMs = 12_000;
  const acme = await world.start();
  const first = await until('the certificate', () => acme.certificate());
  const away = {
    on: 'GET /directory',
    times: 1_000,
    status: 503,
    type: 'serverInternal',
    detail: 'closed today',
  };
  world.server.behaviour.injected.push(away);
  const failure = await until('a failed renewal', () => acme.view().failure);
  assert.equal(failure.kind, 'unreachable');
  assert.match(failure.text, /503 serverInternal: closed today/);
  assert.equal(acme.certificate()?.cert, first.cert);
  // One third of its life is left: the first failure is told in status, but is no alarm yet.
  assert.deepEqual(acme.alarms(), []);
  const alarm = await until('the alarm', () => acme.alarms()[0]);
  assert.match(alarm, /ends at .* and could not be renewed: .*closed today/);
  assert.ok(Date.now() < Date.parse(acme.view().certificate?.notAfter ?? ''), 'well before the end');
  away.times = 0;
  world.server.behaviour.lifeMs = 600_000;
  await until('the renewal', () => acme.certificate()?.cert !== first.cert);
  await until('its end', () => acme.view().failure === null);
  assert.deepEqual(acme.alarms(), []);
});

test('nobody at the address of the directory', async (t) => {
  const world = await acmeWorld(t);
  const acme = await world.start({ directory: `https://127.0.0.1:${await freePort('127.0.0.1')}/directory` });
  const failure = await failureOf(acme);
  assert.equal(failure.kind, 'unreachable');
  assert.match(failure.text, /ECONNREFUSED/);
});

test("the CA's own certificate is not trusted", async (t) => {
  const world = await acmeWorld(t);
  const failure = await failureOf(await world.start({ trustedCas: null }));
  assert.equal(failure.kind, 'unreachable');
  assert.match(failure.mend, /tls\.acme\.caFile/);
  assert.equal(world.server.seen.length, 0);
});

test('a directory that never answers, answers too much, is no JSON or lacks something', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const world = await acmeWorld(t, { requestMs: 400 });
  const { port } = silent.address() as AddressInfo;
  const quiet = await failureOf(await world.start({ directory: `https://127.0.0.1:${port}/` }));
  assert.match(quiet.text, /no answer in 0\.4 s/);

  const long = await acmeWorld(t);
  long.server.behaviour.directory = { motd: 'x'.repeat(600_000) };
  const tooMuch = await failureOf(await long.start());
  assert.equal(tooMuch.kind, 'bad-answer');
  assert.match(tooMuch.text, /longer than 524288 bytes/);

  const lacking = await acmeWorld(t);
  lacking.server.behaviour.directory = { newNonce: undefined };
  assert.match((await failureOf(await lacking.start())).text, /not as RFC 8555 says: newNonce/);

  const elsewhere = await acmeWorld(t);
  const page = await failureOf(await elsewhere.start({ directory: `${elsewhere.server.origin}/cert/0` }));
  assert.match(page.text, /refused the directory: 404/);

  const downgraded = await acmeWorld(t);
  downgraded.server.behaviour.directory = { newAccount: 'http://127.0.0.1/new-account' };
  assert.match((await failureOf(await downgraded.start())).text, /no https address/);
});

test('nonces refused without end are given up', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.badNonces = 1_000;
  const failure = await failureOf(await world.start());
  assert.match(failure.text, /badNonce/);
  assert.equal(world.server.count('POST /new-account'), 6);
});

test('an order undecided for too long is left for the next attempt, which goes on with it', async (t) => {
  const world = await acmeWorld(t, { pollTotalMs: 500, backOffFirstMs: 500 });
  world.server.behaviour.undecided = 12;
  const acme = await world.start({ names: ['mail.example.test'] });
  const failure = await failureOf(acme);
  assert.match(failure.text, /has not decided on an authorization in 0\.5 s/);
  await until('the certificate', () => acme.certificate(), 30_000);
  assert.equal(world.server.count('POST /new-order'), 1);
});

test('each failure doubles the wait', async (t) => {
  const world = await acmeWorld(t, { backOffFirstMs: 200, backOffMaxMs: 800 });
  world.server.behaviour.challenges = ['dns-01'];
  await world.start({ names: ['mail.example.test'] });
  await until('five orders', () => world.server.count('POST /new-order') >= 5, 20_000);
  const at = world.server.seen.filter(({ what }) => what === 'POST /new-order').map(({ atMs }) => atMs);
  const waits = at.slice(1).map((one, index) => one - (at[index] ?? 0));
  for (const [index, leastMs] of [160, 320, 640, 640].entries()) {
    assert.ok((waits[index] ?? 0) >= leastMs, `${waits.join()}`);
  }
});

test('by hand it is tried at once, but not within the time of the last try', async (t) => {
  const world = await acmeWorld(t, { byHandMs: 1_000 });
  world.server.behaviour.injected.push({
    ...{ on: 'POST /new-order', times: 1, status: 400, type: 'caa', detail: 'CAA says no' },
  });
  const acme = await world.start();
  assert.match((await failureOf(acme)).mend, /CAA record/);
  acme.retryNow();
  await sleep(300);
  assert.equal(world.server.count('POST /new-order'), 1);
  await sleep(1_000);
  acme.retryNow();
  await until('the certificate', () => acme.certificate());
});

test('the external account: missing, wrong and right', async (t) => {
  const world = await acmeWorld(t);
  const mac = Buffer.from('a key of thirty-two octets, yes!');
  world.server.behaviour.externalAccounts = { 'kid-1': mac.toString('base64url') };
  const missing = await world.start();
  const none = await failureOf(missing);
  assert.equal(none.kind, 'external-account');
  assert.match(none.mend, /tls\.acme\.eabKid/);
  assert.equal(world.server.count('POST /new-account'), 0);
  await missing.close();

  const wrong = await world.start({ externalAccount: { kid: 'kid-1', hmacKey: Buffer.from('another') } });
  const bad = await failureOf(wrong);
  assert.equal(bad.kind, 'external-account');
  assert.match(bad.text, /the new account: 403 unauthorized/);
  assert.match(bad.mend, /kid-1/);
  await wrong.close();

  // A changed configuration is tried at once.
  const right = await world.start({ externalAccount: { kid: 'kid-1', hmacKey: mac } });
  await until('the certificate', () => right.certificate());
});

test('terms of service are agreed to by the administrator only', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.termsOfService = 'https://ca.test/terms';
  const refused = await world.start();
  const failure = await failureOf(refused);
  assert.equal(failure.kind, 'terms');
  assert.match(failure.text, /https:\/\/ca\.test\/terms/);
  assert.equal(world.server.count('POST /new-account'), 0);
  await refused.close();
  const agreed = await world.start({ agreeToTerms: true });
  await until('the certificate', () => agreed.certificate());
});

test('an account deactivated by the CA is said to be so, with the file to remove', async (t) => {
  const world = await acmeWorld(t);
  const first = await world.start();
  await until('the certificate', () => world.installed === 1);
  await first.close();
  for (const account of world.server.accounts) account.status = 'deactivated';
  const failure = await failureOf(await world.start({ names: ['new.example.test'] }));
  assert.equal(failure.kind, 'account');
  assert.match(failure.text, /deactivated/);
  assert.match(failure.mend, /account-/);
});

test('the contact follows the configuration', async (t) => {
  const world = await acmeWorld(t);
  const first = await world.start();
  await until('the certificate', () => world.installed === 1);
  await first.close();
  await world.start({ contact: ['new@example.test'], names: ['new.example.test'] });
  await until('the second', () => world.installed === 2);
  assert.deepEqual(
    world.server.accounts.map(({ contact }) => contact),
    [['mailto:new@example.test']],
  );
});

test('words of the CA are one line and bounded', async (t) => {
  const world = await acmeWorld(t);
  const detail = `first\r\nsecond \u001b[31m${'long '.repeat(1_000)}`;
  world.server.behaviour.injected.push({
    ...{ on: 'POST /new-order', times: 1, status: 400, type: 'rejectedIdentifier', detail },
  });
  const failure = await failureOf(await world.start());
  assert.match(failure.text, /rejectedIdentifier: first second \[31mlong/);
  assert.ok(failure.text.length < 700);
  assert.match(failure.mend, /tls\.acme\.names/);
});

test('the port of the challenge is taken: an alarm that says so, and it is tried again', async (t) => {
  const world = await acmeWorld(t, { backOffFirstMs: 700 });
  const taken = createServer().listen(world.config.listen[0]?.port, '127.0.0.1');
  await once(taken, 'listening');
  const acme = await world.start();
  const failure = await failureOf(acme);
  assert.equal(failure.kind, 'local');
  assert.equal(acme.alarms().length, 1);
  assert.match(
    acme.alarms()[0] ?? '',
    /cannot be given on 127\.0\.0\.1:\d+: the port is in use\. .*tls\.acme\.listen/,
  );
  assert.deepEqual(acme.view().listening, []);
  assert.equal(world.server.seen.length, 0, 'the CA is not troubled with it');
  await new Promise((resolve) => taken.close(resolve));
  await until('the certificate', () => acme.certificate());
  assert.equal(acme.view().listening.length, 1);
});

test('what cannot be written down first is not asked of the CA', async (t) => {
  const world = await acmeWorld(t);
  // A folder in the place of the file written: the same for root, who may write everywhere.
  await mkdir(join(world.folder, 'state.json.new', 'in-the-way'), { recursive: true });
  const failure = await failureOf(await world.start());
  assert.equal(failure.kind, 'local');
  assert.match(failure.text, /state\.json cannot be read or written/);
  assert.equal(world.server.seen.length, 0);
});

test('a folder that cannot be is told at the opening', async (t) => {
  const world = await acmeWorld(t);
  await writeFile(`${world.folder}-file`, '');
  await assert.rejects(
    world.start({}, {}, join(`${world.folder}-file`, 'acme')),
    /cannot be read or written/,
  );
});

test('the state on disk has no secret in it', async (t) => {
  const world = await acmeWorld(t);
  const hmacKey = Buffer.from('a key of thirty-two octets, yes!');
  world.server.behaviour.externalAccounts = { k: hmacKey.toString('base64url') };
  await world.start({ externalAccount: { kid: 'k', hmacKey } });
  await until('the certificate', () => world.installed === 1);
  const state = await readFile(join(world.folder, 'state.json'), 'utf8');
  const all = state + world.log.join();
  for (const secret of [hmacKey.toString('base64url'), hmacKey.toString(), 'PRIVATE KEY']) {
    assert.ok(!all.includes(secret));
  }
});
