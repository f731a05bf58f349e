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
  });
}
