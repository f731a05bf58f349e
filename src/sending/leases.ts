/** The claims in hand and their leases, renewed for as long as somebody works on them. */
import { describeError } from '../mail/failure.ts';
import type { Claim, QueueStore } from '../storage/contract.ts';
import type { SenderDependencies } from './ports.ts';

const PAGE = 1_000;

export class Leases {
  readonly #store: Pick<QueueStore, 'renewClaims'>;
  readonly #log: SenderDependencies['log'];
  readonly #leaseMs: number;
  /** Until when each claim is surely ours, by our own clock, ms. */
  readonly #until = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(
    store: Pick<QueueStore, 'renewClaims'>,
    log: SenderDependencies['log'],
    times: { readonly leaseMs: number; readonly renewMs: number },
  ) {
    this.#store = store;
    this.#log = log;
    this.#leaseMs = times.leaseMs;
    this.#timer = setInterval(() => void this.#renew(), times.renewMs);
    this.#timer.unref();
  }

  /** `askedAt`: when the claim was asked for, which is before its lease began. */
  add(claim: Claim, askedAt: number): void {
    this.#until.set(claim.token, askedAt + this.#leaseMs);
  }

  drop(claim: Claim): void {
    this.#until.delete(claim.token);
  }

  holds(claim: Claim): boolean {
    return Date.now() < (this.#until.get(claim.token) ?? 0);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #renew(): Promise<void> {
    const tokens = [...this.#until.keys()];
    for (let from = 0; from < tokens.length; from += PAGE)
      await this.#renewPage(tokens.slice(from, from + PAGE));
  }

  async #renewPage(tokens: readonly string[]): Promise<void> {
    const askedAt = Date.now();
    try {
      const valid = new Set(await this.#store.renewClaims(tokens, this.#leaseMs));
      for (const token of tokens) {
        // A claim settled meanwhile is gone from the map and must not come back.
        if (this.#until.has(token)) this.#until.set(token, valid.has(token) ? askedAt + this.#leaseMs : 0);
      }
    } catch (error) {
      this.#log('warn', 'claims could not be renewed', {
        claims: tokens.length,
        error: describeError(error),
      });
    }
  }
}
