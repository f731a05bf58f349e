import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NewEvent, NoticeInput, RecipientOutcome, Storage } from '../../src/storage/contract.ts';
import {
  accept,
  claim,
  claimOne,
  HEADER,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  SOURCE,
  states,
  withStore,
} from './storage-fixture.ts';

function outcome(
  index: number,
  result: RecipientOutcome['result'],
  more: Partial<RecipientOutcome> = {},
): RecipientOutcome {
  return { index, result, ...NO_REPLY, ...more };
}

function notice(storage: Storage, recipients: NoticeInput['recipients'], noticeFor: number): NoticeInput {
  return {
    id: storage.nextMessageId(),
    content: Buffer.from('Subject: failure\r\n\r\nsorry\r\n'),
    sender: '',
    source: { ...SOURCE, kind: 'internal' },
    smtputf8: false,
    eightBit: false,
    header: '',
    receivedAt: Date.now(),
    recipients,
    noticeFor,
  };
}

export function queueSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: queue`, () => {
    it('tells listeners of due work, not of work for later', () =>
      withStore(makePlace, async (storage) => {
        let calls = 0;
        storage.onQueued(() => calls++);
        await accept(storage, [queued('a@later.example', Date.now() + 60_000)]);
        assert.equal(calls, 0);
        await accept(storage, [queued('a@now.example')]);
        assert.equal(calls, 1);
      }));

    it('knows the newest time among messages and changes of settings', () =>
      withStore(makePlace, async (storage) => {
        assert.equal(await storage.newestTime(), null);
        const now = Date.now();
        await accept(storage, [queued('a@x.example')], 'x\r\n', { receivedAt: now + 500_000 });
        await accept(storage, [queued('a@x.example')], 'x\r\n', { receivedAt: now - 500_000 });
        assert.equal(await storage.newestTime(), now + 500_000);
      }));

    it('counts a change of settings as the newest time', () =>
      withStore(makePlace, async (storage) => {
        const before = Date.now();
        const change = { key: 'k', value: 'v', historyOld: null, historyNew: 'v' };
        const { version } = await storage.readSettings();
        await storage.writeSettings({ expectedVersion: version, author: 'tester', changes: [change] });
        const newest = (await storage.newestTime()) ?? 0;
        assert.ok(newest >= before && newest <= Date.now());
      }));

    it('pages the destinations that have due work', () =>
      withStore(makePlace, async (storage) => {
        const now = Date.now();
        const names = ['a.example', 'b.example', 'c.example', 'd.example'];
        for (const name of names)
          await accept(storage, [queued(`x@${name}`, now - 10), queued(`y@${name}`, now - 20)]);
        await accept(storage, [queued('x@bb.example', now + 60_000)]);
        const first = await storage.dueDestinations({ now, after: '', limit: 3 });
        assert.deepEqual(
          first,
          names.slice(0, 3).map((destination) => ({ destination, dueAt: now - 20 })),
        );
        const rest = await storage.dueDestinations({ now, after: 'c.example', limit: 3 });
        assert.deepEqual(rest, [{ destination: 'd.example', dueAt: now - 20 }]);
        assert.equal(await storage.nextDueAt(), now - 20);
      }));

    it('takes new mail and the backlog in turns, and only what was due by a time asked for', () =>
      withStore(makePlace, async (storage) => {
        const now = Date.now();
        const old: number[] = [];
        for (let n = 0; n < 4; n += 1)
          old.push(await accept(storage, [queued(`o${n}@x.example`, now - 5000 + n)]));
        const request = { destination: 'x.example', leaseMs: 60_000, retryScheduleMs: [1000] };
        for (const { token, message } of await storage.claimDue({ ...request, limit: 9 })) {
          const outcomes = message.recipients.map(({ index }) => ({
            ...{ index, via: null, lastReply: 'later', lastKind: 'spoke' },
            result: { type: 'deferred', nextAttemptAt: now - 4000 } as const,
          }));
          await storage.settle({ token, outcomes, events: [], notices: [] });
        }
        const fresh: number[] = [];
        for (let n = 0; n < 4; n += 1)
          fresh.push(await accept(storage, [queued(`n${n}@x.example`, now - 1000 + n)]));
        const ids = async (limit: number, first: 'new' | 'retried') =>
          (await storage.claimDue({ ...request, limit, first })).map(({ message }) => message.id);
        const kinds = (found: readonly number[]) =>
          found.map((id) => (fresh.includes(id) ? 'new' : 'retried'));
        assert.deepEqual(await storage.claimDue({ ...request, limit: 9, dueUntil: now - 9000 }), []);
        assert.deepEqual(kinds(await ids(1, 'retried')), ['retried']);
        assert.deepEqual(kinds(await ids(4, 'new')).sort(), ['new', 'new', 'retried', 'retried']);
        assert.equal((await ids(9, 'new')).length, 3);
        assert.equal(old.length, 4);
      }));

    it('claims due work of one destination once, with the next attempt written', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [
          queued('a@x.example'),
          queued('b@y.example'),
          queued('c@x.example'),
        ]);
        const before = Date.now();
        const claims = await claim(storage, 'x.example');
        assert.equal(claims.length, 1);
        const [only] = claims;
        assert.equal(only?.message.id, id);
        assert.equal(only?.message.header, HEADER);
        assert.deepEqual(
          only?.message.recipients.map(({ index, state, attempts }) => ({ index, state, attempts })),
          [
            { index: 0, state: 'sending', attempts: 1 },
            { index: 2, state: 'sending', attempts: 1 },
          ],
        );
        const next = only?.message.recipients[0]?.nextAttemptAt ?? 0;
        assert.ok(next >= before + 60_000 && next <= Date.now() + 60_000);
        assert.deepEqual(await claim(storage, 'x.example'), []);
        assert.deepEqual(await states(storage, id), ['sending', 'queued', 'sending']);
      }));

    it('claims so many messages, and 1,000 recipients of one at a time', () =>
      withStore(makePlace, async (storage) => {
        const many = Array.from({ length: 1500 }, (_, n) => queued(`u${n}@x.example`));
        await accept(storage, many);
        await accept(storage, [queued('a@x.example')]);
        await accept(storage, [queued('b@x.example')]);
        const claims = await claim(storage, 'x.example', 60_000, 2);
        assert.deepEqual(
          claims.map(({ message }) => message.recipients.length),
          [1000, 1],
        );
        const rest = await claim(storage, 'x.example');
        assert.deepEqual(rest.map(({ message }) => message.recipients.length).sort(), [1, 500]);
      }));

    it('records what became of each recipient, with its events', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [
          queued('a@x.example'),
          queued('b@x.example'),
          queued('c@x.example'),
        ]);
        const { token } = await claimOne(storage, 'x.example');
        const later = Date.now() + 5000;
        const attempt: NewEvent = {
          kind: 'attempt',
          recipient: null,
          detail: { host: 'mx.x.example', tls: null },
        };
        await storage.settle({
          token,
          outcomes: [
            outcome(0, { type: 'delivered' }, { via: 'mx', lastReply: '250 ok' }),
            outcome(1, { type: 'failed' }, { via: 'mx', lastReply: '550 no' }),
            outcome(
              2,
              { type: 'deferred', nextAttemptAt: later, delayNoticeSent: true },
              { lastKind: 'nxdomain' },
            ),
          ],
          events: [attempt, { kind: 'delivered', recipient: 'a@x.example', detail: {} }],
          notices: [],
        });
        const found = await storage.message(id);
        assert.deepEqual(
          found?.message.recipients.map((r) => [
            r.state,
            r.via,
            r.lastReply,
            r.nextAttemptAt,
            r.lastKind,
            r.delayNoticeSent,
          ]),
          [
            ['delivered', 'mx', '250 ok', null, null, false],
            ['failed', 'mx', '550 no', null, null, false],
            ['queued', null, null, later, 'nxdomain', true],
          ],
        );
        assert.deepEqual(
          found?.events.map(({ kind, recipient }) => [kind, recipient]),
          [
            ['received', null],
            ['decided', 'a@x.example'],
            ['decided', 'b@x.example'],
            ['decided', 'c@x.example'],
            ['attempt', null],
            ['delivered', 'a@x.example'],
          ],
        );
        assert.deepEqual(found?.events[4]?.detail, attempt.detail);
        assert.equal(await storage.nextDueAt(), later);
      }));

    it('takes an attempt back when it was not made', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example')]);
        const { token } = await claimOne(storage, 'x.example');
        let calls = 0;
        storage.onQueued(() => calls++);
        await storage.settle({
          token,
          outcomes: [outcome(0, { type: 'returned' })],
          events: [],
          notices: [],
        });
        assert.equal(calls, 1);
        const recipient = (await storage.message(id))?.message.recipients[0];
        assert.equal(recipient?.attempts, 0);
        assert.equal(recipient?.state, 'queued');
        assert.equal((await claimOne(storage, 'x.example')).message.recipients[0]?.attempts, 1);
      }));

    it('refuses a token that lapsed, was settled or is made up, and changes nothing', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example')]);
        const lapsed = await claimOne(storage, 'x.example', 0);
        const settle = (token: string, index = 0) =>
          storage.settle({
            token,
            outcomes: [outcome(index, { type: 'failed' })],
            events: [{ kind: 'failed', recipient: null, detail: {} }],
            notices: [notice(storage, [queued('s@example.org')], id)],
          });
        await assert.rejects(settle(lapsed.token), { name: 'StorageError', kind: 'stale-claim' });
        const current = await claimOne(storage, 'x.example');
        await assert.rejects(settle(lapsed.token), { kind: 'stale-claim' });
        await assert.rejects(settle('nonsense'), { kind: 'stale-claim' });
        await assert.rejects(settle(current.token, 1), { kind: 'stale-claim' });
        assert.deepEqual(await states(storage, id), ['sending']);
        assert.equal((await storage.counts()).messages, 1);
        assert.equal(
          (await storage.message(id))?.events.some(({ kind }) => kind === 'failed'),
          false,
        );
        await settle(current.token);
        await assert.rejects(settle(current.token), { kind: 'stale-claim' });
        assert.deepEqual(await storage.verify(), []);
      }));

    it('counts lapsed claims as due, and their attempts go on counting', () =>
      withStore(makePlace, async (storage) => {
        await accept(storage, [queued('a@x.example')]);
        await claimOne(storage, 'x.example', 0);
        const now = Date.now();
        assert.ok(((await storage.nextDueAt()) ?? Number.POSITIVE_INFINITY) <= now);
        assert.equal((await storage.dueDestinations({ now, after: '', limit: 5 })).length, 1);
        assert.equal((await claimOne(storage, 'x.example', 0)).message.recipients[0]?.attempts, 2);
        assert.equal(await storage.releaseExpired(), 1);
        assert.equal((await storage.counts()).queued, 1);
        // Not at the time written at the claim: whoever takes over goes on where the other stopped.
        assert.ok(((await storage.nextDueAt()) ?? Number.POSITIVE_INFINITY) <= Date.now());
        assert.equal((await claimOne(storage, 'x.example')).message.recipients[0]?.attempts, 3);
      }));

    it('renews the claims that are still good', () =>
      withStore(makePlace, async (storage) => {
        await accept(storage, [queued('a@x.example'), queued('b@y.example')]);
        const lapsed = await claimOne(storage, 'x.example', 0);
        const good = await claimOne(storage, 'y.example', 1000);
        assert.deepEqual(await storage.renewClaims([lapsed.token, good.token, 'nonsense'], 3_600_000), [
          good.token,
        ]);
        assert.equal(await storage.releaseExpired(), 1);
        assert.equal((await storage.counts()).sending, 1);
        assert.ok(((await storage.nextDueAt()) ?? 0) > 0);
      }));

    it('replaces a recipient decided again, with local delivery in the same commit', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const id = await accept(storage, [queued('ann@example.com')], 'again');
        const { token } = await claimOne(storage, 'example.com');
        const into = [local(ann), queued('z@z.example')];
        await storage.settle({
          token,
          outcomes: [outcome(0, { type: 'expanded', into })],
          events: [],
          notices: [],
        });
        assert.deepEqual(await states(storage, id), ['expanded', 'delivered', 'queued']);
        assert.ok((await readAll(await storage.openEntry(ann.id, 1))).toString().endsWith('again'));
        assert.deepEqual(await storage.verify(), []);
        const last = await claimOne(storage, 'z.example');
        assert.deepEqual(
          last.message.recipients.map(({ index }) => index),
          [2],
        );
        await storage.settle({
          token: last.token,
          outcomes: [outcome(2, { type: 'failed' })],
          events: [],
          notices: [],
        });
        assert.equal(await storage.openBody(id), null);
        assert.ok((await readAll(await storage.openEntry(ann.id, 1))).toString().endsWith('again'));
        assert.deepEqual(await storage.verify(), []);
      }));

    it('accepts notices in the commit that records the failure', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const id = await accept(storage, [queued('a@x.example')]);
        const { token } = await claimOne(storage, 'x.example');
        const toLocal = notice(storage, [local(ann, '')], id);
        const toRemote = notice(storage, [queued('s@example.org')], id);
        await storage.settle({
          token,
          outcomes: [outcome(0, { type: 'failed' })],
          events: [],
          notices: [toLocal, toRemote],
        });
        assert.ok((await readAll(await storage.openEntry(ann.id, 1))).equals(Buffer.from(toLocal.content)));
        assert.ok((await readAll(await storage.openBody(toRemote.id))).equals(Buffer.from(toRemote.content)));
        assert.equal((await storage.message(toRemote.id))?.message.noticeFor, id);
        assert.equal((await storage.message(toRemote.id))?.message.source.kind, 'internal');
        assert.deepEqual(await storage.verify(), []);
      }));

    it('keeps the queue and its claims over a close', () =>
      withStore(makePlace, async (storage, reopen) => {
        const id = await accept(storage, [queued('a@x.example'), queued('b@y.example')], 'kept');
        const { token } = await claimOne(storage, 'x.example');
        const again = await reopen();
        assert.deepEqual(await states(again, id), ['sending', 'queued']);
        assert.equal((await readAll(await again.openBody(id))).toString(), 'kept');
        await again.settle({ token, outcomes: [outcome(0, { type: 'delivered' })], events: [], notices: [] });
        assert.deepEqual(await states(again, id), ['delivered', 'queued']);
      }));
  });
}
