/** Mail a minute on this node, the last 24 hours, in memory. */

export const TRAFFIC_MINUTES = 1440;

export type TrafficKind = 'accepted' | 'refused' | 'delivered' | 'deferred' | 'failed';

export interface TrafficMinute {
  /** Start of the minute, ms since 1970. */
  readonly at: number;
  readonly accepted: number;
  readonly refused: number;
  readonly delivered: number;
  readonly deferred: number;
  readonly failed: number;
}

type Counts = Record<TrafficKind, number>;

const MINUTE_MS = 60_000;

function none(): Counts {
  return { accepted: 0, refused: 0, delivered: 0, deferred: 0, failed: 0 };
}

export class TrafficCounter {
  /** By the number of the minute; only minutes in which something happened. */
  readonly #minutes = new Map<number, Counts>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  count(kind: TrafficKind, by = 1): void {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS);
    let counts = this.#minutes.get(minute);
    if (counts === undefined) {
      counts = none();
      this.#minutes.set(minute, counts);
      this.#forget(minute);
    }
    counts[kind] += by;
  }

  /** So many minutes up to the present one, which is the last. */
  last(minutes: number): TrafficMinute[] {
    const now = Math.floor(this.#nowMs() / MINUTE_MS);
    const length = Math.min(minutes, TRAFFIC_MINUTES);
    return Array.from({ length }, (_, n) => {
      const minute = now - length + 1 + n;
      return { at: minute * MINUTE_MS, ...(this.#minutes.get(minute) ?? none()) };
    });
  }

  #forget(minute: number): void {
    for (const old of this.#minutes.keys()) {
      if (old > minute - TRAFFIC_MINUTES && old <= minute) continue;
      this.#minutes.delete(old);
    }
  }
}
