/**
 * Which maildrops are in exclusive use (RFC 1939 §4: one session a maildrop at a time). Its size is bounded
 * by the number of sessions.
 */
export class MaildropLocks {
  readonly #held = new Set<number>();

  /** Takes the lock; false when another session has it. */
  acquire(accountId: number): boolean {
    if (this.#held.has(accountId)) return false;
    this.#held.add(accountId);
    return true;
  }

  release(accountId: number): void {
    this.#held.delete(accountId);
  }
}
