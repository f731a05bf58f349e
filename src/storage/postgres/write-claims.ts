import { type Claim, type ClaimRequest, CRASHES_UNTIL_HELD, StorageError } from '../contract.ts';
import { NODE_LEASE_MS } from '../nodes-contract.ts';
import {
  CLAIM_RECIPIENTS,
  CLAIM_SCAN,
  inTurns,
  makeToken,
  PROCESS_DIED,
  queueOnHold,
  readToken,
  setAside,
  waitBefore,
} from '../shared/claims.ts';
import {
  CLAIM_ATTEMPT,
  CLAIM_REMOVAL_OF_HELD,
  HELD,
  type MessageRow,
  messageOf,
  QUEUED,
  type RecipientRow,
} from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import { NOW } from './clock.ts';
import { type JsonRow, numbers, type Runner } from './connection.ts';
import { databaseTime, queueState, type WriteContext } from './write-context.ts';
import { addEvents, type EventRow, lockMessages } from './write-events.ts';

/** The first look at due work reads so many rows a message asked for; if they are few messages' it reads on. */
const ROWS_A_MESSAGE = 4;
/** A lease's use is written again after this time: often enough to tell that it is in use. */
const USED_AGAIN_MS = 2_000;
/** The node that claimed, the last part of a token. */
export const CLAIMANT = "split_part(r.token, '.', 5)";

interface LapsedRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly claim: number;
  readonly crashes: number;
  readonly next_attempt_at: number | null;
  /** The node that claimed it is known to be dead. */
  readonly dead: boolean;
}

/**
 * Takes due work of a destination that no other living node has; the destination is this node's from then on. Its
 * recipients are taken by one statement, so that even two owners could not take one twice.
 */
export async function claimDue(context: WriteContext, request: ClaimRequest): Promise<Claim[]> {
  const { tx } = context;
  const { destination, leaseMs, retryScheduleMs } = request;
  const ownedAt = await ownDestination(context, destination);
  if (ownedAt === null) return [];
  // What is put back is due from then on.
  const nowMs = (await putBackLapsed(context, destination)) > 0 ? await databaseTime(tx) : ownedAt;
  const rows = await dueRows(tx, request, Math.min(nowMs, request.dueUntil ?? nowMs));
  const groups = new Map<number, ClaimedRow[]>();
  for (const { message_id, idx, attempts } of rows) {
    const nextAttemptAt = nowMs + waitBefore(retryScheduleMs, attempts, leaseMs);
    const group = groups.get(message_id) ?? [];
    groups.set(message_id, group);
    group.push({ idx, claim: CLAIM_ATTEMPT, nextAttemptAt });
  }
  const takings = [...groups].map(([messageId, group]) => ({ messageId, destination, rows: group }));
  return take(context, takings, nowMs + leaseMs, [QUEUED]);
}

/** Takes or keeps the lease of a destination; resolves to the time, or null when another living node has it. */
async function ownDestination({ tx, nodeId }: WriteContext, destination: string): Promise<number | null> {
  const [found] = await tx.run<{
    now: number;
    alive_until: number | null;
    owner: string | null;
    used_at: number | null;
    owner_until: number | null;
  }>(
    `SELECT ${NOW} AS now, (SELECT alive_until FROM node WHERE id = $1) AS alive_until, l.node AS owner, l.used_at,
       (SELECT alive_until FROM node WHERE id = l.node) AS owner_until
     FROM (SELECT 1) AS one LEFT JOIN destination_lease AS l ON l.destination = $2`,
    [nodeId, destination],
  );
  if (found === undefined) return null;
  const { now, alive_until, owner, used_at, owner_until } = found;
  if (owner !== null && owner !== nodeId && (owner_until ?? 0) > now) return null;
  // A node that was not heard of owns nothing: it is heard of again by this.
  if ((alive_until ?? 0) <= now) await showAlive(tx, nodeId);
  if (owner === nodeId && (used_at ?? 0) > now - USED_AGAIN_MS) return now;
  const taken = await tx.run(
    `INSERT INTO destination_lease AS l (destination, node, used_at) VALUES ($1, $2, ${NOW})
     ON CONFLICT (destination) DO UPDATE SET node = excluded.node, used_at = excluded.used_at
       WHERE l.node = excluded.node
         OR NOT EXISTS (SELECT 1 FROM node WHERE node.id = l.node AND node.alive_until > ${NOW})
     RETURNING l.node`,
    [destination, nodeId],
  );
  return taken.length === 0 ? null : now;
}

/** Renews this node's own lease, which all its other leases hang on. */
export async function showAlive(tx: Runner, nodeId: string): Promise<void> {
  await tx.run(
    `INSERT INTO node AS n (id, started_at, seen_at, alive_until) VALUES ($1, ${NOW}, ${NOW}, ${NOW} + ${NODE_LEASE_MS})
     ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, alive_until = excluded.alive_until, taken_over_at = NULL`,
    [nodeId],
  );
}

interface DueRow {
  readonly message_id: number;
  readonly idx: number;
  readonly attempts: number;
}

/** Due rows of new mail and of the backlog, message by message in turn. */
async function dueRows(tx: Runner, request: ClaimRequest, untilMs: number): Promise<DueRow[]> {
  const lists = await Promise.all([
    dueOfKind(tx, 'attempts = 0', request, untilMs),
    dueOfKind(tx, 'attempts > 0', request, untilMs),
  ]);
  if (request.first === 'retried') lists.reverse();
  const messages = lists.map((rows) => [...new Set(rows.map(({ message_id }) => message_id))]);
  const byMessage = Map.groupBy(lists.flat(), ({ message_id }) => message_id);
  return inTurns(messages, request.limit).flatMap((id) =>
    (byMessage.get(id) ?? []).slice(0, CLAIM_RECIPIENTS),
  );
}

async function dueOfKind(
  tx: Runner,
  kind: string,
  { destination, limit }: ClaimRequest,
  untilMs: number,
): Promise<DueRow[]> {
  const first = Math.min(CLAIM_SCAN, limit * ROWS_A_MESSAGE);
  const rows = await scanDue(tx, kind, destination, limit, untilMs, first);
  const messages = new Set(rows.map(({ message_id }) => message_id)).size;
  if (messages === limit || rows.length < first || first === CLAIM_SCAN) return rows;
  return scanDue(tx, kind, destination, limit, untilMs, CLAIM_SCAN);
}

/** The messages of the first `scan` due rows of a kind, and their due recipients of that kind at the destination. */
function scanDue(
  tx: Runner,
  kind: string,
  destination: string,
  limit: number,
  untilMs: number,
  scan: number,
): Promise<DueRow[]> {
  return tx.run<DueRow>(
    `SELECT picked.message_id, r.idx, r.attempts FROM (
       SELECT message_id, min(due_at) AS first FROM (
         SELECT message_id, due_at FROM recipient
         WHERE state = ${QUEUED} AND ${kind} AND destination = $1 AND due_at <= $2 ORDER BY due_at LIMIT ${scan}
       ) AS due GROUP BY message_id ORDER BY first, message_id LIMIT $3
     ) AS picked, LATERAL (
       SELECT idx, attempts FROM recipient
       WHERE message_id = picked.message_id AND state = ${QUEUED} AND ${kind} AND destination = $1 AND due_at <= $2
       ORDER BY idx LIMIT ${CLAIM_RECIPIENTS}
     ) AS r ORDER BY picked.first, picked.message_id, r.idx`,
    [destination, untilMs, limit],
  );
}

export interface ClaimedRow {
  readonly idx: number;
  readonly claim: number;
  /** null: stays as it is. */
  readonly nextAttemptAt: number | null;
}

export interface Taking {
  readonly messageId: number;
  readonly destination: string;
  readonly rows: readonly ClaimedRow[];
}

/** Claims rows, each message's under one new token; those that are no longer in one of `states` are left out. */
export async function take(
  { tx, nodeId }: WriteContext,
  takings: readonly Taking[],
  leaseUntil: number,
  states: readonly number[],
): Promise<Claim[]> {
  if (takings.length === 0) return [];
  const tokens = new Map<string, Taking>();
  const rows = takings.flatMap((taking): JsonRow[] => {
    const token = makeToken(
      taking.messageId,
      taking.rows.map(({ idx }) => idx),
      nodeId,
    );
    tokens.set(token, taking);
    return taking.rows.map(({ idx, claim, nextAttemptAt }) => ({
      message_id: taking.messageId,
      idx,
      token,
      claim,
      next_attempt_at: nextAttemptAt,
    }));
  });
  const taken = await tx.run<RecipientRow & { token: string }>(
    `UPDATE recipient AS r SET state = 1, token = x.token, due_at = $2, claim = x.claim,
       attempts = r.attempts + CASE WHEN x.claim = ${CLAIM_ATTEMPT} THEN 1 ELSE 0 END,
       next_attempt_at = coalesce(x.next_attempt_at, r.next_attempt_at)
     FROM json_to_recordset($1::json) AS x (message_id bigint, idx integer, token text, claim integer,
       next_attempt_at bigint)
     WHERE r.message_id = x.message_id AND r.idx = x.idx AND r.state IN (${states.join(', ')}) RETURNING r.*`,
    [rows, leaseUntil],
  );
  const messages = await tx.run<MessageRow>('SELECT * FROM message WHERE id = ANY ($1::bigint[])', [
    numbers(new Set(takings.map(({ messageId }) => messageId))),
  ]);
  const byId = new Map(messages.map((row) => [row.id, row]));
  return [...tokens].flatMap(([token, { messageId, destination }]) => {
    const claimed = taken.filter((row) => row.token === token).sort((a, b) => a.idx - b.idx);
    if (claimed.length === 0) return [];
    const message = byId.get(messageId);
    if (message === undefined) throw new Error(`message ${messageId} has recipients but no row`);
    return [{ token, destination, message: messageOf(message, claimed), leaseUntil }];
  });
}

export async function renew(
  { tx }: WriteContext,
  { tokens, leaseMs }: { tokens: readonly string[]; leaseMs: number },
): Promise<string[]> {
  if (tokens.length === 0) return [];
  const spans = tokens.map((token) => {
    const { messageId, low, high } = readToken(token);
    return { token, message_id: messageId, low, high };
  });
  const nowMs = await databaseTime(tx);
  const renewed = await tx.run<{ token: string }>(
    `UPDATE recipient AS r SET due_at = $2
     FROM json_to_recordset($1::json) AS x (token text, message_id bigint, low integer, high integer)
     WHERE r.message_id = x.message_id AND r.idx BETWEEN x.low AND x.high AND r.token = x.token AND r.state = 1
       AND r.due_at > $3 RETURNING r.token`,
    [spans, nowMs + leaseMs, nowMs],
  );
  const valid = new Set(renewed.map(({ token }) => token));
  return tokens.filter((token) => valid.has(token));
}

/**
 * Puts back expired claims of this node and of nodes that are gone; a living one puts back its own. Of those a dead
 * node left each attempt counts as a crash. Resolves to their number, a slice at most.
 */
export async function putBackLapsed(context: WriteContext, destination?: string): Promise<number> {
  const { tx, nodeId } = context;
  const at = destination === undefined ? '' : 'AND r.destination = $2';
  const rows = await tx.run<LapsedRow>(
    `SELECT r.message_id, r.idx, r.address, r.claim, r.crashes, r.next_attempt_at,
       coalesce(n.id <> $1 AND n.alive_until <= ${NOW}, false) AS dead
     FROM recipient AS r LEFT JOIN node AS n ON n.id = ${CLAIMANT}
     WHERE r.state < 3 AND r.state = 1 AND r.due_at <= ${NOW} ${at}
       AND (n.id IS NULL OR n.id = $1 OR n.alive_until <= ${NOW})
     LIMIT ${SLICE} FOR UPDATE OF r SKIP LOCKED`,
    [nodeId, ...(destination === undefined ? [] : [destination])],
  );
  await putBack(context, rows);
  return rows.length;
}

/**
 * Puts back a slice of what a dead node had claimed, as far as its leases ended: until then it may be alive and cut
 * off from the database only, at work on them.
 */
export async function putBackOf(context: WriteContext, deadNode: string): Promise<number> {
  const rows = await context.tx.run<LapsedRow>(
    `SELECT r.message_id, r.idx, r.address, r.claim, r.crashes, r.next_attempt_at, true AS dead
     FROM recipient AS r WHERE r.state < 3 AND r.state = 1 AND r.due_at <= ${NOW} AND ${CLAIMANT} = $1
     LIMIT ${SLICE} FOR UPDATE`,
    [deadNode],
  );
  await putBack(context, rows);
  return rows.length;
}

async function putBack(context: WriteContext, rows: readonly LapsedRow[]): Promise<void> {
  if (rows.length === 0) return;
  const { tx, flags } = context;
  const { nowMs, holdAll } = await queueState(tx);
  const told = rows.filter(
    ({ dead, crashes }) => holdAll !== null || (dead && crashes + 1 >= CRASHES_UNTIL_HELD),
  );
  await lockMessages(
    tx,
    told.map(({ message_id }) => message_id),
  );
  const events: EventRow[] = [];
  const restingState = ({ message_id, address }: LapsedRow) => {
    if (holdAll === null) return QUEUED;
    events.push({ messageId: message_id, event: queueOnHold(address, holdAll) });
    return HELD;
  };
  const changed = rows.map((row): JsonRow => {
    const { message_id, idx, address, claim, next_attempt_at } = row;
    if (!row.dead || claim !== CLAIM_ATTEMPT) {
      const state = claim === CLAIM_REMOVAL_OF_HELD ? HELD : restingState(row);
      return { message_id, idx, state, due_at: nowMs, crashes: row.crashes, words: null };
    }
    const crashes = row.crashes + 1;
    const held = crashes >= CRASHES_UNTIL_HELD;
    const words = held ? setAside(crashes, PROCESS_DIED) : PROCESS_DIED;
    if (held) {
      const event = { kind: 'held', recipient: address, detail: { reason: words } } as const;
      events.push({ messageId: message_id, event });
    }
    // The first time a node's end is nobody's fault: another node takes over at once. What goes on ending nodes waits.
    const due = crashes === 1 ? nowMs : next_attempt_at;
    return { message_id, idx, state: held ? HELD : restingState(row), due_at: due, crashes, words };
  });
  await tx.run(
    `UPDATE recipient AS r SET state = x.state, due_at = x.due_at, token = NULL, claim = 0, crashes = x.crashes,
       last_reply = coalesce(x.words, r.last_reply),
       last_kind = CASE WHEN x.words IS NULL THEN r.last_kind ELSE 'crash' END
     FROM json_to_recordset($1::json) AS x (message_id bigint, idx integer, state integer, due_at bigint,
       crashes integer, words text)
     WHERE r.message_id = x.message_id AND r.idx = x.idx`,
    [changed],
  );
  await addEvents(tx, events, nowMs);
  flags.queued = true;
}

export async function releaseExpired(context: WriteContext, { all }: { all: boolean }): Promise<number> {
  if (all) throw new StorageError('internal', 'a shared store is not taken over whole');
  return putBackLapsed(context);
}
