/** The claims in hand and their leases, renewed for as long as somebody works on them. */
import { describeError } from '../mail/failure.js';
const PAGE = 1_000;
export class Leases {
    #store;
    #log;
    #leaseMs;
    /** Until when each claim is surely ours, by our own clock, ms. */
    #until = new Map();
    #timer;
    constructor(store, log, times) {
        this.#store = store;
        this.#log = log;
        this.#leaseMs = times.leaseMs;
        this.#timer = setInterval(() => void this.#renew(), times.renewMs);
        this.#timer.unref();
    }
    /** `askedAt`: when the claim was asked for, which is before its lease began. */
    add(claim, askedAt) {
        this.#until.set(claim.token, askedAt + this.#leaseMs);
    }
    drop(claim) {
        this.#until.delete(claim.token);
    }
    holds(claim) {
        return Date.now() < (this.#until.get(claim.token) ?? 0);
    }
    close() {
        clearInterval(this.#timer);
    }
    async #renew() {
        const tokens = [...this.#until.keys()];
        for (let from = 0; from < tokens.length; from += PAGE)
            await this.#renewPage(tokens.slice(from, from + PAGE));
    }
    async #renewPage(tokens) {
        const askedAt = Date.now();
        try {
            const valid = new Set(await this.#store.renewClaims(tokens, this.#leaseMs));
            for (const token of tokens) {
                // A claim settled meanwhile is gone from the map and must not come back.
                if (this.#until.has(token))
                    this.#until.set(token, valid.has(token) ? askedAt + this.#leaseMs : 0);
            }
        }
        catch (error) {
            this.#log('warn', 'claims could not be renewed', {
                claims: tokens.length,
                error: describeError(error),
            });
        }
    }
}
