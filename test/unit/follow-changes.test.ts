import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { followChanges } from '../../src/server/follow-changes.ts';
import { poll } from '../support/cmail.ts';

function world(refresh: () => Promise<boolean>) {
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
      return refresh();
    },
  };
  const log = () => {
    seen.warnings += 1;
  };
  followChanges(store, settings, log, () => {
    seen.changed += 1;
  });
  return { seen, tell: (what: 'settings' | 'directory') => tell(what) };
}

describe('what another node changed', () => {
  it('of the settings is read, and told once it is in force', async () => {
    const gate = Promise.withResolvers<boolean>();
    const { seen, tell } = world(() => gate.promise);
    tell('settings');
    assert.deepEqual([seen.refreshed, seen.changed], [1, 0]);
    gate.resolve(true);
    await poll('the change to be told', async () => seen.changed === 1);
  });

  it('of the settings is read again when it changed while it was read', async () => {
    let gate = Promise.withResolvers<boolean>();
    const { seen, tell } = world(() => gate.promise);
    tell('settings');
    tell('settings');
    tell('settings');
    assert.equal(seen.refreshed, 1, 'one at a time');
    const first = gate;
    gate = Promise.withResolvers<boolean>();
    first.resolve(true);
    await poll('the second reading', async () => seen.refreshed === 2);
    // It was read already by somebody who changed something here.
    gate.resolve(false);
    await new Promise((done) => setTimeout(done, 20));
    assert.deepEqual([seen.refreshed, seen.changed], [2, 1]);
  });

  it('of the settings is asked for until the store answers', async () => {
    let failures = 2;
    const { seen, tell } = world(async () => {
      if (failures-- > 0) throw new Error('the store is away');
      return true;
    });
    tell('settings');
    await poll('the change to be told', async () => seen.changed === 1);
    assert.deepEqual([seen.refreshed, seen.warnings], [3, 2]);
  });

  it('of the directory is told at once: what was remembered of it is dropped by its version', () => {
    const { seen, tell } = world(async () => true);
    tell('directory');
    assert.deepEqual([seen.refreshed, seen.changed], [0, 1]);
  });
});
