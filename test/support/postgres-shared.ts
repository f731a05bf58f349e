/**
 * One PostgreSQL for all stores of a test process, or of a whole run when `run-with-postgres.ts` started it; a
 * new database for each store.
 */
import type { CleanUp } from './cmail.ts';
import { type PostgresAdmin, postgresAdmin, startPostgres } from './postgres-server.ts';

/** URL of the owner of the run's cluster. */
export const RUN_URL = 'CMAIL_TEST_POSTGRES_URL';

let shared: Promise<PostgresAdmin> | undefined;

/** Started at first use; one of this process alone ends with the process. */
export function sharedPostgres(): Promise<PostgresAdmin> {
  const url = process.env[RUN_URL];
  shared ??= url === undefined ? startPostgres() : Promise.resolve(postgresAdmin(url));
  return shared;
}

export interface ScratchDatabase {
  readonly name: string;
  /** `postgres://…` as its owner. */
  readonly url: string;
  readonly server: PostgresAdmin;
  /** As `PostgresAdmin.sql`, in this database. */
  sql(text: string): Promise<string>;
}

/** A new, empty database, dropped afterwards. */
export async function scratchDatabase(t: CleanUp): Promise<ScratchDatabase> {
  const server = await sharedPostgres();
  const name = await server.createDatabase();
  t.after(() => server.dropDatabase(name));
  return { name, url: server.url(name), server, sql: (text) => server.sql(text, name) };
}
