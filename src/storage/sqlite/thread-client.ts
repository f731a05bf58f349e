import { Worker } from 'node:worker_threads';
import { describeError } from '../../mail/failure.ts';
import { StorageError } from '../contract.ts';
import type { GroupFlags, In, Out } from '../shared/operations.ts';
import { NO_PAYLOAD, type Payload } from '../shared/pages.ts';
import { fromForm } from './errors.ts';
import type { PostedOp, ThreadData, ThreadMessage } from './protocol.ts';

/** A group ends at whichever comes first; one larger operation goes alone. */
export const GROUP_OPS = 256;
export const GROUP_BYTES = 8 * 1024 * 1024;
const SMALLEST_SLAB_BYTES = 1024 * 1024;

const NO_BYTES = new Uint8Array(0);
/** Compiled files run beside compiled files, sources beside sources. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

interface Pending {
  readonly type: string;
  readonly input: unknown;
  readonly payload: Payload;
  readonly resolve: (value: never) => void;
  readonly reject: (error: StorageError) => void;
}

export interface ThreadClientOptions {
  /** File name beside this one, without extension. */
  readonly file: 'writer-worker' | 'reader-worker';
  readonly data: ThreadData;
  /** Operations in one group at most; fewer where each answer is large. */
  readonly groupOps?: number;
  /** Called for each answered group: its flags, and the trouble that struck it, null when all went well. */
  readonly onGroup?: (flags: GroupFlags, trouble: StorageError | null) => void;
}

/**
 * Talks to one database thread. What arrives while the thread is busy goes to it as one message when it is
 * free: for the writer that is the commit group. A thread that dies rejects what it was doing with
 * `unavailable` and is started again for the next operation.
 */
export class ThreadClient<Ops> {
  readonly #options: ThreadClientOptions;
  #worker: Worker | null = null;
  #starting: Promise<void> | null = null;
  #waiting: Pending[] = [];
  #inFlight: Pending[] | null = null;
  #pumpQueued = false;
  #closed = false;
  #spareSlab: ArrayBuffer | null = null;
  #onIdle: (() => void) | null = null;

  constructor(options: ThreadClientOptions) {
    this.#options = options;
  }

  /** The thread now running, for tests that end it. */
  get thread(): Worker | null {
    return this.#worker;
  }

  /** Starts the thread; rejects with the reason when its database cannot be opened. */
  start(): Promise<void> {
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  /** Has the thread carry out one operation; `payload` is copied, and its pages given back, when the group is posted. */
  run<K extends keyof Ops & string>(
    type: K,
    input: In<Ops, K>,
    payload: Payload = NO_PAYLOAD,
  ): Promise<Out<Ops, K>> {
    if (this.#closed) {
      payload.release();
      return Promise.reject(new StorageError('unavailable', 'the store is closed'));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ type, input, payload, resolve, reject });
      this.#schedule();
    });
  }

  /** Finishes what was asked for, then ends the thread. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#waiting.length > 0 || this.#inFlight !== null) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    const worker = this.#worker;
    this.#worker = null;
    if (worker === null) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage(null);
    await exited;
  }

  #start(): Promise<void> {
    const worker = new Worker(new URL(`./${this.#options.file}${EXTENSION}`, import.meta.url), {
      workerData: this.#options.data,
    });
    return new Promise((resolve, reject) => {
      let cause: unknown = null;
      worker.on('error', (error) => {
        cause = error;
      });
      worker.on('exit', () => {
        const lost = new StorageError(
          'unavailable',
          `the database thread ended${cause === null ? '' : `: ${describeError(cause)}`}`,
        );
        reject(lost);
        if (this.#worker === worker) this.#lost(lost);
      });
      worker.on('message', (message: ThreadMessage) => {
        if (message.type === 'group') {
          this.#answered(message);
        } else if (message.type === 'ready') {
          this.#worker = worker;
          resolve();
        } else {
          reject(fromForm(message.error));
        }
      });
    });
  }

  #lost(error: StorageError): void {
    this.#worker = null;
    const group = this.#inFlight ?? [];
    this.#inFlight = null;
    this.#options.onGroup?.({ queued: false, deadBodies: false }, error);
    for (const op of group) op.reject(error);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#pumpQueued || this.#inFlight !== null) return;
    this.#pumpQueued = true;
    queueMicrotask(() => {
      this.#pumpQueued = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#inFlight !== null) return;
    if (this.#waiting.length === 0) {
      this.#onIdle?.();
      return;
    }
    const worker = this.#worker;
    if (worker === null) {
      this.start().then(
        () => this.#pump(),
        (error) => this.#refuseWaiting(error),
      );
      return;
    }
    const group = this.#takeGroup();
    this.#inFlight = group;
    this.#post(worker, group);
  }

  #refuseWaiting(error: StorageError): void {
    const refused = this.#waiting;
    this.#waiting = [];
    this.#options.onGroup?.({ queued: false, deadBodies: false }, error);
    for (const op of refused) {
      op.payload.release();
      op.reject(error);
    }
    this.#onIdle?.();
  }

  #takeGroup(): Pending[] {
    const most = this.#options.groupOps ?? GROUP_OPS;
    let bytes = 0;
    let count = 0;
    for (const op of this.#waiting) {
      bytes += op.payload.sizeBytes;
      if (count === most || (count > 0 && bytes > GROUP_BYTES)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #post(worker: Worker, group: readonly Pending[]): void {
    const slab = this.#slabFor(group);
    const target = slab === null ? NO_BYTES : new Uint8Array(slab);
    let offset = 0;
    const ops: PostedOp[] = [];
    for (const op of group) {
      const length = op.payload.sizeBytes;
      op.payload.moveTo(target, offset);
      ops.push({ type: op.type, input: op.input, offset, length });
      offset += length;
    }
    try {
      worker.postMessage({ ops, slab }, slab === null ? [] : [slab]);
    } catch (error) {
      // An input that cannot be cloned is a fault of the caller's; the group must not wait for ever.
      this.#inFlight = null;
      for (const op of group) op.reject(new StorageError('internal', describeError(error)));
      this.#schedule();
    }
  }

  #slabFor(group: readonly Pending[]): ArrayBuffer | null {
    let bytes = 0;
    for (const op of group) bytes += op.payload.sizeBytes;
    if (bytes === 0) return null;
    const spare = this.#spareSlab;
    this.#spareSlab = null;
    if (spare !== null && spare.byteLength >= bytes) return spare;
    return new ArrayBuffer(Math.max(SMALLEST_SLAB_BYTES, 2 ** Math.ceil(Math.log2(bytes))));
  }

  #answered(message: Extract<ThreadMessage, { type: 'group' }>): void {
    const group = this.#inFlight ?? [];
    this.#inFlight = null;
    if (message.slab !== null && message.slab.byteLength <= GROUP_BYTES) this.#spareSlab = message.slab;
    const errors = new Map(message.errors.map(({ index, error }) => [index, fromForm(error)]));
    const trouble = [...errors.values()].find((error) => error.kind === 'unavailable') ?? null;
    this.#options.onGroup?.(message.flags, trouble);
    group.forEach((op, index) => {
      const error = errors.get(index);
      if (error === undefined) op.resolve(message.values[index] as never);
      else op.reject(error);
    });
    this.#schedule();
  }
}
