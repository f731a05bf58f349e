import type { In } from '../shared/operations.ts';
import { type StsRow, stsPolicyOf, type TrustWriteOps } from '../shared/trust-operations.ts';
import { MAX_STS_POLICIES } from '../trust-contract.ts';
import type { Runner } from './connection.ts';
import type { Reads } from './reads.ts';
import type { WriteContext } from './write-context.ts';

export function trustReads(db: Runner) {
  return {
    stsPolicy: async ({ domain }) => {
      const [row] = await db.run<StsRow>(
        `SELECT id, mode, max_age AS "maxAgeSeconds", mx, fetched_at AS "fetchedAt", expires_at AS "expiresAt"
          FROM sts_policy WHERE domain = $1`,
        [domain],
      );
      return row === undefined ? null : stsPolicyOf(row);
    },
  } satisfies Partial<Reads>;
}

type Handlers = {
  readonly [K in keyof TrustWriteOps]: (
    context: WriteContext,
    input: In<TrustWriteOps, K>,
  ) => Promise<unknown>;
};

export const TRUST: Handlers = {
  keepStsPolicy: async ({ tx }, { domain, policy }) => {
    const { id, mode, maxAgeSeconds, mx, fetchedAt, expiresAt } = policy;
    await tx.run(
      `INSERT INTO sts_policy (domain, id, mode, max_age, mx, fetched_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (domain) DO UPDATE SET id = excluded.id,
        mode = excluded.mode, max_age = excluded.max_age, mx = excluded.mx, fetched_at = excluded.fetched_at,
        expires_at = excluded.expires_at`,
      [domain, id, mode, maxAgeSeconds, mx.join(' '), fetchedAt, expiresAt],
    );
    await tx.run(
      `DELETE FROM sts_policy WHERE domain IN (
        SELECT domain FROM sts_policy ORDER BY expires_at DESC, domain OFFSET $1)`,
      [MAX_STS_POLICIES],
    );
  },
};
