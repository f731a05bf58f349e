/** Due destinations by name, each in its turn; read in pages, so that memory does not grow with the queue. */
import type { QueueStore } from '../storage/contract.ts';

/** Destinations read at once. */
const PAGE = 200;

export class DueRound {
  readonly #store: Pick<QueueStore, 'dueDestinations'>;
  /** The destination that had a turn last: the next round goes on behind it. */
  #cursor = '';

  constructor(store: Pick<QueueStore, 'dueDestinations'>) {
    this.#store = store;
  }

  /** All that are due now, once round, in pages. Rejects with the store's errors. */
  async *pages(): AsyncGenerator<readonly string[]> {
    const start = this.#cursor;
    let after = start;
    let wrapped = false;
    for (;;) {
      const page = await this.#store.dueDestinations({ now: Date.now(), after, limit: PAGE });
      const names = page.map(({ destination }) => destination);
      const left = wrapped ? names.filter((name) => name <= start) : names;
      yield left;
      const isLast = page.length < PAGE;
      if (left.length < names.length || (isLast && (wrapped || start === ''))) return;
      wrapped ||= isLast;
      after = isLast ? '' : (names.at(-1) ?? '');
    }
  }

  /** It had its turn. */
  passed(destination: string): void {
    this.#cursor = destination;
  }
}
