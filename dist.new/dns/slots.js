/** At most so many at once; more wait in turn, and only so many of those, and only so long. */
export class Slots {
    #limit;
    #waitingLimit;
    #taken = 0;
    #waiting = new Set();
    constructor(limit, waitingLimit) {
        this.#limit = limit;
        this.#waitingLimit = waitingLimit;
    }
    /** `taken`: call `release` afterwards. `full`: too many wait already. `late`: `waitMs` passed. */
    async take(waitMs) {
        if (this.#taken < this.#limit) {
            this.#taken += 1;
            return 'taken';
        }
        if (this.#waiting.size >= this.#waitingLimit)
            return 'full';
        return new Promise((resolve) => {
            const go = () => {
                clearTimeout(timer);
                resolve('taken');
            };
            const timer = setTimeout(() => {
                this.#waiting.delete(go);
                resolve('late');
            }, waitMs);
            this.#waiting.add(go);
        });
    }
    /** Gives the slot to the one that waits longest, or frees it. */
    release() {
        const next = this.#waiting.values().next();
        if (next.done) {
            this.#taken -= 1;
            return;
        }
        this.#waiting.delete(next.value);
        next.value();
    }
}
