import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStore } from '../storage/nodes-contract.ts';

export type MailboxLockStore = Pick<NodeStore, 'acquireMailbox' | 'releaseMailbox'>;

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/**
 * Exclusive use of maildrops (RFC 1939 §4: one session a maildrop at a time), which the store grants for all
 * nodes. What is taken is given back whatever becomes of the store meanwhile.
 */
export class MaildropLocks {
  readonly #store: MailboxLockStore;
  /**
   * Of this node: with a session, or not surely given back yet. Bounded by the number of sessions: while the store
   * answers nobody, nobody new gets in.
   */
  readonly #busy = new Map<number, 'session' | 'returning'>();
  /** Tries to give back that are on their way; one at a time, so that none overtakes a new session. */
  readonly #trying = new Map<number, Promise<boolean>>();
  readonly #closing = new AbortController();

  constructor(store: MailboxLockStore) {
    this.#store = store;
  }

  /** False when another session has it, on whatever node. Rejects with `StorageError`; then it is not held. */
  async acquire(accountId: number): Promise<boolean> {
    if (this.#busy.get(accountId) === 'returning') await this.#tryRelease(accountId);
    if (this.#busy.has(accountId)) return false;
    this.#busy.set(accountId, 'session');
    let granted: boolean;
    try {
      granted = await this.#store.acquireMailbox(accountId);
    } catch (error) {
      // The answer may be lost and not the question: whatever was granted is given back.
      void this.release(accountId);
      throw error;
    }
    if (!granted) this.#busy.delete(accountId);
    return granted;
  }

  /** Resolves after the first try; further ones follow by themselves until the store takes it. Never rejects. */
  async release(accountId: number): Promise<void> {
    this.#busy.set(accountId, 'returning');
    if (!(await this.#tryRelease(accountId))) void this.#releaseLater(accountId);
  }

  /** Gives up what could not be given back: it is free when this node is no longer heard of. */
  close(): void {
    this.#closing.abort();
  }

  async #releaseLater(accountId: number): Promise<void> {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        await sleep(waitMs, undefined, { signal: this.#closing.signal, ref: false });
      } catch {
        // The only way for this wait to fail is the signal.
        return;
      }
      // A new session may have it by now.
      if (this.#busy.get(accountId) !== 'returning' || (await this.#tryRelease(accountId))) return;
    }
  }

  #tryRelease(accountId: number): Promise<boolean> {
    const under = this.#trying.get(accountId);
    if (under !== undefined) return under;
    const trying = this.#giveBack(accountId).finally(() => this.#trying.delete(accountId));
    this.#trying.set(accountId, trying);
    return trying;
  }

  async #giveBack(accountId: number): Promise<boolean> {
    try {
      await this.#store.releaseMailbox(accountId);
    } catch {
      // The store's own alarm tells why.
      return false;
    }
    this.#busy.delete(accountId);
    return true;
  }
}
