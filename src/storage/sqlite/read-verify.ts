import type { DatabaseSync } from 'node:sqlite';
import { CHECKS, SHOWN } from '../shared/verify-checks.ts';

/** Compares everything stored twice or counted with what it was counted from. Empty when the store is sound. */
export function verifyStore(db: DatabaseSync): string[] {
  const findings: string[] = [];
  for (const row of db.prepare(`PRAGMA quick_check(${SHOWN})`).all()) {
    const text = String(Object.values(row)[0]);
    if (text !== 'ok') findings.push(`SQLite: ${text}`);
  }
  // One transaction, so that mail which arrives meanwhile does not look like a fault.
  db.exec(`BEGIN;
    CREATE TEMP TABLE chunk_sum (body_id INTEGER PRIMARY KEY, size INTEGER, chunks INTEGER, last INTEGER);
    INSERT INTO chunk_sum SELECT id >> 24, sum(length(data)), count(*), max(id & 0xffffff) FROM body_chunk GROUP BY id >> 24;
    CREATE TEMP TABLE entry_count (body_id INTEGER PRIMARY KEY, n INTEGER);
    INSERT INTO entry_count SELECT body_id, count(*) FROM mailbox_message GROUP BY body_id;
    CREATE TEMP TABLE message_body (body_id INTEGER PRIMARY KEY);
    INSERT INTO message_body SELECT body_id FROM message WHERE finished_at IS NULL`);
  try {
    for (const { sql, finding } of CHECKS) {
      for (const row of db.prepare(`${sql} LIMIT ${SHOWN}`).all()) findings.push(finding(String(row.what)));
    }
  } finally {
    db.exec('ROLLBACK');
  }
  return findings;
}
