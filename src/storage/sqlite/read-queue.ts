import type { DatabaseSync } from 'node:sqlite';
import type { DueDestination, MessageEvent, QueuedMessage } from '../contract.ts';
import type { Out, ReadOps, StoredContent } from '../shared/operations.ts';
import { HELD, type MessageRow, messageOf, QUEUED, type RecipientRow, SENDING } from '../shared/rows.ts';
import { type EventRow, timelineOf } from '../shared/timeline.ts';
import { rowOf, rowsOf } from './writer-context.ts';

/** Messages a page of the queue holds at most. */
const LIST_PAGE = 1000;

/**
 * Steps from one destination to the next in the index, whatever number of rows each has. The bound on
 * `due_at` leaves destinations out that have nothing due.
 */
function destinationsIn(state: number): string {
  const next = (after: string) =>
    `(SELECT min(destination) FROM recipient WHERE state < 3 AND state = ${state} AND destination > ${after})`;
  return `WITH RECURSIVE step (name) AS (
      SELECT ${next('?1')} UNION ALL SELECT ${next('step.name')} FROM step WHERE step.name IS NOT NULL
    )
    SELECT name AS destination, (SELECT min(due_at) FROM recipient
      WHERE state < 3 AND state = ${state} AND destination = step.name) AS dueAt
    FROM step WHERE name IS NOT NULL AND dueAt <= ?2 LIMIT ?3`;
}

/** The queue as readers see it. */
export class QueueReads {
  readonly #queuedDestinations;
  readonly #lapsedDestinations;
  readonly #nextDue;
  readonly #openMessages;
  readonly #message;
  readonly #recipients;
  readonly #events;
  readonly #content;
  readonly #stateCounts;
  readonly #crashedCount;
  readonly #openCount;
  readonly #holdAll;
  readonly #atWork;

  constructor(db: DatabaseSync) {
    this.#queuedDestinations = db.prepare(destinationsIn(QUEUED));
    this.#lapsedDestinations = db.prepare(destinationsIn(SENDING));
    const earliest = (state: number) =>
      `SELECT min(due_at) FROM recipient WHERE state < 3 AND state = ${state}`;
    this.#nextDue = db.prepare(`SELECT min(at) AS at FROM (
      SELECT (${earliest(QUEUED)}) AS at UNION ALL SELECT (${earliest(SENDING)}))`);
    this.#openMessages = db.prepare(`SELECT * FROM message WHERE id IN (
      SELECT id FROM message WHERE finished_at IS NULL AND id > ? ORDER BY id LIMIT ?) ORDER BY id`);
    this.#message = db.prepare('SELECT * FROM message WHERE id = ?');
    this.#recipients = db.prepare('SELECT * FROM recipient WHERE message_id = ? ORDER BY idx');
    this.#events = db.prepare(
      'SELECT at, kind, recipient, detail FROM event WHERE message_id = ? ORDER BY n',
    );
    this.#content =
      db.prepare(`SELECT '' AS header, body.id AS bodyId, body.size AS bodySizeBytes, body.chunks
      FROM message JOIN body ON body.id = message.body_id WHERE message.id = ? AND message.finished_at IS NULL`);
    this.#stateCounts = db.prepare(
      'SELECT state, count(*) AS n FROM recipient INDEXED BY recipient_due WHERE state < 3 GROUP BY state',
    );
    this.#crashedCount = db.prepare(
      'SELECT count(*) AS n FROM recipient INDEXED BY recipient_crashed WHERE state = 2 AND crashes > 2',
    );
    this.#openCount = db.prepare(
      'SELECT count(*) AS n, min(received_at) AS oldest FROM message INDEXED BY message_open WHERE finished_at IS NULL',
    );
    // Claims are few, whatever the length of the queue.
    this.#atWork = db.prepare(
      `SELECT count(DISTINCT destination) AS n FROM recipient WHERE state < 3 AND state = ${SENDING}`,
    );
    this.#holdAll = db.prepare("SELECT value FROM sequence WHERE name = 'hold_all'");
  }

  dueDestinations({ now, after, limit }: { now: number; after: string; limit: number }): DueDestination[] {
    const found = new Map<string, DueDestination>();
    for (const statement of [this.#queuedDestinations, this.#lapsedDestinations]) {
      for (const { destination, dueAt } of rowsOf<DueDestination>(statement, after, now, limit)) {
        const before = found.get(destination)?.dueAt ?? dueAt;
        found.set(destination, { destination, dueAt: Math.min(before, dueAt) });
      }
    }
    const inOrder = [...found.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1));
    return inOrder.slice(0, limit);
  }

  nextDueAt(): number | null {
    return rowOf<{ at: number | null }>(this.#nextDue)?.at ?? null;
  }

  destinationsAtWork(): number {
    return rowOf<{ n: number }>(this.#atWork)?.n ?? 0;
  }

  list({ limit, after }: { limit: number; after: number }): QueuedMessage[] {
    return rowsOf<MessageRow>(this.#openMessages, after, Math.min(limit, LIST_PAGE)).map((row) =>
      messageOf(row, rowsOf<RecipientRow>(this.#recipients, row.id)),
    );
  }

  message({ id }: { id: number }): { message: QueuedMessage; events: MessageEvent[] } | null {
    const row = rowOf<MessageRow>(this.#message, id);
    if (row === undefined) return null;
    const recipients = rowsOf<RecipientRow>(this.#recipients, id);
    const message = messageOf(row, recipients);
    return { message, events: timelineOf(message, recipients, rowsOf<EventRow>(this.#events, id)) };
  }

  content({ id }: { id: number }): StoredContent | null {
    return rowOf<StoredContent>(this.#content, id) ?? null;
  }

  counts(): Out<ReadOps, 'counts'> {
    const byState = new Map(
      rowsOf<{ state: number; n: number }>(this.#stateCounts).map((row) => [row.state, row.n]),
    );
    const open = rowOf<{ n: number; oldest: number | null }>(this.#openCount);
    return {
      queued: byState.get(QUEUED) ?? 0,
      sending: byState.get(SENDING) ?? 0,
      held: byState.get(HELD) ?? 0,
      crashed: rowOf<{ n: number }>(this.#crashedCount)?.n ?? 0,
      messages: open?.n ?? 0,
      oldestAt: open?.oldest ?? null,
      holdAll: rowOf<{ value: number }>(this.#holdAll)?.value === 1,
    };
  }
}
