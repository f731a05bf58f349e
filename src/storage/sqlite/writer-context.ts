import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** What the writer's operations share. */
export interface WriterContext {
  readonly db: DatabaseSync;
  /** Set by operations, read and cleared when their group is committed. */
  readonly flags: { queued: boolean; deadBodies: boolean };
}

export function rowsOf<Row>(statement: StatementSync, ...values: (string | number | null)[]): Row[] {
  return statement.all(...values) as unknown as Row[];
}

export function rowOf<Row>(statement: StatementSync, ...values: (string | number | null)[]): Row | undefined {
  return statement.get(...values) as unknown as Row | undefined;
}
