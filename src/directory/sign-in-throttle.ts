/**
 * Makes guessing passwords slow, then stops it: each failure of a network or at an account makes the next try wait
 * longer, and a network that goes on is banned for a while, longer each time. One network's tries never take more
 * than a few places of those who check passwords, so that everybody else gets in. In memory, of this node.
 */
const MAX_KEYS = 10_000;
/** A failure is remembered so long. */
const FORGET_MS = 60 * 60_000;
/** Failures without a wait: people mistype. */
const FREE_FAILURES = 3;
const FIRST_DELAY_MS = 500;
const MAX_NETWORK_DELAY_MS = 10_000;
/** Whoever has the right password waits so long at most while others guess it. */
const MAX_ACCOUNT_DELAY_MS = 4_000;
/** Failures of one network within `FORGET_MS` that ban it. */
export const FAILURES_UNTIL_BAN = 20;
/** The first ban, where the settings say nothing else. */
const FIRST_BAN_MS = 10 * 60_000;
const MAX_BAN_MS = 24 * 60 * 60_000;
/** Tries of one network that wait or are being checked. */
export const TRIES_AT_ONCE = 5;

export interface Ban {
  readonly network: string;
  /** ms since 1970. */
  readonly until: number;
  /** How often it was banned, this time included. */
  readonly times: number;
  readonly failures: number;
}

interface Failures {
  count: number;
  lastAt: number;
  bans: number;
  bannedUntil: number;
}

export type Admission =
  | { readonly ok: true; readonly delayMs: number; done(): void }
  | { readonly ok: false; readonly text: string };

export class SignInThrottle {
  readonly #now: () => number;
  readonly #firstBanMs: () => number;
  readonly #networks = new Map<string, Failures>();
  readonly #accounts = new Map<string, Failures>();
  readonly #underWay = new Map<string, number>();

  constructor(now: () => number = Date.now, firstBanMs: () => number = () => FIRST_BAN_MS) {
    this.#now = now;
    this.#firstBanMs = firstBanMs;
  }

  /** Whether a try may be made now and after what wait; `done()` is to be called when it is over. */
  admit(network: string, account: string | null): Admission {
    const now = this.#now();
    const failures = this.#known(this.#networks, network);
    if (failures !== null && failures.bannedUntil > now) {
      const minutes = Math.ceil((failures.bannedUntil - now) / 60_000);
      const wait = minutes === 1 ? 'a minute' : `${minutes} minutes`;
      const text = `Too many failed sign-ins from ${network}; try again in ${wait}`;
      return { ok: false, text };
    }
    const underWay = this.#underWay.get(network) ?? 0;
    if (underWay >= TRIES_AT_ONCE) {
      return { ok: false, text: `Too many sign-ins at once from ${network}; please try again later` };
    }
    this.#underWay.set(network, underWay + 1);
    const done = (): void => {
      const left = (this.#underWay.get(network) ?? 1) - 1;
      if (left <= 0) this.#underWay.delete(network);
      else this.#underWay.set(network, left);
    };
    const ofAccount = account === null ? null : this.#known(this.#accounts, account);
    const delayMs = Math.max(
      delayAfter(failures?.count ?? 0, MAX_NETWORK_DELAY_MS),
      delayAfter(ofAccount?.count ?? 0, MAX_ACCOUNT_DELAY_MS),
    );
    return { ok: true, delayMs, done };
  }

  failed(network: string, account: string | null): void {
    if (account !== null) this.#count(this.#accounts, account);
    const failures = this.#count(this.#networks, network);
    if (failures.count < FAILURES_UNTIL_BAN) return;
    failures.bans += 1;
    failures.bannedUntil = this.#now() + Math.min(MAX_BAN_MS, this.#firstBanMs() * 2 ** (failures.bans - 1));
    failures.count = 0;
  }

  /** Forgets the failures at the account; a network's stay, or one known password would free all guesses. */
  succeeded(account: string | null): void {
    if (account !== null) this.#accounts.delete(account);
  }

  /** The bans in force, those that end last first. */
  bans(): readonly Ban[] {
    const now = this.#now();
    return [...this.#networks]
      .filter(([, { bannedUntil }]) => bannedUntil > now)
      .map(([network, { bannedUntil, bans }]) => ({
        network,
        until: bannedUntil,
        times: bans,
        failures: bans * FAILURES_UNTIL_BAN,
      }))
      .sort((a, b) => b.until - a.until);
  }

  /** Ends a ban and forgets its network; false when there is none. */
  unban(network: string): boolean {
    const failures = this.#networks.get(network);
    if (failures === undefined || failures.bannedUntil <= this.#now()) return false;
    return this.#networks.delete(network);
  }

  #known(map: Map<string, Failures>, key: string): Failures | null {
    const failures = map.get(key);
    if (failures === undefined) return null;
    const now = this.#now();
    if (Math.max(failures.lastAt + FORGET_MS, failures.bannedUntil) > now) return failures;
    // How often it was banned is remembered a day longer, so that the next ban is longer.
    failures.count = 0;
    if (failures.bannedUntil + MAX_BAN_MS > now) return failures;
    map.delete(key);
    return null;
  }

  #count(map: Map<string, Failures>, key: string): Failures {
    const failures = this.#known(map, key) ?? { count: 0, lastAt: 0, bans: 0, bannedUntil: 0 };
    failures.count += 1;
    failures.lastAt = this.#now();
    // Last in the order of the map: the newest.
    map.delete(key);
    map.set(key, failures);
    if (map.size > MAX_KEYS) this.#forgetOne(map);
    return failures;
  }

  /** The oldest that is not banned, or the oldest when all are. */
  #forgetOne(map: Map<string, Failures>): void {
    const now = this.#now();
    for (const [key, { bannedUntil }] of map) {
      if (bannedUntil > now) continue;
      map.delete(key);
      return;
    }
    const oldest = map.keys().next().value;
    if (oldest !== undefined) map.delete(oldest);
  }
}

function delayAfter(failures: number, limitMs: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(limitMs, FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES));
}
