import { StorageError } from '../contract.ts';
import { Connection, LostCommit, type Runner } from '../postgres/connection.ts';
import { openPostgresStorage } from '../postgres/index.ts';
import { OWN_TABLES } from '../postgres/schema.ts';
import { SENDING } from '../shared/rows.ts';
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

/** Of one statement; the protocol counts them in 16 bits. */
const MAX_PARAMETERS = 32_000;
/**
 * A PostgreSQL store to copy from or to; `shown` is the URL without password. Creates and migrates the store unless
 * it is an incomplete copy. Rejects with `conflict` while a node runs on it; what dead ones had claimed is put back.
 */
export async function openPostgresSide(url: string, shown: string): Promise<CopyTarget> {
  const connection = new Connection({ url, max: 1, readOnly: false });
  const side = new PostgresSide(shown, connection);
  try {
    if ((await side.state()) === null) await prepareStore(url, shown, connection);
    return side;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function prepareStore(url: string, shown: string, connection: Connection): Promise<void> {
  const storage = await openPostgresStorage({ url, atRest: true });
  try {
    const running = (await storage.nodes()).find(({ alive }) => alive);
    if (running !== undefined) {
      throw new StorageError('conflict', `the node ${running.name} runs on ${shown}: stop every node first`);
    }
    // Their leases end now, since nobody is left who works on them.
    await connection.run('UPDATE recipient SET due_at = 0 WHERE state < 3 AND state = $1', [SENDING]);
    await storage.releaseExpired();
  } finally {
    await storage.close();
  }
}

class PostgresSide implements CopyTarget {
  readonly name: string;
  readonly #connection: Connection;

  constructor(name: string, connection: Connection) {
    this.name = name;
    this.#connection = connection;
  }

  async tables(): Promise<readonly CopyTable[]> {
    const columns = await this.#rows(
      `SELECT table_name AS v0, column_name AS v1 FROM information_schema.columns
       WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position`,
      2,
    );
    const keys = await this.#rows(
      `SELECT u.table_name AS v0, u.column_name AS v1 FROM information_schema.key_column_usage u
       JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name)
       WHERE c.table_schema = current_schema() AND c.constraint_type = 'PRIMARY KEY'
       ORDER BY u.table_name, u.ordinal_position`,
      2,
    );
    const of = (rows: readonly CopyRow[], table: string) =>
      rows.filter(([name]) => name === table).map(([, column]) => String(column));
    return [...new Set(columns.map(([name]) => String(name)))]
      .filter((name) => name !== COPY_TABLE && !OWN_TABLES.includes(name))
      .map((name) => ({ name, columns: of(columns, name), key: of(keys, name) }));
  }

  async count({ name }: CopyTable): Promise<number> {
    const [row] = await this.#rows(`SELECT count(*) AS v0 FROM ${name} WHERE ${COPIED[name] ?? 'true'}`, 1);
    return Number(row?.[0]);
  }

  async page(table: CopyTable, after: readonly CopyValue[] | null): Promise<readonly CopyRow[]> {
    const { name, columns, key } = table;
    const keys = key.join(', ');
    const from = after === null ? 'true' : `(${keys}) > (${key.map((_, n) => `$${n + 1}`).join(', ')})`;
    const values = columns.map((column, n) => `${column} AS v${n}`).join(', ');
    return this.#rows(
      `SELECT ${values} FROM ${name} WHERE ${from} AND ${COPIED[name] ?? 'true'} ORDER BY ${keys} LIMIT ${pageRows(table)}`,
      columns.length,
      after ?? [],
    );
  }

  async numbers(): Promise<ReadonlyMap<string, number>> {
    const numbers = new Map<string, number>();
    for (const { table, sequence } of await this.#sequences()) {
      const [row] = await this.#rows(`SELECT last_value AS v0 FROM ${sequence} WHERE is_called`, 1);
      if (row !== undefined) numbers.set(table, Number(row[0]));
    }
    return numbers;
  }

  async state(): Promise<CopyState | null> {
    const found = await this.#rows(
      `SELECT table_name AS v0 FROM information_schema.tables
       WHERE table_schema = current_schema() AND table_name = $1`,
      1,
      [COPY_TABLE],
    );
    if (found.length === 0) return null;
    return readState(await this.#rows(`SELECT name AS v0, value AS v1 FROM ${COPY_TABLE}`, 2));
  }

  async isUsed(): Promise<boolean> {
    for (const name of USERS_TABLES) {
      if ((await this.#rows(`SELECT 1 AS v0 FROM ${name} LIMIT 1`, 1)).length > 0) return true;
    }
    return false;
  }

  async begin(source: string): Promise<void> {
    const tables = await this.tables();
    await this.#commit(async (tx) => {
      await tx.run(`DROP TABLE IF EXISTS ${COPY_TABLE}`);
      await tx.run(`CREATE TABLE ${COPY_TABLE} (name TEXT PRIMARY KEY, value TEXT NOT NULL)`);
      await tx.run(`TRUNCATE ${tables.map(({ name }) => name).join(', ')}`);
      await tx.run(`INSERT INTO ${COPY_TABLE} VALUES ($1, $2)`, [SOURCE_ROW, source]);
    });
  }

  async put(table: CopyTable, rows: readonly CopyRow[], progress: TableProgress): Promise<void> {
    const { name, columns } = table;
    const atOnce = Math.floor(MAX_PARAMETERS / columns.length);
    await this.#commit(async (tx) => {
      for (let from = 0; from < rows.length; from += atOnce) {
        const part = rows.slice(from, from + atOnce);
        await tx.run(`INSERT INTO ${name} (${columns.join(', ')}) VALUES ${places(part)}`, part.flat());
      }
      await tx.run(
        `INSERT INTO ${COPY_TABLE} VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value`,
        [name, writeProgress(progress)],
      );
    });
  }

  async finish(numbers: ReadonlyMap<string, number>): Promise<void> {
    const sequences = await this.#sequences();
    await this.#commit(async (tx) => {
      for (const { table, sequence } of sequences) {
        // A sequence that has given no number yet begins at 1.
        const next = 'setval($1::text::regclass, greatest($2::bigint, 1), $2::bigint > 0)';
        await tx.run(`SELECT ${next}`, [sequence, numbers.get(table) ?? 0]);
      }
      await tx.run(`DROP TABLE ${COPY_TABLE}`);
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** Of tables that number their rows themselves. */
  async #sequences(): Promise<{ table: string; sequence: string }[]> {
    const rows = await this.#rows(
      `SELECT table_name AS v0, pg_get_serial_sequence(table_name, column_name) AS v1
       FROM information_schema.columns
       WHERE table_schema = current_schema() AND pg_get_serial_sequence(table_name, column_name) IS NOT NULL`,
      2,
    );
    return rows
      .map(([table, sequence]) => ({ table: String(table), sequence: String(sequence) }))
      .filter(({ table }) => !OWN_TABLES.includes(table));
  }

  /** Rows of a query that names its columns v0, v1 … */
  async #rows(text: string, columns: number, values: readonly CopyValue[] = []): Promise<CopyRow[]> {
    const rows = await this.#connection.run<Record<string, CopyValue>>(text, values);
    return rows.map((row) => Array.from({ length: columns }, (_, n) => row[`v${n}`] ?? null));
  }

  async #commit(work: (tx: Runner) => Promise<void>): Promise<void> {
    try {
      await this.#connection.transaction(work);
    } catch (error) {
      if (!(error instanceof LostCommit)) throw error;
      const words = `${this.name}: the connection was lost; run the same command again to go on`;
      throw new StorageError('unavailable', words, { cause: error });
    }
  }
}

/** `($1, $2), ($3, $4)` for rows of two columns. */
function places(rows: readonly CopyRow[]): string {
  let n = 0;
  return rows.map((row) => `(${row.map(() => `$${++n}`).join(', ')})`).join(', ');
}
