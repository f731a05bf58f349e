import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { accept, local, type MakePlace, makeAccount, withStore } from './storage-fixture.ts';

export function directorySuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: directory and settings`, () => {
    it('keeps domains with forward and catch-all', () =>
      withStore(makePlace, async (storage, reopen) => {
        await storage.addDomain('b.example');
        await storage.addDomain('a.example');
        await assert.rejects(storage.addDomain('a.example'), { kind: 'conflict', message: /a\.example/ });
        await storage.setForward('a.example', { host: 'inner.example', port: 2525 });
        await storage.setCatchAll('b.example', 'all@b.example');
        const again = await reopen();
        assert.deepEqual(await again.listDomains(), [
          { name: 'a.example', forward: { host: 'inner.example', port: 2525 }, catchAll: null },
          { name: 'b.example', forward: null, catchAll: 'all@b.example' },
        ]);
        await again.setForward('a.example', { address: 'x@y.example' });
        assert.deepEqual((await again.domain('a.example'))?.forward, { address: 'x@y.example' });
        await again.setForward('a.example', null);
        assert.equal((await again.domain('a.example'))?.forward, null);
        await again.removeDomain('a.example');
        assert.equal(await again.domain('a.example'), null);
        for (const call of [again.removeDomain('a.example'), again.setCatchAll('a.example', null)]) {
          await assert.rejects(call, { kind: 'not-found', message: /a\.example/ });
        }
      }));

    it('keeps accounts, found without regard to case', () =>
      withStore(makePlace, async (storage) => {
        await assert.rejects(makeAccountIn(storage, 'nobody@none.example'), {
          kind: 'not-found',
          message: /none/,
        });
        await storage.addDomain('example.com');
        const input = { address: 'Ann.Lee@example.com', passwordHash: '$argon2id$x', quotaBytes: 5000 };
        const made = await storage.addAccount(input);
        const expected = { ...made, enabled: true, quotaBytes: 5000, usedBytes: 0, isPostmaster: true };
        assert.deepEqual(await storage.account('ann.lee@example.com'), expected);
        assert.equal(made.address, 'Ann.Lee@example.com');
        assert.deepEqual(await storage.entry('ANN.LEE@example.com'), { type: 'account', account: expected });
        assert.equal(await storage.passwordHash(made.id), '$argon2id$x');
        await assert.rejects(makeAccountIn(storage, 'ANN.lee@example.com'), { kind: 'conflict' });
        await storage.setPassword('ann.lee@example.com', 'new');
        await storage.setEnabled('ann.lee@example.com', false);
        await storage.setQuota('ann.lee@example.com', null);
        const changed = await storage.account(made.address);
        assert.deepEqual([changed?.enabled, changed?.quotaBytes], [false, null]);
        assert.equal(await storage.passwordHash(made.id), 'new');
        assert.equal(await storage.passwordHash(made.id + 1), null);
        assert.equal(await storage.entry('bob@example.com'), null);
        await assert.rejects(storage.setQuota('bob@example.com', 1), {
          kind: 'not-found',
          message: /bob@example.com/,
        });
      }));

    it('makes the first account postmaster, and moves it', () =>
      withStore(makePlace, async (storage) => {
        assert.equal(await storage.postmaster(), null);
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        assert.equal((await storage.postmaster())?.id, ann.id);
        await assert.rejects(storage.removeAccount(ann.address), { kind: 'conflict', message: /postmaster/ });
        await storage.movePostmaster(bob.address);
        assert.equal((await storage.postmaster())?.id, bob.id);
        await storage.removeAccount(ann.address);
        assert.equal(await storage.account(ann.address), null);
      }));

    it('removes an account with its mail, and never gives its mailbox to the next', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        for (let n = 0; n < 3; n++) await accept(storage, [local(ann), local(bob)]);
        const { uidValidity } = await storage.inbox(bob.id, { afterUid: 0, limit: 1 });
        await storage.removeAccount('BOB@example.com');
        assert.deepEqual((await storage.inbox(bob.id, { afterUid: 0, limit: 9 })).entries, []);
        assert.deepEqual(await storage.verify(), []);
        const validities = new Set([uidValidity]);
        // Several times, so that some fall into one second.
        for (let n = 0; n < 5; n++) {
          const next = await makeAccount(storage, 'bob@example.com');
          const inbox = await storage.inbox(next.id, { afterUid: 0, limit: 9 });
          assert.notEqual(next.id, bob.id);
          assert.deepEqual(inbox.entries, []);
          validities.add(inbox.uidValidity);
          await storage.removeAccount(next.address);
        }
        assert.equal(validities.size, 6);
        assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 9 })).entries.length, 3);
      }));

    it('keeps aliases apart from accounts', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const alias = { address: 'Info@example.com', targets: ['ann@example.com', 'x@example.net'] };
        await storage.addAlias(alias);
        assert.deepEqual(await storage.entry('info@example.com'), { type: 'alias', alias });
        await assert.rejects(storage.addAlias({ address: ann.address, targets: [] }), { kind: 'conflict' });
        await assert.rejects(makeAccountIn(storage, 'info@example.com'), { kind: 'conflict' });
        await assert.rejects(storage.removeDomain('example.com'), {
          kind: 'conflict',
          message: /example\.com/,
        });
        assert.deepEqual(await storage.listAliases('example.com'), [alias]);
        assert.deepEqual(await storage.listAliases('other.example'), []);
        assert.deepEqual(
          (await storage.listAccounts()).map(({ address }) => address),
          ['ann@example.com'],
        );
        await storage.removeAlias('INFO@example.com');
        assert.equal(await storage.entry('info@example.com'), null);
        await assert.rejects(storage.removeAlias('info@example.com'), { kind: 'not-found' });
      }));

    it('counts directory versions up with each change, not with mail', () =>
      withStore(makePlace, async (storage) => {
        const versions = [storage.directoryVersion()];
        const ann = await makeAccount(storage);
        versions.push(storage.directoryVersion());
        await accept(storage, [local(ann)]);
        assert.equal(storage.directoryVersion(), versions[1]);
        await storage.setEnabled(ann.address, false);
        versions.push(storage.directoryVersion());
        assert.deepEqual(
          versions.toSorted((a, b) => a - b),
          versions,
        );
        assert.equal(new Set(versions).size, 3);
      }));

    it('writes settings all or nothing, under their version, with history', () =>
      withStore(makePlace, async (storage) => {
        assert.deepEqual(await storage.readSettings(), { version: 0, values: new Map() });
        const change = (key: string, value: string | null, old: string | null) => ({
          key,
          value,
          historyOld: old,
          historyNew: value,
        });
        const first = {
          expectedVersion: 0,
          author: 'ann',
          changes: [change('a', '1', null), change('b', '2', null)],
        };
        assert.deepEqual(await storage.writeSettings(first), { version: 1 });
        await assert.rejects(storage.writeSettings(first), { kind: 'conflict' });
        await storage.writeSettings({ expectedVersion: 1, author: 'bob', changes: [change('a', null, '1')] });
        assert.deepEqual(await storage.readSettings(), { version: 2, values: new Map([['b', '2']]) });
        const history = await storage.settingsHistory({ limit: 2 });
        assert.deepEqual(
          history.map(({ n, author, key, old, new: value }) => [n, author, key, old, value]),
          [
            [3, 'bob', 'a', '1', null],
            [2, 'ann', 'b', null, '2'],
          ],
        );
        assert.deepEqual(
          (await storage.settingsHistory({ limit: 5, before: 2 })).map(({ n }) => n),
          [1],
        );
        assert.equal((await storage.settingChange(3))?.key, 'a');
        assert.equal(await storage.settingChange(99), null);
      }));

    it('makes a secret once', () =>
      withStore(makePlace, async (storage, reopen) => {
        const made = await Promise.all([1, 2].map(() => storage.serverSecret('received-token', 32)));
        assert.equal(made[0]?.byteLength, 32);
        assert.deepEqual(made[0], made[1]);
        assert.notDeepEqual(await storage.serverSecret('other', 32), made[0]);
        assert.deepEqual(await (await reopen()).serverSecret('received-token', 32), made[0]);
      }));

    it('keeps the first value of a secret that is given', () =>
      withStore(makePlace, async (storage, reopen) => {
        const [first, second] = [Uint8Array.of(1, 0, 255), Uint8Array.of(2)];
        assert.deepEqual(await storage.keepSecret('fingerprint', first), first);
        assert.deepEqual(await storage.keepSecret('fingerprint', second), first);
        assert.deepEqual(await (await reopen()).keepSecret('fingerprint', second), first);
      }));
  });
}

function makeAccountIn(storage: Parameters<typeof makeAccount>[0], address: string) {
  return storage.addAccount({ address, passwordHash: null, quotaBytes: null });
}
