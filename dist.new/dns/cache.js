/** Answers by question until their TTL is over; when full the one unused for longest goes. */
export class AnswerCache {
    #entries = new Map();
    #limit;
    constructor(limit) {
        this.#limit = limit;
    }
    get size() {
        return this.#entries.size;
    }
    /** The kept answer with the TTL that is left, or undefined. */
    get(key, nowMs) {
        const entry = this.#entries.get(key);
        if (entry === undefined)
            return undefined;
        this.#entries.delete(key);
        if (entry.expiresAtMs <= nowMs)
            return undefined;
        this.#entries.set(key, entry);
        const { answer } = entry;
        if (answer.status !== 'ok')
            return { ...answer, cached: true };
        return { ...answer, cached: true, ttlSeconds: Math.ceil((entry.expiresAtMs - nowMs) / 1000) };
    }
    /** Keeps an answer in place of an older one; with a TTL of 0 only the older one goes. */
    set(key, answer, ttlSeconds, nowMs) {
        this.#entries.delete(key);
        if (ttlSeconds <= 0 || this.#limit <= 0)
            return;
        if (this.#entries.size >= this.#limit) {
            const oldest = this.#entries.keys().next();
            if (!oldest.done)
                this.#entries.delete(oldest.value);
        }
        this.#entries.set(key, { answer, expiresAtMs: nowMs + ttlSeconds * 1000 });
    }
}
