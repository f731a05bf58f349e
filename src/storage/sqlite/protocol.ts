/** What passes between the main thread and the threads that hold the database. */
import type { GroupFlags } from '../shared/operations.ts';
import type { ErrorForm } from './errors.ts';
import type { ConnectionOptions } from './schema.ts';

/** One operation as posted; `length` bytes of the slab from `offset` belong to it. */
export interface PostedOp {
  readonly type: string;
  readonly input: unknown;
  readonly offset: number;
  readonly length: number;
}

export interface PostedGroup {
  readonly ops: readonly PostedOp[];
  /** Comes back with the answer, to be filled again. */
  readonly slab: ArrayBuffer | null;
}

/** What a thread posts: once when it is ready or could not start, then once for each group. */
export type ThreadMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: ErrorForm }
  | {
      readonly type: 'group';
      readonly values: readonly unknown[];
      readonly errors: readonly { readonly index: number; readonly error: ErrorForm }[];
      readonly slab: ArrayBuffer | null;
      readonly flags: GroupFlags;
    };

export interface ThreadData {
  readonly connection: ConnectionOptions;
}
