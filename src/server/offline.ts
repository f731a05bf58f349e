/** The administration operations directly on the store, under its lock, when no server runs. */
import type { AdminContext } from '../admin/context.ts';
import { createAdminContext } from './admin-context.ts';
import type { NodeConfig } from './config.ts';
import { openCore } from './core.ts';
import { openDataFolder } from './data-folder.ts';
import { quietLog } from './log.ts';

/** How long one command waits for another one to finish with the store. */
const LOCK_WAIT_MS = 5_000;

/** A data folder that cannot be opened; `locked` when another process holds it. */
export class OfflineError extends Error {
  readonly kind: 'locked' | 'unusable';
  constructor(kind: 'locked' | 'unusable', message: string) {
    super(message);
    this.name = 'OfflineError';
    this.kind = kind;
  }
}

/** Rejects with `OfflineError`, or `StorageError` when the store cannot be opened. */
export async function openOffline(config: NodeConfig): Promise<AdminContext & { close(): Promise<void> }> {
  const folder = openDataFolder(config.data, LOCK_WAIT_MS);
  if (!folder.ok) throw new OfflineError(folder.failure.kind, folder.failure.message);
  try {
    const core = await openCore(config, folder.value, quietLog());
    const close = async (): Promise<void> => {
      await core.close();
      folder.value.release();
    };
    return { ...createAdminContext(core, null), close };
  } catch (error) {
    folder.value.release();
    throw error;
  }
}
