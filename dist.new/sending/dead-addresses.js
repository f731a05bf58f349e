const MAX_ENTRIES = 1_000;
export class DeadAddresses {
    #entries = new Map();
    add(endpoint, reason) {
        this.#entries.delete(endpoint.key);
        const oldest = this.#entries.keys().next().value;
        if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined)
            this.#entries.delete(oldest);
        this.#entries.set(endpoint.key, { at: performance.now(), reason });
    }
    remove(endpoint) {
        this.#entries.delete(endpoint.key);
    }
    /**
     * Why the address is not worth dialling for work taken at `takenAt` (ms, `performance.now()`: several
     * attempts fit into one millisecond of the wall clock); null when it is. Work taken
     * later always dials: the schedule or a person asked for another attempt.
     */
    reason(endpoint, takenAt) {
        const entry = this.#entries.get(endpoint.key);
        return entry !== undefined && takenAt < entry.at ? entry.reason : null;
    }
}
