/**
 * The claims in hand and their leases, renewed for as long as somebody works on them. A lease is counted from
 * before it was asked for, by two clocks: one may be set, the other stands still while the machine is suspended.
 */
import { describeError } from '../mail/failure.ts';
import type { Claim, QueueStore } from '../storage/contract.ts';
import type { SenderDependencies } from './ports.ts';

const PAGE = 1_000;
/**
 * A claim with less of its lease left is as good as lapsed: the peer must answer and the outcome be recorded
 * before somebody else may take it.
 */
const MARGIN_MS = 8_000;
/** Of a short lease not more than this is margin. */
const MARGIN_SHARE = 0.4;

interface Until {
  readonly wallMs: number;
  readonly steadyMs: number;
}

const LAPSED: Until = { wallMs: 0, steadyMs: 0 };

/** Now, for `Leases.add`. */
export function leaseClock(): Until {
  return { wallMs: Date.now(), steadyMs: performance.now() };
}

function later({ wallMs, steadyMs }: Until, byMs: number): Until {
  return { wallMs: wallMs + byMs, steadyMs: steadyMs + byMs };
}

export class Leases {
  readonly #store: Pick<QueueStore, 'renewClaims'>;
  readonly #log: SenderDependencies['log'];
  readonly #leaseMs: number;
  /** Until when each claim may be worked on. */
  readonly #until = new Map<string, Until>();
  readonly #usableMs: number;
  readonly #timer: NodeJS.Timeout;
  #renewing = false;

  constructor(
    store: Pick<QueueStore, 'renewClaims'>,
    log: SenderDependencies['log'],
    times: { readonly leaseMs: number; readonly renewMs: number },
  ) {
    this.#store = store;
    this.#log = log;
    this.#leaseMs = times.leaseMs;
    this.#usableMs = times.leaseMs - Math.min(MARGIN_MS, times.leaseMs * MARGIN_SHARE);
    this.#timer = setInterval(() => void this.#renewUnlessAtIt(), times.renewMs);
    this.#timer.unref();
  }

  /** `askedAt`: when the claim was asked for, which is before its lease began. */
  add(claim: Claim, askedAt: Until): void {
    this.#until.set(claim.token, later(askedAt, this.#usableMs));
  }

  drop(claim: Claim): void {
    this.#until.delete(claim.token);
  }

  /** Whether it is surely ours, and for long enough to bring something to its end. */
  holds(claim: Claim): boolean {
    const { wallMs, steadyMs } = this.#until.get(claim.token) ?? LAPSED;
    return Date.now() < wallMs && performance.now() < steadyMs;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** A store that takes its time must not find the same question over and over. */
  async #renewUnlessAtIt(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    await this.#renew();
    this.#renewing = false;
  }

  async #renew(): Promise<void> {
    const tokens = [...this.#until.keys()];
    for (let from = 0; from < tokens.length; from += PAGE)
      await this.#renewPage(tokens.slice(from, from + PAGE));
  }

  async #renewPage(tokens: readonly string[]): Promise<void> {
    const askedAt = leaseClock();
    try {
      const valid = new Set(await this.#store.renewClaims(tokens, this.#leaseMs));
      for (const token of tokens) {
        // A claim settled meanwhile is gone from the map and must not come back.
        if (!this.#until.has(token)) continue;
        this.#until.set(token, valid.has(token) ? later(askedAt, this.#usableMs) : LAPSED);
      }
    } catch (error) {
      this.#log('warn', 'claims could not be renewed', {
        claims: tokens.length,
        error: describeError(error),
      });
    }
  }
}
