import type { Storage } from '../contract.ts';
import { SqliteStorage } from './engine.ts';

export interface SqliteOptions {
  /** The database file; its folder must exist. */
  readonly path: string;
  /** Reads only; the file must exist. Writes reject with `unavailable`. */
  readonly readOnly?: boolean;
  /** Longest wait for another process's lock before operations fail with `unavailable`. */
  readonly busyTimeoutMs?: number;
  /**
   * The caller holds the data folder's lock, so every claim found is a dead process's: they go back into the
   * queue at once instead of when their leases end.
   */
  readonly takeOver?: boolean;
  /** Only what a crash left is put right; nothing is swept or made searchable while it is open. For copying it. */
  readonly atRest?: boolean;
  /** For measurements; an existing store keeps the page size it was made with. */
  readonly pageSizeBytes?: number;
}

const BUSY_TIMEOUT_MS = 5000;
const WRITER_CACHE_BYTES = 4 * 1024 * 1024;

/**
 * Opens (and creates) the store. Rejects with `StorageError`: `schema` when the file is a newer CMail's or not
 * ours, `unavailable` when it cannot be opened, read or written.
 */
export async function openSqliteStorage(options: SqliteOptions): Promise<Storage> {
  const storage = new SqliteStorage({
    path: options.path,
    readOnly: options.readOnly ?? false,
    busyTimeoutMs: options.busyTimeoutMs ?? BUSY_TIMEOUT_MS,
    cacheBytes: WRITER_CACHE_BYTES,
    ...(options.pageSizeBytes === undefined ? {} : { pageSizeBytes: options.pageSizeBytes }),
  });
  await storage.start({ takeOver: options.takeOver ?? false, atRest: options.atRest ?? false });
  return storage;
}
