import type { NewEvent } from '../contract.ts';
import { numbers, type Runner } from './connection.ts';

export interface EventRow {
  readonly messageId: number;
  readonly event: NewEvent;
}

/** Adds events behind those their messages have. The messages are new or locked, see `lockMessages`. */
export async function addEvents(tx: Runner, events: readonly EventRow[], nowMs: number): Promise<void> {
  if (events.length === 0) return;
  const counts = new Map<number, number>();
  const rows = events.map(({ messageId, event }) => {
    const n = (counts.get(messageId) ?? 0) + 1;
    counts.set(messageId, n);
    const { kind, recipient, detail } = event;
    return { message_id: messageId, n, kind, recipient, detail: JSON.stringify(detail) };
  });
  await tx.run(
    `INSERT INTO event (message_id, n, at, kind, recipient, detail)
     SELECT x.message_id, x.n + coalesce((SELECT max(e.n) FROM event AS e WHERE e.message_id = x.message_id), 0),
       $2, x.kind, x.recipient, x.detail
     FROM json_to_recordset($1::json) AS x (message_id bigint, n integer, kind text, recipient text, detail text)`,
    [rows, nowMs],
  );
}

/** Takes messages for this transaction, in one order on all nodes. */
export async function lockMessages(
  tx: Runner,
  ids: Iterable<number>,
): Promise<Map<number, { body_id: number }>> {
  const rows = await tx.run<{ id: number; body_id: number }>(
    'SELECT id, body_id FROM message WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE',
    [numbers(new Set(ids))],
  );
  return new Map(rows.map((row) => [row.id, row]));
}
