/** Slows down guessing of passwords: whoever failed has to wait, twice as long after each further failure. */

interface Rule {
  /** Failures without a wait. */
  readonly free: number;
  readonly longestMs: number;
}

const FIRST_WAIT_MS = 1_000;
/** A key without a failure for this long starts anew. */
const FORGET_MS = 60 * 60_000;
/** Keys remembered; when there are more, the oldest go. */
export const MAX_THROTTLED = 10_000;

/** The account by itself waits least, so that a stranger cannot keep its owner out. */
const RULES = {
  address: { free: 10, longestMs: 15 * 60_000 },
  both: { free: 3, longestMs: 15 * 60_000 },
  account: { free: 20, longestMs: 30_000 },
} as const satisfies Record<string, Rule>;

interface Failures {
  count: number;
  lastMs: number;
  waitUntilMs: number;
}

export class LoginThrottle {
  readonly #failures = new Map<string, Failures>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** How long this address has to wait before it may try this account; 0 for not at all. */
  waitMs(address: string, account: string): number {
    const now = this.#nowMs();
    const waits = keysOf(address, account).map(([key]) => (this.#failures.get(key)?.waitUntilMs ?? 0) - now);
    return Math.max(0, ...waits);
  }

  failed(address: string, account: string): void {
    const now = this.#nowMs();
    for (const [key, { free, longestMs }] of keysOf(address, account)) {
      const before = this.#failures.get(key);
      const count = before === undefined || now - before.lastMs > FORGET_MS ? 1 : before.count + 1;
      const waitMs =
        count <= free ? 0 : Math.min(longestMs, FIRST_WAIT_MS * 2 ** Math.min(count - free - 1, 30));
      // Put back at the end: the map keeps the order of the last failure.
      this.#failures.delete(key);
      this.#failures.set(key, { count, lastMs: now, waitUntilMs: now + waitMs });
    }
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MAX_THROTTLED) break;
      this.#failures.delete(oldest);
    }
  }

  /** For a try that was counted as failed before it was made, so that many at once gain nothing, and was right. */
  takeBack(address: string, account: string): void {
    for (const [key, { free }] of keysOf(address, account)) {
      const failures = this.#failures.get(key);
      if (failures === undefined) continue;
      failures.count -= 1;
      if (failures.count <= 0) this.#failures.delete(key);
      else if (failures.count <= free) failures.waitUntilMs = 0;
    }
  }

  /** The right password clears the way from this address; what others did to the account stays. */
  succeeded(address: string, account: string): void {
    this.#failures.delete(`both ${address} ${account}`);
    this.#failures.delete(`address ${address}`);
  }

  get size(): number {
    return this.#failures.size;
  }
}

function keysOf(address: string, account: string): readonly (readonly [string, Rule])[] {
  return [
    [`address ${address}`, RULES.address],
    [`both ${address} ${account}`, RULES.both],
    [`account ${account}`, RULES.account],
  ];
}
