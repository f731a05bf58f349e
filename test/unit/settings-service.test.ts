import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decryptSecret, encryptSecret, openSecretKey } from '../../src/settings/secrets.ts';
import { SettingsService } from '../../src/settings/service.ts';
import type { Settings } from '../../src/settings/values.ts';
import { MemorySettingsStore } from './settings-support.ts';

const secretKey = new Uint8Array(32).fill(7);

async function open(store = new MemorySettingsStore(), key: Uint8Array = secretKey) {
  const changes: Settings[] = [];
  const service = await SettingsService.open(store, {
    secretKey: key,
    isOwnHost: () => false,
    onChange: (settings) => changes.push(settings),
  });
  return { service, store, changes };
}

function set(service: SettingsService, changes: Readonly<Record<string, string>>) {
  return service.set(
    Object.entries(changes).map(([key, value]) => ({ key, value })),
    'admin',
  );
}

test('a change is in force when set resolves, and stored in canonical form', async () => {
  const { service, store, changes } = await open();
  const before = service.current();
  const outcome = await set(service, { 'smtp.bufferSize': '64KB', 'smtp.useMxResolution': 'true' });
  assert.ok(outcome.ok);
  assert.deepEqual(outcome.changes, [{ key: 'smtp.bufferSize', old: '4', new: '64' }]);
  assert.equal(service.current().bufferSizeBytes, 65_536);
  assert.equal(before.bufferSizeBytes, 4096, 'the old object is untouched');
  assert.deepEqual([...store.values], [['smtp.bufferSize', '64']]);
  assert.equal(changes.at(-1), service.current());
});

test('all or nothing: one bad value and nothing is stored', async () => {
  const { service, store, changes } = await open();
  const outcome = await set(service, { 'smtp.bufferSize': '64', 'smtp.hopLimit': 'many' });
  assert.ok(!outcome.ok);
  assert.match(outcome.message, /smtp\.hopLimit = many/);
  assert.equal(store.version, 0);
  assert.equal(changes.length, 0);
  assert.equal(service.current().bufferSizeBytes, 4096);
});

test('lists show typed values, texts for sizes, arrays for lists', async () => {
  const { service } = await open();
  const view = (key: string) => service.get(key)!;
  assert.equal(view('smtp.useMxResolution').value, true);
  assert.equal(view('smtp.socketTimeout').value, 30);
  assert.equal(view('smtp.bufferSize').value, 4);
  assert.equal(view('smtp.maxIncomingSize').value, '50MB');
  assert.equal(view('smtp.queueLifetime').value, '5d');
  assert.deepEqual(view('smtp.relayNetworks').value, ['127.0.0.1/32', '::1/128']);
  assert.deepEqual(view('smtp.ownNames').value, []);
  assert.equal(view('smtp.host.password').value, '');
  assert.equal(service.get('smtp.nothing'), undefined);
  assert.equal(service.list().length, 84);
});

test('a secret is encrypted in the store and absent from lists, history, export and revert', async () => {
  const { service, store } = await open();
  await set(service, { 'smtp.host.name': 'relay.example.net', 'smtp.host.password': 'hunter22' });
  assert.equal(service.current().smtpHost?.password, 'hunter22');
  assert.equal(service.get('smtp.host.password')?.value, '(set)');
  assert.doesNotMatch(JSON.stringify([...store.values, store.changes]), /hunter22/);
  assert.doesNotMatch(await service.exportToml(), /hunter22|password = /);
  const entry = (await service.history(10)).find(({ key }) => key === 'smtp.host.password');
  assert.deepEqual([entry?.old, entry?.new], ['(not set)', '(set)']);
  const reverted = await service.revert(entry!.n, 'admin');
  assert.ok(!reverted.ok);
  assert.match(reverted.message, /secret/);
  assert.equal(service.current().smtpHost?.password, 'hunter22');

  const again = await open(store);
  assert.equal(again.service.current().smtpHost?.password, 'hunter22');
  await set(again.service, { 'smtp.host.password': '' });
  assert.equal(store.values.has('smtp.host.password'), false);
  assert.equal(again.service.get('smtp.host.password')?.value, '');
});

test('a secret under another key is a problem told, not an end', async () => {
  const { service, store } = await open();
  await set(service, { 'smtp.host.name': 'relay.example.net', 'smtp.host.password': 'hunter22' });
  const other = await open(store, new Uint8Array(32).fill(8));
  assert.match(other.service.problems().join(), /^smtp\.host\.password: cannot be decrypted/);
  assert.equal(other.service.current().smtpHost?.password, '');
  await set(other.service, { 'smtp.host.password': 'hunter23' });
  assert.deepEqual(other.service.problems(), []);
});

test('a damaged stored value leaves its default in force and is told', async () => {
  const store = new MemorySettingsStore();
  store.values.set('smtp.hopLimit', 'many').set('smtp.future', '1');
  const { service } = await open(store);
  assert.equal(service.current().hopLimit, 100);
  assert.equal(service.problems().length, 2);
});

test('history has time, author, old and new, newest first; revert undoes one entry', async () => {
  const { service } = await open();
  await set(service, { 'smtp.hopLimit': '50' });
  await set(service, { 'smtp.hopLimit': '60' });
  const [newest, oldest] = await service.history(10);
  assert.deepEqual(newest, { n: 2, at: 2000, author: 'admin', key: 'smtp.hopLimit', old: '50', new: '60' });
  assert.deepEqual([oldest?.old, oldest?.new], ['100', '50']);
  assert.ok((await service.revert(1, 'other')).ok);
  assert.equal(service.current().hopLimit, 100);
  assert.equal((await service.history(1))[0]?.author, 'other');
  assert.ok(!(await service.revert(99, 'other')).ok);
});

test('a change made elsewhere meanwhile is told, and nothing is overwritten', async () => {
  const store = new MemorySettingsStore();
  const [one, two] = [await open(store), await open(store)];
  assert.ok((await set(one.service, { 'smtp.hopLimit': '50' })).ok);
  const outcome = await set(two.service, { 'smtp.hopLimit': '60' });
  assert.ok(!outcome.ok);
  assert.match(outcome.message, /someone else/);
  assert.equal(store.values.get('smtp.hopLimit'), '50');
  assert.equal(two.service.current().hopLimit, 50, 'what the other wrote is in force');
  assert.ok((await set(two.service, { 'smtp.hopLimit': '60' })).ok);
  assert.equal(await one.service.refresh(), true);
  assert.equal(one.service.current().hopLimit, 60);
  assert.equal(await one.service.refresh(), false);
});

test('changes at the same moment in one process are made one after another', async () => {
  const { service } = await open();
  const outcomes = await Promise.all([
    set(service, { 'smtp.hopLimit': '50' }),
    set(service, { 'smtp.outboundPort': '2525' }),
    set(service, { 'smtp.fallbackToSmtpHost': 'on' }),
  ]);
  assert.deepEqual(
    outcomes.map(({ ok }) => ok),
    [true, true, false],
  );
  assert.equal(service.current().outboundPort, 2525);
});

test('a store that fails changes nothing', async () => {
  const { service, store } = await open();
  store.writeSettings = async () => {
    throw new Error('disk full');
  };
  await assert.rejects(set(service, { 'smtp.hopLimit': '50' }), /disk full/);
  assert.equal(service.current().hopLimit, 100);
});

test('an export applied again changes nothing, and applies to an empty store', async () => {
  const { service } = await open();
  await set(service, {
    'smtp.host.name': 'relay.example.net',
    'smtp.host.username': 'quote"and\\slash',
    'smtp.fallbackToSmtpHost': 'on',
    'smtp.retrySchedule': '1m,2m',
    'smtp.relayNetworks': '',
  });
  const text = await service.exportToml();
  const same = await service.applyToml(text, 'admin', false);
  assert.deepEqual(same.ok && same.changes, []);
  const fresh = await open();
  assert.ok((await fresh.service.applyToml(text, 'admin', false)).ok);
  assert.deepEqual(fresh.service.current(), service.current());
});

test('apply changes only the keys present, in dotted or table form; dry run changes nothing', async () => {
  const { service, store } = await open();
  await set(service, { 'smtp.hopLimit': '50' });
  const text =
    'smtp.useMxResolution = true\n"smtp.bufferSize" = 8\n[smtp.timeout]\ngreeting = "1m"\ndata = 60\n';
  const dry = await service.applyToml(text, 'admin', true);
  assert.deepEqual(dry.ok && dry.changes.map(({ key, new: value }) => `${key}=${value}`).sort(), [
    'smtp.bufferSize=8',
    'smtp.timeout.data=60',
    'smtp.timeout.greeting=60',
  ]);
  assert.equal(store.version, 1);
  assert.ok((await service.applyToml(text, 'admin', false)).ok);
  assert.equal(service.current().timeouts.greetingMs, 60_000);
  assert.equal(service.current().bufferSizeBytes, 8192);
  assert.equal(service.current().hopLimit, 50);
});

test('a settings file that cannot be used is one clear error with its line', async () => {
  const { service, store } = await open();
  const messageOf = async (text: string) => {
    const outcome = await service.applyToml(text, 'admin', false);
    assert.ok(!outcome.ok, text);
    return outcome.message;
  };
  assert.match(await messageOf('smtp.hopLimit = 5\nsmtp.bufferSize = = 4\n'), /line 2: not valid TOML/);
  assert.match(await messageOf('smtp.hopLimit = 2026-01-01\n'), /date is not a value/);
  assert.match(await messageOf('smtp.relayNetworks = [["10.0.0.0/8"]]\n'), /entry of a list/);
  assert.match(await messageOf('smtp.relayNetworks = ["10.0.0.0/8,0.0.0.0/0"]\n'), /without a comma/);
  assert.match(await messageOf(`x = "${'x'.repeat(600 * 1024)}"`), /larger than 512 KB/);
  assert.match(await messageOf(`${'a.'.repeat(20)}b = 1`), /nested too deep/);
  assert.match(await messageOf('smtp.hoplimit = 5\n'), /smtp\.hopLimit would do/);
  assert.match(await messageOf('__proto__.x = 1\n'), /no setting of this name/);
  assert.match(await messageOf('smtp.hopLimit = true\n'), /smtp\.hopLimit = on/);
  assert.equal(store.version, 0);
});

test('an encrypted secret opens only under its key and for its setting', () => {
  const sealed = encryptSecret(secretKey, 'a', 'hunter22');
  assert.equal(decryptSecret(secretKey, 'a', sealed), 'hunter22');
  assert.equal(decryptSecret(secretKey, 'b', sealed), undefined);
  assert.equal(decryptSecret(new Uint8Array(32), 'a', sealed), undefined);
  assert.equal(decryptSecret(secretKey, 'a', 'aes-256-gcm:AAAA'), undefined);
  assert.equal(decryptSecret(secretKey, 'a', 'hunter22'), undefined);
  assert.notEqual(encryptSecret(secretKey, 'a', 'hunter22'), sealed);
});

test('the secret key is made once, private, and a damaged file is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const keys = await Promise.all([openSecretKey(folder), openSecretKey(folder), openSecretKey(folder)]);
  assert.deepEqual(keys[0], keys[1]);
  assert.deepEqual(keys[0], keys[2]);
  assert.equal(keys[0]?.length, 32);
  const path = join(folder, 'secret.key');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await openSecretKey(folder), keys[0]);
  await writeFile(path, 'short');
  await assert.rejects(openSecretKey(folder), /does not hold a key/);
  assert.equal(await readFile(path, 'utf8'), 'short', 'never replaced');
});
