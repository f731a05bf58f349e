/** Connections that have delivered a message and wait a moment for another one to the same server. */
import type { Endpoint } from './connect.ts';
import type { Lane, Lanes } from './lanes.ts';
import type { PeerConnection } from './talk.ts';

/** A server that is kept waiting longer may well close, and its slot is wanted. */
const IDLE_MS = 2_000;

interface Idle {
  readonly key: string;
  readonly lane: Lane;
  readonly connection: PeerConnection;
  readonly timer: NodeJS.Timeout;
}

export class ConnectionPool {
  /** Oldest first. */
  readonly #idle: Idle[] = [];
  readonly #lanes: Lanes;
  readonly #messagesPerConnection: () => number;

  constructor(lanes: Lanes, messagesPerConnection: () => number) {
    this.#lanes = lanes;
    this.#messagesPerConnection = messagesPerConnection;
  }

  /** A connection of the lane to one of these, with the endpoint it goes to. */
  take(
    endpoints: readonly Endpoint[],
    lane: Lane,
  ): { endpoint: Endpoint; connection: PeerConnection } | null {
    for (const endpoint of endpoints) {
      for (;;) {
        const found = this.#idle.findIndex((idle) => idle.key === endpoint.key && idle.lane === lane);
        const [idle] = found < 0 ? [] : this.#idle.splice(found, 1);
        if (idle === undefined) break;
        clearTimeout(idle.timer);
        if (idle.connection.usable) return { endpoint, connection: idle.connection };
        this.#uncount(idle);
      }
    }
    return null;
  }

  /**
   * Keeps a connection for the next message, or ends it when it has had its share. Until it is taken or closed it
   * counts in its lane.
   */
  give(endpoint: Endpoint, connection: PeerConnection, lane: Lane): void {
    if (!connection.usable || connection.messages >= this.#messagesPerConnection()) {
      connection.quit();
      this.#uncount({ lane, connection });
      return;
    }
    const timer = setTimeout(() => this.#drop(connection), IDLE_MS);
    this.#idle.push({ key: endpoint.key, lane, connection, timer });
  }

  dropOldest(): void {
    const oldest = this.#idle[0];
    if (oldest !== undefined) this.#drop(oldest.connection);
  }

  /** Ends the one of a lane that waits longest; resolves when it is closed. Null when none waits. */
  dropOldestOf(lane: Lane): Promise<void> | null {
    const oldest = this.#idle.find((idle) => idle.lane === lane);
    if (oldest === undefined) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drop(oldest.connection);
    oldest.connection.whenClosed(resolve);
    return promise;
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
    this.#uncount(idle);
  }

  /** It counts until its server has seen the end of it. */
  #uncount({ lane, connection }: Pick<Idle, 'lane' | 'connection'>): void {
    connection.whenClosed(() => this.#lanes.count(lane, -1));
  }
}
