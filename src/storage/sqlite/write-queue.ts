import type { Claim, ClaimRequest, RecipientOutcome, SettleInput } from '../contract.ts';
import { CRASHES_UNTIL_HELD, StorageError } from '../contract.ts';
import {
  CLAIM_RECIPIENTS,
  CLAIM_SCAN,
  inTurns,
  makeToken,
  PROCESS_DIED,
  readToken,
  setAside,
  waitBefore,
} from '../shared/claims.ts';
import {
  CLAIM_ATTEMPT,
  CLAIM_REMOVAL_OF_HELD,
  DELIVERED,
  EXPANDED,
  FAILED,
  HELD,
  type MessageRow,
  messageOf,
  QUEUED,
  type RecipientRow,
} from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import type { BodyTable } from './write-bodies.ts';
import type { MessageTables } from './write-messages.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

interface DueRow {
  readonly message_id: number;
  readonly idx: number;
  readonly attempts: number;
}

interface ClaimedRow {
  readonly idx: number;
  readonly address: string;
  readonly claim: number;
  readonly attempts: number;
  readonly delay_notice: number;
  readonly crashes: number;
}

interface LapsedRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly claim: number;
  readonly crashes: number;
}

/** Claims of due work and what becomes of them. */
export class ClaimTables {
  readonly #context: WriterContext;
  readonly #messages: MessageTables;
  readonly #bodies: BodyTable;
  readonly #expired;
  readonly #expiredAt;
  readonly #allClaimed;
  readonly #putBack;
  readonly #putBackCrashed;
  readonly #dueNew;
  readonly #dueRetried;
  readonly #take;
  readonly #message;
  readonly #claimed;
  readonly #claimedRows;
  readonly #renew;
  readonly #close;
  readonly #defer;
  readonly #giveBack;
  readonly #lastIndex;

  constructor(context: WriterContext, messages: MessageTables, bodies: BodyTable) {
    const { db } = context;
    this.#context = context;
    this.#messages = messages;
    this.#bodies = bodies;
    const lapsed =
      'SELECT message_id, idx, address, claim, crashes FROM recipient WHERE state < 3 AND state = 1';
    this.#expired = db.prepare(`${lapsed} AND due_at <= ? LIMIT ${SLICE}`);
    this.#expiredAt = db.prepare(`${lapsed} AND destination = ? AND due_at <= ? LIMIT ${SLICE}`);
    this.#allClaimed = db.prepare(`${lapsed} LIMIT ${SLICE}`);
    this.#putBack =
      db.prepare(`UPDATE recipient SET state = ?1, due_at = coalesce(?2, next_attempt_at), token = NULL,
      claim = 0 WHERE message_id = ?3 AND idx = ?4`);
    this.#putBackCrashed =
      db.prepare(`UPDATE recipient SET state = ?1, due_at = next_attempt_at, token = NULL, claim = 0,
      crashes = ?2, last_reply = ?3, last_kind = 'crash' WHERE message_id = ?4 AND idx = ?5`);
    const due = (kind: string) =>
      db.prepare(`SELECT message_id, idx, attempts FROM recipient
        WHERE state = ${QUEUED} AND ${kind} AND destination = ? AND due_at <= ? ORDER BY due_at LIMIT ${CLAIM_SCAN}`);
    this.#dueNew = due('attempts = 0');
    this.#dueRetried = due('attempts > 0');
    this.#take = db.prepare(`UPDATE recipient SET state = 1, token = ?1, due_at = ?2, claim = ?3,
      attempts = attempts + ?4, next_attempt_at = coalesce(?5, next_attempt_at) WHERE message_id = ?6 AND idx = ?7`);
    this.#message = db.prepare('SELECT * FROM message WHERE id = ?');
    const span = 'FROM recipient WHERE message_id = ? AND idx BETWEEN ? AND ? AND token = ? AND state = 1';
    this.#claimedRows = db.prepare(`SELECT * ${span}`);
    this.#claimed = db.prepare(
      `SELECT idx, address, claim, attempts, delay_notice, crashes ${span} AND due_at > ?`,
    );
    this.#renew = db.prepare(`UPDATE recipient SET due_at = ?1 WHERE message_id = ?2 AND idx BETWEEN ?3 AND ?4
      AND token = ?5 AND state = 1 AND due_at > ?6`);
    this.#close =
      db.prepare(`UPDATE recipient SET state = ?1, via = coalesce(?2, via), last_reply = ?3, last_kind = ?4,
      next_attempt_at = NULL, due_at = NULL, token = NULL, claim = 0 WHERE message_id = ?5 AND idx = ?6`);
    this.#defer =
      db.prepare(`UPDATE recipient SET state = ?1, via = coalesce(?2, via), last_reply = ?3, last_kind = ?4,
      next_attempt_at = ?5, due_at = ?5, delay_notice = ?6, crashes = ?7, token = NULL, claim = 0
      WHERE message_id = ?8 AND idx = ?9`);
    this.#giveBack =
      db.prepare(`UPDATE recipient SET state = ?1, attempts = ?2, next_attempt_at = ?3, due_at = ?3,
      token = NULL, claim = 0 WHERE message_id = ?4 AND idx = ?5`);
    this.#lastIndex = db.prepare('SELECT max(idx) AS idx FROM recipient WHERE message_id = ?');
  }

  claimDue(request: ClaimRequest): Claim[] {
    const now = Date.now();
    for (const row of rowsOf<LapsedRow>(this.#expiredAt, request.destination, now)) {
      this.#putBackOne(row, now);
    }
    return [...this.#dueByMessage(request, now)].map(([messageId, rows]) =>
      this.take(messageId, request.destination, rows, now + request.leaseMs, (attempts) => ({
        claim: CLAIM_ATTEMPT,
        nextAttemptAt: now + waitBefore(request.retryScheduleMs, attempts, request.leaseMs),
      })),
    );
  }

  #dueByMessage(request: ClaimRequest, now: number): Map<number, DueRow[]> {
    const until = Math.min(now, request.dueUntil ?? now);
    const lists = [this.#dueNew, this.#dueRetried].map((statement) =>
      messagesOf(statement.iterate(request.destination, until), request.limit),
    );
    if (request.first === 'retried') lists.reverse();
    const groups = new Map<number, DueRow[]>();
    for (const messageId of inTurns(
      lists.map((list) => [...list.keys()]),
      request.limit,
    )) {
      const rows = lists.flatMap((list) => list.get(messageId) ?? []);
      groups.set(messageId, rows.slice(0, CLAIM_RECIPIENTS));
    }
    return groups;
  }

  /** Claims rows of one message under one new token. */
  take(
    messageId: number,
    destination: string,
    rows: readonly { readonly idx: number; readonly attempts: number; readonly state?: number }[],
    leaseUntil: number,
    plan: (attempts: number, state: number) => { claim: number; nextAttemptAt: number | null },
  ): Claim {
    const indexes = rows.map((row) => row.idx);
    const token = makeToken(messageId, indexes);
    for (const { idx, attempts, state } of rows) {
      const { claim, nextAttemptAt } = plan(attempts, state ?? QUEUED);
      const counted = claim === CLAIM_ATTEMPT ? 1 : 0;
      this.#take.run(token, leaseUntil, claim, counted, nextAttemptAt, messageId, idx);
    }
    const message = rowOf<MessageRow>(this.#message, messageId);
    if (message === undefined)
      throw new StorageError('internal', `message ${messageId} has recipients but no row`);
    const { low, high } = readToken(token);
    const claimed = rowsOf<RecipientRow>(this.#claimedRows, messageId, low, high, token);
    return { token, destination, message: messageOf(message, claimed), leaseUntil };
  }

  renew(tokens: readonly string[], leaseMs: number): string[] {
    const now = Date.now();
    return tokens.filter((token) => {
      const { messageId, low, high } = readToken(token);
      return Number(this.#renew.run(now + leaseMs, messageId, low, high, token, now).changes) > 0;
    });
  }

  /**
   * Puts expired claims (or, at a takeover, all) back into the queue, a slice at a time. Only at a takeover is
   * an unsettled attempt known to be a dead process's: a lease of a living one lapses when the disk has trouble,
   * and what it had is due at once.
   */
  releaseExpired(all: boolean): number {
    const now = Date.now();
    const rows = rowsOf<LapsedRow>(all ? this.#allClaimed : this.#expired, ...(all ? [] : [now]));
    for (const row of rows) {
      if (all && row.claim === CLAIM_ATTEMPT) this.#putBackAfterCrash(row);
      else this.#putBackOne(row, all ? null : now);
    }
    if (rows.length > 0) this.#context.flags.queued = true;
    return rows.length;
  }

  #putBackAfterCrash({ message_id, idx, address, crashes: before }: LapsedRow): void {
    const crashes = before + 1;
    const { state, words } = this.#afterCrash(message_id, address, crashes, PROCESS_DIED);
    this.#putBackCrashed.run(state, crashes, words, message_id, idx);
  }

  /** Where a recipient rests after a crash, and its reason; being set aside is an event of its own. */
  #afterCrash(
    messageId: number,
    address: string,
    crashes: number,
    why: string,
  ): { state: number; words: string } {
    if (crashes < CRASHES_UNTIL_HELD) {
      return { state: this.#messages.restingState(messageId, address), words: why };
    }
    const words = setAside(crashes, why);
    this.#messages.addEvents(messageId, [{ kind: 'held', recipient: address, detail: { reason: words } }]);
    return { state: HELD, words };
  }

  #putBackOne(row: LapsedRow, dueAt: number | null): void {
    const { message_id, idx, address, claim } = row;
    const state = claim === CLAIM_REMOVAL_OF_HELD ? HELD : this.#messages.restingState(message_id, address);
    this.#putBack.run(state, dueAt, message_id, idx);
  }

  settle(input: SettleInput): void {
    const { messageId, low, high } = readToken(input.token);
    const claimed = new Map(
      rowsOf<ClaimedRow>(this.#claimed, messageId, low, high, input.token, Date.now()).map((row) => [
        row.idx,
        row,
      ]),
    );
    let change = 0;
    if (claimed.size === 0) throw new StorageError('stale-claim', 'the claim lapsed or was settled before');
    // Before the outcomes, which may add that a recipient is held from now on.
    this.#messages.addEvents(messageId, input.events);
    for (const outcome of input.outcomes) {
      const row = claimed.get(outcome.index);
      if (row === undefined)
        throw new StorageError('stale-claim', `recipient ${outcome.index} is not in this claim`);
      claimed.delete(outcome.index);
      change += this.#settleOne(messageId, row, outcome);
    }
    for (const notice of input.notices) this.#messages.acceptNotice(notice);
    this.#messages.changeOpenCount(messageId, change);
  }

  /** Resolves to the change in the number of the message's open recipients. */
  #settleOne(messageId: number, row: ClaimedRow, outcome: RecipientOutcome): number {
    const { result, via, lastReply, lastKind } = outcome;
    switch (result.type) {
      case 'delivered':
      case 'failed': {
        const state = result.type === 'delivered' ? DELIVERED : FAILED;
        this.#close.run(state, via, lastReply, lastKind, messageId, row.idx);
        return -1;
      }
      case 'deferred': {
        const delayed =
          result.delayNoticeSent === undefined ? row.delay_notice : Number(result.delayNoticeSent);
        const at = result.nextAttemptAt;
        const state = this.#messages.restingState(messageId, row.address);
        this.#defer.run(state, via, lastReply, lastKind, at, delayed, 0, messageId, row.idx);
        this.#wake(at);
        return 0;
      }
      case 'crashed': {
        const at = result.nextAttemptAt;
        const crashes = row.crashes + 1;
        const why = lastReply ?? 'The attempt crashed';
        const { state, words } = this.#afterCrash(messageId, row.address, crashes, why);
        this.#defer.run(state, via, words, lastKind, at, row.delay_notice, crashes, messageId, row.idx);
        this.#wake(at);
        return 0;
      }
      case 'returned': {
        const attempts = row.attempts - (row.claim === CLAIM_ATTEMPT ? 1 : 0);
        const state =
          row.claim === CLAIM_REMOVAL_OF_HELD ? HELD : this.#messages.restingState(messageId, row.address);
        this.#giveBack.run(state, attempts, Date.now(), messageId, row.idx);
        this.#wake(0);
        return 0;
      }
      case 'expanded': {
        this.#close.run(EXPANDED, via, lastReply, lastKind, messageId, row.idx);
        return this.#expand(messageId, result.into) - 1;
      }
    }
  }

  #wake(dueAt: number): void {
    if (dueAt <= Date.now()) this.#context.flags.queued = true;
  }

  #expand(
    messageId: number,
    into: Extract<RecipientOutcome['result'], { type: 'expanded' }>['into'],
  ): number {
    const row = rowOf<MessageRow>(this.#message, messageId);
    if (row === undefined)
      throw new StorageError('internal', `message ${messageId} has recipients but no row`);
    const local = into.filter(({ to }) => to.type === 'local').length;
    const first = (rowOf<{ idx: number }>(this.#lastIndex, messageId)?.idx ?? -1) + 1;
    this.#bodies.addRefs(row.body_id, local);
    const facts = {
      id: row.id,
      bodyId: row.body_id,
      sizeBytes: row.size,
      sender: row.sender,
      header: row.header,
      receivedAt: row.received_at,
    };
    this.#messages.insertRecipients(facts, into, first, Date.now());
    return into.length - local;
  }
}

/** The first `limit` messages of due rows, each with its rows. */
function messagesOf(found: Iterable<unknown>, limit: number): Map<number, DueRow[]> {
  const groups = new Map<number, DueRow[]>();
  for (const one of found) {
    const row = one as DueRow;
    const group = groups.get(row.message_id);
    // Rows of one message became due together and so stand together.
    if (group === undefined && groups.size === limit) break;
    if (group === undefined) groups.set(row.message_id, [row]);
    else if (group.length < CLAIM_RECIPIENTS) group.push(row);
  }
  return groups;
}
