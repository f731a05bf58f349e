/**
 * How many sessions a next hop gets: five at first, one more with each success up to twenty, half as many
 * with each failure down to one.
 */
const FIRST_LIMIT = 5;
const HIGHEST_LIMIT = 20;
/** Next hops remembered while nothing is under way to them. */
const MAX_REMEMBERED = 1_000;
export class Lanes {
    #lanes = new Map();
    lane(name) {
        const known = this.#lanes.get(name);
        if (known !== undefined)
            return known;
        this.#forgetOldest();
        const lane = { name, limit: FIRST_LIMIT, sessions: 0, failingSince: null };
        this.#lanes.set(name, lane);
        return lane;
    }
    all() {
        return [...this.#lanes.values()];
    }
    feedback(lane, health) {
        if (health === 'good') {
            lane.limit = Math.min(lane.limit + 1, HIGHEST_LIMIT);
            lane.failingSince = null;
        }
        else if (health === 'bad') {
            lane.limit = Math.max(Math.floor(lane.limit / 2), 1);
            lane.failingSince ??= Date.now();
        }
    }
    #forgetOldest() {
        if (this.#lanes.size < MAX_REMEMBERED)
            return;
        for (const lane of this.#lanes.values()) {
            if (lane.sessions > 0)
                continue;
            this.#lanes.delete(lane.name);
            return;
        }
    }
}
