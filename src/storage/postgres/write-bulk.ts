/** What an administrator does to the queue, one slice of rows at a time. */
import type { Claim, NewEvent, QueueSelector } from '../contract.ts';
import { CLAIM_REMOVAL, CLAIM_REMOVAL_OF_HELD, DELETED, HELD, QUEUED } from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import { numbers, type Runner, type Value } from './connection.ts';
import { putBackLapsed, type Taking, take } from './write-claims.ts';
import { databaseTime, type WriteContext } from './write-context.ts';
import { addEvents, lockMessages } from './write-events.ts';
import { forgetSearched } from './write-search.ts';
import { changeOpenCounts } from './write-settle.ts';

interface PickedRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly state: number;
  readonly destination: string;
  readonly due_at: number;
}

export async function setHoldAll(
  { tx }: WriteContext,
  { on, by }: { on: boolean; by: string },
): Promise<void> {
  await tx.run(
    `INSERT INTO sequence (name, value, note) VALUES ('hold_all', $1, $2)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, note = excluded.note`,
    [on ? 1 : 0, by],
  );
}

/** Makes queued recipients not yet due at `now` due; those due before need nothing. */
export async function retry(
  context: WriteContext,
  { selector, by, now }: { selector: QueueSelector; by: string; now: number },
): Promise<number> {
  await putBackLapsed(context);
  const rows = await pick(context.tx, selector, [QUEUED], now);
  await change(context.tx, rows, 'next_attempt_at = $2, due_at = $2', [now]);
  await record(context.tx, rows, 'retried', by);
  if (rows.length > 0) context.flags.queued = true;
  return rows.length;
}

export async function hold(
  context: WriteContext,
  { selector, by }: { selector: QueueSelector; by: string },
): Promise<number> {
  await putBackLapsed(context);
  const rows = await pick(context.tx, selector, [QUEUED]);
  await change(context.tx, rows, `state = ${HELD}`);
  await record(context.tx, rows, 'held', by);
  return rows.length;
}

export async function release(
  context: WriteContext,
  { selector, by }: { selector: QueueSelector; by: string },
): Promise<number> {
  const { tx, flags } = context;
  const rows = await pick(tx, selector, [HELD]);
  await change(tx, rows, `state = ${QUEUED}, crashes = 0`);
  const nowMs = await record(tx, rows, 'released', by);
  if (rows.some(({ due_at }) => due_at <= nowMs)) flags.queued = true;
  return rows.length;
}

export async function deleteQueued(
  context: WriteContext,
  { selector, by }: { selector: QueueSelector; by: string },
): Promise<number> {
  await putBackLapsed(context);
  const rows = await pick(context.tx, selector, [QUEUED, HELD]);
  await change(context.tx, rows, `state = ${DELETED}, next_attempt_at = NULL, due_at = NULL`);
  const nowMs = await record(context.tx, rows, 'deleted', by);
  const changes = new Map<number, number>();
  for (const { message_id } of rows) changes.set(message_id, (changes.get(message_id) ?? 0) - 1);
  await changeOpenCounts(context, changes, nowMs);
  return rows.length;
}

export async function claimForRemoval(
  context: WriteContext,
  { selector, leaseMs }: { selector: QueueSelector; leaseMs: number },
): Promise<Claim[]> {
  await putBackLapsed(context);
  const groups = new Map<string, PickedRow[]>();
  for (const row of await pick(context.tx, selector, [QUEUED, HELD])) {
    const key = `${row.message_id} ${row.destination}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const takings = [...groups.values()].flatMap((rows): Taking[] => {
    const [first] = rows;
    if (first === undefined) return [];
    const claimed = rows.map(({ idx, state }) => ({
      idx,
      claim: state === HELD ? CLAIM_REMOVAL_OF_HELD : CLAIM_REMOVAL,
      nextAttemptAt: null,
    }));
    return [{ messageId: first.message_id, destination: first.destination, rows: claimed }];
  });
  return take(context, takings, (await databaseTime(context.tx)) + leaseMs, [QUEUED, HELD]);
}

/** Drops messages finished before a time, with all that was recorded of them; what another node drops is skipped. */
export async function sweepMessages({ tx }: WriteContext, { before }: { before: number }): Promise<number> {
  const rows = await tx.run<{ id: number }>(
    `SELECT id FROM message WHERE finished_at IS NOT NULL AND finished_at < $1
       ORDER BY finished_at LIMIT ${SLICE} FOR UPDATE SKIP LOCKED`,
    [before],
  );
  if (rows.length === 0) return 0;
  const found = rows.map(({ id }) => id);
  await forgetSearched(tx, found);
  const ids = numbers(found);
  await tx.run('DELETE FROM message WHERE id = ANY ($1::bigint[])', [ids]);
  await tx.run('DELETE FROM recipient WHERE message_id = ANY ($1::bigint[])', [ids]);
  await tx.run('DELETE FROM event WHERE message_id = ANY ($1::bigint[])', [ids]);
  return rows.length;
}

/** Up to a slice of rows in these states that a selector names, and their messages, locked. */
async function pick(
  tx: Runner,
  selector: QueueSelector,
  states: readonly number[],
  dueAfter = -1,
): Promise<PickedRow[]> {
  const [where, values] = conditionOf(selector);
  const found: PickedRow[] = [];
  for (const state of states) {
    const rows = await tx.run<PickedRow>(
      `SELECT message_id, idx, address, state, destination, due_at FROM recipient
       WHERE state < 3 AND state = ${state} AND due_at > $1 AND ${where} LIMIT $2 FOR UPDATE`,
      [dueAfter, SLICE - found.length, ...values],
    );
    found.push(...rows.sort((a, b) => a.message_id - b.message_id || a.idx - b.idx));
    if (found.length === SLICE) break;
  }
  await lockMessages(
    tx,
    found.map(({ message_id }) => message_id),
  );
  return found;
}

function conditionOf(selector: QueueSelector): [string, Value[]] {
  if ('ids' in selector) return ['message_id = ANY ($3::bigint[])', [numbers(selector.ids)]];
  if ('destination' in selector) return ['destination = $3', [selector.destination]];
  return ['true', []];
}

async function change(
  tx: Runner,
  rows: readonly PickedRow[],
  set: string,
  values: readonly Value[] = [],
): Promise<void> {
  if (rows.length === 0) return;
  const places = rows.map(({ message_id, idx }) => ({ message_id, idx }));
  await tx.run(
    `UPDATE recipient AS r SET ${set} FROM json_to_recordset($1::json) AS x (message_id bigint, idx integer)
     WHERE r.message_id = x.message_id AND r.idx = x.idx`,
    [places, ...values],
  );
}

/** Adds an event to each; resolves to the time. */
async function record(
  tx: Runner,
  rows: readonly PickedRow[],
  kind: NewEvent['kind'],
  by: string,
): Promise<number> {
  const nowMs = await databaseTime(tx);
  const events = rows.map(({ message_id, address }) => ({
    messageId: message_id,
    event: { kind, recipient: address, detail: { by } },
  }));
  await addEvents(tx, events, nowMs);
  return nowMs;
}
