import type { DatabaseSync } from 'node:sqlite';
import type { Handlers } from '../shared/operations.ts';
import {
  type StsRow,
  stsPolicyOf,
  type TrustReadOps,
  type TrustWriteOps,
} from '../shared/trust-operations.ts';
import { MAX_STS_POLICIES } from '../trust-contract.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

export function trustReadHandlers(db: DatabaseSync): Handlers<TrustReadOps> {
  const find = db.prepare(`SELECT id, mode, max_age AS maxAgeSeconds, mx, fetched_at AS fetchedAt,
    expires_at AS expiresAt FROM sts_policy WHERE domain = ?`);
  return {
    stsPolicy: ({ domain }) => {
      const row = rowOf<StsRow>(find, domain);
      return row === undefined ? null : stsPolicyOf({ ...row });
    },
  };
}

export function trustHandlers({ db }: WriterContext): Handlers<TrustWriteOps> {
  const keep = db.prepare(`INSERT OR REPLACE INTO sts_policy
    (domain, id, mode, max_age, mx, fetched_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`);
  const trim = db.prepare(`DELETE FROM sts_policy WHERE domain IN (
    SELECT domain FROM sts_policy ORDER BY expires_at DESC, domain LIMIT -1 OFFSET ?)`);
  return {
    keepStsPolicy: ({ domain, policy }) => {
      const { id, mode, maxAgeSeconds, mx, fetchedAt, expiresAt } = policy;
      keep.run(domain, id, mode, maxAgeSeconds, mx.join(' '), fetchedAt, expiresAt);
      trim.run(MAX_STS_POLICIES);
    },
  };
}
