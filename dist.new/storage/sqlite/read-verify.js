/** Findings of one kind shown at most. */
const SHOWN = 20;
const CHECKS = [
    {
        sql: `SELECT body.id AS what FROM body WHERE refs > 0 AND refs <>
      (SELECT count(*) FROM temp.message_body WHERE body_id = body.id)
      + coalesce((SELECT n FROM temp.entry_count WHERE body_id = body.id), 0)`,
        finding: (what) => `body ${what} has a wrong reference count`,
    },
    {
        sql: `SELECT body.id AS what FROM body LEFT JOIN temp.chunk_sum AS s ON s.body_id = body.id
      WHERE body.refs > 0 AND (body.size <> coalesce(s.size, 0) OR body.chunks <> coalesce(s.chunks, 0)
        OR body.chunks <> coalesce(s.last + 1, 0))`,
        finding: (what) => `body ${what} does not have the size or the chunks it should have`,
    },
    {
        sql: 'SELECT body_id AS what FROM temp.chunk_sum WHERE body_id NOT IN (SELECT id FROM body)',
        finding: (what) => `chunks of body ${what} belong to no body`,
    },
    {
        sql: `SELECT mailbox_id || '/' || uid AS what FROM mailbox_message
      WHERE body_id NOT IN (SELECT id FROM body) OR mailbox_id NOT IN (SELECT id FROM mailbox)`,
        finding: (what) => `mailbox entry ${what} has no body or no mailbox`,
    },
    {
        sql: `SELECT address AS what FROM account WHERE used_bytes <> coalesce((SELECT sum(size) FROM mailbox
      JOIN mailbox_message ON mailbox_id = mailbox.id WHERE account_id = account.id), 0)`,
        finding: (what) => `the bytes used by ${what} do not match its mail`,
    },
    {
        sql: `SELECT address AS what FROM account WHERE id NOT IN
      (SELECT account_id FROM mailbox WHERE account_id IS NOT NULL AND name = 'INBOX')`,
        finding: (what) => `account ${what} has no INBOX`,
    },
    {
        sql: `SELECT id AS what FROM mailbox WHERE account_id IS NOT NULL AND account_id NOT IN (SELECT id FROM account)`,
        finding: (what) => `mailbox ${what} belongs to no account`,
    },
    {
        sql: `SELECT id AS what FROM message WHERE open_count <>
      (SELECT count(*) FROM recipient WHERE message_id = message.id AND state < 3)
      OR (finished_at IS NULL) <> (open_count > 0)`,
        finding: (what) => `message ${what} does not know how many recipients it has left`,
    },
    {
        sql: 'SELECT id AS what FROM message WHERE finished_at IS NULL AND body_id NOT IN (SELECT id FROM body)',
        finding: (what) => `message ${what} has recipients left but no body`,
    },
    {
        sql: `SELECT message_id AS what FROM recipient WHERE message_id NOT IN (SELECT id FROM message)
      UNION SELECT message_id FROM event WHERE message_id NOT IN (SELECT id FROM message)`,
        finding: (what) => `recipients or events belong to message ${what}, which does not exist`,
    },
];
/** Compares everything stored twice or counted with what it was counted from. Empty when the store is sound. */
export function verifyStore(db) {
    const findings = [];
    for (const row of db.prepare(`PRAGMA quick_check(${SHOWN})`).all()) {
        const text = String(Object.values(row)[0]);
        if (text !== 'ok')
            findings.push(`SQLite: ${text}`);
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
            for (const row of db.prepare(`${sql} LIMIT ${SHOWN}`).all())
                findings.push(finding(String(row.what)));
        }
    }
    finally {
        db.exec('ROLLBACK');
    }
    return findings;
}
