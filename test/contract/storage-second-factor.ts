/** What every engine must do for second factors. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Storage, StorageError } from '../../src/storage/contract.ts';
import type { FactorSubject } from '../../src/storage/second-factor-contract.ts';
import { type MakePlace, makeAccount, withStore } from './storage-fixture.ts';

const ANNA: FactorSubject = { kind: 'administrator', name: 'anna' };
const conflict = (error: unknown) => error instanceof StorageError && error.kind === 'conflict';

async function turnOn(
  storage: Storage,
  subject: FactorSubject,
  recoveryHashes: readonly string[] = ['h1', 'h2'],
) {
  await storage.beginSecondFactor({ subject, secret: 's' });
  return storage.confirmSecondFactor({ subject, secret: 's', step: 100, recoveryHashes });
}

export function secondFactorSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: second factors`, () => {
    it('one begun anew takes the place of the first until it is confirmed', () =>
      withStore(makePlace, async (storage, reopen) => {
        assert.equal(await storage.secondFactor(ANNA), null);
        await storage.beginSecondFactor({ subject: ANNA, secret: 'first' });
        await storage.beginSecondFactor({ subject: ANNA, secret: 'second' });
        const confirm = (secret: string) =>
          storage.confirmSecondFactor({ subject: ANNA, secret, step: 7, recoveryHashes: ['a', 'b'] });
        assert.equal(await storage.takeSecondFactorStep({ subject: ANNA, secret: 'second', step: 9 }), false);
        assert.equal(await confirm('first'), false);
        assert.deepEqual(await storage.secondFactorNames('administrator'), []);
        assert.equal(await confirm('second'), true);
        assert.equal(await confirm('second'), false);
        await assert.rejects(storage.beginSecondFactor({ subject: ANNA, secret: 'third' }), conflict);
        const again = await reopen();
        const { createdAt, confirmedAt, ...rest } = (await again.secondFactor(ANNA)) ?? assert.fail();
        assert.deepEqual(rest, { secret: 'second', lastStep: 7, recoveryCodesLeft: 2 });
        assert.ok(confirmedAt !== null && confirmedAt >= createdAt);
        assert.deepEqual(await again.secondFactorNames('administrator'), ['anna']);
        assert.deepEqual(await again.secondFactorNames('account'), []);
      }));

    it('a time step is taken once, also of many at the same moment, and none before it afterwards', () =>
      withStore(makePlace, async (storage) => {
        assert.equal(await turnOn(storage, ANNA), true);
        const take = (step: number, secret = 's') =>
          storage.takeSecondFactorStep({ subject: ANNA, secret, step });
        assert.equal(await take(100), false);
        assert.equal(await take(101, 'another'), false);
        const answers = await Promise.all(Array.from({ length: 8 }, () => take(101)));
        assert.equal(answers.filter(Boolean).length, 1);
        assert.equal(await take(100), false);
        assert.equal(await take(102), true);
        assert.equal((await storage.secondFactor(ANNA))?.lastStep, 102);
      }));

    it('a recovery code is taken once', () =>
      withStore(makePlace, async (storage) => {
        await turnOn(storage, ANNA);
        const take = (hash: string) => storage.takeRecoveryCode({ subject: ANNA, hash });
        assert.equal(await take('h3'), null);
        const answers = await Promise.all(Array.from({ length: 8 }, () => take('h1')));
        assert.deepEqual(
          answers.filter((left) => left !== null),
          [1],
        );
        assert.equal(await take('h2'), 0);
        assert.equal((await storage.secondFactor(ANNA))?.recoveryCodesLeft, 0);
      }));

    it('is of its subject alone, and goes with it', () =>
      withStore(makePlace, async (storage) => {
        const address = (await makeAccount(storage, 'postmaster@example.com')) && 'bob@example.com';
        await makeAccount(storage, address);
        const bob: FactorSubject = { kind: 'account', name: address };
        for (const name of ['anna', 'zoe']) {
          await storage.addAdministrator({ name, passwordHash: 'h', onlyFirst: false });
        }
        for (const one of [ANNA, bob, { kind: 'account', name: 'anna' } as const]) await turnOn(storage, one);
        assert.equal(await storage.removeSecondFactor({ kind: 'account', name: 'anna' }), true);
        assert.equal(await storage.removeSecondFactor({ kind: 'account', name: 'anna' }), false);
        assert.notEqual(await storage.secondFactor(ANNA), null);
        await storage.removeAdministrator('anna');
        assert.equal(await storage.secondFactor(ANNA), null);
        await storage.removeAccount(address);
        assert.equal(await storage.secondFactor(bob), null);
      }));
  });
}
