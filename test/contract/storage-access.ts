/** What every engine must do for administrators, their sessions, tokens and the audit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdminSession, ApiToken } from '../../src/storage/access-contract.ts';
import { type Storage, StorageError } from '../../src/storage/contract.ts';
import { type MakePlace, withStore } from './storage-fixture.ts';

const DAY_MS = 86_400_000;

function refusedWith(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof StorageError && error.kind === kind;
}

async function addAdministrator(storage: Storage, name: string, onlyFirst = false): Promise<void> {
  await storage.addAdministrator({ name, passwordHash: `hash of ${name}`, onlyFirst });
}

function sessionOf(administrator: string, id: string, more: Partial<AdminSession> = {}) {
  const now = Date.now();
  return {
    id,
    administrator,
    createdAt: now,
    lastSeenAt: now,
    expiresAt: now + DAY_MS,
    address: '192.0.2.7',
    userAgent: 'Browser/1.0',
    tokenHash: `secret of ${id}`,
    ...more,
  };
}

function tokenOf(createdBy: string, id: string, more: Partial<ApiToken> = {}) {
  const now = Date.now();
  return {
    id,
    name: `token ${id}`,
    scopes: ['read', 'write'],
    createdBy,
    createdAt: now,
    expiresAt: now + DAY_MS,
    tokenHash: `secret of ${id}`,
    ...more,
  };
}

export function accessSuite(engine: string, makePlace: MakePlace): void {
  administratorSuite(engine, makePlace);
  sessionSuite(engine, makePlace);
  tokenSuite(engine, makePlace);
}

function administratorSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: administrators`, () => {
    it('are kept by name with their hash', () =>
      withStore(makePlace, async (storage, reopen) => {
        assert.deepEqual(await storage.administrators(), []);
        await addAdministrator(storage, 'zoe');
        await addAdministrator(storage, 'anna');
        const again = await reopen();
        assert.deepEqual(
          (await again.administrators()).map(({ name, lastSignInAt }) => ({ name, lastSignInAt })),
          [
            { name: 'anna', lastSignInAt: null },
            { name: 'zoe', lastSignInAt: null },
          ],
        );
        assert.equal(await again.administratorHash('anna'), 'hash of anna');
        assert.equal(await again.administratorHash('nobody'), null);
      }));

    it('refuses a name twice, and a first one when there is one', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna', true);
        await assert.rejects(addAdministrator(storage, 'anna'), refusedWith('conflict'));
        await assert.rejects(addAdministrator(storage, 'bea', true), refusedWith('conflict'));
        assert.equal((await storage.administrators()).length, 1);
      }));

    it('of two first ones at the same moment one is made', () =>
      withStore(makePlace, async (storage) => {
        const both = await Promise.allSettled([
          addAdministrator(storage, 'anna', true),
          addAdministrator(storage, 'bea', true),
        ]);
        assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
        assert.equal((await storage.administrators()).length, 1);
      }));

    it('a new password ends the other sessions', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna');
        await storage.addSession(sessionOf('anna', 'kept'));
        await storage.addSession(sessionOf('anna', 'other'));
        await storage.setAdministratorPassword({
          name: 'anna',
          passwordHash: 'new hash',
          keepSession: 'kept',
        });
        assert.equal(await storage.administratorHash('anna'), 'new hash');
        assert.deepEqual(
          (await storage.sessions()).map(({ id }) => id),
          ['kept'],
        );
        await assert.rejects(
          storage.setAdministratorPassword({ name: 'bea', passwordHash: 'x', keepSession: null }),
          refusedWith('not-found'),
        );
      }));

    it('the last one stays; one who goes takes sessions and tokens along', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna');
        await assert.rejects(storage.removeAdministrator('anna'), refusedWith('conflict'));
        await addAdministrator(storage, 'bea');
        await storage.addSession(sessionOf('bea', 's1'));
        await storage.addToken(tokenOf('bea', 't1'));
        await storage.removeAdministrator('bea');
        assert.deepEqual(await storage.sessions(), []);
        assert.ok((await storage.token('secret of t1'))?.revokedAt);
        await assert.rejects(storage.removeAdministrator('bea'), refusedWith('not-found'));
      }));
  });
}

function sessionSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: administrators' sessions`, () => {
    it('are found by the hash of their secret and carry what was given', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna');
        const { tokenHash, ...session } = sessionOf('anna', 's1');
        await storage.addSession({ tokenHash, ...session });
        assert.deepEqual(await storage.session(tokenHash), session);
        assert.equal(await storage.session('another'), null);
        assert.equal((await storage.administrators())[0]?.lastSignInAt, session.createdAt);
        await storage.touchSession('s1', session.lastSeenAt + 5);
        assert.equal((await storage.session(tokenHash))?.lastSeenAt, session.lastSeenAt + 5);
      }));

    it('end one by one, or all of one administrator', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna');
        await addAdministrator(storage, 'bea');
        for (const id of ['a1', 'a2']) await storage.addSession(sessionOf('anna', id));
        await storage.addSession(sessionOf('bea', 'b1'));
        assert.equal(await storage.removeSession('a1'), true);
        assert.equal(await storage.removeSession('a1'), false);
        assert.equal(await storage.removeSessions('anna'), 1);
        assert.deepEqual(
          (await storage.sessions()).map(({ id }) => id),
          ['b1'],
        );
        await assert.rejects(storage.addSession(sessionOf('nobody', 'n1')), refusedWith('not-found'));
      }));

    it('what is expired or idle too long is swept', () =>
      withStore(makePlace, async (storage) => {
        await addAdministrator(storage, 'anna');
        const now = Date.now();
        await storage.addSession(sessionOf('anna', 'fresh'));
        await storage.addSession(sessionOf('anna', 'expired', { expiresAt: now - 1 }));
        await storage.addSession(sessionOf('anna', 'idle', { lastSeenAt: now - DAY_MS }));
        await storage.sweepAccess({ now, idleBefore: now - 1_000, keepMs: DAY_MS });
        assert.deepEqual(
          (await storage.sessions()).map(({ id }) => id),
          ['fresh'],
        );
      }));
  });
}

function tokenSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: API tokens and audit`, () => {
    it('a token is found by its hash, used, revoked once', () =>
      withStore(makePlace, async (storage) => {
        const { tokenHash, ...token } = tokenOf('anna', 't1');
        await storage.addToken({ tokenHash, ...token });
        assert.deepEqual(await storage.token(tokenHash), { ...token, lastUsedAt: null, revokedAt: null });
        await storage.touchToken('t1', 1234);
        assert.equal((await storage.token(tokenHash))?.lastUsedAt, 1234);
        assert.equal(await storage.revokeToken('t1'), true);
        assert.equal(await storage.revokeToken('t1'), false);
        assert.ok(((await storage.tokens())[0]?.revokedAt ?? 0) > 0);
      }));

    it('long expired tokens are swept, others not', () =>
      withStore(makePlace, async (storage) => {
        const now = Date.now();
        await storage.addToken(tokenOf('anna', 'old', { expiresAt: now - 2 * DAY_MS }));
        await storage.addToken(tokenOf('anna', 'new'));
        await storage.sweepAccess({ now, idleBefore: 0, keepMs: DAY_MS });
        assert.deepEqual(
          (await storage.tokens()).map(({ id }) => id),
          ['new'],
        );
      }));

    it('the audit comes newest first, in pages', () =>
      withStore(makePlace, async (storage) => {
        for (const details of ['one', 'two', 'three']) {
          await storage.recordAudit({ who: 'anna', address: null, action: 'domain.add', details });
        }
        const first = await storage.audit({ limit: 2 });
        assert.deepEqual(
          first.map(({ details }) => details),
          ['three', 'two'],
        );
        const rest = await storage.audit({ limit: 2, before: first[1]?.n ?? 0 });
        assert.deepEqual(
          rest.map(({ who, address, action, details }) => ({ who, address, action, details })),
          [{ who: 'anna', address: null, action: 'domain.add', details: 'one' }],
        );
      }));
  });
}
