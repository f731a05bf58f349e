import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { HANDED_ON_LIMIT_BYTES } from '../../src/storage/contract.ts';
import {
  accept,
  claimOne,
  HEADER,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  withStore,
} from './storage-fixture.ts';

const RETURN_PATH = 'Return-Path: <s@example.org>\r\n';

export function bodySuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: bodies and mailboxes`, () => {
    it('delivers into a mailbox: added lines, then the body, byte for byte', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const body = Buffer.concat([Buffer.from('Subject: x\r\n\r\n'), randomBytes(700_000)]);
        const id = await accept(storage, [local(account)], body);
        const { entries, uidValidity } = await storage.inbox(account.id, { afterUid: 0, limit: 10 });
        assert.ok(uidValidity > 0);
        const whole = Buffer.concat([Buffer.from(RETURN_PATH + HEADER), body]);
        assert.equal(entries.length, 1);
        assert.deepEqual(
          {
            uid: entries[0]?.uid,
            size: entries[0]?.sizeBytes,
            id: entries[0]?.messageId,
            flags: entries[0]?.flags,
          },
          { uid: 1, size: whole.byteLength, id, flags: 0 },
        );
        const reader = await storage.openEntry(account.id, 1);
        assert.equal(reader?.sizeBytes, whole.byteLength);
        assert.ok((await readAll(reader)).equals(whole));
        for (const from of [1, 40, 300_000, whole.byteLength - 1, whole.byteLength]) {
          assert.ok((await readAll(reader, from)).equals(whole.subarray(from)), `from byte ${from}`);
        }
        assert.equal((await storage.account(account.address))?.usedBytes, whole.byteLength);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('keeps an empty body and bodies around the size of a chunk', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const chunk = 256 * 1024;
        const sizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk];
        const bodies = sizes.map((size) => randomBytes(size));
        for (const body of bodies) await accept(storage, [local(account, '')], body, { header: '' });
        for (const [n, body] of bodies.entries()) {
          assert.ok(
            (await readAll(await storage.openEntry(account.id, n + 1))).equals(body),
            `${sizes[n]} bytes`,
          );
        }
        assert.deepEqual(await storage.verify(), []);
      }));

    it('copies what is appended', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const body = storage.openWriter();
        const buffer = Buffer.from('first');
        body.append(buffer);
        buffer.fill('x');
        const id = storage.nextMessageId();
        await storage.accept({
          id,
          body,
          sender: '',
          source: { kind: 'internal', address: null, helo: null, user: null, protocol: null },
          smtputf8: false,
          eightBit: false,
          header: '',
          receivedAt: 1,
          recipients: [local(account, '')],
        });
        assert.equal((await readAll(await storage.openEntry(account.id, 1))).toString(), 'first');
      }));

    it('keeps accepted mail over a close, and counts uids on', () =>
      withStore(makePlace, async (storage, reopen) => {
        const account = await makeAccount(storage);
        await accept(storage, [local(account)], 'one');
        const before = await storage.inbox(account.id, { afterUid: 0, limit: 10 });
        const again = await reopen();
        await accept(again, [local(account)], 'two');
        const after = await again.inbox(account.id, { afterUid: 0, limit: 10 });
        assert.deepEqual(
          after.entries.map(({ uid }) => uid),
          [1, 2],
        );
        assert.equal(after.uidValidity, before.uidValidity);
        assert.ok((await readAll(await again.openEntry(account.id, 1))).toString().endsWith('one'));
      }));

    it('stores a body once and drops it with the last one who has it', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        const id = await accept(storage, [local(ann), local(bob), queued('c@example.net')], 'shared');
        assert.equal(await storage.removeEntries(ann.id, [1, 7]), 1);
        assert.equal(await storage.openEntry(ann.id, 1), null);
        assert.equal((await storage.account(ann.address))?.usedBytes, 0);
        assert.equal((await readAll(await storage.openBody(id))).toString(), 'shared');
        const { token } = await claimOne(storage, 'example.net');
        await storage.settle({
          token,
          outcomes: [{ index: 2, result: { type: 'delivered' }, ...NO_REPLY }],
          events: [],
          notices: [],
        });
        assert.equal(await storage.openBody(id), null);
        assert.ok((await readAll(await storage.openEntry(bob.id, 1))).toString().endsWith('shared'));
        assert.deepEqual(await storage.verify(), []);
        await storage.removeEntries(bob.id, [1]);
        assert.notEqual(await storage.message(id), null);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('pages an inbox in uid order', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        await Promise.all(Array.from({ length: 7 }, () => accept(storage, [local(account)])));
        const page = await storage.inbox(account.id, { afterUid: 2, limit: 3 });
        assert.deepEqual(
          page.entries.map(({ uid }) => uid),
          [3, 4, 5],
        );
      }));

    it('refuses a message whose account is gone, alone in its group', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const bob = await makeAccount(storage, 'bob@example.com');
        await storage.removeAccount(bob.address);
        const results = await Promise.allSettled([
          accept(storage, [local(ann)]),
          accept(storage, [local(ann), local(bob)], randomBytes(600_000)),
          accept(storage, [local(ann)]),
        ]);
        assert.deepEqual(
          results.map(({ status }) => status),
          ['fulfilled', 'rejected', 'fulfilled'],
        );
        assert.equal(results[1]?.status === 'rejected' && results[1].reason.kind, 'conflict');
        assert.equal((await storage.inbox(ann.id, { afterUid: 0, limit: 10 })).entries.length, 2);
        assert.equal(storage.handedOnBytes(), 0);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('counts bytes handed on, and gives them back on abort', () =>
      withStore(makePlace, async (storage) => {
        const body = storage.openWriter();
        assert.equal(body.append(Buffer.alloc(1000)), true);
        assert.equal(body.sizeBytes, 1000);
        assert.equal(storage.handedOnBytes(), 1000);
        body.abort();
        assert.equal(storage.handedOnBytes(), 0);
        const account = await makeAccount(storage);
        await assert.rejects(storage.accept({ ...(await acceptInput(storage, [local(account)])), body }), {
          kind: 'internal',
        });
      }));

    it('refuses more than the limit until the disk has taken some, and serves those who wait', () =>
      withStore(makePlace, async (storage) => {
        const chunk = Buffer.alloc(64 * 1024, 'y');
        const bodies = Array.from({ length: 400 }, () => storage.openWriter());
        let taken = 0;
        while (bodies[taken % bodies.length]?.append(chunk)) taken++;
        assert.ok(storage.handedOnBytes() <= HANDED_ON_LIMIT_BYTES);
        assert.ok(storage.handedOnBytes() > HANDED_ON_LIMIT_BYTES - 2 * chunk.byteLength);
        // All 400 wait, though none fills a chunk: what they have must be sent early.
        const rounds = bodies.map(async (body) => {
          while (!body.append(chunk)) await storage.drained();
        });
        await Promise.all(rounds);
        for (const body of bodies) body.abort();
        while (storage.handedOnBytes() > 0) await new Promise(setImmediate);
        await storage.addDomain('after.example');
        assert.deepEqual(await storage.verify(), []);
      }));

    it('takes more operations at once than one group holds', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        await Promise.all(
          Array.from({ length: 700 }, (_, n) => accept(storage, [local(account, '')], `${n}`)),
        );
        const { entries } = await storage.inbox(account.id, { afterUid: 0, limit: 1000 });
        assert.equal(new Set(entries.map(({ messageId }) => messageId)).size, 700);
        assert.equal(storage.handedOnBytes(), 0);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('never gives a message id twice', () =>
      withStore(makePlace, async (storage, reopen) => {
        const seen = new Set<number>();
        const take = async (from: typeof storage, count: number) => {
          for (let n = 0; n < count; n++) {
            seen.add(from.nextMessageId());
            if (n % 1000 === 0) await from.releaseExpired();
          }
        };
        await take(storage, 10_000);
        await take(await reopen(), 10_000);
        assert.equal(seen.size, 20_000);
      }));
  });
}

async function acceptInput(storage: Parameters<typeof accept>[0], recipients: Parameters<typeof accept>[1]) {
  return {
    id: storage.nextMessageId(),
    sender: '',
    source: { kind: 'internal' as const, address: null, helo: null, user: null, protocol: null },
    smtputf8: false,
    eightBit: false,
    header: '',
    receivedAt: 1,
    recipients,
  };
}
