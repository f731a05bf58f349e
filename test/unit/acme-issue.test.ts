/** Certificates obtained, renewed and gone on with, against a real ACME server on loopback. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import type { Acme } from '../../src/acme/acme.ts';
import { runChecked } from '../support/command.ts';
import { acmeWorld, failureOf, until } from './acme-support.ts';

function held(acme: Acme): Promise<{ readonly key: string; readonly cert: string }> {
  return until('a certificate', () => acme.certificate());
}

function order(seen: { readonly what: string; readonly payload: unknown }[]): Record<string, unknown>[] {
  return seen
    .filter(({ what }) => what === 'POST /new-order')
    .map(({ payload }) => payload as Record<string, unknown>);
}

test('from nothing to a certificate by HTTP-01', async (t) => {
  const world = await acmeWorld(t);
  const acme = await world.start();
  assert.equal(acme.certificate(), null);
  const { key, cert } = await held(acme);

  createSecureContext({ key, cert });
  const leaf = new X509Certificate(cert);
  assert.equal(leaf.subjectAltName, 'DNS:mail.example.test, DNS:mx.example.test');
  assert.ok(leaf.verify(new X509Certificate(world.server.root).publicKey));
  assert.deepEqual(world.server.accounts[0]?.contact, ['mailto:admin@example.test']);

  await until('the call', () => world.installed === 1);
  const view = acme.view();
  assert.equal(view.failure, null);
  assert.deepEqual(view.certificate?.names, ['mail.example.test', 'mx.example.test']);
  assert.match(view.certificate?.issuer ?? '', /ACME test CA/);
  assert.deepEqual(acme.alarms(), []);

  // Its next step, asking for the renewal window, writes the state anew beside the old one: not while we look.
  await acme.close();
  const names = (await readdir(world.folder)).sort();
  assert.match(names.join(' '), /^account-[0-9a-f]{16}\.json certificate\.pem state\.json$/);
  for (const name of names) assert.equal((await stat(join(world.folder, name))).mode & 0o777, 0o600, name);
  assert.equal((await stat(world.folder)).mode & 0o777, 0o700);
  const secret = key.split('\n')[1] ?? '';
  assert.ok(secret.length > 20 && !world.log.join().includes(secret));
});

test('from nothing to a certificate by TLS-ALPN-01', async (t) => {
  const world = await acmeWorld(t);
  const acme = await world.start({ challenge: 'tls-alpn-01' });
  const { cert } = await held(acme);
  assert.equal(new X509Certificate(cert).subjectAltName, 'DNS:mail.example.test, DNS:mx.example.test');
  assert.ok(world.server.seen.some(({ what }) => what.endsWith('/tls-alpn-01')));
});

test('a restart uses what is there and asks nobody', async (t) => {
  const world = await acmeWorld(t);
  const first = await world.start();
  const { cert } = await held(first);
  await until('the call', () => world.installed === 1);
  await first.close();
  const asked = world.server.seen.length;
  const second = await world.start();
  assert.equal(second.certificate()?.cert, cert);
  await sleep(300);
  // But for the renewal information, which this CA does not offer: one look at its directory.
  assert.ok(world.server.seen.slice(asked).every(({ what }) => what === 'GET /directory'));
});

test('the CA is slow and takes its time over authorizations and the order', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.undecided = 3;
  const acme = await world.start({ names: ['mail.example.test'] });
  await held(acme);
  // Three times "not yet" and the verdict; Retry-After of a second is cut to the 100 ms of this test.
  assert.ok(world.server.count('POST /authz/') >= 4);
});

test('a nonce refused is no failure', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.badNonces = 4;
  const acme = await world.start();
  await held(acme);
  assert.equal(world.server.behaviour.badNonces, 0);
});

test('renewed at two thirds of its life; the old one serves until then', async (t) => {
  const world = await acmeWorld(t, { betweenOrdersMs: 0 });
  world.server.behaviour.lifeMs = 8_000;
  const acme = await world.start({ names: ['mail.example.test'] });
  const first = await held(acme);
  const { renewal } = acme.view();
  assert.equal(renewal?.by, 'two-thirds');
  world.server.behaviour.lifeMs = 600_000;
  await sleep(1_500);
  assert.equal(acme.certificate()?.cert, first.cert);
  await until('the second certificate', () => world.server.issued.length === 2);
  const [, orders] = world.server.seen.filter(({ what }) => what === 'POST /new-order');
  const plannedMs = Date.parse(renewal?.at ?? '');
  assert.ok((orders?.atMs ?? 0) >= plannedMs, 'not before two thirds of its life');
  assert.ok((orders?.atMs ?? 0) < plannedMs + 2_500, 'and soon after');
  await until('its use', () => acme.certificate()?.cert !== first.cert);
  assert.equal(order(world.server.seen)[1]?.replaces, undefined, 'this CA knows nothing of ARI');
  await until('the call', () => world.installed === 2);
});

test('the CA asks for an early renewal, which is marked as such and is not done over and over', async (t) => {
  const world = await acmeWorld(t, { betweenOrdersMs: 1_500 });
  world.server.behaviour.ari = { startMs: 3_600_000, endMs: 7_200_000, retryAfterS: 0 };
  const acme = await world.start();
  const first = await held(acme);
  await until('the window', () => acme.view().renewal?.by === 'ari');
  const plannedInMs = Date.parse(acme.view().renewal?.at ?? '') - Date.now();
  assert.ok(plannedInMs > 3_500_000 && plannedInMs <= 7_200_000, `${plannedInMs}`);

  const explanation = 'https://ca.test/incident';
  world.server.behaviour.ari = { startMs: -7_200_000, endMs: -3_600_000, retryAfterS: 0, explanation };
  await until('the new window', () => acme.view().renewal?.explanation === explanation);
  await until('the second certificate', () => acme.certificate()?.cert !== first.cert);
  assert.equal(order(world.server.seen)[1]?.replaces, world.server.issued[0]?.ariId);
  // The window of this one lies in the past too.
  await sleep(1_000);
  assert.equal(world.server.issued.length, 2);
});

test('the moment chosen in a window stays, over a restart too', async (t) => {
  const world = await acmeWorld(t);
  const nowMs = Date.now();
  const fixed = { startMs: 3_600_000, endMs: 360_000_000, retryAfterS: 0 };
  world.server.behaviour.ari = fixed;
  const first = await world.start();
  await until('the window', () => first.view().renewal?.by === 'ari');
  await first.close();
  const state = JSON.parse(await readFile(join(world.folder, 'state.json'), 'utf8'));
  assert.ok(
    state.ari.chosenMs >= nowMs + fixed.startMs - 5_000 && state.ari.chosenMs <= nowMs + fixed.endMs + 20_000,
  );
  world.server.behaviour.injected.push({
    ...{ on: 'GET /renewal-info', times: 100, status: 500, type: 'serverInternal', detail: 'out of order' },
  });
  const second = await world.start();
  await until('a question', () => world.log.some((line) => line.includes('no renewal information')));
  assert.equal(second.view().renewal?.at, new Date(state.ari.chosenMs).toISOString());
});

test('a CA that does not want the mark of the renewal gets the order without it', async (t) => {
  const world = await acmeWorld(t, { betweenOrdersMs: 0 });
  world.server.behaviour.ari = { startMs: 3_600_000, endMs: 7_200_000, retryAfterS: 0 };
  const acme = await world.start();
  const first = await held(acme);
  await until('the window', () => acme.view().renewal?.by === 'ari');
  world.server.behaviour.injected.push({
    ...{ on: 'POST /new-order', times: 1, status: 409, type: 'alreadyReplaced', detail: 'replaced already' },
  });
  world.server.behaviour.ari = { startMs: -7_200_000, endMs: -3_600_000, retryAfterS: 60 };
  await until('the second certificate', () => acme.certificate()?.cert !== first.cert);
  const [, marked, unmarked] = order(world.server.seen);
  assert.equal(marked?.replaces, world.server.issued[0]?.ariId);
  assert.equal(unmarked?.replaces, undefined);
});

test('stopped in the middle, it goes on with the same order', async (t) => {
  const world = await acmeWorld(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  world.server.behaviour.hold = promise;
  const first = await world.start();
  await until('the challenge', () => world.server.count('POST /challenge/') === 1);
  await first.close();
  assert.equal(first.certificate(), null);
  const second = await world.start();
  await until('another look', () => world.server.count('POST /authz/') >= 3);
  resolve();
  await held(second);
  assert.equal(world.server.count('POST /new-order'), 1);
});

test('killed in the middle, it waits as after a failure, then goes on with the same order', async (t) => {
  const world = await acmeWorld(t, { backOffFirstMs: 2_000 });
  const { promise, resolve } = Promise.withResolvers<void>();
  world.server.behaviour.hold = promise;
  const first = await world.start();
  await until('the challenge', () => world.server.count('POST /challenge/') === 1);
  // What a power cut at this moment leaves on the disk.
  const remains = `${world.folder}-remains`;
  await cp(world.folder, remains, { recursive: true });
  await first.close();
  const asked = world.server.seen.length;
  const second = await world.start({}, {}, remains);
  assert.match(second.view().failure?.text ?? '', /cut off/);
  await sleep(800);
  assert.equal(world.server.seen.length, asked, 'nothing is asked for now');
  const looks = world.server.count('POST /authz/');
  await until('another look', () => world.server.count('POST /authz/') >= looks + 2);
  resolve();
  await held(second);
  assert.equal(world.server.count('POST /new-order'), 1);
});

test('an order the CA no longer knows is made anew', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.hold = new Promise(() => undefined);
  const first = await world.start();
  await until('the challenge', () => world.server.count('POST /challenge/') === 1);
  await first.close();
  world.server.forget();
  world.server.behaviour.hold = Promise.resolve();
  const second = await world.start();
  await held(second);
  assert.equal(world.server.count('POST /new-order'), 2);
  assert.equal(world.server.count('POST /new-account'), 2, 'and so is the account');
});

test('another name asks for another certificate at once; a removed one waits for the renewal', async (t) => {
  const world = await acmeWorld(t);
  const first = await world.start({ names: ['mail.example.test'] });
  await held(first);
  await until('the call', () => world.installed === 1);
  await first.close();
  const second = await world.start();
  await until('the second certificate', () => world.server.issued.length === 2);
  await until('the call', () => world.installed === 2);
  await second.close();
  const third = await world.start({ names: ['mx.example.test'] });
  await sleep(300);
  assert.equal(world.server.issued.length, 2);
  assert.equal(third.view().failure, null);
});

test('fields of the directory that nobody knows do no harm', async (t) => {
  const world = await acmeWorld(t);
  world.server.behaviour.directory = {
    Zq0w: 'https://community.example/t/adding-random-entries-to-the-directory/33417',
    newAuthz: 7,
    profiles: { classic: {} },
  };
  await held(await world.start());
});

test('damaged files: order and state are replaced, an account key is not', async (t) => {
  const world = await acmeWorld(t);
  const first = await world.start();
  await held(first);
  await until('the call', () => world.installed === 1);
  await first.close();
  await writeFile(join(world.folder, 'state.json'), '{"plan":');
  await writeFile(join(world.folder, 'order.json'), 'nonsense');
  await writeFile(join(world.folder, 'certificate.pem'), 'nonsense');
  const second = await world.start();
  await held(second);
  await until('the call', () => world.installed === 2);
  await second.close();

  const account = (await readdir(world.folder)).find((name) => name.startsWith('account-')) ?? '';
  await writeFile(join(world.folder, account), '{}');
  const third = await world.start({ names: ['new.example.test'] });
  const failure = await failureOf(third);
  assert.equal(failure.kind, 'local');
  assert.match(failure.text, /account-[0-9a-f]+\.json does not hold an ACME account/);
});

test('openssl finds nothing wrong with chain and key as they lie on the disk', async (t) => {
  const world = await acmeWorld(t);
  const acme = await world.start();
  await held(acme);
  const file = join(world.folder, 'certificate.pem');
  const root = join(world.folder, 'root.pem');
  await writeFile(root, world.server.root);
  await runChecked('openssl', ['verify', '-x509_strict', '-CAfile', root, file]);
  const ofKey = await runChecked('openssl', ['pkey', '-in', file, '-pubout']);
  const ofCertificate = await runChecked('openssl', ['x509', '-in', file, '-noout', '-pubkey']);
  assert.equal(ofKey.stdout.toString(), ofCertificate.stdout.toString());
});
