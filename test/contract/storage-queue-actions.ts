import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MessageId } from '../../src/mail/message-id.ts';
import {
  accept,
  claim,
  claimOne,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  states,
  withStore,
} from './storage-fixture.ts';

const LATER = 3_600_000;

export function queueActionsSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: queue actions`, () => {
    it('lists unfinished messages in pages, with all their recipients', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        await accept(storage, [local(ann)]);
        const first = await accept(storage, [queued('a@x.example'), local(ann)]);
        const second = await accept(storage, [queued('b@x.example')]);
        const page = await storage.list({ limit: 1 });
        assert.deepEqual(
          page.map(({ id, recipients }) => [id, recipients.map(({ state }) => state)]),
          [[first, ['queued', 'delivered']]],
        );
        assert.deepEqual(
          (await storage.list({ limit: 10, after: first })).map(({ id }) => id),
          [second],
        );
      }));

    it('makes waiting recipients due, by id, destination and all', () =>
      withStore(makePlace, async (storage) => {
        const at = Date.now() + LATER;
        const ids = [];
        for (const name of ['x', 'y', 'z'])
          ids.push(await accept(storage, [queued(`a@${name}.example`, at)]));
        let calls = 0;
        storage.onQueued(() => calls++);
        assert.equal(await storage.retry({ ids: ids.slice(0, 1) }, 'root'), 1);
        assert.equal(calls, 1);
        assert.equal((await claim(storage, 'x.example')).length, 1);
        assert.equal((await claim(storage, 'y.example')).length, 0);
        assert.equal(await storage.retry({ destination: 'y.example' }, 'root'), 1);
        assert.equal((await claim(storage, 'y.example')).length, 1);
        assert.equal(await storage.retry({ all: true }, 'root'), 1);
        assert.equal((await claim(storage, 'z.example')).length, 1);
        assert.equal(await storage.retry({ ids: [123_456_789] }, 'root'), 0);
      }));

    it('holds and releases, with events', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example'), queued('b@y.example')]);
        assert.equal(await storage.hold({ destination: 'x.example' }, 'root'), 1);
        assert.deepEqual(await states(storage, id), ['held', 'queued']);
        assert.deepEqual(await claim(storage, 'x.example'), []);
        assert.equal(await storage.retry({ ids: [id] }, 'root'), 0);
        assert.deepEqual(await states(storage, id), ['held', 'queued']);
        assert.equal(await storage.release({ ids: [id] }, 'root'), 1);
        assert.equal((await claim(storage, 'x.example')).length, 1);
      }));

    it('tells who retried, held, released and deleted', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example', Date.now() + LATER)]);
        await storage.retry({ all: true }, 'ann');
        // Due already: nothing to change, nothing to tell.
        assert.equal(await storage.retry({ all: true }, 'zoe'), 0);
        await storage.hold({ ids: [id] }, 'bob');
        await storage.release({ ids: [id] }, 'cleo');
        await storage.delete({ destination: 'x.example' }, 'dan');
        const events = (await storage.message(id))?.events.slice(-4) ?? [];
        assert.deepEqual(
          events.map(({ kind, recipient, detail }) => [kind, recipient, detail]),
          [
            ['retried', 'a@x.example', { by: 'ann' }],
            ['held', 'a@x.example', { by: 'bob' }],
            ['released', 'a@x.example', { by: 'cleo' }],
            ['deleted', 'a@x.example', { by: 'dan' }],
          ],
        );
      }));

    it('sets aside what crashed three times running, says why, and a release gives three more tries', () =>
      withStore(makePlace, async (storage, reopen) => {
        let store = storage;
        const id = await accept(store, [queued('a@x.example'), queued('b@x.example')]);
        const attempt = async (what: 'crashed' | 'deferred') => {
          const { token, message } = await claimOne(store, 'x.example');
          const outcomes = message.recipients.map(({ index }) => ({
            index,
            // The second recipient only waits: it is not set aside with the first.
            result: { type: index === 0 ? what : 'deferred', nextAttemptAt: Date.now() } as const,
            ...NO_REPLY,
            lastReply: 'boom',
          }));
          await store.settle({ token, outcomes, events: [], notices: [] });
        };
        await attempt('crashed');
        await attempt('crashed');
        await attempt('deferred');
        await attempt('crashed');
        store = await reopen();
        await attempt('crashed');
        assert.deepEqual(await states(store, id), ['queued', 'queued']);
        await attempt('crashed');
        assert.deepEqual(await states(store, id), ['held', 'queued']);
        const found = await store.message(id);
        assert.match(
          found?.message.recipients[0]?.lastReply ?? '',
          /^Set aside after 3 crashes running. boom$/,
        );
        const held = found?.events.filter(({ kind }) => kind === 'held') ?? [];
        assert.deepEqual(
          held.map(({ recipient }) => recipient),
          ['a@x.example'],
        );
        const { crashed, held: heldCount } = await store.counts();
        assert.deepEqual({ crashed, heldCount }, { crashed: 1, heldCount: 1 });

        assert.equal(await store.release({ ids: [id] }, 'root'), 1);
        assert.equal((await store.counts()).crashed, 0);
        await attempt('crashed');
        await attempt('crashed');
        assert.deepEqual(await states(store, id), ['queued', 'queued']);
        await attempt('crashed');
        assert.deepEqual(await states(store, id), ['held', 'queued']);
      }));

    it('hold of all also holds what comes later, over a close, until release of all', () =>
      withStore(makePlace, async (storage, reopen) => {
        const before = await accept(storage, [queued('a@x.example')]);
        const claimed = await accept(storage, [queued('a@w.example')]);
        const { token } = await claimOne(storage, 'w.example');
        assert.equal(await storage.hold({ all: true }, 'root'), 1);
        const again = await reopen();
        const after = await accept(again, [queued('a@y.example')]);
        assert.deepEqual(
          [...(await states(again, before)), ...(await states(again, after))],
          ['held', 'held'],
        );
        const deferred = { type: 'deferred' as const, nextAttemptAt: 1 };
        await again.settle({
          token,
          outcomes: [{ index: 0, result: deferred, ...NO_REPLY }],
          events: [{ kind: 'deferred', recipient: 'a@w.example', detail: {} }],
          notices: [],
        });
        assert.deepEqual(await states(again, claimed), ['held']);
        const told = async (id: MessageId) =>
          (await again.message(id))?.events
            .filter(({ kind }) => kind !== 'received' && kind !== 'decided')
            .map(({ kind, detail }) => [kind, detail.reason, detail.by]);
        assert.deepEqual(await told(before), [['held', undefined, 'root']]);
        assert.deepEqual(await told(after), [['held', 'queue on hold', 'root']]);
        assert.deepEqual(await told(claimed), [
          ['deferred', undefined, undefined],
          ['held', 'queue on hold', 'root'],
        ]);
        assert.equal((await again.counts()).holdAll, true);
        assert.equal(await again.release({ ids: [before] }, 'root'), 1);
        assert.equal((await again.counts()).holdAll, true);
        let calls = 0;
        again.onQueued(() => calls++);
        assert.equal(await again.release({ all: true }, 'root'), 2);
        assert.equal(calls, 1);
        assert.equal((await again.counts()).holdAll, false);
        const later = await accept(again, [queued('a@z.example')]);
        assert.deepEqual(await states(again, later), ['queued']);
      }));

    it('acts on more than one slice', () =>
      withStore(makePlace, async (storage) => {
        const many = Array.from({ length: 1700 }, (_, n) => queued(`u${n}@x.example`));
        const ids = [await accept(storage, many), await accept(storage, many)];
        assert.equal(await storage.hold({ all: true }, 'root'), 3400);
        assert.equal(await storage.release({ ids }, 'root'), 3400);
        assert.equal(await storage.delete({ destination: 'x.example' }, 'root'), 3400);
        assert.deepEqual(await storage.list({ limit: 10 }), []);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('deletes what nobody has claimed', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [
          queued('a@x.example'),
          queued('b@y.example'),
          queued('c@z.example'),
        ]);
        await storage.hold({ destination: 'z.example' }, 'root');
        const { token } = await claimOne(storage, 'x.example');
        assert.equal(await storage.delete({ all: true }, 'root'), 2);
        assert.deepEqual(await states(storage, id), ['sending', 'deleted', 'deleted']);
        const delivered = { index: 0, result: { type: 'delivered' as const }, ...NO_REPLY };
        await storage.settle({ token, outcomes: [delivered], events: [], notices: [] });
        assert.equal(await storage.openBody(id), null);
        assert.equal((await storage.message(id))?.events.filter(({ kind }) => kind === 'deleted').length, 2);
        assert.deepEqual(await storage.verify(), []);
      }));

    it('claims for removal, held ones too, and puts back what was not removed', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [
          queued('a@x.example', Date.now() + LATER),
          queued('b@x.example'),
          queued('c@y.example'),
        ]);
        await storage.hold({ destination: 'y.example' }, 'root');
        const claims = await storage.claimForRemoval({ ids: [id] }, 60_000);
        assert.deepEqual(
          claims.map(({ destination, message }) => [destination, message.recipients.length]),
          [
            ['x.example', 2],
            ['y.example', 1],
          ],
        );
        assert.deepEqual(await storage.claimForRemoval({ all: true }, 60_000), []);
        const [x, y] = claims;
        await storage.settle({
          token: x?.token ?? '',
          outcomes: [
            { index: 0, result: { type: 'failed' }, ...NO_REPLY },
            { index: 1, result: { type: 'returned' }, ...NO_REPLY },
          ],
          events: [],
          notices: [],
        });
        await storage.settle({
          token: y?.token ?? '',
          outcomes: [{ index: 2, result: { type: 'returned' }, ...NO_REPLY }],
          events: [],
          notices: [],
        });
        assert.deepEqual(await states(storage, id), ['failed', 'queued', 'held']);
        assert.equal((await storage.message(id))?.message.recipients[1]?.attempts, 0);
      }));

    it('a lapsed claim of a held recipient goes back to held', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example')]);
        await storage.hold({ ids: [id] }, 'root');
        await storage.claimForRemoval({ ids: [id] }, 0);
        assert.equal(await storage.releaseExpired(), 1);
        assert.deepEqual(await states(storage, id), ['held']);
      }));

    it('counts', () =>
      withStore(makePlace, async (storage) => {
        const none = {
          queued: 0,
          sending: 0,
          held: 0,
          crashed: 0,
          messages: 0,
          oldestAt: null,
          holdAll: false,
        };
        assert.deepEqual(await storage.counts(), none);
        await accept(storage, [queued('a@x.example'), queued('b@y.example')], 'x', { receivedAt: 1000 });
        await accept(storage, [queued('c@z.example')], 'x', { receivedAt: 500 });
        await storage.hold({ destination: 'y.example' }, 'root');
        await claimOne(storage, 'z.example');
        const expected = { ...none, queued: 1, sending: 1, held: 1, messages: 2, oldestAt: 500 };
        assert.deepEqual(await storage.counts(), expected);
      }));

    it('sweeps finished messages with their events, and nothing else', () =>
      withStore(makePlace, async (storage) => {
        const ann = await makeAccount(storage);
        const finished = await accept(storage, [local(ann)]);
        const open = await accept(storage, [queued('a@x.example')]);
        assert.equal(await storage.sweep(LATER), 0);
        assert.equal(await storage.sweep(-1), 1);
        assert.equal(await storage.message(finished), null);
        assert.notEqual(await storage.message(open), null);
        assert.notEqual(await storage.openEntry(ann.id, 1), null);
        assert.deepEqual(await storage.verify(), []);
      }));
  });
}
