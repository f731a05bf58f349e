import { createAdminContext } from './admin-context.js';
import { openCore } from './core.js';
import { openDataFolder } from './data-folder.js';
import { quietLog } from './log.js';
/** How long one command waits for another one to finish with the store. */
const LOCK_WAIT_MS = 5_000;
/** A data folder that cannot be opened; `locked` when another process holds it. */
export class OfflineError extends Error {
    kind;
    constructor(kind, message) {
        super(message);
        this.name = 'OfflineError';
        this.kind = kind;
    }
}
/** Rejects with `OfflineError`, or `StorageError` when the store cannot be opened. */
export async function openOffline(config) {
    const folder = openDataFolder(config.data, LOCK_WAIT_MS);
    if (!folder.ok)
        throw new OfflineError(folder.failure.kind, folder.failure.message);
    try {
        const core = await openCore(config, folder.value, quietLog());
        const close = async () => {
            await core.close();
            folder.value.release();
        };
        return { ...createAdminContext(core, null), close };
    }
    catch (error) {
        folder.value.release();
        throw error;
    }
}
