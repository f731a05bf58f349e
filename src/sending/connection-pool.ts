/** Connections that have delivered a message and wait a moment for another one to the same server. */
import type { Endpoint } from './connect.ts';
import type { PeerConnection } from './talk.ts';

/** A server that is kept waiting longer may well close, and its slot is wanted. */
const IDLE_MS = 2_000;
const MAX_MESSAGES = 100;
const MAX_IDLE = 50;

interface Idle {
  readonly key: string;
  readonly connection: PeerConnection;
  readonly timer: NodeJS.Timeout;
}

export class ConnectionPool {
  /** Oldest first. */
  readonly #idle: Idle[] = [];

  get size(): number {
    return this.#idle.length;
  }

  /** A connection to one of these, with the endpoint it goes to. */
  take(endpoints: readonly Endpoint[]): { endpoint: Endpoint; connection: PeerConnection } | null {
    for (const endpoint of endpoints) {
      for (;;) {
        const found = this.#idle.findIndex((idle) => idle.key === endpoint.key);
        const [idle] = found < 0 ? [] : this.#idle.splice(found, 1);
        if (idle === undefined) break;
        clearTimeout(idle.timer);
        if (idle.connection.usable) return { endpoint, connection: idle.connection };
      }
    }
    return null;
  }

  /** Keeps a connection for the next message, or ends it when it has had its share. */
  give(endpoint: Endpoint, connection: PeerConnection): void {
    if (!connection.usable || connection.messages >= MAX_MESSAGES) {
      connection.quit();
      return;
    }
    if (this.#idle.length >= MAX_IDLE) this.dropOldest();
    const timer = setTimeout(() => this.#drop(connection), IDLE_MS);
    this.#idle.push({ key: endpoint.key, connection, timer });
  }

  dropOldest(): void {
    const oldest = this.#idle[0];
    if (oldest !== undefined) this.#drop(oldest.connection);
  }

  close(): void {
    while (this.#idle.length > 0) this.dropOldest();
  }

  #drop(connection: PeerConnection): void {
    const found = this.#idle.findIndex((idle) => idle.connection === connection);
    const [idle] = found < 0 ? [] : this.#idle.splice(found, 1);
    if (idle === undefined) return;
    clearTimeout(idle.timer);
    connection.quit();
  }
}
