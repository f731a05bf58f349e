/** This node among those on the database: its lease, what it hears from the others, and taking over from the dead. */
import { randomBytes } from 'node:crypto';
import { NODE_BEAT_MS, type NodeDescription, type NodeInfo } from '../nodes-contract.ts';
import { SLICE } from '../shared/slices.ts';
import { NOW } from './clock.ts';
import type { Connection, Runner } from './connection.ts';
import { type Flags, NONE } from './lane.ts';
import { orphanBodies } from './write-bodies.ts';
import { CLAIMANT, putBackOf, showAlive } from './write-claims.ts';

/** How often changes by others are asked for. */
const POLL_MS = 500;
/** A destination in which this node has nothing claimed for so long is free for others. */
const UNUSED_MS = 10_000;
/** A dead node stays on the list for so long. */
const REMEMBERED_MS = 24 * 3_600_000;
/** Dead nodes looked at in one transaction. */
const DEAD_AT_ONCE = 20;

type Changed = 'settings' | 'directory';

interface Versions {
  directory: number;
  settings: number;
}

export interface NodesOptions {
  /** A connection nobody else uses. */
  readonly connection: Connection;
  /** For short statements by themselves. */
  readonly readers: Connection;
  /** After a change of another node's was taken over: what was queued, which bodies are dead. */
  readonly onCommit: (flags: Flags) => void;
}

export class Nodes {
  readonly id = randomBytes(8).toString('hex');
  readonly #options: NodesOptions;
  readonly #listeners: ((what: Changed) => void)[] = [];
  /** As last seen in the store. */
  readonly #seen: Versions = { directory: 0, settings: 0 };
  #directoryVersion = 1;
  /** Changes of our own so far: what was read before one is out of date after it. */
  #ownChanges = 0;
  #beatAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | null = null;
  #started = false;
  #closed = false;

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  get directoryVersion(): number {
    return this.#directoryVersion;
  }

  /** Makes this node known, so that it may own something, and beats from then on. */
  async start(lanes: readonly string[]): Promise<void> {
    const { connection } = this.#options;
    await connection.transaction(async (tx) => {
      await showAlive(tx, this.id);
      // The row that a lost commit is looked up in must be there before the first one.
      for (const lane of lanes) {
        await tx.run('INSERT INTO node_commit (node, lane, n) VALUES ($1, $2, 0)', [this.id, lane]);
      }
      for (const name of ['hold_all', 'directory_version', 'settings_version']) {
        await tx.run('INSERT INTO sequence (name, value) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING', [
          name,
        ]);
      }
    });
    this.#started = true;
    Object.assign(this.#seen, await this.#versions());
    this.#beatAt = performance.now() + NODE_BEAT_MS;
    this.#schedule();
  }

  async announce({ name, version, listeners }: NodeDescription): Promise<void> {
    await this.#options.readers.run('UPDATE node SET name = $2, version = $3, listeners = $4 WHERE id = $1', [
      this.id,
      name,
      version,
      JSON.stringify(listeners),
    ]);
  }

  async list(): Promise<readonly NodeInfo[]> {
    const rows = await this.#options.readers.run<Omit<NodeInfo, 'listeners'> & { listeners: string }>(
      `SELECT id, name, version, listeners, started_at AS "startedAt", seen_at AS "seenAt",
         alive_until > ${NOW} AS alive,
         (SELECT count(*) FROM destination_lease WHERE node = node.id) AS destinations
       FROM node WHERE name IS NOT NULL ORDER BY name, started_at`,
    );
    return rows.map((row) => ({
      ...row,
      listeners: JSON.parse(row.listeners) as NodeInfo['listeners'],
      destinations: row.alive ? row.destinations : 0,
    }));
  }

  onChanged(listener: (what: Changed) => void): void {
    this.#listeners.push(listener);
  }

  /** A commit of our own. Others' changes that came before it and were not heard of yet are told of too. */
  noteOwn(what: Changed, version: number): void {
    this.#ownChanges++;
    const missed = version > this.#seen[what] + 1;
    this.#seen[what] = version;
    if (what === 'directory') this.#directoryVersion++;
    if (missed) this.#tell(what);
  }

  async acquireMailbox(accountId: number): Promise<boolean> {
    const taken = await this.#options.readers.run(
      `INSERT INTO mailbox_lease AS l (account_id, node) VALUES ($1, $2)
       ON CONFLICT (account_id) DO UPDATE SET node = excluded.node
         WHERE l.node <> excluded.node
           AND NOT EXISTS (SELECT 1 FROM node WHERE node.id = l.node AND node.alive_until > ${NOW})
       RETURNING account_id`,
      [accountId, this.id],
    );
    return taken.length > 0;
  }

  async releaseMailbox(accountId: number): Promise<void> {
    await this.#options.readers.run('DELETE FROM mailbox_lease WHERE account_id = $1 AND node = $2', [
      accountId,
      this.id,
    ]);
  }

  /** With `leave` what this node owns is free at once. Its claims stay until their leases end. */
  async close(leave: boolean): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
    if (this.#started && leave) await this.#leave();
    await this.#options.connection.close();
  }

  async #leave(): Promise<void> {
    try {
      await this.#options.connection.transaction(async (tx) => {
        await this.#free(tx, this.id);
        await tx.run('DELETE FROM node_commit WHERE node = $1', [this.id]);
        await tx.run('DELETE FROM node WHERE id = $1', [this.id]);
      });
    } catch {
      // The others find out by its silence.
    }
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#tick().finally(() => {
        this.#running = null;
        this.#schedule();
      });
    }, POLL_MS);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    try {
      await this.#poll();
      if (performance.now() < this.#beatAt) return;
      await this.#beat();
      this.#beatAt = performance.now() + NODE_BEAT_MS;
    } catch {
      // Whoever uses the store raises the alarm; the next beat comes in a moment.
    }
  }

  async #poll(): Promise<void> {
    const before = this.#ownChanges;
    const found = await this.#versions();
    if (before !== this.#ownChanges) return;
    for (const what of ['settings', 'directory'] as const) {
      if (found[what] === this.#seen[what]) continue;
      this.#seen[what] = found[what];
      if (what === 'directory') this.#directoryVersion++;
      this.#tell(what);
    }
  }

  #tell(what: Changed): void {
    for (const listener of this.#listeners) listener(what);
  }

  async #versions(): Promise<Versions> {
    const rows = await this.#options.connection.run<{ name: string; value: number }>(
      "SELECT name, value FROM sequence WHERE name IN ('directory_version', 'settings_version')",
    );
    const of = (name: string) => rows.find((row) => row.name === name)?.value ?? 0;
    return { directory: of('directory_version'), settings: of('settings_version') };
  }

  async #beat(): Promise<void> {
    const { connection } = this.#options;
    await connection.transaction(async (tx) => {
      await showAlive(tx, this.id);
      await tx.run(
        `DELETE FROM destination_lease AS l WHERE node = $1 AND used_at < ${NOW} - ${UNUSED_MS} AND NOT EXISTS (
           SELECT 1 FROM recipient WHERE state < 3 AND state = 1 AND destination = l.destination AND due_at > ${NOW})`,
        [this.id],
      );
    });
    while (await this.#takeOver());
  }

  /** Takes over from dead nodes, so far as one slice of claims goes; true while there is more to do now. */
  async #takeOver(): Promise<boolean> {
    const { connection, onCommit } = this.#options;
    const flags: Flags = { ...NONE };
    const more = await connection.transaction(async (tx) => {
      Object.assign(flags, NONE);
      const dead = await tx.run<{ id: string }>(
        `SELECT id FROM node WHERE alive_until <= ${NOW} AND taken_over_at IS NULL AND id <> $1
         LIMIT ${DEAD_AT_ONCE} FOR UPDATE SKIP LOCKED`,
        [this.id],
      );
      const context = { tx, nodeId: this.id, flags };
      for (const { id } of dead) {
        if ((await putBackOf(context, id)) === SLICE) return true;
        await orphanBodies(context, id);
        await this.#free(tx, id);
        // Looked at again until the last lease of its claims has ended.
        await tx.run(
          `UPDATE node SET taken_over_at = ${NOW} WHERE id = $1 AND NOT EXISTS (
             SELECT 1 FROM recipient AS r WHERE r.state < 3 AND r.state = 1 AND ${CLAIMANT} = $1)`,
          [id],
        );
      }
      await tx.run(`DELETE FROM node WHERE taken_over_at < ${NOW} - ${REMEMBERED_MS}`);
      await tx.run('DELETE FROM node_commit WHERE node NOT IN (SELECT id FROM node)');
      return false;
    });
    onCommit(flags);
    return more;
  }

  async #free(tx: Runner, nodeId: string): Promise<void> {
    await tx.run('DELETE FROM destination_lease WHERE node = $1', [nodeId]);
    await tx.run('DELETE FROM mailbox_lease WHERE node = $1', [nodeId]);
  }
}
