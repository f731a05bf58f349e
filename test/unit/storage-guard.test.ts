/** No call to the store stays without an answer, and none costs memory for ever. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Storage, StorageError } from '../../src/storage/contract.ts';
import { type GuardOptions, guardStore } from '../../src/storage/guard.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { accept, local, makeAccount, readAll } from '../contract/storage-fixture.ts';
import { poll, temporaryFolder } from '../support/cmail.ts';
import { moodyStorage } from '../support/moody-storage.ts';

async function world(t: TestContext, options: Partial<GuardOptions> = {}) {
  const inner = await openSqliteStorage({ path: join(await temporaryFolder(t), 'cmail.db') });
  // Threads start when they are first asked, which takes longer than these tests wait.
  await Promise.all([inner.domain('example.com'), inner.counts()]);
  const moody = moodyStorage(inner);
  t.after(async () => {
    moody.set('well');
    await inner.close();
  });
  return { inner, moody, ...guardStore(moody.storage, { place: 'database', ...options }) };
}

const unavailable = (message: RegExp) => (error: unknown) =>
  error instanceof StorageError &&
  error.kind === 'unavailable' &&
  error.place === 'database' &&
  message.test(error.message);

describe('a guarded store', () => {
  it('passes everything on, contents and refusals too', async (t) => {
    const { storage, awayMs } = await world(t);
    const account = await makeAccount(storage);
    await accept(storage, [local(account)], 'Subject: x\r\n\r\nbody\r\n');
    const { entries } = await storage.inbox(account.id, { afterUid: 0, limit: 10 });
    const content = await readAll(await storage.openEntry(account.id, entries[0]?.uid ?? 0));
    assert.match(content.toString(), /^Return-Path:.*body\r\n$/s);
    assert.equal(await storage.openEntry(account.id, 99), null);
    await assert.rejects(storage.addDomain('example.com'), { kind: 'conflict' });
    assert.equal(storage.handedOnBytes(), 0);
    assert.equal(awayMs(), 0);
  });

  it('answers for a call that hangs, and says how long it has been away until one succeeds', async (t) => {
    const { storage, moody, awayMs } = await world(t, { limitMs: 60 });
    moody.set('hangs');
    const startedAt = performance.now();
    await assert.rejects(storage.domain('example.com'), unavailable(/did not answer within 0\.06 s/));
    assert.ok(performance.now() - startedAt < 2_000);
    assert.ok(awayMs() >= 50, `${awayMs()}`);
    moody.set('fails');
    await assert.rejects(storage.counts(), unavailable(/the connection is lost/));
    const longer = awayMs();
    await sleep(30);
    assert.ok(awayMs() > longer);
    moody.set('well');
    assert.equal(await storage.domain('example.com'), null);
    assert.equal(awayMs(), 0);
  });

  it('is not away because of one call that hung while others were answered', async (t) => {
    const { inner } = await world(t);
    const moody = moodyStorage(inner, ['counts']);
    const { storage, awayMs } = guardStore(moody.storage, { place: 'database', limitMs: 300 });
    moody.set('hangs');
    const hung = assert.rejects(storage.counts(), unavailable(/did not answer/));
    await sleep(250);
    await storage.domain('example.com');
    await hung;
    assert.ok(awayMs() < 150, `${awayMs()}`);
    moody.set('well');
  });

  it('is not away when it refuses', async (t) => {
    const { storage, moody, awayMs } = await world(t);
    await storage.addDomain('example.com');
    moody.set('fails');
    await assert.rejects(storage.domain('example.com'));
    assert.ok(awayMs() > 0);
    moody.set('well');
    await assert.rejects(storage.addDomain('example.com'), { kind: 'conflict' });
    assert.equal(awayMs(), 0);
  });

  it('lets so many calls wait and no more, and takes new ones when those have ended', async (t) => {
    const { storage, moody } = await world(t, { limitMs: 20, maxWaiting: 3 });
    moody.set('hangs');
    const calls = [1, 2, 3].map((n) => storage.domain(`n${n}.example`));
    await assert.rejects(storage.domain('n4.example'), unavailable(/too many calls wait/));
    const ended = await Promise.allSettled(calls);
    assert.ok(ended.every(({ status }) => status === 'rejected'));
    // Their callers are gone; they themselves still wait.
    assert.equal(moody.hanging, 3);
    await assert.rejects(storage.domain('n5.example'), unavailable(/too many calls wait/));
    moody.set('well');
    const taken = async () => (await storage.domain('n6.example')) === null;
    assert.ok(await poll('a call to be taken', () => taken().catch(() => false)));
  });

  it('gives up the body of a message that it does not even ask for', async (t) => {
    const { inner, storage, moody } = await world(t, { limitMs: 5_000, maxWaiting: 1 });
    const account = await makeAccount(inner);
    moody.set('hangs');
    const waiting = storage.domain('n1.example');
    await assert.rejects(accept(storage, [local(account)]), unavailable(/too many calls wait/));
    assert.equal(inner.handedOnBytes(), 0);
    moody.set('well');
    await assert.rejects(waiting, unavailable(/the connection is lost/));
  });

  it('answers for a body whose chunks hang', async (t) => {
    const { inner } = await world(t);
    const account = await makeAccount(inner);
    await accept(inner, [local(account)], Buffer.alloc(600_000, 'x'));
    const stuck: Partial<Storage> = {
      openEntry: async () => ({ sizeBytes: 9, chunks: () => hangingChunks() }),
    };
    const { storage } = guardStore(stuck as Storage, { place: 'database', limitMs: 50 });
    const reader = await storage.openEntry(account.id, 1);
    await assert.rejects(readAll(reader), unavailable(/did not answer/));
  });
});

async function* hangingChunks(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('first');
  await new Promise(() => undefined);
}
