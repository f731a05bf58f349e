/**
 * What strangers did in vain within the last hour, by address and by network, summed over sessions. Who did too much
 * is told to come back later (421, RFC 5321 §3.8), so that nothing of an honest client is lost. In memory, of this node.
 */
import { networkOf } from '../listening/network.ts';
import type { StrangerErrors } from '../settings/values.ts';
import type { Fruitless } from '../smtp/receiver-tally.ts';

const STEP_MS = 5 * 60_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Addresses counted at once, and as many networks; beyond it the one that did nothing for longest is forgotten. */
export const MAX_COUNTED = 10_000;
/** Of those over a limit, for `status`. */
const MAX_LISTED = 100;
/** Ten commands that move no mail are as much as one error; every client sends some. */
const TENTHS_OF_ERROR = 10;
/** Errors that an accepted message takes back: who brings mail may have unknown recipients among it. */
export const TAKEN_BACK_BY_MESSAGE = 10;

type Log = (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;

/** An address or network that is refused for now. */
export interface OverLimit {
  /** `192.0.2.7`, `192.0.2.0/24`, `2001:db8:0:0::/64`. */
  readonly client: string;
  /** Within the last hour. */
  readonly errors: number;
  /** When it may come back if nothing is added, ms since 1970. */
  readonly until: number;
}

interface Counted {
  /** Tenths of an error by the step of five minutes they came in, oldest first; at most 13 steps. */
  readonly steps: Map<number, number>;
  /** When it was last said to be over its limit, ms since 1970; 0 never. */
  toldAt: number;
}

export class StrangerLimits {
  readonly #limits: () => StrangerErrors;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #addresses = new Map<string, Counted>();
  readonly #networks = new Map<string, Counted>();

  constructor(limits: () => StrangerErrors, log: Log, now: () => number = Date.now) {
    this.#limits = limits;
    this.#log = log;
    this.#now = now;
  }

  /** A stranger's session did this in vain. */
  count(address: string, { errors, idleCommands }: Fruitless): void {
    const tenths = errors * TENTHS_OF_ERROR + idleCommands;
    if (tenths === 0) return;
    const { perAddress, perNetwork } = this.#limits();
    this.#add(this.#addresses, address, tenths, perAddress);
    this.#add(this.#networks, networkOf(address), tenths, perNetwork);
  }

  /** A message was accepted from there. */
  accepted(address: string): void {
    takeBack(this.#addresses.get(address), TAKEN_BACK_BY_MESSAGE * TENTHS_OF_ERROR);
    takeBack(this.#networks.get(networkOf(address)), TAKEN_BACK_BY_MESSAGE * TENTHS_OF_ERROR);
  }

  /** What a client over the limit of its address or network is told, with the time to come back; null for others. */
  refusal(address: string): string | null {
    const { perAddress, perNetwork } = this.#limits();
    const over =
      this.#state(this.#addresses, address, perAddress) ??
      this.#state(this.#networks, networkOf(address), perNetwork);
    if (over === null) return null;
    const minutes = Math.ceil((over.until - this.#now()) / MINUTE_MS);
    const wait = minutes === 1 ? 'a minute' : `${minutes} minutes`;
    return `too many refused commands and recipients from ${over.client} within an hour; try again in ${wait}`;
  }

  /** Who is over a limit now, those that wait longest first; at most 100. */
  list(): readonly OverLimit[] {
    const { perAddress, perNetwork } = this.#limits();
    const found = [
      ...[...this.#addresses.keys()].map((key) => this.#state(this.#addresses, key, perAddress)),
      ...[...this.#networks.keys()].map((key) => this.#state(this.#networks, key, perNetwork)),
    ];
    return found
      .filter((one) => one !== null)
      .sort((a, b) => b.until - a.until)
      .slice(0, MAX_LISTED);
  }

  #add(counts: Map<string, Counted>, key: string, tenths: number, limit: number): void {
    const now = this.#now();
    const counted = counts.get(key) ?? { steps: new Map<number, number>(), toldAt: 0 };
    // Last in the order of the map: it was active most recently.
    counts.delete(key);
    counts.set(key, counted);
    const oldest = counts.keys().next().value;
    if (counts.size > MAX_COUNTED && oldest !== undefined) counts.delete(oldest);
    const { steps } = counted;
    const step = Math.floor(now / STEP_MS);
    steps.set(step, (steps.get(step) ?? 0) + tenths);
    for (const old of steps.keys()) if (endOf(old) <= now) steps.delete(old);
    const over = this.#state(counts, key, limit);
    // Once an hour: whoever goes on is refused without a word in the log.
    if (over === null || counted.toldAt > now - HOUR_MS) return;
    counted.toldAt = now;
    const until = new Date(over.until).toISOString();
    this.#log('warn', 'a stranger is over its limit', { client: key, errors: over.errors, until });
  }

  #state(counts: Map<string, Counted>, key: string, limit: number): OverLimit | null {
    const steps = counts.get(key)?.steps;
    if (limit === 0 || steps === undefined) return null;
    const now = this.#now();
    let tenths = 0;
    for (const [step, count] of steps) if (endOf(step) > now) tenths += count;
    if (tenths < limit * TENTHS_OF_ERROR) return null;
    const errors = Math.floor(tenths / TENTHS_OF_ERROR);
    let until = now;
    for (const [step, count] of steps) {
      if (tenths < limit * TENTHS_OF_ERROR) break;
      if (endOf(step) <= now) continue;
      tenths -= count;
      until = endOf(step);
    }
    return { client: key, errors, until };
  }
}

/** When what came in a step of five minutes counts no more, ms since 1970. */
function endOf(step: number): number {
  return (step + 1) * STEP_MS + HOUR_MS;
}

/** The newest first: they would count for longest. */
function takeBack(counted: Counted | undefined, tenths: number): void {
  if (counted === undefined) return;
  let left = tenths;
  for (const [step, count] of [...counted.steps].reverse()) {
    const taken = Math.min(count, left);
    counted.steps.set(step, count - taken);
    left -= taken;
  }
}
