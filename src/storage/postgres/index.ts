import type { Storage } from '../contract.ts';
import { PostgresStorage } from './engine.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?…`; the database must exist. */
  readonly url: string;
  /** Reads only; the schema must be there. Writes reject with `unavailable`. */
  readonly readOnly?: boolean;
  /** Only what a crash left is put right; nothing is swept or made searchable while it is open. For copying it. */
  readonly atRest?: boolean;
}

/**
 * Opens (and creates) the store, and joins the nodes that are on it. Rejects with `StorageError`: `schema` when it is
 * a newer CMail's or another program's, `unavailable` when the database cannot be reached, used or trusted.
 */
export async function openPostgresStorage(options: PostgresOptions): Promise<Storage> {
  const storage = new PostgresStorage({ url: options.url, readOnly: options.readOnly ?? false });
  await storage.start(options.atRest ?? false);
  return storage;
}
