/** The node contract for a store that one process has to itself: what the others would ask for is in memory. */
import { randomUUID } from 'node:crypto';
import type { NodeDescription, NodeInfo } from '../nodes-contract.ts';

export class LocalNode {
  readonly id = randomUUID();
  readonly #startedAt = Date.now();
  #description: NodeDescription | null = null;
  /** Mailboxes with a session; bounded by the number of sessions. */
  readonly #mailboxes = new Set<number>();

  announce(description: NodeDescription): void {
    this.#description = description;
  }

  /** Itself once it is announced; nobody else can be on the store. */
  list(destinations: number): readonly NodeInfo[] {
    if (this.#description === null) return [];
    const times = { startedAt: this.#startedAt, seenAt: Date.now() };
    return [{ ...this.#description, id: this.id, ...times, alive: true, destinations }];
  }

  acquireMailbox(accountId: number): boolean {
    if (this.#mailboxes.has(accountId)) return false;
    this.#mailboxes.add(accountId);
    return true;
  }

  releaseMailbox(accountId: number): void {
    this.#mailboxes.delete(accountId);
  }
}
