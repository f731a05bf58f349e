import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '../../src/storage/contract.ts';
import {
  MAX_APP_PASSWORDS,
  SIGN_INS_KEPT,
  type SignInRecord,
} from '../../src/storage/credentials-contract.ts';
import { type MakePlace, makeAccount, withStore } from './storage-fixture.ts';

const RECORD: SignInRecord = {
  outcome: 'ok',
  address: '192.0.2.1',
  service: 'submission',
  appPassword: null,
  tls: 'TLSv1.3',
  reason: null,
};

const kind = (wanted: string) => (error: unknown) => error instanceof StorageError && error.kind === wanted;

/** App passwords and sign-ins. */
export function credentialSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: credentials`, () => {
    it('app passwords are found by their hash, listed by name, and gone when revoked', () =>
      withStore(makePlace, async (storage, reopen) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        const add = (name: string, hash: string) =>
          storage.addAppPassword({ address: ann.address, name, hash, scopes: ['send', 'collect'] });
        await add('phone', 'h1');
        await add('copier', 'h2');
        const again = await reopen();
        assert.deepEqual(
          (await again.appPasswords(ann.id)).map(({ name }) => name),
          ['copier', 'phone'],
        );
        const found = await again.findAppPassword(ann.id, 'h1');
        assert.deepEqual(
          [found?.name, found?.scopes, found?.lastUsedAt],
          ['phone', ['send', 'collect'], null],
        );
        assert.equal(await again.findAppPassword(bob.id, 'h1'), null);
        assert.equal(await again.findAppPassword(ann.id, 'h3'), null);
        await assert.rejects(
          again.addAppPassword({ address: ann.address, name: 'phone', hash: 'h4', scopes: ['send'] }),
          kind('conflict'),
        );
        await assert.rejects(
          again.addAppPassword({ address: 'no@example.com', name: 'x', hash: 'h', scopes: ['send'] }),
          kind('not-found'),
        );
        await again.revokeAppPassword(ann.address, 'phone');
        assert.equal(await again.findAppPassword(ann.id, 'h1'), null);
        await assert.rejects(again.revokeAppPassword(ann.address, 'phone'), kind('not-found'));
        await assert.rejects(again.revokeAppPassword('no@example.com', 'phone'), kind('not-found'));
      }));

    it('an account has a bounded number of app passwords', () =>
      withStore(makePlace, async (storage) => {
        const { address } = await makeAccount(storage);
        const add = (n: number) =>
          storage.addAppPassword({ address, name: `n${n}`, hash: `h${n}`, scopes: ['send'] });
        for (let n = 0; n < MAX_APP_PASSWORDS; n += 1) await add(n);
        await assert.rejects(add(MAX_APP_PASSWORDS), kind('limit'));
      }));

    it('the newest sign-ins are kept, newest first, and mark the app password used', () =>
      withStore(makePlace, async (storage) => {
        const { id, address } = await makeAccount(storage);
        await storage.addAppPassword({ address, name: 'phone', hash: 'h', scopes: ['send'] });
        await storage.recordSignIn(id, { ...RECORD, appPassword: 'phone' });
        for (let n = 0; n < SIGN_INS_KEPT; n += 1) {
          await storage.recordSignIn(id, { ...RECORD, outcome: 'refused', reason: `wrong ${n}` });
        }
        const all = await storage.signIns(id, SIGN_INS_KEPT + 10);
        assert.equal(all.length, SIGN_INS_KEPT);
        const { at, n, ...newest } = all[0] ?? assert.fail('no sign-in');
        assert.deepEqual(newest, { ...RECORD, outcome: 'refused', reason: `wrong ${SIGN_INS_KEPT - 1}` });
        assert.ok(at > Date.now() - 600_000 && at < Date.now() + 600_000);
        assert.equal((await storage.signIns(id, 3)).length, 3);
        const older = await storage.signIns(id, 2, n - 1);
        assert.deepEqual(older, all.slice(2, 4));
        assert.deepEqual(await storage.signIns(id, 2, all.at(-1)?.n), []);
        assert.ok(((await storage.findAppPassword(id, 'h'))?.lastUsedAt ?? 0) > 0);
      }));

    it('all of it goes with the account, and a sign-in of one that is gone is nothing', () =>
      withStore(makePlace, async (storage) => {
        await makeAccount(storage, 'first@example.com');
        const { id, address } = await makeAccount(storage);
        await storage.addAppPassword({ address, name: 'phone', hash: 'h', scopes: ['send'] });
        await storage.recordSignIn(id, RECORD);
        await storage.removeAccount(address);
        await storage.recordSignIn(id, RECORD);
        assert.deepEqual(await storage.appPasswords(id), []);
        assert.deepEqual(await storage.signIns(id, 10), []);
        assert.deepEqual(await storage.verify(), []);
      }));
  });
}
