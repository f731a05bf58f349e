/** What the node contract says of one store by itself; storage-nodes.ts has what several nodes see of each other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  accept,
  claimOne,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  withStore,
} from './storage-fixture.ts';

const DESCRIPTION = {
  name: 'a.example.com',
  version: '1.2.3',
  listeners: { smtp: ['127.0.0.1:25', '[::1]:25'], pop3: [] },
} as const;

export function nodeSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: this node`, () => {
    it('is on the list once it is announced, alive, with what it serves', () =>
      withStore(makePlace, async (storage) => {
        assert.deepEqual(
          (await storage.nodes()).filter(({ id }) => id === storage.nodeId),
          [],
        );
        const before = Date.now();
        await storage.announce(DESCRIPTION);
        const [node, ...others] = await storage.nodes();
        assert.ok(node !== undefined);
        assert.deepEqual(others, []);
        const { id, startedAt, seenAt, ...rest } = node;
        assert.deepEqual(rest, { ...DESCRIPTION, alive: true, destinations: 0 });
        assert.equal(id, storage.nodeId);
        assert.ok(startedAt <= Date.now() && startedAt > before - 60_000, `started ${startedAt}`);
        assert.ok(seenAt >= before - 1_000 && seenAt <= Date.now() + 1_000, `seen ${seenAt}`);
      }));

    it('has another identity at each run', () =>
      withStore(makePlace, async (storage, reopen) => {
        const first = storage.nodeId;
        assert.notEqual(first, '');
        const again = await reopen();
        assert.notEqual(again.nodeId, first);
      }));

    it('owns a destination while it has claimed something there', () =>
      withStore(makePlace, async (storage) => {
        await storage.announce(DESCRIPTION);
        await accept(storage, [queued('x@far.test'), queued('y@far.test')]);
        await accept(storage, [queued('z@other.test')]);
        const claim = await claimOne(storage, 'far.test');
        assert.deepEqual(
          (await storage.nodes()).map(({ destinations }) => destinations),
          [1],
        );
        await storage.settle({
          token: claim.token,
          outcomes: claim.message.recipients.map(({ index }) => ({
            index,
            result: { type: 'delivered' },
            ...NO_REPLY,
          })),
          events: [],
          notices: [],
        });
      }));

    it('gives a mailbox to one session at a time', () =>
      withStore(makePlace, async (storage) => {
        const { id } = await makeAccount(storage);
        const { id: other } = await makeAccount(storage, 'bob@example.com');
        assert.equal(await storage.acquireMailbox(id), true);
        assert.equal(await storage.acquireMailbox(id), false);
        assert.equal(await storage.acquireMailbox(other), true);
        await storage.releaseMailbox(id);
        // Given back twice is given back.
        await storage.releaseMailbox(id);
        assert.equal(await storage.acquireMailbox(id), true);
        await Promise.all([storage.releaseMailbox(id), storage.releaseMailbox(other)]);
        const both = await Promise.all([storage.acquireMailbox(id), storage.acquireMailbox(id)]);
        assert.deepEqual(both.sort(), [false, true]);
        await storage.releaseMailbox(id);
      }));
  });
}
