/** Answers kept; when full the cache starts anew. */
const CACHE_ENTRIES = 20_000;
export class Directory {
    #store;
    #answers = new Map();
    #version = -1;
    constructor(store) {
        this.#store = store;
    }
    /** A hosted domain, by canonical name. */
    domain(name) {
        return this.#ask(`domain ${name}`, () => this.#store.domain(name));
    }
    /** Account or alias with exactly this address. Accounts with a quota are read afresh for their usage. */
    async entry(address) {
        const found = await this.#ask(`entry ${address.toLowerCase()}`, () => this.#store.entry(address));
        if (found?.type === 'account' && found.account.quotaBytes !== null)
            return this.#store.entry(address);
        return found;
    }
    /** The account that gets the mail for postmaster; null before any account exists. */
    postmaster() {
        return this.#ask('postmaster', () => this.#store.postmaster());
    }
    async #ask(key, read) {
        const version = this.#store.directoryVersion();
        if (version !== this.#version || this.#answers.size >= CACHE_ENTRIES) {
            this.#answers.clear();
            this.#version = version;
        }
        if (this.#answers.has(key))
            return this.#answers.get(key);
        const answer = await read();
        // An answer read while the directory changed may be either the old or the new one: not kept.
        if (this.#store.directoryVersion() === version && this.#version === version)
            this.#answers.set(key, answer);
        return answer;
    }
}
/** Account, then alias, then `user+tag`, then catch-all (BEHAVIOUR.md, "Who is refused" 5). */
export async function findUser(directory, localPart, domain) {
    const exact = await directory.entry(`${localPart}@${domain.name}`);
    if (exact?.type === 'account')
        return { ...exact, rule: 'account' };
    if (exact?.type === 'alias')
        return { ...exact, rule: 'alias' };
    const plus = localPart.indexOf('+');
    if (plus > 0) {
        const base = await directory.entry(`${localPart.slice(0, plus)}@${domain.name}`);
        if (base !== null)
            return { ...base, rule: 'subaddress' };
    }
    if (domain.catchAll !== null)
        return { type: 'catch-all', target: domain.catchAll };
    return { type: 'unknown' };
}
