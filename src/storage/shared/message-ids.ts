import type { MessageId } from '../../mail/message-id.ts';
import { StorageError } from '../contract.ts';

/** Numbers reserved durably at a time. */
export const ID_BLOCK = 4096;

/** Hands out queue IDs from blocks reserved in the store; the next block is fetched when half of one is used. */
export class MessageIds {
  readonly #reserve: () => Promise<number>;
  #next = 1;
  #end = 1;
  #following: number | null = null;
  #fetching = false;

  /** `reserve` makes a block of `ID_BLOCK` numbers ours and resolves to the first. */
  constructor(reserve: () => Promise<number>) {
    this.#reserve = reserve;
  }

  async start(): Promise<void> {
    this.#next = await this.#reserve();
    this.#end = this.#next + ID_BLOCK;
  }

  /** Throws `unavailable` when both blocks are used up before the store gave another. */
  take(): MessageId {
    if (this.#end - this.#next <= ID_BLOCK / 2) this.#fetch();
    if (this.#next === this.#end) {
      if (this.#following === null)
        throw new StorageError('unavailable', 'the store gives no more message numbers');
      this.#next = this.#following;
      this.#end = this.#next + ID_BLOCK;
      this.#following = null;
    }
    return this.#next++;
  }

  #fetch(): void {
    if (this.#fetching || this.#following !== null) return;
    this.#fetching = true;
    this.#reserve().then(
      (first) => {
        this.#following = first;
        this.#fetching = false;
      },
      // The writer's alarm tells of it; the next number taken asks again.
      () => {
        this.#fetching = false;
      },
    );
  }
}
