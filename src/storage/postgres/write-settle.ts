import { CRASHES_UNTIL_HELD, type RecipientOutcome, type SettleInput, StorageError } from '../contract.ts';
import { type HoldAll, queueOnHold, readToken, setAside } from '../shared/claims.ts';
import {
  CLAIM_ATTEMPT,
  CLAIM_REMOVAL_OF_HELD,
  DELIVERED,
  EXPANDED,
  FAILED,
  HELD,
  QUEUED,
} from '../shared/rows.ts';
import { type JsonRow, numbers, type Runner } from './connection.ts';
import type { Outcome } from './lane.ts';
import { accountsOf, checkAccounts, isLocal, type MessageFacts, WriteBatch } from './write-batch.ts';
import { changeRefs } from './write-bodies.ts';
import { queueState, type WriteContext } from './write-context.ts';
import { lockMessages } from './write-events.ts';
import { Mailboxes } from './write-mailboxes.ts';
import { listToSearch } from './write-search.ts';

interface ClaimedRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly claim: number;
  readonly attempts: number;
  readonly delay_notice: number;
  readonly crashes: number;
  readonly via: string | null;
  readonly last_reply: string | null;
  readonly last_kind: string | null;
  readonly token: string;
}

/** Records what became of claims, each as if alone: one that lapsed is refused and changes nothing. */
export async function settleAll(context: WriteContext, inputs: readonly SettleInput[]): Promise<Outcome[]> {
  const { tx, flags } = context;
  // The lock comes first: two nodes may settle recipients of one message, and both count its open ones.
  await lockMessages(
    tx,
    inputs.map(({ token }) => readToken(token).messageId),
  );
  const state = await queueState(tx);
  const claimed = await claimedRows(tx, inputs, state.nowMs);
  const mailboxes = await Mailboxes.lock(tx, inputs.flatMap(accountsIn));
  const batch = new WriteBatch({ ...state, flags, mailboxes });
  const settlement = new Settlement(context, batch, state);
  await settlement.prepare(inputs);
  const outcomes = inputs.map((input): Outcome => {
    try {
      const rows = takeClaimed(claimed, input);
      checkAccounts(mailboxes, input.outcomes.flatMap(intoOf));
      for (const { recipients } of input.notices) checkAccounts(mailboxes, recipients);
      settlement.add(input, rows);
      return { value: undefined };
    } catch (error) {
      if (error instanceof StorageError) return { error };
      throw error;
    }
  });
  await settlement.flush();
  return outcomes;
}

function intoOf({ result }: RecipientOutcome) {
  return result.type === 'expanded' ? result.into : [];
}

function accountsIn({ outcomes, notices }: SettleInput): number[] {
  return [...outcomes.flatMap(intoOf), ...notices.flatMap(({ recipients }) => recipients)].flatMap(
    (recipient) => accountsOf([recipient]),
  );
}

async function claimedRows(
  tx: Runner,
  inputs: readonly SettleInput[],
  nowMs: number,
): Promise<Map<string, Map<number, ClaimedRow>>> {
  const spans = inputs.map(({ token }) => {
    const { messageId, low, high } = readToken(token);
    return { token, message_id: messageId, low, high };
  });
  const rows = await tx.run<ClaimedRow>(
    `SELECT r.message_id, r.idx, r.address, r.claim, r.attempts, r.delay_notice, r.crashes, r.via, r.last_reply,
       r.last_kind, r.token
     FROM (SELECT DISTINCT token, message_id, low, high FROM json_to_recordset($1::json)
       AS y (token text, message_id bigint, low integer, high integer)) AS x
     JOIN recipient AS r ON r.message_id = x.message_id AND r.idx BETWEEN x.low AND x.high AND r.token = x.token
     WHERE r.state = 1 AND r.due_at > $2`,
    [spans, nowMs],
  );
  const byToken = new Map<string, Map<number, ClaimedRow>>();
  for (const row of rows) {
    const found = byToken.get(row.token) ?? new Map<number, ClaimedRow>();
    byToken.set(row.token, found.set(row.idx, row));
  }
  return byToken;
}

/** The rows an input settles, taken out so that nobody settles them again. Throws `stale-claim`. */
function takeClaimed(
  claimed: Map<string, Map<number, ClaimedRow>>,
  { token, outcomes }: SettleInput,
): ClaimedRow[] {
  const rows = claimed.get(token);
  if (rows === undefined || rows.size === 0)
    throw new StorageError('stale-claim', 'the claim lapsed or was settled before');
  const taken = new Map<number, ClaimedRow>();
  for (const { index } of outcomes) {
    const row = rows.get(index);
    if (row === undefined || taken.has(index))
      throw new StorageError('stale-claim', `recipient ${index} is not in this claim`);
    taken.set(index, row);
  }
  for (const index of taken.keys()) rows.delete(index);
  return [...taken.values()];
}

/** Columns a settled row gets; the rest of it stays. */
interface Settled {
  readonly state: number;
  readonly dueAt: number | null;
  readonly via?: string | null;
  readonly lastReply?: string | null;
  readonly lastKind?: string | null;
  readonly attempts?: number;
  readonly delayNotice?: number;
  readonly crashes?: number;
}

/** The changes of all claims of a group. */
class Settlement {
  readonly #context: WriteContext;
  readonly #batch: WriteBatch;
  readonly #nowMs: number;
  readonly #holdAll: HoldAll | null;
  readonly #rows: JsonRow[] = [];
  readonly #openChanges = new Map<number, number>();
  readonly #refChanges = new Map<number, number>();
  readonly #messages = new Map<number, MessageFacts & { nextIndex: number }>();

  constructor(context: WriteContext, batch: WriteBatch, state: { nowMs: number; holdAll: HoldAll | null }) {
    this.#context = context;
    this.#batch = batch;
    this.#nowMs = state.nowMs;
    this.#holdAll = state.holdAll;
  }

  /** Reads the messages that get further recipients. */
  async prepare(inputs: readonly SettleInput[]): Promise<void> {
    const ids = inputs
      .filter(({ outcomes }) => outcomes.some(({ result }) => result.type === 'expanded'))
      .map(({ token }) => readToken(token).messageId);
    if (ids.length === 0) return;
    const rows = await this.#context.tx.run<MessageFacts & { nextIndex: number }>(
      `SELECT id, body_id AS "bodyId", size AS "sizeBytes", sender, header, received_at AS "receivedAt",
         (SELECT coalesce(max(idx), -1) + 1 FROM recipient WHERE message_id = message.id) AS "nextIndex"
       FROM message WHERE id = ANY ($1::bigint[])`,
      [numbers(new Set(ids))],
    );
    for (const row of rows) this.#messages.set(row.id, row);
  }

  add(input: SettleInput, rows: readonly ClaimedRow[]): void {
    const { messageId } = readToken(input.token);
    // Before the outcomes, which may add that a recipient is held from now on.
    for (const event of input.events) this.#batch.events.push({ messageId, event });
    input.outcomes.forEach((outcome, n) => {
      const row = rows[n];
      if (row !== undefined) this.#settleOne(row, outcome);
    });
    for (const notice of input.notices) this.#batch.addNotice(notice);
  }

  #settleOne(row: ClaimedRow, { result, via, lastReply, lastKind }: RecipientOutcome): void {
    const told = { via, lastReply, lastKind };
    switch (result.type) {
      case 'delivered':
      case 'failed': {
        const state = result.type === 'delivered' ? DELIVERED : FAILED;
        this.#set(row, { state, dueAt: null, ...told });
        this.#count(row.message_id, -1);
        return;
      }
      case 'deferred': {
        const delayNotice =
          result.delayNoticeSent === undefined ? row.delay_notice : Number(result.delayNoticeSent);
        const state = this.#restingState(row);
        this.#set(row, { state, dueAt: result.nextAttemptAt, ...told, delayNotice, crashes: 0 });
        this.#wake(result.nextAttemptAt);
        return;
      }
      case 'crashed': {
        const crashes = row.crashes + 1;
        const why = lastReply ?? 'The attempt crashed';
        const held = crashes >= CRASHES_UNTIL_HELD;
        const words = held ? setAside(crashes, why) : why;
        const state = held ? HELD : this.#restingState(row);
        this.#set(row, { state, dueAt: result.nextAttemptAt, ...told, lastReply: words, crashes });
        if (held) {
          const event = { kind: 'held', recipient: row.address, detail: { reason: words } } as const;
          this.#batch.events.push({ messageId: row.message_id, event });
        }
        this.#wake(result.nextAttemptAt);
        return;
      }
      case 'returned': {
        const attempts = row.attempts - (row.claim === CLAIM_ATTEMPT ? 1 : 0);
        const state = row.claim === CLAIM_REMOVAL_OF_HELD ? HELD : this.#restingState(row);
        this.#set(row, { state, dueAt: this.#nowMs, attempts });
        this.#wake(0);
        return;
      }
      case 'expanded': {
        this.#set(row, { state: EXPANDED, dueAt: null, ...told });
        this.#expand(row.message_id, result.into);
        return;
      }
    }
  }

  /** Where a recipient waits from now on; being held because the whole queue is on hold is an event. */
  #restingState(row: ClaimedRow): number {
    if (this.#holdAll === null) return QUEUED;
    this.#batch.events.push({ messageId: row.message_id, event: queueOnHold(row.address, this.#holdAll) });
    return HELD;
  }

  #set(row: ClaimedRow, settled: Settled): void {
    this.#rows.push({
      message_id: row.message_id,
      idx: row.idx,
      state: settled.state,
      due_at: settled.dueAt,
      via: settled.via ?? row.via,
      last_reply: settled.lastReply === undefined ? row.last_reply : settled.lastReply,
      last_kind: settled.lastKind === undefined ? row.last_kind : settled.lastKind,
      attempts: settled.attempts ?? row.attempts,
      delay_notice: settled.delayNotice ?? row.delay_notice,
      crashes: settled.crashes ?? row.crashes,
    });
  }

  #expand(messageId: number, into: Extract<RecipientOutcome['result'], { type: 'expanded' }>['into']): void {
    const message = this.#messages.get(messageId);
    if (message === undefined) throw new Error(`message ${messageId} has recipients but no row`);
    const local = into.filter(isLocal).length;
    this.#count(messageId, into.length - local - 1);
    this.#refChanges.set(message.bodyId, (this.#refChanges.get(message.bodyId) ?? 0) + local);
    this.#batch.addRecipients(message, into, message.nextIndex, this.#nowMs);
    message.nextIndex += into.length;
  }

  #count(messageId: number, by: number): void {
    this.#openChanges.set(messageId, (this.#openChanges.get(messageId) ?? 0) + by);
  }

  #wake(dueAt: number): void {
    if (dueAt <= this.#nowMs) this.#context.flags.queued = true;
  }

  async flush(): Promise<void> {
    const { tx } = this.#context;
    if (this.#rows.length > 0) await tx.run(SETTLE_ROWS, [this.#rows]);
    await this.#batch.flush(tx);
    // Before the message's own reference may go.
    await changeRefs(this.#context, this.#refChanges);
    await changeOpenCounts(this.#context, this.#openChanges, this.#nowMs);
  }
}

const SETTLE_ROWS = `UPDATE recipient SET state = x.state, via = x.via, last_reply = x.last_reply,
    last_kind = x.last_kind, next_attempt_at = x.due_at, due_at = x.due_at, attempts = x.attempts,
    delay_notice = x.delay_notice, crashes = x.crashes, token = NULL, claim = 0
  FROM json_to_recordset($1::json) AS x (message_id bigint, idx integer, state integer, due_at bigint, via text,
    last_reply text, last_kind text, attempts integer, delay_notice integer, crashes integer)
  WHERE recipient.message_id = x.message_id AND recipient.idx = x.idx`;

/** Counts recipients that came (+) or are final (-); a message with none left keeps its row and loses its body. */
export async function changeOpenCounts(
  context: WriteContext,
  changes: ReadonlyMap<number, number>,
  nowMs: number,
): Promise<void> {
  const rows = [...changes].filter(([, by]) => by !== 0).map(([id, by]) => ({ id, by }));
  if (rows.length === 0) return;
  const changed = await context.tx.run<{ id: number; open_count: number; body_id: number }>(
    `UPDATE message SET open_count = open_count + x.by,
       finished_at = CASE WHEN open_count + x.by = 0 THEN $2::bigint ELSE NULL END
     FROM json_to_recordset($1::json) AS x (id bigint, by integer) WHERE message.id = x.id
     RETURNING message.id, open_count, body_id`,
    [rows, nowMs],
  );
  const finished = changed.filter(({ open_count }) => open_count === 0);
  await changeRefs(context, new Map(finished.map(({ body_id }) => [body_id, -1])));
  await listToSearch(
    context,
    finished.map(({ id }) => id),
  );
}
