/** What several nodes on one store see of each other. `open` opens the same store each time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Storage } from '../../src/storage/contract.ts';
import { NODE_BEAT_MS, NODE_LEASE_MS } from '../../src/storage/nodes-contract.ts';
import {
  accept,
  claim,
  claimOne,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  states,
} from './storage-fixture.ts';

/** How soon a change made by one is known to the others. */
const HEARD_MS = 1_000;
/** How soon the others have what a dead node had. */
const TAKEN_OVER_MS = 30_000;
const WAIT_STEP_MS = 50;

/** Ends a node as `kill -9` would: it says nothing any more. */
export type Kill = (storage: Storage) => Promise<void>;

async function within(limitMs: number, what: string, done: () => Promise<boolean> | boolean): Promise<void> {
  const until = performance.now() + limitMs;
  while (!(await done())) {
    assert.ok(performance.now() < until, `${what} within ${limitMs} ms`);
    await sleep(WAIT_STEP_MS);
  }
}

function describeNode(name: string) {
  return { name, version: '1.0.0', listeners: { smtp: ['127.0.0.1:25'] } };
}

/** Runs `use` on two nodes of a new store. */
async function withNodes(
  makePlace: MakePlace,
  use: (a: Storage, b: Storage) => Promise<void>,
): Promise<void> {
  const place = await makePlace();
  const open: Storage[] = [];
  try {
    // At once: both make the schema.
    open.push(...(await Promise.all([place.open(), place.open()])));
    const [a, b] = open;
    assert.ok(a !== undefined && b !== undefined);
    await use(a, b);
  } finally {
    await Promise.all(open.map((storage) => storage.close()));
    await place.dispose();
  }
}

export function nodesSuite(engine: string, makePlace: MakePlace, kill: Kill): void {
  describe(`${engine}: several nodes`, () => {
    it('show themselves to each other, and leave', () =>
      withNodes(makePlace, async (a, b) => {
        await Promise.all([a.announce(describeNode('a')), b.announce(describeNode('b'))]);
        const seen = await b.nodes();
        assert.deepEqual(
          seen.map(({ id, name, alive }) => [id, name, alive]),
          [
            [a.nodeId, 'a', true],
            [b.nodeId, 'b', true],
          ],
        );
        await a.close();
        assert.deepEqual(
          (await b.nodes()).map(({ name }) => name),
          ['b'],
        );
      }));

    it('never give one message id twice', () =>
      withNodes(makePlace, async (a, b) => {
        const ids = new Set<number>();
        for (let n = 0; n < 10_000; n++) {
          ids.add(a.nextMessageId());
          ids.add(b.nextMessageId());
          if (n % 1000 === 0) await Promise.all([a.releaseExpired(), b.releaseExpired()]);
        }
        assert.equal(ids.size, 20_000);
      }));

    it('accept into one mailbox at once, with uids of their own', () =>
      withNodes(makePlace, async (a, b) => {
        const ann = await makeAccount(a);
        const many = [a, b].flatMap((node) => Array.from({ length: 150 }, () => accept(node, [local(ann)])));
        await Promise.all(many);
        const { entries } = await b.inbox(ann.id, { afterUid: 0, limit: 1000 });
        assert.deepEqual(
          entries.map(({ uid }) => uid),
          Array.from({ length: 300 }, (_, n) => n + 1),
        );
        assert.deepEqual(await a.verify(), []);
      }));

    it('own a destination one at a time, and one that leaves gives it up', () =>
      withNodes(makePlace, async (a, b) => {
        await accept(a, [queued('x@far.example')]);
        await accept(b, [queued('y@near.example')]);
        const { token } = await claimOne(a, 'far.example');
        await accept(b, [queued('z@far.example')]);
        assert.deepEqual(await claim(b, 'far.example'), []);
        const due = async (node: Storage) =>
          (await node.dueDestinations({ now: Date.now(), after: '', limit: 9 })).map(
            ({ destination }) => destination,
          );
        assert.deepEqual(await due(b), ['near.example']);
        assert.deepEqual(await due(a), ['far.example', 'near.example']);
        assert.equal((await claim(a, 'far.example')).length, 1);
        await a.settle({
          token,
          outcomes: [{ index: 0, result: { type: 'returned' }, ...NO_REPLY }],
          events: [],
          notices: [],
        });
        await a.close();
        assert.equal((await claimOne(b, 'far.example')).message.recipients[0]?.address, 'x@far.example');
      }));

    it('give up a destination they have no work at', () =>
      withNodes(makePlace, async (a, b) => {
        await accept(a, [queued('x@far.example')]);
        const { token } = await claimOne(a, 'far.example');
        const outcomes = [{ index: 0, result: { type: 'delivered' }, ...NO_REPLY } as const];
        await a.settle({ token, outcomes, events: [], notices: [] });
        await accept(b, [queued('y@far.example')]);
        assert.deepEqual(await claim(b, 'far.example'), []);
        await within(
          20_000,
          'the destination was free',
          async () => (await claim(b, 'far.example')).length === 1,
        );
      }));

    it('hear of changed settings and directory within a second', () =>
      withNodes(makePlace, async (a, b) => {
        const heard: string[] = [];
        const own: string[] = [];
        b.onChanged((what) => heard.push(what));
        a.onChanged((what) => own.push(what));
        const before = b.directoryVersion();
        await a.addDomain('example.org');
        await within(HEARD_MS, 'the directory was heard of', () => heard.includes('directory'));
        assert.ok(b.directoryVersion() > before);
        const change = { key: 'k', value: 'v', historyOld: null, historyNew: 'v' };
        await a.writeSettings({ expectedVersion: 0, author: 'ann', changes: [change] });
        await within(HEARD_MS, 'the settings were heard of', () => heard.includes('settings'));
        await assert.rejects(b.writeSettings({ expectedVersion: 0, author: 'bob', changes: [change] }), {
          kind: 'conflict',
        });
        assert.deepEqual(own, []);
      }));

    it('let one of them have a mailbox', () =>
      withNodes(makePlace, async (a, b) => {
        const { id } = await makeAccount(a);
        const both = await Promise.all([a.acquireMailbox(id), b.acquireMailbox(id)]);
        assert.deepEqual(both.sort(), [false, true]);
        await Promise.all([a.releaseMailbox(id), b.releaseMailbox(id)]);
        assert.equal(await b.acquireMailbox(id), true);
        await a.releaseMailbox(id);
        assert.equal(await a.acquireMailbox(id), false);
        await b.close();
        assert.equal(await a.acquireMailbox(id), true);
      }));

    it('take over what a dead one had, which settles nothing any more', () =>
      withNodes(makePlace, async (a, b) => {
        const ann = await makeAccount(a);
        const id = await accept(a, [queued('x@far.example')]);
        const kept = await accept(b, [queued('x@near.example')]);
        // It may be cut off only, and at work on this until the claim's own lease ends.
        const stale = await claimOne(a, 'far.example', NODE_LEASE_MS + 6_000);
        await claimOne(b, 'near.example', 3_600_000);
        assert.equal(await a.acquireMailbox(ann.id), true);
        // Both are receiving a message of several chunks.
        const [dying, living] = [a.openWriter(), b.openWriter()];
        for (const body of [dying, living]) body.append(Buffer.alloc(300_000, 'x'));
        await Promise.all([a.releaseExpired(), b.releaseExpired()]);
        await a.announce(describeNode('a'));
        await kill(a);
        const diedAt = performance.now();
        await sleep(NODE_BEAT_MS);
        assert.deepEqual(await claim(b, 'far.example'), []);
        assert.equal(await b.acquireMailbox(ann.id), false);
        await within(TAKEN_OVER_MS, 'its claims were taken over', async () => {
          await b.releaseExpired();
          return (await states(b, id))[0] === 'queued';
        });
        assert.ok(Date.now() >= stale.leaseUntil);
        const again = await claimOne(b, 'far.example');
        assert.ok(performance.now() - diedAt < TAKEN_OVER_MS);
        assert.equal(again.message.recipients[0]?.crashes, 1);
        assert.match(again.message.recipients[0]?.lastReply ?? '', /server ended/);
        assert.equal(await b.acquireMailbox(ann.id), true);
        assert.deepEqual(
          (await b.nodes()).map(({ name, alive }) => [name, alive]),
          [['a', false]],
        );
        const outcomes = [{ index: 0, result: { type: 'delivered' }, ...NO_REPLY } as const];
        const late = { token: stale.token, outcomes, events: [], notices: [] };
        await assert.rejects(b.settle(late), { kind: 'stale-claim' });
        assert.deepEqual(await b.renewClaims([stale.token], 60_000), []);
        assert.deepEqual(await states(b, kept), ['sending']);
        // The living one's body is whole.
        const whole = b.nextMessageId();
        await b.accept({
          id: whole,
          body: living,
          sender: '',
          source: { kind: 'internal', address: null, helo: null, user: null, protocol: null },
          smtputf8: false,
          eightBit: false,
          header: '',
          receivedAt: 1,
          recipients: [local(ann, '')],
        });
        assert.equal((await readAll(await b.openEntry(ann.id, 1))).byteLength, 300_000);
        assert.deepEqual(await b.verify(), []);
      }));
  });
}
