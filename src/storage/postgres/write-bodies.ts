import { randomBytes } from 'node:crypto';
import { StorageError } from '../contract.ts';
import { BODY_PENDING, CHUNK_BYTES } from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import { numbers, type Runner } from './connection.ts';
import type { Outcome } from './lane.ts';
import { type Chunk, insertChunks } from './write-batch.ts';
import type { WriteContext } from './write-context.ts';

/** Bodies with more chunks than this are deleted slice by slice, so that no commit waits for gigabytes. */
const DELETED_AT_ONCE_CHUNKS = 16;
const SWEPT_CHUNKS = 32;
const SWEPT_BODIES = 100;

const RANGE = 'id >= ($1::bigint << 24) AND id < (($1::bigint + 1) << 24)';

/** Bodies being received, of those asked for, locked. */
export async function lockPending(
  tx: Runner,
  ids: readonly number[],
): Promise<Map<number, { size: number; chunks: number }>> {
  if (ids.length === 0) return new Map();
  const rows = await tx.run<{ id: number; size: number; chunks: number }>(
    `SELECT id, size, chunks FROM body WHERE id = ANY ($1::bigint[]) AND refs = ${BODY_PENDING} ORDER BY id FOR UPDATE`,
    [numbers(new Set(ids))],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Stores chunks of bodies still being received; those whose body is gone are refused. */
export async function putChunks({ tx, nodeId }: WriteContext, chunks: readonly Chunk[]): Promise<Outcome[]> {
  const fresh = new Set(chunks.filter(({ n }) => n === 0).map(({ bodyId }) => bodyId));
  const known = await lockPending(
    tx,
    chunks.map(({ bodyId }) => bodyId).filter((id) => !fresh.has(id)),
  );
  const good = chunks.filter(({ bodyId }) => fresh.has(bodyId) || known.has(bodyId));
  if (fresh.size > 0) {
    await tx.run(
      `INSERT INTO body (id, refs, size, chunks) SELECT id, ${BODY_PENDING}, 0, 0 FROM unnest($1::bigint[]) AS x (id)`,
      [numbers(fresh)],
    );
    await tx.run(
      'INSERT INTO pending_body (body_id, node) SELECT id, $2::text FROM unnest($1::bigint[]) AS x (id)',
      [numbers(fresh), nodeId],
    );
  }
  await insertChunks(tx, good);
  const added = new Map<number, { id: number; size: number; chunks: number }>();
  for (const { bodyId, data } of good) {
    const before = added.get(bodyId) ?? { id: bodyId, size: 0, chunks: 0 };
    added.set(bodyId, { id: bodyId, size: before.size + data.byteLength, chunks: before.chunks + 1 });
  }
  if (added.size > 0) {
    await tx.run(
      `UPDATE body SET size = body.size + x.size, chunks = body.chunks + x.chunks
       FROM json_to_recordset($1::json) AS x (id bigint, size bigint, chunks integer) WHERE body.id = x.id`,
      [[...added.values()]],
    );
  }
  const refusal = new StorageError('unavailable', 'an earlier part of the body could not be stored');
  return chunks.map((chunk) => (good.includes(chunk) ? { value: undefined } : { error: refusal }));
}

export interface FinishedBody {
  readonly id: number;
  readonly refs: number;
  readonly size: number;
  readonly chunks: number;
}

/** Makes bodies out of those that were being received. */
export async function finishBodies(tx: Runner, bodies: readonly FinishedBody[]): Promise<void> {
  if (bodies.length === 0) return;
  await tx.run(
    `UPDATE body SET refs = x.refs, size = x.size, chunks = x.chunks
     FROM json_to_recordset($1::json) AS x (id bigint, refs bigint, size bigint, chunks integer) WHERE body.id = x.id`,
    [bodies.map((body) => ({ ...body }))],
  );
  await tx.run('DELETE FROM pending_body WHERE body_id = ANY ($1::bigint[])', [
    numbers(bodies.map(({ id }) => id)),
  ]);
}

/** So many rows more (+) or less (-) refer to each body; with the last one it goes. */
export async function changeRefs(
  { tx, flags }: WriteContext,
  changes: ReadonlyMap<number, number>,
): Promise<void> {
  const rows = [...changes].filter(([, by]) => by !== 0).map(([id, by]) => ({ id, by }));
  if (rows.length === 0) return;
  await tx.run('SELECT id FROM body WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE', [
    numbers(rows.map(({ id }) => id)),
  ]);
  const dead = (
    await tx.run<{ id: number; refs: number; chunks: number }>(
      `UPDATE body SET refs = refs + x.by FROM json_to_recordset($1::json) AS x (id bigint, by bigint)
       WHERE body.id = x.id AND refs > 0 RETURNING body.id, refs, chunks`,
      [rows],
    )
  ).filter(({ refs }) => refs < 1);
  const small = dead.filter(({ chunks }) => chunks <= DELETED_AT_ONCE_CHUNKS);
  if (small.length < dead.length) flags.deadBodies = true;
  if (small.length === 0) return;
  await tx.run(
    `DELETE FROM body_chunk USING json_to_recordset($1::json) AS x (id bigint, chunks integer),
       LATERAL generate_series(0, x.chunks - 1) AS n
     WHERE body_chunk.id = (x.id << 24) + n`,
    [small.map(({ id, chunks }) => ({ id, chunks }))],
  );
  await tx.run('DELETE FROM body WHERE id = ANY ($1::bigint[])', [numbers(small.map(({ id }) => id))]);
}

/** Gives up a body that was being received. */
export async function dropBody({ tx, flags }: WriteContext, bodyId: number): Promise<void> {
  const dropped = await tx.run(
    `UPDATE body SET refs = 0 WHERE id = $1 AND refs = ${BODY_PENDING} RETURNING id`,
    [bodyId],
  );
  if (dropped.length === 0) return;
  flags.deadBodies = true;
  await tx.run('DELETE FROM pending_body WHERE body_id = $1', [bodyId]);
}

/** Gives up what a node was receiving. */
export async function orphanBodies({ tx, flags }: WriteContext, nodeId: string): Promise<void> {
  const orphans = await tx.run<{ body_id: number }>(
    'DELETE FROM pending_body WHERE node = $1 RETURNING body_id',
    [nodeId],
  );
  if (orphans.length === 0) return;
  flags.deadBodies = true;
  await tx.run(`UPDATE body SET refs = 0 WHERE id = ANY ($1::bigint[]) AND refs = ${BODY_PENDING}`, [
    numbers(orphans.map(({ body_id }) => body_id)),
  ]);
}

/** Stores a chunk and takes it away again: an accept of a small message writes no more than that. */
export async function probe({ tx }: WriteContext): Promise<void> {
  // Message numbers, which bodies share, begin at 1: these places are nobody's.
  const id = randomBytes(3).readUIntBE(0, 3);
  await insertChunks(tx, [{ bodyId: 0, n: id, data: randomBytes(CHUNK_BYTES) }]);
  await tx.run('DELETE FROM body_chunk WHERE id = $1', [id]);
}

/** Deletes up to 8 MB of chunks nothing refers to; true while there is more. What another node sweeps is skipped. */
export async function sweepBodies({ tx }: WriteContext): Promise<boolean> {
  let budget = SWEPT_CHUNKS;
  const dead = await tx.run<{ id: number }>(
    `SELECT id FROM body WHERE refs < 1 AND refs = 0 LIMIT ${SWEPT_BODIES} FOR UPDATE SKIP LOCKED`,
  );
  for (const { id } of dead) {
    if (budget <= 0) return true;
    const deleted = await tx.run(
      `DELETE FROM body_chunk WHERE id IN (SELECT id FROM body_chunk WHERE ${RANGE} LIMIT ${SWEPT_CHUNKS}) RETURNING id`,
      [id],
    );
    budget -= deleted.length;
    if (deleted.length === SWEPT_CHUNKS) return true;
    await tx.run('DELETE FROM body WHERE id = $1', [id]);
  }
  return dead.length === SWEPT_BODIES;
}

/** Deletes a slice of the mail of accounts that are gone; true while there is more. */
export async function sweepMailboxes(context: WriteContext): Promise<boolean> {
  const { tx } = context;
  const [mailbox] = await tx.run<{ id: number }>(
    'SELECT id FROM mailbox WHERE account_id IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED',
  );
  if (mailbox === undefined) return false;
  const rows = await tx.run<{ body_id: number }>(
    `DELETE FROM mailbox_message WHERE mailbox_id = $1 AND uid IN
       (SELECT uid FROM mailbox_message WHERE mailbox_id = $1 LIMIT ${SLICE}) RETURNING body_id`,
    [mailbox.id],
  );
  await changeRefs(context, countDown(rows.map(({ body_id }) => body_id)));
  if (rows.length < SLICE) await tx.run('DELETE FROM mailbox WHERE id = $1', [mailbox.id]);
  return true;
}

export async function removeEntries(
  context: WriteContext,
  { accountId, uids }: { accountId: number; uids: readonly number[] },
): Promise<number> {
  const { tx } = context;
  const [mailbox] = await tx.run<{ id: number }>(
    "SELECT id FROM mailbox WHERE account_id = $1 AND name = 'INBOX' FOR UPDATE",
    [accountId],
  );
  if (mailbox === undefined) return 0;
  const rows = await tx.run<{ body_id: number; size: number }>(
    'DELETE FROM mailbox_message WHERE mailbox_id = $1 AND uid = ANY ($2::bigint[]) RETURNING body_id, size',
    [mailbox.id, numbers(uids)],
  );
  if (rows.length === 0) return 0;
  await changeRefs(context, countDown(rows.map(({ body_id }) => body_id)));
  const bytes = rows.reduce((sum, { size }) => sum + size, 0);
  await tx.run('UPDATE account SET used_bytes = used_bytes - $1 WHERE id = $2', [bytes, accountId]);
  await tx.run('UPDATE mailbox SET modseq = modseq + 1 WHERE id = $1', [mailbox.id]);
  return rows.length;
}

function countDown(bodyIds: readonly number[]): Map<number, number> {
  const changes = new Map<number, number>();
  for (const id of bodyIds) changes.set(id, (changes.get(id) ?? 0) - 1);
  return changes;
}
