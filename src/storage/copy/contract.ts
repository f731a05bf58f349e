/**
 * Copying a store whole, from one engine to another, table by table. Rows are told by the names of their columns,
 * which are the same in every engine.
 */

/** A value as every engine has it. Text holds no NUL: PostgreSQL cannot keep one. */
export type CopyValue = number | string | Uint8Array | null;

/** Values in the order of `CopyTable.columns`. */
export type CopyRow = readonly CopyValue[];

export interface CopyTable {
  readonly name: string;
  readonly columns: readonly string[];
  /** The columns of its primary key. */
  readonly key: readonly string[];
}

export interface CopySource {
  /** The place as people know it, without a password. */
  readonly name: string;
  /** The store's tables in name order, but for those that are about running nodes. */
  tables(): Promise<readonly CopyTable[]>;
  /** Rows that are copied: bodies that nothing refers to are not. */
  count(table: CopyTable): Promise<number>;
  /** The next rows in key order, a few megabytes at most; empty at the end. `after` is the key of the one before. */
  page(table: CopyTable, after: readonly CopyValue[] | null): Promise<readonly CopyRow[]>;
  /** The last number that each table with numbers of its own gave to a row, which may be gone. */
  numbers(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

/** How far a copy is with one table. */
export interface TableProgress {
  /** Key of the last row copied, in the order of `CopyTable.key`; null before the first. */
  readonly after: readonly CopyValue[] | null;
  readonly rows: number;
  readonly done: boolean;
}

/** What an incomplete copy keeps beside its rows; while it is there no engine opens the store. */
export interface CopyState {
  /** `CopySource.name` of where the rows come from. */
  readonly source: string;
  readonly tables: ReadonlyMap<string, TableProgress>;
}

export interface CopyTarget extends CopySource {
  /** null when it holds no copy. */
  state(): Promise<CopyState | null>;
  /** Whether somebody's mail, accounts or settings are in it. */
  isUsed(): Promise<boolean>;
  /** Empties the tables and marks the store as an incomplete copy, in one commit. */
  begin(source: string): Promise<void>;
  /** Adds rows and remembers how far it is, in one commit. */
  put(table: CopyTable, rows: readonly CopyRow[], progress: TableProgress): Promise<void>;
  /** Carries the numbers on and takes the mark away, in one commit: the store can be used. */
  finish(numbers: ReadonlyMap<string, number>): Promise<void>;
}

/** Holds a `CopyState` in an incomplete copy; an engine that finds it refuses to open the store. */
export const COPY_TABLE = 'store_copy';

/** What an engine says of an incomplete copy. */
export function incompleteCopy(place: string): string {
  return `${place} is a copy that is not complete: go on with it by the same "cmail store copy" as before`;
}

/** Tables in which a row means that the store is somebody's; the others hold what a first start makes. */
export const USERS_TABLES: readonly string[] = [
  'account',
  'alias',
  'domain',
  'mailbox_message',
  'message',
  'setting',
  'setting_change',
];

/** Rows that are not copied: SQL of both engines. A body without references was never accepted, or is gone. */
export const COPIED: Readonly<Record<string, string>> = {
  body: 'refs > 0',
  body_chunk: 'id >> 24 IN (SELECT id FROM body WHERE refs > 0)',
};

const PAGE_ROWS = 1_000;
/** A chunk of a body has up to 256 KB. */
const PAGE_CHUNKS = 16;

/** Rows of one page. */
export function pageRows({ name }: CopyTable): number {
  return name === 'body_chunk' ? PAGE_CHUNKS : PAGE_ROWS;
}

/** The key's values of a row, in the key's order. */
export function keyOf({ columns, key }: CopyTable, row: CopyRow): CopyValue[] {
  return key.map((name) => row[columns.indexOf(name)] ?? null);
}
