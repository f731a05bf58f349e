import type { QueueSelector } from '../contract.ts';
import {
  type DestinationSummary,
  type FoundMessage,
  type FoundPosition,
  SHOWN_RECIPIENTS,
} from '../search-contract.ts';
import type { StoredContent } from '../shared/operations.ts';
import {
  HELD,
  type MessageRow,
  messageOf,
  QUEUED,
  type RecipientRow,
  recipientOf,
  SENDING,
} from '../shared/rows.ts';
import { pageEnd, SearchPlan, type Sql } from '../shared/search-sql.ts';
import { foundState } from '../shared/search-states.ts';
import { numbers, type Runner } from './connection.ts';
import type { Reads } from './reads.ts';

/** Recipients shown of one message in a destination's queue. */
const SHOWN_OF_DESTINATION = 100;
/** Latest failed attempts looked at for the reasons. */
const REASON_ROWS = 2_000;

const TOUCHED = { retry: [QUEUED], hold: [QUEUED], release: [HELD], delete: [QUEUED, HELD] } as const;

const DESTINATIONS = `SELECT q.*, oldest.received_at AS "oldestAt", (SELECT last_reply FROM recipient AS r
    WHERE r.message_id = q."oldestId" AND r.destination = q.destination AND r.state < 3 ORDER BY idx LIMIT 1) AS "lastReply"
  FROM (SELECT destination, count(*) FILTER (WHERE state = ${QUEUED}) AS waiting,
      count(*) FILTER (WHERE state = ${SENDING}) AS sending, count(*) FILTER (WHERE state = ${HELD}) AS held,
      min(due_at) FILTER (WHERE state = ${QUEUED}) AS "nextAttemptAt", min(message_id) AS "oldestId", count(*) AS n
    FROM recipient WHERE state < 3 GROUP BY destination ORDER BY n DESC, destination LIMIT $2 OFFSET $1) AS q
  LEFT JOIN message AS oldest ON oldest.id = q."oldestId" ORDER BY q.n DESC, q.destination`;

/** Search, and the queue by destination. */
export function searchReads(db: Runner) {
  const rowsOf = <Row>({ text, values }: Sql) => db.run<Row>(text, values);
  return {
    search: async (query) => {
      const plan = new SearchPlan(query, (n, type) => `$${n}::${type}`);
      const counts = await Promise.all(
        plan.counts().map(async (sql) => Number((await rowsOf<{ n: number }>(sql))[0]?.n ?? 0)),
      );
      const driver = plan.choose(counts);
      const places = await rowsOf<FoundPosition>(plan.matches(driver));
      const [last = null] =
        places.length > query.limit ? [] : await rowsOf<FoundPosition>(plan.lastCandidate(driver));
      const { shown, next, endedEarly } = pageEnd(places, query.limit, last);
      return {
        rows: await found(
          db,
          shown.map(({ id }) => id),
        ),
        next,
        endedEarly,
      };
    },
    queueDestinations: async ({ offset, limit }) => {
      const rows = await db.run<DestinationSummary & { oldestId: number; n: number }>(DESTINATIONS, [
        offset,
        limit,
      ]);
      return rows.map(({ oldestId: _, n: _n, ...row }) => row);
    },
    queueOf: async ({ destination, after, limit }) => {
      const messages = await db.run<MessageRow>(
        `SELECT * FROM message WHERE id IN (SELECT DISTINCT message_id FROM recipient
           WHERE destination = $1 AND state < 3 AND message_id > $2 ORDER BY message_id LIMIT $3) ORDER BY id`,
        [destination, after, limit],
      );
      const recipients = await db.run<RecipientRow>(
        `SELECT * FROM recipient WHERE message_id = ANY ($1::bigint[]) AND destination = $2 AND state < 3
         ORDER BY message_id, idx LIMIT ${SHOWN_OF_DESTINATION * 100}`,
        [numbers(messages.map(({ id }) => id)), destination],
      );
      return messages.map((row) =>
        messageOf(
          row,
          recipients.filter(({ message_id }) => message_id === row.id).slice(0, SHOWN_OF_DESTINATION),
        ),
      );
    },
    countSelected: async ({ selector, action }) => {
      const [where, value] = conditionOf(selector);
      const [row] = await db.run<{ recipients: number; messages: number }>(
        `SELECT count(*) AS recipients, count(DISTINCT message_id) AS messages FROM recipient
         WHERE state < 3 AND state IN (${TOUCHED[action].join(', ')})${where}`,
        value,
      );
      return row ?? { recipients: 0, messages: 0 };
    },
    topReasons: async ({ limit }) => [
      ...(await db.run<{ reason: string; count: number }>(
        `SELECT last_reply AS reason, count(*) AS count FROM (
           SELECT last_reply FROM recipient WHERE state < 3 AND state = ${QUEUED}
           ORDER BY due_at DESC LIMIT ${REASON_ROWS}) AS latest
         WHERE last_reply IS NOT NULL GROUP BY last_reply ORDER BY count(*) DESC, last_reply LIMIT $1`,
        [limit],
      )),
    ],
    rawSubjects: async ({ ids }) => {
      const rows = await db.run<{ id: number; subject: string | null }>(
        'SELECT id, subject FROM message WHERE id = ANY ($1::bigint[])',
        [numbers(ids)],
      );
      const byId = new Map(rows.map(({ id, subject }) => [id, subject]));
      return ids.map((id) => byId.get(id) ?? '');
    },
    messageSource: async ({ id }) => {
      const [row] = await db.run<StoredContent>(
        `SELECT message.header, body.id AS "bodyId", body.size AS "bodySizeBytes", body.chunks
         FROM message JOIN body ON body.id = message.body_id WHERE message.id = $1 AND body.refs > 0`,
        [id],
      );
      return row ?? null;
    },
  } satisfies Partial<Reads>;
}

function conditionOf(selector: QueueSelector): [string, string[]] {
  if ('destination' in selector) return [' AND destination = $1', [selector.destination]];
  if ('all' in selector) return ['', []];
  return [' AND message_id = ANY ($1::bigint[])', [numbers(selector.ids)]];
}

async function found(db: Runner, ids: readonly number[]): Promise<FoundMessage[]> {
  if (ids.length === 0) return [];
  const all = numbers(ids);
  const [messages, recipients] = await Promise.all([
    db.run<MessageRow & { subject: string | null }>('SELECT * FROM message WHERE id = ANY ($1::bigint[])', [
      all,
    ]),
    db.run<RecipientRow>(
      'SELECT * FROM recipient WHERE message_id = ANY ($1::bigint[]) ORDER BY message_id, idx',
      [all],
    ),
  ]);
  const rows = new Map(messages.map((row) => [row.id, row]));
  return ids.flatMap((id) => {
    const row = rows.get(id);
    if (row === undefined) return [];
    const own = recipients.filter(({ message_id }) => message_id === id);
    return [
      {
        id,
        receivedAt: row.received_at,
        sender: row.sender,
        rawSubject: row.subject ?? '',
        sizeBytes: row.size,
        state: foundState(own.map(({ state }) => state)),
        recipients: own.slice(0, SHOWN_RECIPIENTS).map((one) => {
          const { address, state } = recipientOf(one);
          return { address, state };
        }),
        recipientCount: own.length,
      },
    ];
  });
}
