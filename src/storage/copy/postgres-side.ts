import postgres from 'postgres';
import { StorageError } from '../contract.ts';
import {
  COPIED,
  COPY_TABLE,
  type CopyRow,
  type CopyState,
  type CopyTable,
  type CopyTarget,
  type CopyValue,
  NODE_TABLES,
  pageRows,
  type TableProgress,
  USERS_TABLES,
} from './contract.ts';
import { readState, SOURCE_ROW, writeProgress } from './state.ts';

/** Parameters of one statement; the protocol counts them in 16 bits. */
const PARAMETERS = 32_000;
const CONNECT_TIMEOUT_S = 10;
/** Object identifiers of types, the same in every PostgreSQL. */
const INT8 = 20;

type Sql = postgres.Sql<{ bigint: number }>;
type Value = postgres.ParameterOrJSON<number>;

/** A PostgreSQL store to copy from or to; `shown` is the URL without password. The schema must be there. */
export async function openPostgresSide(url: string, shown: string): Promise<CopyTarget> {
  const sql: Sql = postgres(url, {
    max: 1,
    connect_timeout: CONNECT_TIMEOUT_S,
    onnotice: () => undefined,
    // No number of ours is beyond 2^53.
    types: { bigint: { to: INT8, from: [INT8], parse: Number, serialize: String } },
  });
  return new PostgresSide(shown, sql);
}

class PostgresSide implements CopyTarget {
  readonly name: string;
  readonly #sql: Sql;

  constructor(name: string, sql: Sql) {
    this.name = name;
    this.#sql = sql;
  }

  async tables(): Promise<readonly CopyTable[]> {
    const columns = await this.#rows(
      `SELECT table_name, column_name FROM information_schema.columns
       WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position`,
    );
    const keys = await this.#rows(
      `SELECT u.table_name, u.column_name FROM information_schema.key_column_usage u
       JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name)
       WHERE c.table_schema = current_schema() AND c.constraint_type = 'PRIMARY KEY'
       ORDER BY u.table_name, u.ordinal_position`,
    );
    const of = (rows: readonly CopyRow[], table: string) =>
      rows.filter(([name]) => name === table).map(([, column]) => String(column));
    return [...new Set(columns.map(([name]) => String(name)))]
      .filter((name) => name !== COPY_TABLE && !NODE_TABLES.has(name))
      .map((name) => ({ name, columns: of(columns, name), key: of(keys, name) }));
  }

  async count({ name }: CopyTable): Promise<number> {
    const [row] = await this.#rows(`SELECT count(*) FROM ${name} WHERE ${COPIED[name] ?? 'true'}`);
    return Number(row?.[0]);
  }

  async page(table: CopyTable, after: readonly CopyValue[] | null): Promise<readonly CopyRow[]> {
    const { name, columns, key } = table;
    const keys = key.join(', ');
    const from = after === null ? 'true' : `(${keys}) > (${key.map((_, n) => `$${n + 1}`).join(', ')})`;
    return this.#rows(
      `SELECT ${columns.join(', ')} FROM ${name} WHERE ${from} AND ${COPIED[name] ?? 'true'} ORDER BY ${keys} LIMIT ${pageRows(table)}`,
      after ?? [],
    );
  }

  async numbers(): Promise<ReadonlyMap<string, number>> {
    const numbers = new Map<string, number>();
    for (const { table, sequence } of await this.#sequences()) {
      const [row] = await this.#rows(`SELECT last_value FROM ${sequence} WHERE is_called`);
      if (row !== undefined) numbers.set(table, Number(row[0]));
    }
    return numbers;
  }

  async state(): Promise<CopyState | null> {
    const found = await this.#rows(
      'SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1',
      [COPY_TABLE],
    );
    return found.length === 0 ? null : readState(await this.#rows(`SELECT name, value FROM ${COPY_TABLE}`));
  }

  async isUsed(): Promise<boolean> {
    for (const name of USERS_TABLES) {
      if ((await this.#rows(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0) return true;
    }
    return false;
  }

  async begin(source: string): Promise<void> {
    const tables = await this.tables();
    await this.#commit(async (run) => {
      await run(`DROP TABLE IF EXISTS ${COPY_TABLE}`);
      await run(`CREATE TABLE ${COPY_TABLE} (name TEXT PRIMARY KEY, value TEXT NOT NULL)`);
      for (const { name } of tables) await run(`DELETE FROM ${name}`);
      await run(`INSERT INTO ${COPY_TABLE} VALUES ($1, $2)`, [SOURCE_ROW, source]);
    });
  }

  async put(table: CopyTable, rows: readonly CopyRow[], progress: TableProgress): Promise<void> {
    const { name, columns } = table;
    const atOnce = Math.floor(PARAMETERS / columns.length);
    await this.#commit(async (run) => {
      for (let from = 0; from < rows.length; from += atOnce) {
        const part = rows.slice(from, from + atOnce);
        await run(`INSERT INTO ${name} (${columns.join(', ')}) VALUES ${places(part)}`, part.flat());
      }
      await run(
        `INSERT INTO ${COPY_TABLE} VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value`,
        [name, writeProgress(progress)],
      );
    });
  }

  async finish(numbers: ReadonlyMap<string, number>): Promise<void> {
    const sequences = await this.#sequences();
    await this.#commit(async (run) => {
      for (const { table, sequence } of sequences) {
        // A sequence that has given no number yet begins at 1.
        const next = 'setval($1::regclass, greatest($2::bigint, 1), $2::bigint > 0)';
        await run(`SELECT ${next}`, [sequence, numbers.get(table) ?? 0]);
      }
      await run(`DROP TABLE ${COPY_TABLE}`);
    });
  }

  async close(): Promise<void> {
    await this.#sql.end({ timeout: CONNECT_TIMEOUT_S });
  }

  /** Of tables that number their rows themselves. */
  async #sequences(): Promise<{ table: string; sequence: string }[]> {
    const rows = await this.#rows(
      `SELECT table_name, pg_get_serial_sequence(table_name, column_name) FROM information_schema.columns
       WHERE table_schema = current_schema() AND pg_get_serial_sequence(table_name, column_name) IS NOT NULL`,
    );
    return rows
      .map(([table, sequence]) => ({ table: String(table), sequence: String(sequence) }))
      .filter(({ table }) => !NODE_TABLES.has(table));
  }

  async #rows(text: string, values: readonly CopyValue[] = []): Promise<CopyRow[]> {
    try {
      return (await this.#sql.unsafe(text, [...values] as Value[]).values()) as unknown as CopyRow[];
    } catch (error) {
      throw this.#trouble(error);
    }
  }

  async #commit(
    work: (run: (text: string, values?: readonly CopyValue[]) => Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    try {
      await this.#sql.begin((sql) =>
        work((text, values = []) => sql.unsafe(text, [...values] as Value[]).values()),
      );
    } catch (error) {
      throw this.#trouble(error);
    }
  }

  #trouble(error: unknown): StorageError {
    const words = error instanceof Error ? error.message : String(error);
    return new StorageError('unavailable', `${this.name}: ${words}`, { cause: error });
  }
}

/** `($1, $2), ($3, $4)` for rows of two columns. */
function places(rows: readonly CopyRow[]): string {
  let n = 0;
  return rows.map((row) => `(${row.map(() => `$${++n}`).join(', ')})`).join(', ');
}
