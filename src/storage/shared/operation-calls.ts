import type { In, Out, ReadOps, WriteOps } from './operations.ts';
import type { Payload } from './pages.ts';

/** How an engine has an operation carried out; the parts of the contract stand on this. */
export abstract class OperationCalls {
  /** One that changes the store. Rejects with `StorageError`; `payload` is released whatever comes of it. */
  protected abstract write<K extends keyof WriteOps>(
    type: K,
    input: In<WriteOps, K>,
    payload?: Payload,
  ): Promise<Out<WriteOps, K>>;
  /** A short one that a session waits for. */
  protected abstract lookup<K extends keyof ReadOps>(
    type: K,
    input: In<ReadOps, K>,
  ): Promise<Out<ReadOps, K>>;
  /** One that may read much. */
  protected abstract read<K extends keyof ReadOps>(type: K, input: In<ReadOps, K>): Promise<Out<ReadOps, K>>;
}
