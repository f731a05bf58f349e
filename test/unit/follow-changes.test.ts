import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { followChanges } from '../../src/server/follow-changes.ts';
import { poll } from '../support/cmail.ts';

async function world(refresh: () => Promise<boolean>) {
  const seen = { refreshed: 0, changed: 0, warnings: 0 };
  let tell: (what: 'settings' | 'directory') => void = () => assert.fail('nobody listens');
  const store = {
    onChanged: (listener: typeof tell) => {
      tell = listener;
    },
  };
  const settings = {
    refresh: () => {
      seen.refreshed += 1;
      return seen.refreshed > 1 ? refresh() : Promise.resolve(false);
    },
  };
  const log = () => {
    seen.warnings += 1;
  };
  followChanges(store, settings, log, () => {
    seen.changed += 1;
  });
  // The look at the beginning is not of what these tests are about.
  assert.equal(seen.refreshed, 1);
  await new Promise((done) => setImmediate(done));
  return { seen, tell: (what: 'settings' | 'directory') => tell(what) };
}

describe('what another node changed', () => {
  it('before anybody listened is found at the beginning', async () => {
    let changes = 0;
    const settings = { refresh: async () => true };
    followChanges(
      { onChanged: () => undefined },
      settings,
      () => undefined,
      () => {
        changes += 1;
      },
    );
    await poll('the change to be told', async () => changes === 1);
  });

  it('of the settings is read, and told once it is in force', async () => {
    const gate = Promise.withResolvers<boolean>();
    const { seen, tell } = await world(() => gate.promise);
    tell('settings');
    assert.deepEqual([seen.refreshed, seen.changed], [2, 0]);
    gate.resolve(true);
    await poll('the change to be told', async () => seen.changed === 1);
  });

  it('of the settings is read again when it changed while it was read', async () => {
    let gate = Promise.withResolvers<boolean>();
    const { seen, tell } = await world(() => gate.promise);
    tell('settings');
    tell('settings');
    tell('settings');
    assert.equal(seen.refreshed, 2, 'one at a time');
    const first = gate;
    gate = Promise.withResolvers<boolean>();
    first.resolve(true);
    await poll('the second reading', async () => seen.refreshed === 3);
    // It was read already by somebody who changed something here.
    gate.resolve(false);
    await new Promise((done) => setTimeout(done, 20));
    assert.deepEqual([seen.refreshed, seen.changed], [3, 1]);
  });

  it('of the settings is asked for until the store answers', async () => {
    let failures = 2;
    const { seen, tell } = await world(async () => {
      if (failures-- > 0) throw new Error('the store is away');
      return true;
    });
    tell('settings');
    await poll('the change to be told', async () => seen.changed === 1);
    assert.deepEqual([seen.refreshed, seen.warnings], [4, 2]);
  });

  it('of the directory is told at once: what was remembered of it is dropped by its version', async () => {
    const { seen, tell } = await world(async () => true);
    tell('directory');
    assert.deepEqual([seen.refreshed, seen.changed], [1, 1]);
  });
});
