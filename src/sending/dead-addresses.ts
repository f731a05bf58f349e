/** Addresses found unreachable, so that work taken before that was known need not find it out again. */
import type { Endpoint } from './connect.ts';

const MAX_ENTRIES = 1_000;

export class DeadAddresses {
  readonly #entries = new Map<string, { at: number; reason: string }>();

  add(endpoint: Endpoint, reason: string): void {
    this.#entries.delete(endpoint.key);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(endpoint.key, { at: performance.now(), reason });
  }

  remove(endpoint: Endpoint): void {
    this.#entries.delete(endpoint.key);
  }

  /**
   * Why the address is not worth dialling for work taken at `takenAt` (ms, `performance.now()`: several
   * attempts fit into one millisecond of the wall clock); null when it is. Work taken
   * later always dials: the schedule or a person asked for another attempt.
   */
  reason(endpoint: Endpoint, takenAt: number): string | null {
    const entry = this.#entries.get(endpoint.key);
    return entry !== undefined && takenAt < entry.at ? entry.reason : null;
  }
}
