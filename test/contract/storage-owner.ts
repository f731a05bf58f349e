/** What every engine must do for the owner of an account: sessions at the page, forwards, the own messages. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { accountForwardRule } from '../../src/mail/forward-rule.ts';
import { type Storage, StorageError } from '../../src/storage/contract.ts';
import { MAX_ACCOUNT_SESSIONS, type OwnMessagesRequest } from '../../src/storage/owner-contract.ts';
import { accept, local, type MakePlace, makeAccount, queued, SOURCE, withStore } from './storage-fixture.ts';

const kind = (wanted: string) => (error: unknown) => error instanceof StorageError && error.kind === wanted;

function session(accountId: number, n: number) {
  return {
    id: `s${n}`,
    tokenHash: `t${n}`,
    accountId,
    createdAt: 1_000 + n,
    lastSeenAt: 1_000 + n,
    expiresAt: 9_000,
    address: '192.0.2.1',
    userAgent: 'Browser',
  };
}

export function ownerSuite(engine: string, makePlace: MakePlace): void {
  sessionSuite(engine, makePlace);
  messageSuite(engine, makePlace);
}

function sessionSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: sessions and forwards of accounts`, () => {
    it('a session is found by its token, touched, ended, and swept when it is old', () =>
      withStore(makePlace, async (storage, reopen) => {
        const ann = await makeAccount(storage);
        await storage.addAccountSession(session(ann.id, 1));
        await storage.addAccountSession(session(ann.id, 2));
        const again = await reopen();
        const { tokenHash: _, ...told } = session(ann.id, 1);
        assert.deepEqual(await again.accountSession('t1'), { ...told, account: ann.address });
        assert.equal(await again.accountSession('t9'), null);
        await again.touchAccountSession('s1', 5_000);
        assert.equal((await again.accountSession('t1'))?.lastSeenAt, 5_000);
        assert.deepEqual(
          (await again.accountSessions(ann.id)).map(({ id }) => id),
          ['s2', 's1'],
        );
        await again.sweepAccess({ now: 6_000, idleBefore: 4_000, keepMs: 1 });
        assert.deepEqual(
          (await again.accountSessions(ann.id)).map(({ id }) => id),
          ['s1'],
        );
        assert.equal(await again.removeAccountSession('s1'), true);
        assert.equal(await again.removeAccountSession('s1'), false);
      }));

    it('a new password ends all but one, disabling and removing the account end all', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        for (const n of [1, 2, 3]) await storage.addAccountSession(session(bob.id, n));
        await storage.addAccountSession(session(ann.id, 4));
        await storage.setPassword(bob.address, 'hash', 's2');
        assert.deepEqual(
          (await storage.accountSessions(bob.id)).map(({ id }) => id),
          ['s2'],
        );
        await storage.setPassword(bob.address, 'other');
        assert.deepEqual(await storage.accountSessions(bob.id), []);
        await storage.addAccountSession(session(bob.id, 5));
        await storage.setEnabled(bob.address, false);
        assert.equal(await storage.accountSession('t5'), null);
        await assert.rejects(storage.addAccountSession(session(bob.id, 6)), kind('not-found'));
        await storage.setEnabled(bob.address, true);
        assert.equal(await storage.accountSession('t5'), null);
        await storage.addAccountSession(session(bob.id, 7));
        assert.equal(await storage.removeAccountSessions(bob.id), 1);
        await storage.addAccountSession(session(bob.id, 8));
        await storage.removeAccount(bob.address);
        assert.equal(await storage.accountSession('t8'), null);
        assert.notEqual(await storage.accountSession('t4'), null);
      }));

    it('an account has a bounded number of sessions: the oldest go', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        for (let n = 0; n < MAX_ACCOUNT_SESSIONS + 2; n += 1)
          await storage.addAccountSession(session(ann.id, n));
        assert.equal((await storage.accountSessions(ann.id)).length, MAX_ACCOUNT_SESSIONS);
        assert.equal(await storage.accountSession('t1'), null);
        assert.notEqual(await storage.accountSession('t2'), null);
      }));

    it('a forward is kept with the account, and counts as a change of the directory', () =>
      withStore(makePlace, async (storage, reopen) => {
        const ann = await makeAccount(storage);
        assert.equal(ann.forward, null);
        const before = storage.directoryVersion();
        const forward = { targets: ['a@example.net', 'b@example.com'], keep: false };
        await storage.setAccountForward('Ann@example.com', forward);
        assert.notEqual(storage.directoryVersion(), before);
        const again = await reopen();
        assert.deepEqual((await again.account(ann.address))?.forward, forward);
        const entry = await again.entry(ann.address);
        assert.deepEqual(entry?.type === 'account' && entry.account.forward, forward);
        await again.setAccountForward(ann.address, { ...forward, keep: true });
        assert.equal((await again.account(ann.address))?.forward?.keep, true);
        await again.setAccountForward(ann.address, null);
        assert.equal((await again.account(ann.address))?.forward, null);
        await assert.rejects(again.setAccountForward('no@example.com', null), kind('not-found'));
      }));
  });
}

function messageSuite(engine: string, makePlace: MakePlace): void {
  const ask = async (storage: Storage, more: Partial<OwnMessagesRequest> = {}) => {
    await storage.searchable();
    return storage.ownMessages({
      address: 'ann@example.com',
      since: 0,
      which: 'all',
      after: null,
      limit: 50,
      ...more,
    });
  };
  const ids = (rows: readonly { readonly id: number }[]) => rows.map(({ id }) => id);

  describe(`${engine}: an account's messages`, () => {
    it('are those it sent and those that came for it, newest first, in pages', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        const signedIn = { ...SOURCE, kind: 'local' as const, user: ann.address };
        const at = (n: number) => ({ receivedAt: 1_000_000 + n });
        const came = await accept(storage, [local(ann), local(bob)], undefined, at(1));
        const sent = await accept(storage, [local(bob), queued('x@far.test')], undefined, {
          ...at(2),
          source: signedIn,
        });
        const relayed = await accept(storage, [local(bob)], undefined, {
          ...at(3),
          sender: 'Ann@example.com',
          source: { ...SOURCE, kind: 'local' },
        });
        // Somebody else's: a stranger gives ann's name, bob sends in it, bob gets mail.
        await accept(storage, [local(bob)], undefined, { ...at(4), sender: ann.address });
        await accept(storage, [local(bob)], undefined, {
          ...at(5),
          sender: ann.address,
          source: { ...signedIn, user: bob.address },
        });
        const toSelf = await accept(storage, [local(ann)], undefined, { ...at(6), source: signedIn });
        const forwarded = await accept(
          storage,
          [
            {
              ...queued('ann@home.test'),
              original: 'team@example.com',
              rule: accountForwardRule(ann.address),
            },
            { ...local(bob), original: 'team@example.com' },
          ],
          undefined,
          at(7),
        );
        const all = await ask(storage);
        assert.deepEqual(ids(all), [forwarded, toSelf, relayed, sent, came]);
        assert.deepEqual(
          all.map((one) => [one.sent, one.received, one.recipients.map(({ address }) => address).join(' ')]),
          [
            [false, true, 'ann@home.test'],
            [true, true, 'ann@example.com'],
            [true, false, 'bob@example.com'],
            [true, false, 'bob@example.com x@far.test'],
            [false, true, 'ann@example.com'],
          ],
        );
        assert.deepEqual(ids(await ask(storage, { which: 'sent' })), [toSelf, relayed, sent]);
        assert.deepEqual(ids(await ask(storage, { which: 'received' })), [forwarded, toSelf, came]);
        assert.deepEqual(ids(await ask(storage, { since: 1_000_003 })), [forwarded, toSelf, relayed]);
        const [first, second] = await ask(storage, { limit: 2 });
        assert.deepEqual([first?.id, second?.id], [forwarded, toSelf]);
        const after = { at: second?.receivedAt ?? 0, id: second?.id ?? 0 };
        assert.deepEqual(ids(await ask(storage, { limit: 2, after })), [relayed, sent]);
      }));
  });
}
