/**
 * Pages that message bytes wait in on the main thread. They are used again and again: a buffer of its own for
 * each body would leave the collector with twice the size of all mail to clear away, and memory would follow
 * the load instead of its bound.
 */
export const PAGE_BYTES = 16 * 1024;
const PAGES_AT_ONCE = 64;

export class PagePool {
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    const page = this.#free.pop();
    if (page !== undefined) return page;
    const block = new ArrayBuffer(PAGES_AT_ONCE * PAGE_BYTES);
    for (let n = 1; n < PAGES_AT_ONCE; n += 1) {
      this.#free.push(new Uint8Array(block, n * PAGE_BYTES, PAGE_BYTES));
    }
    return new Uint8Array(block, 0, PAGE_BYTES);
  }

  give(pages: readonly Uint8Array[]): void {
    this.#free.push(...pages);
  }
}

/** Bytes beside an operation: whole pages but for the last. Released once, when they are copied or given up. */
export class Payload {
  readonly sizeBytes: number;
  readonly #pages: readonly Uint8Array[];
  readonly #pool: PagePool | null;

  constructor(pool: PagePool | null, pages: readonly Uint8Array[], sizeBytes: number) {
    this.#pool = pool;
    this.#pages = pages;
    this.sizeBytes = sizeBytes;
  }

  /** Copies into `target` from `offset` and gives the pages back. */
  moveTo(target: Uint8Array, offset: number): void {
    this.#copyTo(target, offset);
    this.release();
  }

  /** The bytes, which stay here too. */
  copy(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes);
    this.#copyTo(bytes, 0);
    return bytes;
  }

  #copyTo(target: Uint8Array, offset: number): void {
    this.#pages.forEach((page, n) => {
      const left = this.sizeBytes - n * PAGE_BYTES;
      target.set(left < PAGE_BYTES ? page.subarray(0, left) : page, offset + n * PAGE_BYTES);
    });
  }

  release(): void {
    this.#pool?.give(this.#pages);
  }
}

export const NO_PAYLOAD = new Payload(null, [], 0);
