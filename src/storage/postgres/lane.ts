/** Commits in groups: what is asked for while a commit runs goes into the next one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageError } from '../contract.ts';
import type { GroupFlags } from '../shared/operations.ts';
import { NO_PAYLOAD, type Payload } from '../shared/pages.ts';
import { type Connection, LostCommit, type Runner } from './connection.ts';
import { isLost, toStorageError, unavailable } from './errors.ts';

/** A group ends at whichever comes first; one larger operation goes alone. */
const GROUP_OPS = 256;
const GROUP_BYTES = 8 * 1024 * 1024;
/** More than this waits for nothing good: whoever comes then is refused at once. */
const WAITING_OPS = 20_000;
/** A connection that was lost sooner is opened again for the same group. */
const AGAIN_WITHIN_MS = 2_000;
/** How long a commit whose answer was lost is asked after. */
const FIND_OUT_MS = 15_000;
const FIND_OUT_EVERY_MS = 250;

export interface WriteOp {
  readonly type: string;
  readonly input: unknown;
  readonly payload: Payload;
}

interface Waiting extends WriteOp {
  readonly resolve: (value: never) => void;
  readonly reject: (error: StorageError) => void;
}

export type Outcome = { readonly value: unknown } | { readonly error: StorageError };

/** What an operation may set for the time after its commit. */
export interface Flags extends GroupFlags {
  queued: boolean;
  deadBodies: boolean;
  unsearchable: boolean;
  /** The versions that a change made; null without one. */
  directoryVersion: number | null;
  settingsVersion: number | null;
}

export const NONE: Readonly<Flags> = {
  queued: false,
  deadBodies: false,
  unsearchable: false,
  directoryVersion: null,
  settingsVersion: null,
};

/** Carries out operations in one transaction. A refusal without changes is an outcome; a throw undoes all. */
export type RunGroup = (tx: Runner, ops: readonly WriteOp[], flags: Flags) => Promise<readonly Outcome[]>;

export interface LaneOptions {
  readonly name: string;
  /** A connection nobody else uses. */
  readonly connection: Connection;
  readonly nodeId: string;
  readonly runGroup: RunGroup;
  readonly onCommit: (flags: Readonly<Flags>) => void;
  readonly onTrouble: (trouble: StorageError) => void;
}

/**
 * One connection that writes. Each commit also writes its number into `node_commit`: when the answer to a COMMIT is
 * lost, that row tells afterwards whether it happened. Where it cannot be asked, the operations are answered as
 * failed though they may have been carried out: a message may come twice, and is not lost.
 */
export class Lane {
  readonly #options: LaneOptions;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #commits = 0;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  run(type: string, input: unknown, payload: Payload = NO_PAYLOAD): Promise<unknown> {
    const refusal = this.#closed
      ? 'the store is closed'
      : this.#waiting.length >= WAITING_OPS
        ? 'too many operations wait for the database'
        : null;
    if (refusal !== null) {
      payload.release();
      return Promise.reject(unavailable(refusal));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ type, input, payload, resolve, reject });
      this.#running ??= this.#pump();
    });
  }

  /** Finishes what was asked for. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    await this.#options.connection.close();
  }

  async #pump(): Promise<void> {
    // What is asked for in the same turn of the event loop belongs together.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) await this.#runGroup(this.#takeGroup());
    this.#running = null;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const op of this.#waiting) {
      bytes += op.payload.sizeBytes;
      if (count === GROUP_OPS || (count > 0 && bytes > GROUP_BYTES)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #runGroup(group: readonly Waiting[]): Promise<void> {
    const failure = await this.#attempt(group);
    if (failure === null) return;
    if (failure.kind === 'unavailable' || group.length === 1) {
      this.#refuse(group, failure);
      return;
    }
    // One of them spoils the others: each by itself.
    for (const op of group) {
      const own = await this.#attempt([op]);
      if (own !== null) this.#refuse([op], own);
    }
  }

  /** Runs operations in one transaction and answers them; resolves to why they could not be, or null. */
  async #attempt(group: readonly Waiting[]): Promise<StorageError | null> {
    const flags: Flags = { ...NONE };
    const n = ++this.#commits;
    let outcomes: readonly Outcome[] = [];
    const work = async (tx: Runner) => {
      Object.assign(flags, NONE);
      outcomes = await this.#options.runGroup(tx, group, flags);
      await this.#mark(tx, n);
    };
    try {
      await this.#commit(work, n);
    } catch (error) {
      return toStorageError(error, this.#options.connection.place);
    }
    this.#options.onCommit(flags);
    group.forEach((op, index) => {
      op.payload.release();
      const outcome = outcomes[index];
      if (outcome === undefined) op.reject(new StorageError('internal', `no answer to ${op.type}`));
      else if ('error' in outcome) op.reject(outcome.error);
      else op.resolve(outcome.value as never);
    });
    return null;
  }

  /** Commits, once more when a connection that had ended meanwhile was found out by it. */
  async #commit(work: (tx: Runner) => Promise<void>, n: number): Promise<void> {
    const { connection } = this.#options;
    const startedAt = performance.now();
    for (let again = false; ; again = true) {
      try {
        return await connection.transaction(work);
      } catch (error) {
        const lost = error instanceof LostCommit;
        if (lost && (await this.#isCommitted(n))) return;
        const soon = isLost(error) && performance.now() - startedAt <= AGAIN_WITHIN_MS;
        if (again || !(lost || soon)) throw error;
      }
    }
  }

  async #mark(tx: Runner, n: number): Promise<void> {
    const { nodeId, name } = this.#options;
    await tx.run(
      `INSERT INTO node_commit (node, lane, n) VALUES ($1, $2, $3)
       ON CONFLICT (node, lane) DO UPDATE SET n = excluded.n`,
      [nodeId, name, n],
    );
  }

  /**
   * Whether commit `n` happened, asked until the database answers or `FIND_OUT_MS` are over. The row's lock waits
   * for a transaction that is still being committed.
   */
  async #isCommitted(n: number): Promise<boolean> {
    const { connection, nodeId, name } = this.#options;
    const until = performance.now() + FIND_OUT_MS;
    for (;;) {
      try {
        const [row] = await connection.transaction((tx) =>
          tx.run<{ n: number }>('SELECT n FROM node_commit WHERE node = $1 AND lane = $2 FOR UPDATE', [
            nodeId,
            name,
          ]),
        );
        return (row?.n ?? 0) >= n;
      } catch (error) {
        if (performance.now() > until) throw error;
        await sleep(FIND_OUT_EVERY_MS);
      }
    }
  }

  #refuse(group: readonly Waiting[], error: StorageError): void {
    const refused = [...group];
    if (error.kind === 'unavailable') {
      // Those who wait would only find out the same, later.
      refused.push(...this.#waiting.splice(0));
      this.#options.onTrouble(error);
    }
    for (const op of refused) {
      op.payload.release();
      op.reject(error);
    }
  }
}

/** An outcome of an operation by itself: what it throws on purpose it throws before it changes anything. */
export async function outcomeOf(run: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { value: await run() };
  } catch (error) {
    if (error instanceof StorageError) return { error };
    throw error;
  }
}
