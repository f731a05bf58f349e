import type { DatabaseSync } from 'node:sqlite';
import type { Handlers } from '../shared/operations.ts';
import {
  type StsRow,
  stsPolicyOf,
  type TlsReportRow,
  type TrustReadOps,
  type TrustWriteOps,
  tlsCountKey,
  tlsReportOf,
} from '../shared/trust-operations.ts';
import { MAX_STS_POLICIES, MAX_TLS_COUNTS, MAX_TLS_COUNTS_PER_REPORT } from '../trust-contract.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

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

export function trustHandlers(context: WriterContext): Handlers<TrustWriteOps> {
  return { ...policyHandlers(context), ...reportHandlers(context) };
}

function policyHandlers({ db }: WriterContext): Pick<Handlers<TrustWriteOps>, 'keepStsPolicy'> {
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

function reportHandlers({ db }: WriterContext): Omit<Handlers<TrustWriteOps>, 'keepStsPolicy'> {
  const announce = db.prepare('INSERT OR IGNORE INTO tls_report (day, domain, due_at) VALUES (?, ?, ?)');
  const more = db.prepare(
    'UPDATE tls_count SET sessions = sessions + ? WHERE day = ? AND domain = ? AND key = ?',
  );
  const add = db.prepare(`INSERT INTO tls_count (day, domain, key, detail, sessions) VALUES (?, ?, ?, ?, ?)`);
  const rows = db.prepare('SELECT count(*) AS n FROM tls_count');
  const due = db.prepare(
    `SELECT day, domain, sent FROM tls_report WHERE due_at <= ? ORDER BY due_at, day, domain LIMIT 1`,
  );
  const claim = db.prepare('UPDATE tls_report SET due_at = ? WHERE day = ? AND domain = ?');
  const counted = db.prepare(`SELECT detail, sessions FROM tls_count WHERE day = ? AND domain = ?
    ORDER BY sessions DESC, key LIMIT ?`);
  const end = db.prepare('DELETE FROM tls_report WHERE day = ? AND domain = ? AND due_at = ?');
  const forget = db.prepare('DELETE FROM tls_count WHERE day = ? AND domain = ?');
  const putOff = db.prepare('UPDATE tls_report SET sent = ? WHERE day = ? AND domain = ? AND due_at = ?');
  return {
    addTlsSessions: ({ counts }) => {
      let room = MAX_TLS_COUNTS - (rowOf<{ n: number }>(rows)?.n ?? 0);
      for (const { day, domain, dueAt, detail, sessions } of counts) {
        const key = tlsCountKey(detail);
        if (more.run(sessions, day, domain, key).changes > 0 || room <= 0) continue;
        room -= 1;
        announce.run(day, domain, dueAt);
        add.run(day, domain, key, detail, sessions);
      }
    },
    claimTlsReport: ({ now, until }) => {
      const row = rowOf<TlsReportRow>(due, now);
      if (row === undefined) return null;
      const { day, domain } = row;
      claim.run(until, day, domain);
      const counts = rowsOf<{ detail: string; sessions: number }>(
        counted,
        day,
        domain,
        MAX_TLS_COUNTS_PER_REPORT,
      );
      return tlsReportOf(
        row,
        until,
        counts.map((one) => ({ ...one })),
      );
    },
    endTlsReport: ({ day, domain, dueAt }) => {
      if (end.run(day, domain, dueAt).changes === 0) return false;
      forget.run(day, domain);
      return true;
    },
    putOffTlsReport: ({ day, domain, dueAt, sent }) =>
      putOff.run(sent.join('\n'), day, domain, dueAt).changes > 0,
  };
}
