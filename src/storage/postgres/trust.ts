import type { In } from '../shared/operations.ts';
import {
  type StsRow,
  stsPolicyOf,
  type TlsReportRow,
  type TrustWriteOps,
  tlsCountKey,
  tlsReportOf,
} from '../shared/trust-operations.ts';
import { MAX_STS_POLICIES, MAX_TLS_COUNTS, MAX_TLS_COUNTS_PER_REPORT } from '../trust-contract.ts';
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
  addTlsSessions: async ({ tx }, { counts }) => {
    const [before] = await tx.run<{ n: number }>('SELECT count(*) AS n FROM tls_count');
    let room = MAX_TLS_COUNTS - (before?.n ?? 0);
    // In one order, so that two nodes do not wait for each other's rows.
    const keyed = counts.map((one) => ({ ...one, key: tlsCountKey(one.detail) }));
    for (const { day, domain, dueAt, key, detail, sessions } of keyed.toSorted((a, b) =>
      a.key < b.key ? -1 : 1,
    )) {
      const here = [day, domain, key];
      const known = await tx.run(
        `UPDATE tls_count SET sessions = sessions + $4 WHERE day = $1 AND domain = $2 AND key = $3 RETURNING 1`,
        [...here, sessions],
      );
      if (known.length > 0 || room <= 0) continue;
      room -= 1;
      await tx.run(
        'INSERT INTO tls_report (day, domain, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
        [day, domain, dueAt],
      );
      await tx.run(
        `INSERT INTO tls_count (day, domain, key, detail, sessions) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT (day, domain, key) DO UPDATE SET sessions = tls_count.sessions + excluded.sessions`,
        [...here, detail, sessions],
      );
    }
  },
  claimTlsReport: async ({ tx }, { now, until }) => {
    const [row] = await tx.run<TlsReportRow>(
      `UPDATE tls_report SET due_at = $2 WHERE (day, domain) = (SELECT day, domain FROM tls_report
          WHERE due_at <= $1 ORDER BY due_at, day, domain LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING day, domain, sent`,
      [now, until],
    );
    if (row === undefined) return null;
    const counts = await tx.run<{ detail: string; sessions: number }>(
      `SELECT detail, sessions FROM tls_count WHERE day = $1 AND domain = $2
        ORDER BY sessions DESC, key LIMIT $3`,
      [row.day, row.domain, MAX_TLS_COUNTS_PER_REPORT],
    );
    return tlsReportOf(row, until, [...counts]);
  },
  endTlsReport: async ({ tx }, { day, domain, dueAt }) => {
    const ended = await tx.run(
      'DELETE FROM tls_report WHERE day = $1 AND domain = $2 AND due_at = $3 RETURNING 1',
      [day, domain, dueAt],
    );
    if (ended.length === 0) return false;
    await tx.run('DELETE FROM tls_count WHERE day = $1 AND domain = $2', [day, domain]);
    return true;
  },
  putOffTlsReport: async ({ tx }, { day, domain, dueAt, sent }) => {
    const noted = await tx.run(
      'UPDATE tls_report SET sent = $4 WHERE day = $1 AND domain = $2 AND due_at = $3 RETURNING 1',
      [day, domain, dueAt, sent.join('\n')],
    );
    return noted.length > 0;
  },
};
