import type { StatementSync } from 'node:sqlite';
import type { Claim, QueueSelector } from '../contract.ts';
import { CLAIM_REMOVAL, CLAIM_REMOVAL_OF_HELD, DELETED, HELD, QUEUED } from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import type { MessageTables } from './write-messages.ts';
import type { ClaimTables } from './write-queue.ts';
import type { SearchTables } from './write-search.ts';
import { rowsOf, type WriterContext } from './writer-context.ts';

interface PickedRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly state: number;
  readonly attempts: number;
  readonly destination: string;
  readonly due_at: number;
}

/** A way to find rows in one state: by message, by destination, or all. */
interface Picker {
  readonly byMessage: StatementSync;
  readonly byDestination: StatementSync;
  readonly all: StatementSync;
}

/** What an administrator does to the queue, one slice of rows at a time. */
export class BulkActions {
  readonly #context: WriterContext;
  readonly #messages: MessageTables;
  readonly #claims: ClaimTables;
  readonly #search: SearchTables;
  readonly #pickers: ReadonlyMap<number, Picker>;
  readonly #setState;
  readonly #release;
  readonly #setDue;
  readonly #delete;
  readonly #setHoldAll;
  readonly #finished;
  readonly #deleteMessage;
  readonly #deleteRecipients;
  readonly #deleteEvents;
  readonly #freePages;

  constructor(context: WriterContext, messages: MessageTables, claims: ClaimTables, search: SearchTables) {
    const { db } = context;
    this.#context = context;
    this.#messages = messages;
    this.#claims = claims;
    this.#search = search;
    const picker = (state: number): Picker => {
      const columns = 'SELECT message_id, idx, address, state, attempts, destination, due_at FROM recipient';
      const where = `state < 3 AND state = ${state}`;
      return {
        byMessage: db.prepare(
          `${columns} WHERE message_id = ?1 AND state = ${state} AND due_at > ?2 ORDER BY idx LIMIT ?3`,
        ),
        byDestination: db.prepare(`${columns} WHERE ${where} AND destination = ?1 AND due_at > ?2 LIMIT ?3`),
        all: db.prepare(`${columns} WHERE ${where} AND due_at > ?1 LIMIT ?2`),
      };
    };
    this.#pickers = new Map([QUEUED, HELD].map((state) => [state, picker(state)]));
    this.#setState = db.prepare('UPDATE recipient SET state = ? WHERE message_id = ? AND idx = ?');
    this.#release = db.prepare(
      `UPDATE recipient SET state = ${QUEUED}, crashes = 0 WHERE message_id = ? AND idx = ?`,
    );
    this.#setDue = db.prepare(
      'UPDATE recipient SET next_attempt_at = ?1, due_at = ?1 WHERE message_id = ?2 AND idx = ?3',
    );
    this.#delete = db.prepare(`UPDATE recipient SET state = ${DELETED}, next_attempt_at = NULL, due_at = NULL
      WHERE message_id = ? AND idx = ?`);
    this.#setHoldAll = db.prepare(
      "INSERT OR REPLACE INTO sequence (name, value, note) VALUES ('hold_all', ?, ?)",
    );
    this.#finished = db.prepare(
      `SELECT id FROM message WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ${SLICE}`,
    );
    this.#deleteMessage = db.prepare('DELETE FROM message WHERE id = ?');
    this.#deleteRecipients = db.prepare('DELETE FROM recipient WHERE message_id = ?');
    this.#deleteEvents = db.prepare('DELETE FROM event WHERE message_id = ?');
    this.#freePages = db.prepare('PRAGMA incremental_vacuum(1024)');
  }

  setHoldAll(on: boolean, by: string): void {
    this.#setHoldAll.run(on ? 1 : 0, by);
  }

  /** Makes queued recipients not yet due at `now` due; those due before need nothing. */
  retry(selector: QueueSelector, by: string, now: number): number {
    this.#claims.releaseExpired(false);
    const rows = this.#pick(selector, [QUEUED], now);
    for (const { message_id, idx, address } of rows) {
      this.#setDue.run(now, message_id, idx);
      this.#messages.addEvents(message_id, [{ kind: 'retried', recipient: address, detail: { by } }]);
    }
    if (rows.length > 0) this.#context.flags.queued = true;
    return rows.length;
  }

  hold(selector: QueueSelector, by: string): number {
    this.#claims.releaseExpired(false);
    const rows = this.#pick(selector, [QUEUED]);
    for (const { message_id, idx, address } of rows) {
      this.#setState.run(HELD, message_id, idx);
      this.#messages.addEvents(message_id, [{ kind: 'held', recipient: address, detail: { by } }]);
    }
    return rows.length;
  }

  release(selector: QueueSelector, by: string): number {
    const now = Date.now();
    const rows = this.#pick(selector, [HELD]);
    for (const { message_id, idx, address, due_at } of rows) {
      this.#release.run(message_id, idx);
      this.#messages.addEvents(message_id, [{ kind: 'released', recipient: address, detail: { by } }]);
      if (due_at <= now) this.#context.flags.queued = true;
    }
    return rows.length;
  }

  delete(selector: QueueSelector, by: string): number {
    this.#claims.releaseExpired(false);
    const rows = this.#pick(selector, [QUEUED, HELD]);
    for (const { message_id, idx, address } of rows) {
      this.#delete.run(message_id, idx);
      this.#messages.addEvents(message_id, [{ kind: 'deleted', recipient: address, detail: { by } }]);
      this.#messages.changeOpenCount(message_id, -1);
    }
    return rows.length;
  }

  claimForRemoval(selector: QueueSelector, leaseMs: number): Claim[] {
    this.#claims.releaseExpired(false);
    const groups = new Map<string, PickedRow[]>();
    for (const row of this.#pick(selector, [QUEUED, HELD])) {
      const key = `${row.message_id} ${row.destination}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [row]);
      else group.push(row);
    }
    const leaseUntil = Date.now() + leaseMs;
    return [...groups.values()].flatMap((rows) => {
      const [first] = rows;
      if (first === undefined) return [];
      return this.#claims.take(first.message_id, first.destination, rows, leaseUntil, (_attempts, state) => ({
        claim: state === HELD ? CLAIM_REMOVAL_OF_HELD : CLAIM_REMOVAL,
        nextAttemptAt: null,
      }));
    });
  }

  /** Drops messages finished before a time, with all that was recorded of them. */
  sweepMessages(before: number): number {
    const rows = rowsOf<{ id: number }>(this.#finished, before);
    for (const { id } of rows) {
      this.#deleteEvents.run(id);
      this.#deleteRecipients.run(id);
      this.#search.forget(id);
      this.#deleteMessage.run(id);
    }
    if (rows.length > 0) this.#freePages.all();
    return rows.length;
  }

  /** Up to a slice of rows in these states that a selector names. */
  #pick(selector: QueueSelector, states: readonly number[], dueAfter = -1): PickedRow[] {
    const found: PickedRow[] = [];
    for (const state of states) {
      const picker = this.#pickers.get(state);
      if (picker === undefined) continue;
      const room = () => SLICE - found.length;
      if ('ids' in selector) {
        for (const id of selector.ids) {
          if (room() > 0) found.push(...rowsOf<PickedRow>(picker.byMessage, id, dueAfter, room()));
        }
      } else if ('destination' in selector) {
        found.push(...rowsOf<PickedRow>(picker.byDestination, selector.destination, dueAfter, room()));
      } else {
        found.push(...rowsOf<PickedRow>(picker.all, dueAfter, room()));
      }
    }
    return found;
  }
}
