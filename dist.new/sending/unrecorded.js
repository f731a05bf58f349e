/** Recipients remembered; beyond, the oldest may get a message twice. */
const LIMIT = 100_000;
export class Unrecorded {
    #limit;
    /** By message and recipient, the oldest first. */
    #delivered = new Map();
    constructor(limit = LIMIT) {
        this.#limit = limit;
    }
    /** Remembers what was delivered before it is recorded. */
    note({ message }, { outcomes, events }) {
        const addresses = new Map(message.recipients.map(({ index, address }) => [index, address]));
        const told = new Map(events.filter(({ kind }) => kind === 'delivered').map((event) => [event.recipient, event]));
        for (const outcome of outcomes) {
            if (outcome.result.type !== 'delivered')
                continue;
            const event = told.get(addresses.get(outcome.index) ?? null) ?? null;
            this.#delivered.set(keyOf(message.id, outcome.index), { outcome, event });
        }
        for (const key of this.#delivered.keys()) {
            if (this.#delivered.size <= this.#limit)
                break;
            this.#delivered.delete(key);
        }
    }
    /** It is recorded. */
    forget({ message }) {
        for (const { index } of message.recipients)
            this.#delivered.delete(keyOf(message.id, index));
    }
    /** What is to be recorded for a claim that holds deliveries made before; its other recipients are due again. */
    settlement({ token, message }) {
        if (this.#delivered.size === 0)
            return null;
        const known = message.recipients.map(({ index }) => this.#delivered.get(keyOf(message.id, index)));
        if (!known.some((one) => one !== undefined))
            return null;
        const outcomes = message.recipients.map(({ index }, n) => known[n]?.outcome ?? {
            index,
            result: { type: 'returned' },
            via: null,
            lastReply: null,
            lastKind: null,
        });
        return { token, outcomes, events: known.flatMap((one) => one?.event ?? []), notices: [] };
    }
}
function keyOf(id, index) {
    return `${id}/${index}`;
}
