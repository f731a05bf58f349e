/** The MTA-STS policies of destinations (RFC 8461): found, kept in the store, refreshed. */
import type { Resolver } from '../dns/contract.ts';
import { Slots } from '../dns/slots.ts';
import { describeError, failed, type Result } from '../mail/failure.ts';
import type { KeptStsPolicy, TrustStore } from '../storage/trust-contract.ts';
import type { StsPolicy, TlsFailureType } from './contract.ts';
import type { StsFetch, StsFetchFailure } from './sts-fetch.ts';
import { parseStsPolicy, stsId } from './sts-policy.ts';

/** How long what was found is not asked for again; DNS has caches of its own. */
const KNOWN_MS = 60_000;
/** The same after a fetch that failed (§3.3: five minutes or more). */
const FAILED_MS = 5 * 60_000;
/** Before a kept policy ends it is fetched anew, so that it never ends while the domain has one. */
const REFRESH_BEFORE_MS = 24 * 3_600_000;
const MAX_KNOWN = 10_000;
const MAX_FETCHES = 20;
const MAX_WAITING = 1_000;
const WAIT_FOR_FETCH_MS = 20_000;

export interface MtaStsOptions {
  readonly resolver: Pick<Resolver, 'txt'>;
  readonly store: Pick<TrustStore, 'stsPolicy' | 'keepStsPolicy'>;
  readonly fetch: StsFetch;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** ms since 1970. */
  readonly now?: () => number;
}

/** The policy of a domain that is in force, null without one; `note` says what went wrong on the way. */
export interface StsFinding {
  readonly policy: StsPolicy | null;
  readonly note: string | null;
  /** The same as reports call it; absent when the policy was had. */
  readonly failure?: TlsFailureType;
}

interface Known extends StsFinding {
  readonly until: number;
}

export class MtaSts {
  readonly #options: MtaStsOptions;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<Known>>();
  readonly #slots = new Slots(MAX_FETCHES, MAX_WAITING);

  constructor(options: MtaStsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Rejects only when the store cannot say whether a policy is in force. */
  async find(domain: string): Promise<StsFinding> {
    const known = this.#known.get(domain);
    if (known !== undefined && known.until > this.#now()) return known;
    const asking =
      this.#underWay.get(domain) ?? this.#find(domain).finally(() => this.#underWay.delete(domain));
    this.#underWay.set(domain, asking);
    const found = await asking;
    this.#known.delete(domain);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(domain, found);
    return found;
  }

  async #find(domain: string): Promise<Known> {
    const kept = await this.#kept(domain);
    // Without knowing whether a policy is in force no mail may go out as if there were none.
    if (!kept.ok) throw new Error(kept.failure);
    const alive = kept.value !== null && kept.value.expiresAt > this.#now() ? kept.value : null;
    const answer = await this.#options.resolver.txt(`_mta-sts.${domain}`);
    const id = answer.status === 'ok' ? stsId(answer.records) : null;
    const known = (policy: StsPolicy | null, note: string | null, forMs = KNOWN_MS): Known => {
      return { policy, note, until: this.#now() + forMs };
    };
    // A policy in force stays so although its record is gone (§3.1): somebody may have taken it away on the way.
    if (id === null) {
      const what = answer.status === 'no-answer' ? `could not be had (${answer.detail})` : 'is missing';
      return known(alive, alive === null ? null : `its TXT record ${what}; the last policy counts`);
    }
    const lasts =
      alive !== null &&
      alive.expiresAt - this.#now() > Math.min(REFRESH_BEFORE_MS, alive.maxAgeSeconds * 500);
    if (alive !== null && alive.id === id && lasts) return known(alive, null);
    const fetched = await this.#fetch(domain);
    if (fetched.ok) {
      await this.#keep(domain, id, fetched.value);
      return known(fetched.value, null);
    }
    const { text, type } = fetched.failure;
    const note = `its MTA-STS policy could not be fetched (${text})`;
    const found = known(alive, alive === null ? note : `${note}; the last policy counts`, FAILED_MS);
    return { ...found, failure: type };
  }

  async #kept(domain: string): Promise<Result<KeptStsPolicy | null, string>> {
    try {
      return { ok: true, value: await this.#options.store.stsPolicy(domain) };
    } catch (error) {
      return failed(describeError(error));
    }
  }

  async #fetch(domain: string): Promise<Result<StsPolicy, StsFetchFailure>> {
    const turn = await this.#slots.take(WAIT_FOR_FETCH_MS);
    if (turn !== 'taken')
      return failed({ text: 'too many policies are being fetched already', type: 'sts-policy-fetch-error' });
    try {
      const text = await this.#options.fetch(domain);
      if (!text.ok) return text;
      const policy = parseStsPolicy(text.value);
      return policy.ok ? policy : failed({ text: policy.failure, type: 'sts-policy-invalid' });
    } finally {
      this.#slots.release();
    }
  }

  async #keep(domain: string, id: string, policy: StsPolicy): Promise<void> {
    const now = this.#now();
    const kept = { ...policy, id, fetchedAt: now, expiresAt: now + policy.maxAgeSeconds * 1000 };
    try {
      await this.#options.store.keepStsPolicy(domain, kept);
    } catch (error) {
      const fields = { domain, why: describeError(error) };
      this.#options.log('warn', 'an MTA-STS policy could not be stored; it is fetched again', fields);
    }
  }
}
