/**
 * Alarms about the SMTP host: credentials refused, or five different messages running refused for policy.
 * Either holds its mail instead of returning it (BEHAVIOUR.md, "When MX fails").
 */
import type { MessageId } from '../mail/message-id.ts';

/** Different messages refused with 5.7.x in a row from which on the fault is taken to be ours. */
export const POLICY_REFUSALS_TO_HOLD = 5;
/** SMTP hosts remembered: the one in use and those of late changes. */
const MAX_HOSTS = 20;

interface HostState {
  alarm: string | null;
  refused: MessageId[];
}

export class SmtpHostWatch {
  readonly #hosts = new Map<string, HostState>();

  /** Sentences for the dashboard and `status` about the host in use, `name:port`; empty when all is well. */
  alarms(host: string): readonly string[] {
    const alarm = this.#hosts.get(host)?.alarm ?? null;
    return alarm === null ? [] : [alarm];
  }

  credentialsRefused(host: string, why: string): void {
    this.#state(host).alarm =
      `Mail is held: the SMTP host ${host} does not let us sign in. ${why}. ` +
      'Check user name, password and TLS of the SMTP host';
  }

  /** A message was refused with 5.7.x at MAIL or RCPT. True when it is to be held and not returned. */
  policyRefused(host: string, message: MessageId, reply: string): boolean {
    const state = this.#state(host);
    if (!state.refused.includes(message) && state.refused.length < POLICY_REFUSALS_TO_HOLD) {
      state.refused.push(message);
    }
    if (state.refused.length < POLICY_REFUSALS_TO_HOLD) return false;
    state.alarm =
      `Mail is held: the SMTP host ${host} refused ${POLICY_REFUSALS_TO_HOLD} messages running: ${reply}. ` +
      'See whether it still relays for this server and these senders, then retry the queue';
    return true;
  }

  /** It took a message. */
  succeeded(host: string): void {
    this.#hosts.delete(host);
  }

  #state(host: string): HostState {
    const known = this.#hosts.get(host);
    if (known !== undefined) return known;
    const oldest = this.#hosts.keys().next().value;
    if (this.#hosts.size >= MAX_HOSTS && oldest !== undefined) this.#hosts.delete(oldest);
    const state: HostState = { alarm: null, refused: [] };
    this.#hosts.set(host, state);
    return state;
  }
}
