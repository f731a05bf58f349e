import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { StorageError } from '../contract.ts';
import { toStorageError } from '../sqlite/errors.ts';
import { openSqliteStorage } from '../sqlite/index.ts';
import {
  COPIED,
  COPY_TABLE,
  type CopyRow,
  type CopyState,
  type CopyTable,
  type CopyTarget,
  type CopyValue,
  pageRows,
  type TableProgress,
  USERS_TABLES,
} from './contract.ts';
import { readState, SOURCE_ROW, writeProgress } from './state.ts';

/**
 * An SQLite store to copy from or to, under the lock of its data folder. Nothing else runs in this process
 * meanwhile, so its calls may block it. Creates and migrates the store unless it is an incomplete copy.
 */
export async function openSqliteSide(path: string): Promise<CopyTarget> {
  if (!holdsCopy(path)) await (await openSqliteStorage({ path, takeOver: true, atRest: true })).close();
  try {
    const db = new DatabaseSync(path);
    db.exec('PRAGMA synchronous = FULL');
    return new SqliteSide(path, db);
  } catch (error) {
    throw toStorageError(error);
  }
}

function holdsCopy(path: string): boolean {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    return db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(COPY_TABLE) !== undefined;
  } catch {
    // No store yet, or no store: opening it by the engine says which.
    return false;
  } finally {
    db?.close();
  }
}

class SqliteSide implements CopyTarget {
  readonly name: string;
  readonly #db: DatabaseSync;

  constructor(name: string, db: DatabaseSync) {
    this.name = name;
    this.#db = db;
  }

  async tables(): Promise<readonly CopyTable[]> {
    const names = this.#rows(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ? ORDER BY name",
      COPY_TABLE,
    ).map(([name]) => String(name));
    return names.map((name) => {
      const columns = this.#rows('SELECT name, pk FROM pragma_table_info(?) ORDER BY cid', name);
      const keyed = columns.filter(([, pk]) => Number(pk) > 0);
      return {
        name,
        columns: columns.map(([column]) => String(column)),
        key: keyed.toSorted(([, a], [, b]) => Number(a) - Number(b)).map(([column]) => String(column)),
      };
    });
  }

  async count({ name }: CopyTable): Promise<number> {
    const [row] = this.#rows(`SELECT count(*) FROM ${name} WHERE ${COPIED[name] ?? 'true'}`);
    return Number(row?.[0]);
  }

  async page(table: CopyTable, after: readonly CopyValue[] | null): Promise<readonly CopyRow[]> {
    const { name, columns, key } = table;
    const keys = key.join(', ');
    const from = after === null ? 'true' : `(${keys}) > (${key.map(() => '?').join(', ')})`;
    return this.#rows(
      `SELECT ${columns.join(', ')} FROM ${name} WHERE ${from} AND ${COPIED[name] ?? 'true'} ORDER BY ${keys} LIMIT ${pageRows(table)}`,
      ...(after ?? []),
    );
  }

  async numbers(): Promise<ReadonlyMap<string, number>> {
    const rows = this.#rows('SELECT name, seq FROM sqlite_sequence');
    return new Map(rows.map(([name, last]) => [String(name), Number(last)]));
  }

  async state(): Promise<CopyState | null> {
    const found = this.#rows('SELECT 1 FROM sqlite_schema WHERE name = ?', COPY_TABLE);
    if (found.length === 0) return null;
    return readState(this.#rows(`SELECT name, value FROM ${COPY_TABLE}`));
  }

  async isUsed(): Promise<boolean> {
    return USERS_TABLES.some((name) => this.#rows(`SELECT 1 FROM ${name} LIMIT 1`).length > 0);
  }

  async begin(source: string): Promise<void> {
    const tables = await this.tables();
    this.#commit(() => {
      this.#db.exec(`DROP TABLE IF EXISTS ${COPY_TABLE}`);
      this.#db.exec(`CREATE TABLE ${COPY_TABLE} (name TEXT PRIMARY KEY, value TEXT NOT NULL)`);
      for (const { name } of tables) this.#db.exec(`DELETE FROM ${name}`);
      this.#db.exec('DELETE FROM sqlite_sequence');
      this.#db.prepare(`INSERT INTO ${COPY_TABLE} VALUES (?, ?)`).run(SOURCE_ROW, source);
    });
  }

  async put(table: CopyTable, rows: readonly CopyRow[], progress: TableProgress): Promise<void> {
    const { name, columns } = table;
    const insert = this.#db.prepare(
      `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    );
    const remember = this.#db.prepare(`INSERT OR REPLACE INTO ${COPY_TABLE} VALUES (?, ?)`);
    this.#commit(() => {
      for (const row of rows) insert.run(...row);
      remember.run(name, writeProgress(progress));
    });
  }

  async finish(numbers: ReadonlyMap<string, number>): Promise<void> {
    const carry = this.#db.prepare('UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = ?2');
    const add = this.#db.prepare('INSERT INTO sqlite_sequence (seq, name) VALUES (?1, ?2)');
    this.#commit(() => {
      for (const [name, last] of numbers) if (carry.run(last, name).changes === 0) add.run(last, name);
      this.#db.exec(`DROP TABLE ${COPY_TABLE}`);
    });
  }

  async close(): Promise<void> {
    this.#db.close();
  }

  #rows(sql: string, ...values: readonly SQLInputValue[]): CopyRow[] {
    try {
      const statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      return (statement.all(...values) as unknown as CopyRow[]).map((row) => row.map(withoutNul));
    } catch (error) {
      throw toStorageError(error);
    }
  }

  #commit(work: () => void): void {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error instanceof StorageError ? error : toStorageError(error);
    }
  }
}

function withoutNul(value: CopyValue): CopyValue {
  return typeof value === 'string' ? value.replaceAll('\0', '\uFFFD') : value;
}
