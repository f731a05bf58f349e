import type { DatabaseSync } from 'node:sqlite';
import type { QueuedMessage, QueueSelector } from '../contract.ts';
import {
  type DestinationSummary,
  type FoundMessage,
  type FoundPage,
  type FoundPosition,
  type MessageQuery,
  SHOWN_RECIPIENTS,
} from '../search-contract.ts';
import type { Handlers, StoredContent } from '../shared/operations.ts';
import {
  HELD,
  type MessageRow,
  messageOf,
  QUEUED,
  type RecipientRow,
  recipientOf,
  SENDING,
} from '../shared/rows.ts';
import type { SearchReadOps } from '../shared/search-operations.ts';
import { pageEnd, SearchPlan, type Sql } from '../shared/search-sql.ts';
import { foundState } from '../shared/search-states.ts';
import { rowOf, rowsOf } from './writer-context.ts';

/** Recipients shown of one message in a destination's queue. */
const SHOWN_OF_DESTINATION = 100;
/** Latest failed attempts looked at for the reasons. */
const REASON_ROWS = 2_000;

type Action = 'retry' | 'hold' | 'release' | 'delete';

const TOUCHED: Readonly<Record<Action, readonly number[]>> = {
  retry: [QUEUED],
  hold: [QUEUED],
  release: [HELD],
  delete: [QUEUED, HELD],
};

/** Search, and the queue by destination. */
export class SearchReads {
  readonly #db: DatabaseSync;
  readonly #message;
  readonly #recipients;
  readonly #destinations;
  readonly #oldest;
  readonly #ofDestination;
  readonly #someRecipients;
  readonly #reasons;
  readonly #subject;
  readonly #source;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#message = db.prepare('SELECT * FROM message WHERE id = ?');
    this.#recipients = db.prepare('SELECT address, state FROM recipient WHERE message_id = ? ORDER BY idx');
    this.#destinations = db.prepare(`SELECT destination, sum(n * (state = ${QUEUED})) AS waiting,
      sum(n * (state = ${SENDING})) AS sending, sum(n * (state = ${HELD})) AS held,
      min(CASE WHEN state = ${QUEUED} THEN due END) AS nextAttemptAt, min(oldest) AS oldestId
      FROM (SELECT state, destination, count(*) AS n, min(due_at) AS due, min(message_id) AS oldest
        FROM recipient INDEXED BY recipient_destination WHERE state < 3 GROUP BY state, destination)
      GROUP BY destination ORDER BY sum(n) DESC, destination LIMIT ?2 OFFSET ?1`);
    this.#oldest = db.prepare(`SELECT message.received_at AS at, recipient.last_reply AS reply FROM message
      JOIN recipient ON recipient.message_id = message.id
      WHERE message.id = ? AND recipient.destination = ? AND recipient.state < 3 ORDER BY recipient.idx LIMIT 1`);
    this.#ofDestination = db.prepare(`SELECT DISTINCT message_id AS id FROM recipient
      WHERE destination = ? AND state < 3 AND message_id > ? ORDER BY message_id LIMIT ?`);
    this.#someRecipients = db.prepare(`SELECT * FROM recipient
      WHERE message_id = ? AND destination = ? AND state < 3 ORDER BY idx LIMIT ${SHOWN_OF_DESTINATION}`);
    this.#reasons = db.prepare(`SELECT last_reply AS reason, count(*) AS count FROM (
        SELECT last_reply FROM recipient INDEXED BY recipient_due
        WHERE state < 3 AND state = ${QUEUED} ORDER BY due_at DESC LIMIT ${REASON_ROWS})
      WHERE last_reply IS NOT NULL GROUP BY last_reply ORDER BY count(*) DESC, last_reply LIMIT ?`);
    this.#subject = db.prepare('SELECT subject FROM message WHERE id = ?');
    this.#source = db.prepare(`SELECT message.header AS header, body.id AS bodyId, body.size AS bodySizeBytes,
      body.chunks FROM message JOIN body ON body.id = message.body_id WHERE message.id = ? AND body.refs > 0`);
  }

  search(query: MessageQuery): FoundPage {
    const plan = new SearchPlan(query, (n) => `?${n}`);
    const counts = plan.counts().map((sql) => Number(this.#rows<{ n: number }>(sql)[0]?.n ?? 0));
    const driver = plan.choose(counts);
    const places = this.#rows<FoundPosition>(plan.matches(driver));
    const last =
      places.length > query.limit ? null : (this.#rows<FoundPosition>(plan.lastCandidate(driver))[0] ?? null);
    const { shown, next, endedEarly } = pageEnd(places, query.limit, last && { ...last });
    return {
      rows: shown.flatMap(({ id }) => this.#found(id)),
      next: next && { ...next },
      endedEarly,
    };
  }

  #rows<Row>({ text, values }: Sql): Row[] {
    return rowsOf<Row>(this.#db.prepare(text), ...values);
  }

  #found(id: number): FoundMessage[] {
    const row = rowOf<MessageRow & { subject: string | null }>(this.#message, id);
    if (row === undefined) return [];
    const recipients = rowsOf<RecipientRow>(this.#recipients, id);
    return [
      {
        id,
        receivedAt: row.received_at,
        sender: row.sender,
        rawSubject: row.subject ?? '',
        sizeBytes: row.size,
        state: foundState(recipients.map(({ state }) => state)),
        recipients: recipients.slice(0, SHOWN_RECIPIENTS).map((one) => {
          const { address, state } = recipientOf(one);
          return { address, state };
        }),
        recipientCount: recipients.length,
      },
    ];
  }

  destinations(offset: number, limit: number): DestinationSummary[] {
    type Row = Omit<DestinationSummary, 'oldestAt' | 'lastReply'> & { readonly oldestId: number };
    return rowsOf<Row>(this.#destinations, offset, limit).map(({ oldestId, ...row }) => {
      const oldest = rowOf<{ at: number; reply: string | null }>(this.#oldest, oldestId, row.destination);
      return { ...row, oldestAt: oldest?.at ?? null, lastReply: oldest?.reply ?? null };
    });
  }

  ofDestination(destination: string, after: number, limit: number): QueuedMessage[] {
    return rowsOf<{ id: number }>(this.#ofDestination, destination, after, limit).flatMap(({ id }) => {
      const row = rowOf<MessageRow>(this.#message, id);
      if (row === undefined) return [];
      return [messageOf(row, rowsOf<RecipientRow>(this.#someRecipients, id, destination))];
    });
  }

  countSelected(selector: QueueSelector, action: Action): { recipients: number; messages: number } {
    const states = TOUCHED[action];
    const where = `state < 3 AND state IN (${states.join(', ')})`;
    const count = (more: string, ...values: (string | number)[]) => {
      const sql = `SELECT count(*) AS recipients, count(DISTINCT message_id) AS messages FROM recipient WHERE ${where}${more}`;
      const row = rowOf<{ recipients: number; messages: number }>(this.#db.prepare(sql), ...values);
      return { recipients: row?.recipients ?? 0, messages: row?.messages ?? 0 };
    };
    if ('destination' in selector) return count(' AND destination = ?', selector.destination);
    if ('all' in selector) return count('');
    const sum = { recipients: 0, messages: 0 };
    for (const id of new Set(selector.ids)) {
      const one = count(' AND message_id = ?', id);
      sum.recipients += one.recipients;
      sum.messages += one.messages;
    }
    return sum;
  }

  topReasons(limit: number): { reason: string; count: number }[] {
    return rowsOf<{ reason: string; count: number }>(this.#reasons, limit).map((row) => ({ ...row }));
  }

  rawSubjects(ids: readonly number[]): string[] {
    return ids.map((id) => rowOf<{ subject: string | null }>(this.#subject, id)?.subject ?? '');
  }

  source(id: number): StoredContent | null {
    return rowOf<StoredContent>(this.#source, id) ?? null;
  }
}

export function searchReadHandlers(reads: SearchReads): Handlers<SearchReadOps> {
  return {
    search: (query) => reads.search(query),
    queueDestinations: ({ offset, limit }) => reads.destinations(offset, limit),
    queueOf: ({ destination, after, limit }) => reads.ofDestination(destination, after, limit),
    countSelected: ({ selector, action }) => reads.countSelected(selector, action),
    topReasons: ({ limit }) => reads.topReasons(limit),
    rawSubjects: ({ ids }) => reads.rawSubjects(ids),
    messageSource: ({ id }) => reads.source(id),
  };
}
