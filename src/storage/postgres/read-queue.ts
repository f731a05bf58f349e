import type { DueDestination, MessageEvent, QueuedMessage } from '../contract.ts';
import type { Out, ReadOps, StoredContent } from '../shared/operations.ts';
import { HELD, type MessageRow, messageOf, QUEUED, type RecipientRow, SENDING } from '../shared/rows.ts';
import { type EventRow, timelineOf } from '../shared/timeline.ts';
import { NOW } from './clock.ts';
import { numbers, type Runner } from './connection.ts';

/** Messages a page of the queue holds at most. */
const LIST_PAGE = 1000;

/**
 * Steps from one destination to the next in the index, whatever number of rows each has. Left out are those that
 * have nothing due, and those that another living node has.
 */
function destinationsIn(state: number, until: string): string {
  const next = (after: string) =>
    `(SELECT destination FROM recipient WHERE state < 3 AND state = ${state} AND destination > ${after}
      ORDER BY destination LIMIT 1)`;
  return `WITH RECURSIVE step (name) AS (
      SELECT ${next('$1::text')} UNION ALL SELECT ${next('step.name')} FROM step WHERE step.name IS NOT NULL
    ), dated (name, due_at) AS (
      SELECT name, (SELECT due_at FROM recipient WHERE state < 3 AND state = ${state} AND destination = step.name
        ORDER BY due_at LIMIT 1) FROM step WHERE name IS NOT NULL
    )
    SELECT name AS destination, due_at AS "dueAt" FROM dated WHERE due_at <= ${until} AND NOT EXISTS (
      SELECT 1 FROM destination_lease AS l JOIN node ON node.id = l.node
      WHERE l.destination = dated.name AND l.node <> $3 AND node.alive_until > ${NOW})
    LIMIT $4`;
}

const QUEUED_DESTINATIONS = destinationsIn(QUEUED, '$2::bigint');
/** Leases run by the database's clock. */
const LAPSED_DESTINATIONS = destinationsIn(SENDING, `least($2::bigint, ${NOW})`);

export async function dueDestinations(
  db: Runner,
  nodeId: string,
  { now, after, limit }: { now: number; after: string; limit: number },
): Promise<DueDestination[]> {
  const values = [after, now, nodeId, limit];
  const lists = await Promise.all([
    db.run<DueDestination>(QUEUED_DESTINATIONS, values),
    db.run<DueDestination>(LAPSED_DESTINATIONS, values),
  ]);
  const found = new Map<string, DueDestination>();
  for (const { destination, dueAt } of lists.flat()) {
    const before = found.get(destination)?.dueAt ?? dueAt;
    found.set(destination, { destination, dueAt: Math.min(before, dueAt) });
  }
  const inOrder = [...found.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1));
  return inOrder.slice(0, limit);
}

export async function nextDueAt(db: Runner): Promise<number | null> {
  const earliest = (state: number) =>
    `(SELECT due_at FROM recipient WHERE state < 3 AND state = ${state} ORDER BY due_at LIMIT 1)`;
  const [row] = await db.run<{ at: number | null }>(
    `SELECT least(${earliest(QUEUED)}, ${earliest(SENDING)}) AS at`,
  );
  return row?.at ?? null;
}

export async function list(
  db: Runner,
  { limit, after }: { limit: number; after: number },
): Promise<QueuedMessage[]> {
  const messages = await db.run<MessageRow>(
    'SELECT * FROM message WHERE finished_at IS NULL AND id > $1 ORDER BY id LIMIT $2',
    [after, Math.min(limit, LIST_PAGE)],
  );
  if (messages.length === 0) return [];
  const rows = await db.run<RecipientRow>(
    'SELECT * FROM recipient WHERE message_id = ANY ($1::bigint[]) ORDER BY message_id, idx',
    [numbers(messages.map(({ id }) => id))],
  );
  const byMessage = new Map<number, RecipientRow[]>(messages.map(({ id }) => [id, []]));
  for (const row of rows) byMessage.get(row.message_id)?.push(row);
  return messages.map((row) => messageOf(row, byMessage.get(row.id) ?? []));
}

export async function message(
  db: Runner,
  { id }: { id: number },
): Promise<{ message: QueuedMessage; events: MessageEvent[] } | null> {
  const [row] = await db.run<MessageRow>('SELECT * FROM message WHERE id = $1', [id]);
  if (row === undefined) return null;
  const [recipients, events] = await Promise.all([
    db.run<RecipientRow>('SELECT * FROM recipient WHERE message_id = $1 ORDER BY idx', [id]),
    db.run<EventRow>('SELECT at, kind, recipient, detail FROM event WHERE message_id = $1 ORDER BY n', [id]),
  ]);
  const found = messageOf(row, recipients);
  return { message: found, events: timelineOf(found, recipients, events) };
}

export async function messageContent(db: Runner, { id }: { id: number }): Promise<StoredContent | null> {
  const [row] = await db.run<StoredContent>(
    `SELECT '' AS header, body.id AS "bodyId", body.size AS "bodySizeBytes", body.chunks
     FROM message JOIN body ON body.id = message.body_id WHERE message.id = $1 AND message.finished_at IS NULL`,
    [id],
  );
  return row ?? null;
}

export async function counts(db: Runner): Promise<Out<ReadOps, 'counts'>> {
  const state = (n: number) => `(SELECT count(*) FROM recipient WHERE state < 3 AND state = ${n})`;
  const [row] = await db.run<{
    queued: number;
    sending: number;
    held: number;
    crashed: number;
    messages: number;
    oldest: number | null;
    hold_all: number | null;
  }>(
    `SELECT ${state(QUEUED)} AS queued, ${state(SENDING)} AS sending, ${state(HELD)} AS held,
       (SELECT count(*) FROM recipient WHERE state = 2 AND crashes > 2) AS crashed, open.messages, open.oldest,
       (SELECT value FROM sequence WHERE name = 'hold_all') AS hold_all
     FROM (SELECT count(*) AS messages, min(received_at) AS oldest FROM message WHERE finished_at IS NULL) AS open`,
  );
  if (row === undefined) throw new Error('a count returned nothing');
  const { queued, sending, held, crashed, messages, oldest, hold_all } = row;
  return { queued, sending, held, crashed, messages, oldestAt: oldest, holdAll: hold_all === 1 };
}

/** Destinations something is claimed at. */
export async function destinationsAtWork(db: Runner): Promise<number> {
  const [row] = await db.run<{ n: number }>(
    `SELECT count(DISTINCT destination) AS n FROM recipient WHERE state < 3 AND state = ${SENDING}`,
  );
  return row?.n ?? 0;
}

/** Rows looked at in each table: the last ones written need not bear the latest time if the clock went back. */
const LATEST = 1_000;

export async function newestTime(db: Runner): Promise<number | null> {
  const [row] = await db.run<{ newest: number | null }>(
    `SELECT max(at) AS newest FROM (
       (SELECT received_at AS at FROM message ORDER BY id DESC LIMIT ${LATEST})
       UNION ALL (SELECT at FROM setting_change ORDER BY n DESC LIMIT ${LATEST})) AS latest`,
  );
  return row?.newest ?? null;
}
