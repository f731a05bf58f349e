/** Moves a store from one engine to another while no server runs on either. */
import { existsSync } from 'node:fs';
import type { CopySource, CopyTarget } from '../storage/copy/contract.ts';
import { type CopiedTable, type CopyOptions, copyStore } from '../storage/copy/copy-store.ts';
import { openSqliteSide } from '../storage/copy/sqlite-side.ts';
import type { NodeConfig } from './config.ts';
import { type DataFolder, openDataFolder } from './data-folder.ts';
import { openStore } from './open-store.ts';
import { parseStoreUrl, type StorePlace } from './store-url.ts';

const LOCK_WAIT_MS = 2_000;

export interface StoreCopyRequest extends CopyOptions {
  /** `sqlite` (the data folder's) or a URL; undefined for the store of the node's configuration. */
  readonly from: string | undefined;
  readonly to: string;
}

export interface StoreCopied {
  readonly from: string;
  readonly to: string;
  readonly tables: readonly CopiedTable[];
}

/** Copies all of a store and opens the copy once. Rejects with one sentence that says what to do. */
export async function copyBetweenStores(config: NodeConfig, request: StoreCopyRequest): Promise<StoreCopied> {
  const from = request.from === undefined ? config.store : placeOf('--from', request.from);
  const to = placeOf('--to', request.to);
  const folder = openDataFolder(config.data, LOCK_WAIT_MS);
  if (!folder.ok) throw new Error(folder.failure.message);
  try {
    const { databaseFile } = folder.value;
    if (shownPlace(from, databaseFile) === shownPlace(to, databaseFile))
      throw new Error(`source and target are the same store, ${shownPlace(to, databaseFile)}`);
    if (from.kind === 'sqlite' && !existsSync(databaseFile))
      throw new Error(`there is no store ${databaseFile}: name your data folder with --data`);
    const tables = await copyOpened(config, folder.value, { from, to }, request);
    // The engine has the last word on whether the copy can be used, and notes whose key its secrets have.
    await (await openStore({ ...config, store: to }, folder.value)).storage.close();
    return { from: shownPlace(from, databaseFile), to: shownPlace(to, databaseFile), tables };
  } finally {
    folder.value.release();
  }
}

async function copyOpened(
  config: NodeConfig,
  folder: DataFolder,
  { from, to }: { from: StorePlace; to: StorePlace },
  options: CopyOptions,
): Promise<readonly CopiedTable[]> {
  // Brings an older store up to date, and refuses a shared one whose secrets this folder has no key for.
  // It stays as it is meanwhile: a copy that was interrupted goes on with the same rows.
  await (await openStore({ ...config, store: from }, folder, { atRest: true })).storage.close();
  const open: CopySource[] = [];
  try {
    const source = await openSide(from, folder);
    open.push(source);
    const target = await openSide(to, folder);
    open.push(target);
    return await copyStore(source, target, options);
  } finally {
    for (const side of open) await side.close();
  }
}

async function openSide(place: StorePlace, folder: DataFolder): Promise<CopyTarget> {
  if (place.kind === 'sqlite') return openSqliteSide(folder.databaseFile);
  const { openPostgresSide } = await import('../storage/copy/postgres-side.ts');
  return openPostgresSide(place.url, place.shown);
}

function placeOf(option: string, text: string): StorePlace {
  const place = parseStoreUrl(text);
  if (place.ok) return place.value;
  const { shown, reason, wouldDo } = place.failure;
  throw new Error(`${option} ${shown}: ${reason}. ${wouldDo}`);
}

function shownPlace(place: StorePlace, databaseFile: string): string {
  return place.kind === 'sqlite' ? databaseFile : place.shown;
}
