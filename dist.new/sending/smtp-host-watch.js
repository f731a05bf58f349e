/** Different messages refused with 5.7.x in a row from which on the fault is taken to be ours. */
export const POLICY_REFUSALS_TO_HOLD = 5;
/** SMTP hosts remembered: the one in use and those of late changes. */
const MAX_HOSTS = 20;
export class SmtpHostWatch {
    #hosts = new Map();
    /** Sentences for the dashboard and `status` about the host in use, `name:port`; empty when all is well. */
    alarms(host) {
        const alarm = this.#hosts.get(host)?.alarm ?? null;
        return alarm === null ? [] : [alarm];
    }
    credentialsRefused(host, why) {
        this.#state(host).alarm =
            `Mail is held: the SMTP host ${host} does not let us sign in. ${why}. ` +
                'Check user name, password and TLS of the SMTP host';
    }
    /** A message was refused with 5.7.x at MAIL or RCPT. True when it is to be held and not returned. */
    policyRefused(host, message, reply) {
        const state = this.#state(host);
        if (!state.refused.includes(message) && state.refused.length < POLICY_REFUSALS_TO_HOLD) {
            state.refused.push(message);
        }
        if (state.refused.length < POLICY_REFUSALS_TO_HOLD)
            return false;
        state.alarm = `Mail is held: the SMTP host ${host} refused ${POLICY_REFUSALS_TO_HOLD} messages running: ${reply}`;
        return true;
    }
    /** It took a message. */
    succeeded(host) {
        this.#hosts.delete(host);
    }
    /** Forgets everything: somebody has seen to it. */
    release() {
        this.#hosts.clear();
    }
    #state(host) {
        const known = this.#hosts.get(host);
        if (known !== undefined)
            return known;
        const oldest = this.#hosts.keys().next().value;
        if (this.#hosts.size >= MAX_HOSTS && oldest !== undefined)
            this.#hosts.delete(oldest);
        const state = { alarm: null, refused: [] };
        this.#hosts.set(host, state);
        return state;
    }
}
