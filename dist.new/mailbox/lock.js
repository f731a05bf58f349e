/**
 * Which maildrops are in exclusive use (RFC 1939 §4: one session a maildrop at a time). Its size is bounded
 * by the number of sessions.
 */
export class MaildropLocks {
    #held = new Set();
    /** Takes the lock; false when another session has it. */
    acquire(accountId) {
        if (this.#held.has(accountId))
            return false;
        this.#held.add(accountId);
        return true;
    }
    release(accountId) {
        this.#held.delete(accountId);
    }
}
