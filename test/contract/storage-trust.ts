import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KeptStsPolicy } from '../../src/storage/trust-contract.ts';
import { type MakePlace, withStore } from './storage-fixture.ts';

const POLICY: KeptStsPolicy = {
  ...{ id: '20261101', mode: 'enforce', maxAgeSeconds: 31_557_600, mx: ['mx1.example.com', '*.example.net'] },
  ...{ fetchedAt: 1_790_000_000_000, expiresAt: 1_821_557_600_000 },
};

/** How other domains want their mail protected. */
export function trustSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: trust`, () => {
    it('an MTA-STS policy is kept as it was given, over a restart, until another takes its place', () =>
      withStore(makePlace, async (storage, reopen) => {
        assert.equal(await storage.stsPolicy('example.com'), null);
        await storage.keepStsPolicy('example.com', POLICY);
        const again = await reopen();
        assert.deepEqual(await again.stsPolicy('example.com'), POLICY);
        const none: KeptStsPolicy = { ...POLICY, id: 'b', mode: 'none', mx: [] };
        await again.keepStsPolicy('example.com', none);
        assert.deepEqual(await again.stsPolicy('example.com'), none);
        assert.equal(await again.stsPolicy('example.net'), null);
      }));

    it('sessions are counted together, over a restart, and forgotten with their report', () =>
      withStore(makePlace, async (storage, reopen) => {
        const count = { day: 20_000, domain: 'example.com', dueAt: 1_000, detail: '{"a":1}', sessions: 2 };
        await storage.addTlsSessions([count, { ...count, detail: '{"b":1}', sessions: 4 }]);
        const again = await reopen();
        await again.addTlsSessions([
          { ...count, dueAt: 5_000, sessions: 3 },
          { ...count, day: 20_001, dueAt: 9_000 },
        ]);
        assert.equal(await again.claimTlsReport({ now: 999, until: 2_000 }), null);
        const claimed = await again.claimTlsReport({ now: 1_000, until: 2_000 });
        assert.deepEqual(claimed, {
          ...{ day: 20_000, domain: 'example.com', dueAt: 2_000, sent: [] },
          counts: [
            { detail: '{"a":1}', sessions: 5 },
            { detail: '{"b":1}', sessions: 4 },
          ],
        });
        assert.equal(await again.endTlsReport(claimed), true);
        assert.equal(await again.claimTlsReport({ now: 8_999, until: 10_000 }), null);
        assert.equal((await again.claimTlsReport({ now: 9_000, until: 10_000 }))?.counts[0]?.sessions, 2);
      }));

    it('a report is claimed by one only, and a claim that somebody else has by now ends nothing', () =>
      withStore(makePlace, async (storage) => {
        const count = { day: 20_000, domain: 'example.com', dueAt: 1_000, detail: '{}', sessions: 1 };
        await storage.addTlsSessions([count]);
        const both = await Promise.all(
          [2_000, 2_001].map((until) => storage.claimTlsReport({ now: 1_000, until })),
        );
        const [first, ...others] = both.filter((one) => one !== null);
        assert.ok(first);
        assert.deepEqual(others, []);
        assert.equal(
          await storage.putOffTlsReport({ ...first, sent: ['mailto:a@b.example', 'https://c'] }),
          true,
        );
        const second = await storage.claimTlsReport({ now: 2_001, until: 3_000 });
        assert.deepEqual(second?.sent, ['mailto:a@b.example', 'https://c']);
        assert.equal(await storage.endTlsReport(first), false);
        assert.equal(await storage.putOffTlsReport({ ...first, sent: [] }), false);
        assert.equal(await storage.endTlsReport(second), true);
        assert.equal(await storage.endTlsReport(second), false);
      }));
  });
}
