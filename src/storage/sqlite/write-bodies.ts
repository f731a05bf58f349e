import { StorageError } from '../contract.ts';
import { BODY_PENDING, CHUNK_BYTES } from '../shared/rows.ts';
import { SLICE } from '../shared/slices.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

/** Bodies with more chunks than this are deleted slice by slice, so that no commit waits for gigabytes. */
const DELETED_AT_ONCE_CHUNKS = 16;
const SWEPT_CHUNKS = 32;
/** Message numbers, which bodies share, begin at 1. */
const PROBE_BODY = 0;

/** Writes and deletes bodies; each holds its chunks, its size and how many rows refer to it. */
export class BodyTable {
  readonly #context: WriterContext;
  readonly #insertBody;
  readonly #insertChunk;
  readonly #pending;
  readonly #addChunk;
  readonly #finish;
  readonly #addRefs;
  readonly #dropRef;
  readonly #deleteBody;
  readonly #deleteChunks;
  readonly #deleteSomeChunks;
  readonly #markDead;
  readonly #markPendingDead;
  readonly #nextDead;

  constructor(context: WriterContext) {
    const { db } = context;
    this.#context = context;
    this.#insertBody = db.prepare('INSERT INTO body (id, refs, size, chunks) VALUES (?, ?, ?, ?)');
    this.#insertChunk = db.prepare('INSERT INTO body_chunk (id, data) VALUES ((? << 24) + ?, ?)');
    this.#pending = db.prepare('SELECT size, chunks FROM body WHERE id = ? AND refs = -1');
    this.#addChunk = db.prepare(
      'UPDATE body SET size = size + ?, chunks = chunks + 1 WHERE id = ? AND refs = -1',
    );
    this.#finish = db.prepare('UPDATE body SET refs = ?, size = ?, chunks = ? WHERE id = ?');
    this.#addRefs = db.prepare('UPDATE body SET refs = refs + ? WHERE id = ?');
    this.#dropRef = db.prepare(
      'UPDATE body SET refs = refs - 1 WHERE id = ? AND refs > 0 RETURNING refs, chunks',
    );
    this.#deleteBody = db.prepare('DELETE FROM body WHERE id = ?');
    this.#deleteChunks = db.prepare(
      'DELETE FROM body_chunk WHERE id >= (?1 << 24) AND id < ((?1 + 1) << 24)',
    );
    this.#deleteSomeChunks = db.prepare(
      `DELETE FROM body_chunk WHERE id IN (
         SELECT id FROM body_chunk WHERE id >= (?1 << 24) AND id < ((?1 + 1) << 24) LIMIT ${SWEPT_CHUNKS})`,
    );
    this.#markDead = db.prepare('UPDATE body SET refs = 0 WHERE id = ? AND refs = -1');
    this.#markPendingDead = db.prepare('UPDATE body SET refs = 0 WHERE refs = -1');
    this.#nextDead = db.prepare(`SELECT id FROM body WHERE refs = 0 AND refs < 1 LIMIT ${SLICE}`);
  }

  /** Stores chunk `n` of a body still being received. */
  putChunk(bodyId: number, n: number, bytes: Uint8Array): void {
    if (n === 0) this.#insertBody.run(bodyId, BODY_PENDING, 0, 0);
    this.#insertChunk.run(bodyId, n, bytes);
    if (this.#addChunk.run(bytes.byteLength, bodyId).changes !== 1) {
      throw new StorageError('unavailable', 'an earlier part of the body could not be stored');
    }
  }

  /** Makes a body out of the chunks stored before and the last bytes. */
  complete(
    body: { bodyId: number; storedChunks: number; sizeBytes: number; refs: number },
    tail: Uint8Array,
  ): void {
    const { bodyId, storedChunks, sizeBytes, refs } = body;
    if (storedChunks > 0) {
      const before = rowOf<{ size: number; chunks: number }>(this.#pending, bodyId);
      if (before?.chunks !== storedChunks || before.size + tail.byteLength !== sizeBytes) {
        throw new StorageError('unavailable', 'a part of the body could not be stored');
      }
    }
    let chunks = storedChunks;
    for (let from = 0; from < tail.byteLength; from += CHUNK_BYTES) {
      this.#insertChunk.run(bodyId, chunks++, tail.subarray(from, from + CHUNK_BYTES));
    }
    if (storedChunks > 0) this.#finish.run(refs, sizeBytes, chunks, bodyId);
    else this.#insertBody.run(bodyId, refs, sizeBytes, chunks);
  }

  addRefs(bodyId: number, count: number): void {
    if (count > 0) this.#addRefs.run(count, bodyId);
  }

  /** One row less refers to the body; with the last one it goes. */
  dropRef(bodyId: number): void {
    const left = rowOf<{ refs: number; chunks: number }>(this.#dropRef, bodyId);
    if (left === undefined || left.refs > 0) return;
    if (left.chunks > DELETED_AT_ONCE_CHUNKS) {
      this.#context.flags.deadBodies = true;
      return;
    }
    this.#deleteChunks.run(bodyId);
    this.#deleteBody.run(bodyId);
  }

  /** Gives up a body that was being received. */
  drop(bodyId: number): void {
    if (Number(this.#markDead.run(bodyId).changes) > 0) this.#context.flags.deadBodies = true;
  }

  /** Stores a chunk and gives it up; the sweeper frees its pages again. */
  probe(): void {
    this.#deleteChunks.run(PROBE_BODY);
    this.#deleteBody.run(PROBE_BODY);
    this.putChunk(PROBE_BODY, 0, new Uint8Array(CHUNK_BYTES));
    this.drop(PROBE_BODY);
  }

  orphanPending(): void {
    if (Number(this.#markPendingDead.run().changes) > 0) this.#context.flags.deadBodies = true;
  }

  /** Deletes up to 8 MB of chunks nothing refers to; true while there is more. */
  sweep(): boolean {
    let budget = SWEPT_CHUNKS;
    const dead = rowsOf<{ id: number }>(this.#nextDead);
    for (const { id } of dead) {
      if (budget <= 0) return true;
      const deleted = Number(this.#deleteSomeChunks.run(id).changes);
      budget -= deleted;
      if (deleted === SWEPT_CHUNKS) return true;
      this.#deleteBody.run(id);
    }
    return dead.length === SLICE;
  }
}
