/**
 * The health of the SMTP hosts. Credentials refused, or five different messages running refused for policy, hold
 * a host's mail instead of returning it (BEHAVIOUR.md, "When MX fails"). A host that failed as a whole and has
 * others to stand in for it is tried last for a while.
 */
import type { MessageId } from '../mail/message-id.ts';
import type { SmtpHost } from '../settings/values.ts';

/** Different messages refused with 5.7.x in a row from which on the fault is taken to be ours. */
export const POLICY_REFUSALS_TO_HOLD = 5;
/** For how long a host that failed is tried after the others. */
export const REST_MS = 60_000;
/** SMTP hosts remembered: those in use and those of late changes. */
const MAX_HOSTS = 20;

/** What tells one SMTP host from another: the same server with two user names counts as two. */
export type WatchedHost = Pick<SmtpHost, 'which' | 'name' | 'port' | 'username'>;

interface HostState {
  /** Without what becomes of the mail, which depends on the hosts there are. */
  alarm: string | null;
  mend: string;
  refused: MessageId[];
  /** Until when it is tried last, ms of `performance.now()`. */
  restsUntil: number;
  restsFor: string;
}

export class SmtpHostWatch {
  readonly #hosts = new Map<string, HostState>();

  /** Sentences for the dashboard and `status` about the hosts in use; empty when all is well. */
  alarms(hosts: readonly WatchedHost[]): readonly string[] {
    return hosts.flatMap((host) => {
      const state = this.#hosts.get(keyOf(host));
      if (state === undefined || state.alarm === null) return [];
      const begin =
        hosts.length === 1 ? 'Mail is held' : 'Its mail goes by the others, or is held without one';
      return [`${begin}: ${state.alarm}. ${state.mend}`];
    });
  }

  credentialsRefused(host: WatchedHost, why: string): void {
    const state = this.#state(host);
    state.alarm = `the SMTP host ${nameOf(host)} does not let us sign in. ${why}`;
    state.mend = 'Check user name, password and TLS of the SMTP host';
    this.#rest(state, 'it did not let us sign in');
  }

  /** It took no connection. An alarm only where others stand in: else its mail waits, and says why. */
  unreachable(host: WatchedHost, why: string, others: boolean): void {
    const state = this.#state(host);
    this.#rest(state, why);
    if (!others) return;
    state.alarm ??= `the SMTP host ${nameOf(host)} is out of reach. ${why}`;
    state.mend ||= 'See whether it runs and can be reached from here';
  }

  /** A message was refused with 5.7.x at MAIL or RCPT. True when it is to be held and not returned. */
  policyRefused(host: WatchedHost, message: MessageId, reply: string): boolean {
    const state = this.#state(host);
    if (!state.refused.includes(message) && state.refused.length < POLICY_REFUSALS_TO_HOLD) {
      state.refused.push(message);
    }
    if (state.refused.length < POLICY_REFUSALS_TO_HOLD) return false;
    state.alarm = `the SMTP host ${nameOf(host)} refused ${POLICY_REFUSALS_TO_HOLD} messages running: ${reply}`;
    state.mend = 'See whether it still relays for this server and these senders, then retry the queue';
    return true;
  }

  /** Why it is tried after the others for now; null when it is not. */
  resting(host: WatchedHost): string | null {
    const state = this.#hosts.get(keyOf(host));
    return state !== undefined && performance.now() < state.restsUntil ? state.restsFor : null;
  }

  /** It took a message. */
  succeeded(host: WatchedHost): void {
    this.#hosts.delete(keyOf(host));
  }

  #rest(state: HostState, why: string): void {
    state.restsUntil = performance.now() + REST_MS;
    state.restsFor = why;
  }

  #state(host: WatchedHost): HostState {
    const key = keyOf(host);
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const oldest = this.#hosts.keys().next().value;
    if (this.#hosts.size >= MAX_HOSTS && oldest !== undefined) this.#hosts.delete(oldest);
    const state: HostState = { alarm: null, mend: '', refused: [], restsUntil: 0, restsFor: '' };
    this.#hosts.set(key, state);
    return state;
  }
}

function keyOf({ name, port, username }: WatchedHost): string {
  return JSON.stringify([name, port, username]);
}

function nameOf({ which, name, port }: WatchedHost): string {
  return `${name}:${port}${which === 1 ? '' : ` (number ${which})`}`;
}
