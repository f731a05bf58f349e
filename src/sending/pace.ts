/** Messages a minute to destinations whose rule says a rate: a token bucket for each. */

/** Part of a minute's messages that may go at once after a pause. */
const BURST_PART = 1 / 12;
const MAX_ENTRIES = 10_000;

interface Bucket {
  tokens: number;
  at: number;
}

export class Pace {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Messages that may go now, `wanted` at most; they count as gone. */
  take(destination: string, ratePerMinute: number, wanted: number): number {
    const bucket = this.#bucket(destination, ratePerMinute);
    const taken = Math.min(wanted, Math.floor(bucket.tokens));
    bucket.tokens -= taken;
    return taken;
  }

  /** Gives back what was taken and not used. */
  giveBack(destination: string, count: number): void {
    const bucket = this.#buckets.get(destination);
    if (bucket !== undefined) bucket.tokens += count;
  }

  /** Time until the next message may go, ms. */
  waitMs(destination: string, ratePerMinute: number): number {
    const { tokens } = this.#bucket(destination, ratePerMinute);
    return tokens >= 1 ? 0 : Math.ceil(((1 - tokens) * 60_000) / ratePerMinute);
  }

  #bucket(destination: string, ratePerMinute: number): Bucket {
    const now = this.#now();
    const most = Math.max(1, ratePerMinute * BURST_PART);
    const bucket = this.#buckets.get(destination) ?? { tokens: most, at: now };
    bucket.tokens = Math.min(most, bucket.tokens + ((now - bucket.at) * ratePerMinute) / 60_000);
    bucket.at = now;
    this.#buckets.delete(destination);
    this.#buckets.set(destination, bucket);
    const oldest = this.#buckets.keys().next().value;
    if (this.#buckets.size > MAX_ENTRIES && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}
