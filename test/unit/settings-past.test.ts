import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stateAt } from '../../src/settings/past.ts';
import { SettingsService } from '../../src/settings/service.ts';
import { MemorySettingsStore } from './settings-support.ts';

async function open(store = new MemorySettingsStore()) {
  const service = await SettingsService.open(store, {
    secretKey: new Uint8Array(32),
    isOwnHost: () => false,
  });
  const set = async (changes: Readonly<Record<string, string>>, author = 'admin') => {
    const list = Object.entries(changes).map(([key, value]) => ({ key, value }));
    assert.ok((await service.set(list, author)).ok);
  };
  return { service, store, set };
}

/** Entries 1 to 6, made at 1 s to 6 s. */
async function history() {
  const world = await open();
  await world.set({ 'smtp.hopLimit': '50' });
  await world.set({ 'smtp.outboundPort': '2525' });
  await world.set({ 'smtp.hopLimit': '60', 'smtp.host.name': 'relay.example.net' });
  await world.set({ 'smtp.host.password': 'hunter22' });
  await world.set({ 'smtp.hopLimit': '70' });
  return world;
}

test('goes back to the state after an entry, one history entry a key, secrets untouched and named', async () => {
  const { service, store } = await history();
  const outcome = await service.revertTo({ n: 1 }, 'other');
  assert.ok(outcome.ok);
  assert.deepEqual(
    [...outcome.changes].sort((a, b) => (a.key < b.key ? -1 : 1)),
    [
      { key: 'smtp.hopLimit', old: '70', new: '50' },
      { key: 'smtp.host.name', old: 'relay.example.net', new: '' },
      { key: 'smtp.outboundPort', old: '2525', new: '25' },
    ],
  );
  assert.deepEqual(
    outcome.untouched.map(({ key }) => key),
    ['smtp.host.password'],
  );
  assert.equal(service.current().hopLimit, 50);
  assert.equal(service.current().smtpHost, null);
  assert.ok(store.values.has('smtp.host.password'));
  assert.deepEqual(
    store.changes.slice(6).map(({ author }) => author),
    ['other', 'other', 'other'],
  );
});

test('goes back to a time, and before the first entry', async () => {
  const { service } = await history();
  assert.ok((await service.revertTo({ atMs: 2_500 }, 'admin')).ok);
  assert.equal(service.current().hopLimit, 50);
  assert.equal(service.current().outboundPort, 2525);
  assert.ok((await service.revertTo({ n: 0 }, 'admin')).ok);
  assert.equal(service.current().hopLimit, 100);
  assert.equal(service.current().outboundPort, 25);
  const nothing = await service.revertTo({ n: 0 }, 'admin');
  assert.deepEqual(nothing.ok && nothing.changes, []);
});

test('a revert is validated as a whole: what no longer fits together changes nothing', async () => {
  const { service, store, set } = await open();
  await set({ 'smtp.host.name': 'relay.example.net' });
  await set({ 'smtp.fallbackToSmtpHost': 'on' });
  await set({ 'smtp.hopLimit': '60' });
  await set({ 'smtp.fallbackToSmtpHost': 'off' });
  await set({ 'smtp.host.name': '' });
  // As a later version might refuse what an earlier one took.
  store.changes[4] = { ...store.changes[4]!, old: 'not a host!' };
  const before = store.changes.length;
  const outcome = await service.revertTo({ n: 2 }, 'admin');
  assert.ok(!outcome.ok);
  assert.match(outcome.message, /smtp\.host\.name/);
  assert.equal(service.current().hopLimit, 60);
  assert.equal(store.changes.length, before);
});

test('a dry run of a revert tells and changes nothing; a point ahead is refused', async () => {
  const { service, store } = await history();
  const dry = await service.revertTo({ n: 5 }, 'admin', true);
  assert.deepEqual(dry.ok && dry.changes, [{ key: 'smtp.hopLimit', old: '70', new: '60' }]);
  assert.equal(store.changes.length, 6);
  for (const past of [{ n: 7 }, { atMs: Date.now() + 60_000 }]) {
    const outcome = await service.revertTo(past, 'admin');
    assert.ok(!outcome.ok);
    assert.match(outcome.message, /does not reach/);
  }
});

test('a long history is read in pages, and a setting nobody knows any more is named', async () => {
  const store = new MemorySettingsStore();
  for (let n = 1; n <= 2_500; n += 1) {
    const key = n === 2_000 ? 'smtp.gone' : 'smtp.hopLimit';
    store.changes.push({ n, at: n, author: 'a', key, old: `${n - 1}`, new: `${n}` });
  }
  let longest = 0;
  const settingsHistory: MemorySettingsStore['settingsHistory'] = (request) => {
    longest = Math.max(longest, request.limit);
    return store.settingsHistory(request);
  };
  const state = await stateAt({ settingsHistory }, { n: 10 });
  assert.deepEqual(state?.changes, [{ key: 'smtp.hopLimit', value: '10' }]);
  assert.deepEqual(
    state?.untouched.map(({ key }) => key),
    ['smtp.gone'],
  );
  assert.ok(longest <= 1_000);
});

test('the second of two administrators is told what the first changed, and nothing is overwritten', async () => {
  const { service, set } = await open();
  await set({ 'smtp.hopLimit': '50' });
  const exported = await service.exportToml();
  assert.match(exported, /^# version: 1$/m);
  const mine = exported.replace('smtp.outboundPort = 25', 'smtp.outboundPort = 2525');
  await set({ 'smtp.hopLimit': '60' }, 'berta');
  for (const dryRun of [true, false]) {
    const outcome = await service.applyToml(mine, 'anna', dryRun);
    assert.ok(!outcome.ok);
    assert.match(
      outcome.message,
      /after version 1; nothing was overwritten[\s\S]*2: berta changed smtp\.hopLimit from 50 to 60/,
    );
    assert.match(outcome.mend, /--if-version 2/);
  }
  assert.equal(service.current().hopLimit, 60);
  assert.equal(service.current().outboundPort, 25);
  assert.ok((await service.applyToml(mine, 'anna', false, 2)).ok, 'told, and wanted all the same');
  assert.equal(service.current().hopLimit, 50);
  const again = await service.applyToml(mine, 'anna', false);
  assert.deepEqual(again.ok && again.changes, [], 'what changes nothing overwrites nothing');
});

test('set with a version: the second writer is refused, in one process and from another', async () => {
  const store = new MemorySettingsStore();
  const [one, two] = [await open(store), await open(store)];
  const change = (value: string) => [{ key: 'smtp.hopLimit', value }];
  const [first, second] = await Promise.all([
    one.service.set(change('50'), 'anna', 0),
    one.service.set(change('60'), 'berta', 0),
  ]);
  assert.ok(first?.ok);
  assert.ok(!second?.ok);
  const elsewhere = await two.service.set(change('70'), 'carl', 0);
  assert.ok(!elsewhere.ok);
  assert.match(elsewhere.message, /1: anna changed smtp\.hopLimit from 100 to 50/);
  assert.equal(store.values.get('smtp.hopLimit'), '50');
  assert.ok((await two.service.set(change('70'), 'carl', 1)).ok);
});

test('a version among the values of a file is not its version', async () => {
  const { service, set } = await open();
  await set({ 'smtp.hopLimit': '50' });
  const text = 'smtp.outboundPort = 2525\n# version: 0\n';
  assert.ok((await service.applyToml(text, 'admin', false)).ok);
});
