/** Opens the store that `store.url` names, and the key of its secrets. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { keyFingerprint, openSecretKey } from '../settings/secrets.ts';
import type { Storage } from '../storage/contract.ts';
import { openSqliteStorage } from '../storage/sqlite/index.ts';
import type { NodeConfig } from './config.ts';
import type { DataFolder } from './data-folder.ts';

const FINGERPRINT_NAME = 'secret-key-fingerprint';

/** Rejects with `StorageError` when the store cannot be used, and when the key of a shared one is another. */
export async function openStore(
  { store }: NodeConfig,
  folder: DataFolder,
  { atRest = false }: { readonly atRest?: boolean } = {},
): Promise<{ storage: Storage; secretKey: Uint8Array }> {
  if (store.kind === 'sqlite') {
    const secretKey = await openSecretKey(folder.path);
    const path = folder.databaseFile;
    return { storage: await openSqliteStorage({ path, takeOver: true, atRest }), secretKey };
  }
  // Only whoever uses it loads it.
  const { openPostgresStorage } = await import('../storage/postgres/index.ts');
  const storage = await openPostgresStorage({ url: store.url, atRest });
  try {
    return { storage, secretKey: await sharedSecretKey(storage, folder.path) };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/**
 * The folder's key, which must be the one that the store's secrets were encrypted with by other nodes. The first
 * node makes it; a folder without one is left without when the store has another already.
 */
async function sharedSecretKey(storage: Storage, folder: string): Promise<Uint8Array> {
  const file = join(folder, 'secret.key');
  const isNew = !existsSync(file);
  const secretKey = await openSecretKey(folder);
  const own = keyFingerprint(secretKey);
  const kept = await storage.keepSecret(FINGERPRINT_NAME, own);
  if (Buffer.compare(own, kept) === 0) return secretKey;
  if (isNew) await rm(file);
  const what = isNew
    ? `${folder} has no secret.key, and the store's secrets were encrypted with one`
    : `${file} is not the key that the store's secrets were encrypted with`;
  throw new Error(
    `${what}. All nodes on one database share it: copy secret.key from the data folder of a node that runs to ${file}`,
  );
}
