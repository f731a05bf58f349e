import { HELD, messageOf, QUEUED, SENDING } from './rows.js';
import { rowOf, rowsOf } from './writer-context.js';
/** Messages a page of the queue holds at most. */
const LIST_PAGE = 1000;
/**
 * Steps from one destination to the next in the index, whatever number of rows each has. The bound on
 * `due_at` leaves destinations out that have nothing due.
 */
function destinationsIn(state) {
    const next = (after) => `(SELECT min(destination) FROM recipient WHERE state < 3 AND state = ${state} AND destination > ${after})`;
    return `WITH RECURSIVE step (name) AS (
      SELECT ${next('?1')} UNION ALL SELECT ${next('step.name')} FROM step WHERE step.name IS NOT NULL
    )
    SELECT name AS destination, (SELECT min(due_at) FROM recipient
      WHERE state < 3 AND state = ${state} AND destination = step.name) AS dueAt
    FROM step WHERE name IS NOT NULL AND dueAt <= ?2 LIMIT ?3`;
}
/** The queue as readers see it. */
export class QueueReads {
    #queuedDestinations;
    #lapsedDestinations;
    #nextDue;
    #openMessages;
    #message;
    #recipients;
    #events;
    #content;
    #stateCounts;
    #crashedCount;
    #openCount;
    #holdAll;
    constructor(db) {
        this.#queuedDestinations = db.prepare(destinationsIn(QUEUED));
        this.#lapsedDestinations = db.prepare(destinationsIn(SENDING));
        const earliest = (state) => `SELECT min(due_at) FROM recipient WHERE state < 3 AND state = ${state}`;
        this.#nextDue = db.prepare(`SELECT min(at) AS at FROM (
      SELECT (${earliest(QUEUED)}) AS at UNION ALL SELECT (${earliest(SENDING)}))`);
        this.#openMessages = db.prepare(`SELECT * FROM message WHERE id IN (
      SELECT id FROM message WHERE finished_at IS NULL AND id > ? ORDER BY id LIMIT ?) ORDER BY id`);
        this.#message = db.prepare('SELECT * FROM message WHERE id = ?');
        this.#recipients = db.prepare('SELECT * FROM recipient WHERE message_id = ? ORDER BY idx');
        this.#events = db.prepare('SELECT at, kind, recipient, detail FROM event WHERE message_id = ? ORDER BY n');
        this.#content =
            db.prepare(`SELECT '' AS header, body.id AS bodyId, body.size AS bodySizeBytes, body.chunks
      FROM message JOIN body ON body.id = message.body_id WHERE message.id = ? AND message.finished_at IS NULL`);
        this.#stateCounts = db.prepare('SELECT state, count(*) AS n FROM recipient INDEXED BY recipient_due WHERE state < 3 GROUP BY state');
        this.#crashedCount = db.prepare('SELECT count(*) AS n FROM recipient INDEXED BY recipient_crashed WHERE state = 2 AND crashes > 2');
        this.#openCount = db.prepare('SELECT count(*) AS n, min(received_at) AS oldest FROM message INDEXED BY message_open WHERE finished_at IS NULL');
        this.#holdAll = db.prepare("SELECT value FROM sequence WHERE name = 'hold_all'");
    }
    dueDestinations({ now, after, limit }) {
        const found = new Map();
        for (const statement of [this.#queuedDestinations, this.#lapsedDestinations]) {
            for (const { destination, dueAt } of rowsOf(statement, after, now, limit)) {
                const before = found.get(destination)?.dueAt ?? dueAt;
                found.set(destination, { destination, dueAt: Math.min(before, dueAt) });
            }
        }
        const inOrder = [...found.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1));
        return inOrder.slice(0, limit);
    }
    nextDueAt() {
        return rowOf(this.#nextDue)?.at ?? null;
    }
    list({ limit, after }) {
        return rowsOf(this.#openMessages, after, Math.min(limit, LIST_PAGE)).map((row) => messageOf(row, rowsOf(this.#recipients, row.id)));
    }
    message({ id }) {
        const row = rowOf(this.#message, id);
        if (row === undefined)
            return null;
        const recipients = rowsOf(this.#recipients, id);
        const message = messageOf(row, recipients);
        const stored = rowsOf(this.#events, id).map(({ at, kind, recipient, detail }) => ({
            at,
            kind,
            recipient,
            detail: JSON.parse(detail),
        }));
        const events = [...impliedEvents(message, recipients), ...stored];
        // Sorting is stable: what the rows themselves tell stands before what was recorded at the same time.
        return { message, events: events.sort((a, b) => a.at - b.at) };
    }
    content({ id }) {
        return rowOf(this.#content, id) ?? null;
    }
    counts() {
        const byState = new Map(rowsOf(this.#stateCounts).map((row) => [row.state, row.n]));
        const open = rowOf(this.#openCount);
        return {
            queued: byState.get(QUEUED) ?? 0,
            sending: byState.get(SENDING) ?? 0,
            held: byState.get(HELD) ?? 0,
            crashed: rowOf(this.#crashedCount)?.n ?? 0,
            messages: open?.n ?? 0,
            oldestAt: open?.oldest ?? null,
            holdAll: rowOf(this.#holdAll)?.value === 1,
        };
    }
}
/** What rows say by themselves needs no event row: receipt, decisions, delivery into mailboxes. */
function impliedEvents(message, rows) {
    const { receivedAt, source, sender, sizeBytes } = message;
    const received = {
        at: receivedAt,
        kind: 'received',
        recipient: null,
        detail: { sender, sizeBytes, source },
    };
    const perRecipient = rows.flatMap((row) => {
        const at = row.decided_at ?? receivedAt;
        const { address: recipient, rule, original, destination } = row;
        const via = row.via === 'mailbox' ? 'mailbox' : null;
        const decided = { at, kind: 'decided', recipient, detail: { rule, original, destination } };
        return via === null ? [decided] : [decided, { at, kind: 'delivered', recipient, detail: { via } }];
    });
    return [received, ...perRecipient];
}
