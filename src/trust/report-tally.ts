/** Counts sessions for the TLS reports in memory, until they are taken to the store. */
import { createHash } from 'node:crypto';
import type { TlsSessionCount } from '../storage/trust-contract.ts';
import type { ReportedPolicy, TlsFailureType, TlsOutcome } from './contract.ts';

export const DAY_MS = 86_400_000;
/** A report is due so long after the end of its day, and up to `SPREAD_MS` later: not all are sent at once (RFC 8460 §4.1). */
const FIRST_DUE_MS = 3_600_000;
const SPREAD_MS = 4 * 3_600_000;
/** Counts of a day are taken to the store until then; later its reports may be gone. */
const LATEST_MS = FIRST_DUE_MS / 2;
/** Different counts held at once. */
const MAX_HELD = 10_000;

/** What is counted together; without hosts and addresses where nothing failed. */
export interface TlsCountDetail {
  readonly policy: Omit<ReportedPolicy, 'domain' | 'failure'>;
  readonly failure: TlsFailureType | null;
  readonly mxHost: string | null;
  readonly mxAddress: string | null;
  readonly sendingAddress: string | null;
}

export class TlsTally {
  readonly #hostname: string;
  readonly #held = new Map<string, TlsSessionCount>();

  /** Our name: nodes with other names spread their reports otherwise. */
  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /** Beyond the bound only what is held already is counted on. `now` in ms since 1970. */
  count(outcome: TlsOutcome, now: number): void {
    const day = Math.floor(now / DAY_MS);
    const { domain } = outcome.policy;
    this.#add({ day, domain, dueAt: this.#dueAt(day, domain), detail: detailOf(outcome), sessions: 1 });
  }

  /** All that is held and not too old, which is held no more. */
  take(now: number): readonly TlsSessionCount[] {
    const taken = [...this.#held.values()].filter(({ day }) => now < (day + 1) * DAY_MS + LATEST_MS);
    this.#held.clear();
    return taken;
  }

  /** What could not be stored. */
  giveBack(counts: readonly TlsSessionCount[]): void {
    for (const one of counts) this.#add(one);
  }

  #add(count: TlsSessionCount): void {
    const key = `${count.day} ${count.domain} ${count.detail}`;
    const held = this.#held.get(key);
    if (held === undefined && this.#held.size >= MAX_HELD) return;
    this.#held.set(key, { ...count, sessions: count.sessions + (held?.sessions ?? 0) });
  }

  #dueAt(day: number, domain: string): number {
    const hash = createHash('sha256').update(`${this.#hostname} ${domain}`).digest();
    return (day + 1) * DAY_MS + FIRST_DUE_MS + (hash.readUInt32BE() % SPREAD_MS);
  }
}

function detailOf({ policy, failure, mxHost, mxAddress, sendingAddress }: TlsOutcome): string {
  const { policyDomain, type, strings, mx } = policy;
  const where =
    failure === null
      ? { mxHost: null, mxAddress: null, sendingAddress: null }
      : { mxHost, mxAddress: plain(mxAddress), sendingAddress: plain(sendingAddress) };
  const detail: TlsCountDetail = { policy: { policyDomain, type, strings, mx }, failure, ...where };
  return JSON.stringify(detail);
}

/** An IPv4 address as such, also from a socket of IPv6. */
function plain<T extends string | null>(address: T): T | string {
  return address?.replace(/^::ffff:(?=\d+\.)/i, '') ?? address;
}
