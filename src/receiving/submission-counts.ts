/**
 * How many messages each account has sent within the last hour and day, in memory: in steps of five minutes for each
 * account that sent something. A restart begins anew, and each node counts what it took itself.
 */
const STEP_MS = 5 * 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Accounts counted at once; beyond it the one that sent longest ago is forgotten. */
const MAX_ACCOUNTS = 20_000;
/** Accounts at a limit that are remembered for `status`. */
const MAX_LIMITED = 100;

export interface SendingCounts {
  readonly hour: number;
  readonly day: number;
  /** When one of those counted runs out, ms. */
  readonly hourFreeAt: number;
  readonly dayFreeAt: number;
}

interface Limited {
  readonly address: string;
  readonly limit: string;
  readonly at: number;
}

export class SubmissionCounts {
  readonly #now: () => number;
  /** By account: the number of messages by the step they came in, oldest first; at most 289 steps. */
  readonly #sent = new Map<number, Map<number, number>>();
  readonly #limited = new Map<number, Limited>();

  constructor(now: () => number) {
    this.#now = now;
  }

  add(accountId: number): void {
    const step = Math.floor(this.#now() / STEP_MS);
    const steps = this.#sent.get(accountId) ?? new Map<number, number>();
    // Last in the order of the map: it sent most recently.
    this.#sent.delete(accountId);
    this.#sent.set(accountId, steps);
    steps.set(step, (steps.get(step) ?? 0) + 1);
    for (const old of steps.keys()) {
      if (old * STEP_MS > this.#now() - DAY_MS - STEP_MS) break;
      steps.delete(old);
    }
    const oldest = this.#sent.keys().next().value;
    if (this.#sent.size > MAX_ACCOUNTS && oldest !== undefined) this.#sent.delete(oldest);
  }

  of(accountId: number): SendingCounts {
    const now = this.#now();
    let [hour, day, hourFreeAt, dayFreeAt] = [0, 0, now, now];
    for (const [step, count] of this.#sent.get(accountId) ?? []) {
      const endedAt = (step + 1) * STEP_MS;
      if (endedAt <= now - DAY_MS) continue;
      if (day === 0) dayFreeAt = endedAt + DAY_MS;
      day += count;
      if (endedAt <= now - HOUR_MS) continue;
      if (hour === 0) hourFreeAt = endedAt + HOUR_MS;
      hour += count;
    }
    return { hour, day, hourFreeAt, dayFreeAt };
  }

  noteLimited(accountId: number, address: string, limit: string): void {
    this.#limited.delete(accountId);
    this.#limited.set(accountId, { address, limit, at: this.#now() });
    const oldest = this.#limited.keys().next().value;
    if (this.#limited.size > MAX_LIMITED && oldest !== undefined) this.#limited.delete(oldest);
  }

  /** Those that were refused within the last hour. */
  limited(): readonly Limited[] {
    return [...this.#limited.values()].filter(({ at }) => at > this.#now() - HOUR_MS);
  }
}
