/** What every engine must do to find messages and to look over the queue. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeSubject } from '../../src/mail/subject.ts';
import type { Storage } from '../../src/storage/contract.ts';
import { type MessageQuery, PREFIX_MATCHES } from '../../src/storage/search-contract.ts';
import {
  accept,
  claimOne,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  withStore,
} from './storage-fixture.ts';

async function found(storage: Storage, query: Omit<MessageQuery, 'limit'>): Promise<number[]> {
  await storage.searchable();
  const { rows, next, endedEarly } = await storage.search({ ...query, limit: 100 });
  assert.equal(next, null);
  assert.equal(endedEarly, false);
  return rows.map(({ id }) => id);
}

export function searchSuite(engine: string, makePlace: MakePlace): void {
  findSuite(engine, makePlace);
  stateSuite(engine, makePlace);
  destinationSuite(engine, makePlace);
}

function findSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: search`, () => {
    it('by sender and recipient: whole address, its start, a domain', () =>
      withStore(makePlace, async (storage) => {
        const a = await accept(storage, [queued('bob@example.net')], undefined, {
          sender: 'Anna.Lee@Example.org',
        });
        const b = await accept(storage, [queued('carol@example.net'), queued('dan@other.test')], undefined, {
          sender: 'anna.smith@example.org',
        });
        const c = await accept(storage, [queued('bob@other.test')], undefined, { sender: '' });
        assert.deepEqual(await found(storage, {}), [c, b, a]);
        assert.deepEqual(await found(storage, { sender: { prefix: 'anna.' } }), [b, a]);
        assert.deepEqual(await found(storage, { sender: { prefix: 'anna.lee@example.org' } }), [a]);
        assert.deepEqual(await found(storage, { sender: { domain: 'example.org' } }), [b, a]);
        assert.deepEqual(await found(storage, { recipient: { prefix: 'bob' } }), [c, a]);
        assert.deepEqual(await found(storage, { recipient: { domain: 'other.test' } }), [c, b]);
        assert.deepEqual(
          await found(storage, { recipient: { domain: 'other.test' }, sender: { prefix: 'anna' } }),
          [b],
        );
        assert.deepEqual(await found(storage, { sender: { prefix: 'nobody' } }), []);
      }));

    it('by words of the subject, encoded ones too, whatever the case', () =>
      withStore(makePlace, async (storage) => {
        const a = await accept(storage, [queued('x@example.net')], 'Subject: Invoice No. 17\r\n\r\nhi\r\n');
        const b = await accept(
          storage,
          [queued('x@example.net')],
          'X: y\r\nSUBJECT: =?utf-8?Q?R=C3=A9sum=C3=A9?=\r\n of an invoice\r\n\r\nSubject: no\r\n',
        );
        const c = await accept(storage, [queued('x@example.net')], 'X: y\r\n\r\nSubject: invoice\r\n');
        assert.deepEqual(await found(storage, { words: ['invoice'] }), [b, a]);
        assert.deepEqual(await found(storage, { words: ['resume', 'invoice'] }), [b]);
        assert.deepEqual(await found(storage, { words: ['17'] }), [a]);
        assert.deepEqual(await found(storage, { words: ['no'] }), [a]);
        assert.deepEqual((await storage.rawSubjects([b, c])).map(decodeSubject), [
          'Résumé of an invoice',
          '',
        ]);
      }));

    it('by time, and in pages that neither repeat nor miss', () =>
      withStore(makePlace, async (storage) => {
        const ids: number[] = [];
        for (let n = 0; n < 7; n++) {
          // Two at each time: the number tells them apart.
          const receivedAt = 1_000_000 + Math.floor(n / 2) * 1_000;
          ids.unshift(await accept(storage, [queued('x@example.net')], undefined, { receivedAt }));
        }
        await storage.searchable();
        const pages: number[] = [];
        let after: MessageQuery['after'];
        for (;;) {
          const page = await storage.search({ limit: 2, ...(after === undefined ? {} : { after }) });
          pages.push(...page.rows.map(({ id }) => id));
          if (page.next === null) break;
          after = page.next;
        }
        assert.deepEqual(pages, ids);
        assert.deepEqual(await found(storage, { since: 1_001_000, until: 1_003_000 }), ids.slice(1, 5));
      }));

    it('a start that fits too many still finds, walking by time', () =>
      withStore(makePlace, async (storage) => {
        const many = PREFIX_MATCHES + 10;
        const base = 2_000_000;
        await Promise.all(
          Array.from({ length: many }, (_, n) =>
            accept(storage, [queued(`user${n}@example.net`)], undefined, { receivedAt: base + n }),
          ),
        );
        await storage.searchable();
        const page = await storage.search({ recipient: { prefix: 'user' }, limit: 3 });
        assert.deepEqual(
          page.rows.map(({ recipients }) => recipients[0]?.address),
          [1, 2, 3].map((back) => `user${many - back}@example.net`),
        );
        assert.ok(page.next !== null);
      }));

    it('is filled anew on request, with the same answers', () =>
      withStore(makePlace, async (storage) => {
        const a = await accept(storage, [queued('bob@example.net')], 'Subject: rare word\r\n\r\nx\r\n');
        await storage.searchable();
        await storage.rebuildSearch();
        assert.deepEqual(await found(storage, { words: ['rare', 'word'] }), [a]);
        assert.deepEqual(await found(storage, { recipient: { prefix: 'bob' } }), [a]);
      }));

    it('forgets what the history forgets', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        await accept(storage, [local(account)], 'Subject: gone soon\r\n\r\nx\r\n');
        await storage.searchable();
        await new Promise((done) => setTimeout(done, 5));
        assert.equal(await storage.sweep(0), 1);
        assert.deepEqual(await found(storage, {}), []);
        assert.deepEqual(await found(storage, { words: ['gone'] }), []);
      }));
  });
}

function stateSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: search by state`, () => {
    it('follows a message: waiting, held, then how it ended', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const done = await accept(storage, [local(account)]);
        const id = await accept(storage, [queued('bob@example.net')]);
        assert.deepEqual(await found(storage, { state: 'delivered' }), [done]);
        assert.deepEqual(await found(storage, { state: 'waiting' }), [id]);
        await storage.hold({ ids: [id] }, 'root');
        assert.deepEqual(await found(storage, { state: 'waiting' }), []);
        assert.deepEqual(await found(storage, { state: 'held' }), [id]);
        await storage.release({ ids: [id] }, 'root');
        const claim = await claimOne(storage, 'example.net');
        assert.deepEqual(await found(storage, { state: 'waiting' }), [id]);
        await storage.settle({
          token: claim.token,
          outcomes: [{ index: 0, result: { type: 'failed' }, ...NO_REPLY }],
          events: [],
          notices: [],
        });
        assert.deepEqual(await found(storage, { state: 'failed' }), [id]);
        assert.deepEqual(await found(storage, { state: 'waiting' }), []);
        const gone = await accept(storage, [queued('bob@example.net')]);
        await storage.delete({ ids: [gone] }, 'root');
        assert.deepEqual(await found(storage, { state: 'deleted' }), [gone]);
      }));

    it('the source is there while somebody has it', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const kept = await accept(storage, [local(account)], 'Subject: kept\r\n\r\nbody\r\n');
        const source = (await readAll(await storage.messageSource(kept))).toString();
        assert.match(source, /^Received: .*\r\nSubject: kept\r\n\r\nbody\r\n$/s);
        const { entries } = await storage.inbox(account.id, { afterUid: 0, limit: 10 });
        await storage.removeEntries(
          account.id,
          entries.map(({ uid }) => uid),
        );
        assert.equal(await storage.messageSource(kept), null);
        assert.equal(await storage.messageSource(999_999), null);
      }));
  });
}

function destinationSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: the queue by destination`, () => {
    it('counts what waits, is sent and is held, the fullest first', () =>
      withStore(makePlace, async (storage) => {
        const old = await accept(storage, [queued('a@one.test'), queued('b@one.test')], undefined, {
          receivedAt: 5_000,
        });
        const held = await accept(storage, [queued('c@one.test')], undefined, { receivedAt: 6_000 });
        await accept(storage, [queued('d@two.test')], undefined, { receivedAt: 7_000 });
        await storage.hold({ ids: [held] }, 'root');
        await claimOne(storage, 'two.test');
        const rows = await storage.queueDestinations({ offset: 0, limit: 10 });
        assert.deepEqual(
          rows.map(({ destination, waiting, sending, held: kept, oldestAt }) => ({
            destination,
            waiting,
            sending,
            kept,
            oldestAt,
          })),
          [
            { destination: 'one.test', waiting: 2, sending: 0, kept: 1, oldestAt: 5_000 },
            { destination: 'two.test', waiting: 0, sending: 1, kept: 0, oldestAt: 7_000 },
          ],
        );
        assert.equal((await storage.queueDestinations({ offset: 1, limit: 10 })).length, 1);
        const first = await storage.queueOf({ destination: 'one.test', after: 0, limit: 1 });
        assert.deepEqual(
          first.map(({ id, recipients }) => ({ id, n: recipients.length })),
          [{ id: old, n: 2 }],
        );
        const next = await storage.queueOf({ destination: 'one.test', after: old, limit: 5 });
        assert.deepEqual(
          next.map(({ id }) => id),
          [held],
        );
      }));

    it('counts before an action what it would touch', () =>
      withStore(makePlace, async (storage) => {
        const a = await accept(storage, [queued('a@one.test'), queued('b@two.test')]);
        const b = await accept(storage, [queued('c@one.test')]);
        await storage.hold({ ids: [b] }, 'root');
        assert.deepEqual(await storage.countSelected({ all: true }, 'hold'), { recipients: 2, messages: 1 });
        assert.deepEqual(await storage.countSelected({ all: true }, 'delete'), {
          recipients: 3,
          messages: 2,
        });
        assert.deepEqual(await storage.countSelected({ destination: 'one.test' }, 'release'), {
          recipients: 1,
          messages: 1,
        });
        assert.deepEqual(await storage.countSelected({ ids: [a, a] }, 'retry'), {
          recipients: 2,
          messages: 1,
        });
      }));

    it('names the reasons given most', () =>
      withStore(makePlace, async (storage) => {
        for (const [n, lastReply] of ['451 busy', '451 busy', '421 no'].entries()) {
          await accept(storage, [queued(`u${n}@d${n}.test`)]);
          const claim = await claimOne(storage, `d${n}.test`);
          const nextAttemptAt = Date.now() + 60_000;
          await storage.settle({
            token: claim.token,
            outcomes: [
              { index: 0, result: { type: 'deferred', nextAttemptAt }, via: 'mx', lastReply, lastKind: null },
            ],
            events: [],
            notices: [],
          });
        }
        assert.deepEqual(await storage.topReasons(5), [
          { reason: '451 busy', count: 2 },
          { reason: '421 no', count: 1 },
        ]);
      }));
  });
}
