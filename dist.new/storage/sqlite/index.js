import { SqliteStorage } from './engine.js';
const BUSY_TIMEOUT_MS = 5000;
const WRITER_CACHE_BYTES = 4 * 1024 * 1024;
/**
 * Opens (and creates) the store. Rejects with `StorageError`: `schema` when the file is a newer CMail's or not
 * ours, `unavailable` when it cannot be opened, read or written.
 */
export async function openSqliteStorage(options) {
    const storage = new SqliteStorage({
        path: options.path,
        readOnly: options.readOnly ?? false,
        busyTimeoutMs: options.busyTimeoutMs ?? BUSY_TIMEOUT_MS,
        cacheBytes: WRITER_CACHE_BYTES,
        ...(options.pageSizeBytes === undefined ? {} : { pageSizeBytes: options.pageSizeBytes }),
    });
    await storage.start(options.takeOver ?? false);
    return storage;
}
