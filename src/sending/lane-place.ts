/** The place a delivery has among the connections of a lane, so that a destination never sees more than its limit. */
import type { SessionProblem } from '../smtp/sender-contract.ts';
import type { Endpoint } from './connect.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Lane, Lanes } from './lanes.ts';
import type { PeerConnection } from './talk.ts';

export class LanePlace {
  readonly #lanes: Lanes;
  readonly #pool: ConnectionPool;
  /** Most connections by the rule for the destination; null without one. */
  readonly #concurrency: number | null;
  /** The connection is the one that had the place last. */
  #place: { readonly lane: Lane; readonly connection: PeerConnection | null } | null = null;
  #hasHampered = false;

  constructor(lanes: Lanes, pool: ConnectionPool, concurrency: number | null) {
    this.#lanes = lanes;
    this.#pool = pool;
    this.#concurrency = concurrency;
  }

  /** Takes a place for one connection, false when there is none; its last connection is closed before the next. */
  async reserve(lane: Lane): Promise<boolean> {
    if (this.#place !== null) {
      await this.#closed();
      return true;
    }
    while (lane.connections >= this.#lanes.limitOf(lane, this.#concurrency)) {
      // One that waits there for work makes way.
      const closed = this.#pool.dropOldestOf(lane);
      if (closed === null) return false;
      await closed;
    }
    this.#lanes.count(lane, 1);
    this.#place = { lane, connection: null };
    return true;
  }

  /** A connection that waited has the place. */
  hold(lane: Lane, connection: PeerConnection): void {
    this.#place = { lane, connection };
  }

  /** The connection goes back to the others, and its place with it. */
  keep(endpoint: Endpoint, connection: PeerConnection, lane: Lane): void {
    this.#place = null;
    this.#pool.give(endpoint, connection, lane);
  }

  #closed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const connection = this.#place?.connection ?? null;
    if (connection === null) resolve();
    else connection.whenClosed(resolve);
    return promise;
  }

  /** Gives the place back as soon as its connection is closed. */
  release(): void {
    const place = this.#place;
    this.#place = null;
    if (place === null) return;
    const { lane, connection } = place;
    const uncount = () => this.#lanes.count(lane, -1);
    if (connection === null) uncount();
    else connection.whenClosed(uncount);
  }

  /** Once an attempt, however many of the servers it was. */
  hampered(lane: Lane): void {
    if (this.#hasHampered) return;
    this.#hasHampered = true;
    this.#lanes.hampered(lane);
  }

  /** True when a server refused a connection only because it has others of ours; the message waits for those. */
  isCrowded(endpoint: Endpoint, problem: SessionProblem, lane: Lane): boolean {
    const others = lane.open.get(endpoint.key) ?? 0;
    const code = problem.reply?.code ?? 0;
    const refused =
      problem.kind === 'not-greeted' && (/refused/.test(problem.text) || (code >= 400 && code < 500));
    // Those still being opened may be what it has; the last of them tells whether it takes any.
    if (!refused || (others === 0 && !lane.opening.has(endpoint.key))) return false;
    this.#lanes.crowded(lane, others);
    return true;
  }

  /** Connections to these addresses begin to be opened (1), or are over with that (-1). */
  opening(addresses: readonly Endpoint[], lane: Lane, change: 1 | -1): void {
    for (const { key } of addresses) count(lane.opening, key, change);
  }

  /** The new connection has the place, and is counted while it is open. */
  opened({ key }: Endpoint, connection: PeerConnection, lane: Lane): void {
    this.hold(lane, connection);
    count(lane.open, key, 1);
    connection.whenClosed(() => count(lane.open, key, -1));
  }

  /** No connection came of it; the place is kept for the next try. */
  empty(lane: Lane): void {
    this.#place = { lane, connection: null };
  }
}

function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + change;
  if (now > 0) counts.set(key, now);
  else counts.delete(key);
}
