/** Findings of one kind shown at most. */
export const SHOWN = 20;

interface Check {
  /** Rows with a column `what`, one for each finding. */
  readonly sql: string;
  readonly finding: (what: string) => string;
}

/**
 * Each compares what is stored twice or counted with what it was counted from. An engine provides
 * `chunk_sum (body_id, size, chunks, last)`, `entry_count (body_id, n)` and `message_body (body_id)`.
 */
export const CHECKS: readonly Check[] = [
  {
    sql: `SELECT body.id AS what FROM body LEFT JOIN entry_count AS e ON e.body_id = body.id
      LEFT JOIN message_body AS m ON m.body_id = body.id
      WHERE body.refs > 0
        AND body.refs <> coalesce(e.n, 0) + CASE WHEN m.body_id IS NULL THEN 0 ELSE 1 END`,
    finding: (what) => `body ${what} has a wrong reference count`,
  },
  {
    sql: `SELECT body.id AS what FROM body LEFT JOIN chunk_sum AS s ON s.body_id = body.id
      WHERE body.refs > 0 AND (body.size <> coalesce(s.size, 0) OR body.chunks <> coalesce(s.chunks, 0)
        OR body.chunks <> coalesce(s.last + 1, 0))`,
    finding: (what) => `body ${what} does not have the size or the chunks it should have`,
  },
  {
    sql: 'SELECT body_id AS what FROM chunk_sum AS s WHERE NOT EXISTS (SELECT 1 FROM body WHERE body.id = s.body_id)',
    finding: (what) => `chunks of body ${what} belong to no body`,
  },
  {
    sql: `SELECT mailbox_id || '/' || uid AS what FROM mailbox_message AS entry
      WHERE NOT EXISTS (SELECT 1 FROM body WHERE body.id = entry.body_id)
        OR NOT EXISTS (SELECT 1 FROM mailbox WHERE mailbox.id = entry.mailbox_id)`,
    finding: (what) => `mailbox entry ${what} has no body or no mailbox`,
  },
  {
    sql: `SELECT address AS what FROM account WHERE used_bytes <> coalesce((SELECT sum(size) FROM mailbox
      JOIN mailbox_message ON mailbox_id = mailbox.id WHERE account_id = account.id), 0)`,
    finding: (what) => `the bytes used by ${what} do not match its mail`,
  },
  {
    sql: `SELECT address AS what FROM account WHERE NOT EXISTS
      (SELECT 1 FROM mailbox WHERE account_id = account.id AND mailbox.name = 'INBOX')`,
    finding: (what) => `account ${what} has no INBOX`,
  },
  {
    sql: `SELECT id AS what FROM mailbox WHERE account_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM account WHERE account.id = mailbox.account_id)`,
    finding: (what) => `mailbox ${what} belongs to no account`,
  },
  {
    sql: `SELECT id AS what FROM message WHERE open_count <>
      (SELECT count(*) FROM recipient WHERE message_id = message.id AND state < 3)
      OR (finished_at IS NULL) <> (open_count > 0)`,
    finding: (what) => `message ${what} does not know how many recipients it has left`,
  },
  {
    sql: `SELECT id AS what FROM message WHERE finished_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM body WHERE body.id = message.body_id)`,
    finding: (what) => `message ${what} has recipients left but no body`,
  },
  {
    sql: `SELECT message_id AS what FROM recipient AS r WHERE NOT EXISTS (SELECT 1 FROM message WHERE id = r.message_id)
      UNION SELECT message_id FROM event AS e WHERE NOT EXISTS (SELECT 1 FROM message WHERE id = e.message_id)`,
    finding: (what) => `recipients or events belong to message ${what}, which does not exist`,
  },
];
