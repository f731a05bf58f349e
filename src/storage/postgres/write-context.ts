import { type HoldAll, holdAllOf } from '../shared/claims.ts';
import { NOW } from './clock.ts';
import type { Runner } from './connection.ts';
import type { Flags } from './lane.ts';

/** What the operations of one transaction share. */
export interface WriteContext {
  readonly tx: Runner;
  readonly nodeId: string;
  readonly flags: Flags;
}

export async function databaseTime(tx: Runner): Promise<number> {
  const [row] = await tx.run<{ now: number }>(`SELECT ${NOW} AS now`);
  return row?.now ?? Date.now();
}

/**
 * The time, and whether the queue is on hold. The lock keeps a hold of all from beginning before this transaction is
 * visible, so that it misses nothing.
 */
export async function queueState(tx: Runner): Promise<{ nowMs: number; holdAll: HoldAll | null }> {
  const [row] = await tx.run<{ now: number; value: number; note: string | null }>(
    `SELECT ${NOW} AS now, value, note FROM sequence WHERE name = 'hold_all' FOR SHARE`,
  );
  return { nowMs: row?.now ?? (await databaseTime(tx)), holdAll: holdAllOf(row) };
}
