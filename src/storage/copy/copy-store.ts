import { StorageError } from '../contract.ts';
import {
  type CopyRow,
  type CopySource,
  type CopyState,
  type CopyTable,
  type CopyTarget,
  keyOf,
  type TableProgress,
} from './contract.ts';
import { RowDigest } from './digest.ts';

export interface CopyStep {
  /** Each row is copied, then read again on both sides. */
  readonly phase: 'copy' | 'verify';
  readonly table: string;
  /** Rows of all tables in this phase. */
  readonly done: number;
  readonly total: number;
}

export interface CopiedTable {
  readonly table: string;
  readonly rows: number;
  readonly checksum: string;
}

export interface CopyOptions {
  /** Throws an incomplete copy in the target away and begins anew. */
  readonly restart: boolean;
  onStep(step: CopyStep): void;
}

/**
 * Copies all of a store into an empty one, or goes on with a copy of the same source that was interrupted. In the
 * end every row is read again on both sides; the target can be used only when they are equal. Rejects with
 * `StorageError`: `conflict` when the target holds something else, or the two are not equal in the end.
 */
export async function copyStore(
  source: CopySource,
  target: CopyTarget,
  options: CopyOptions,
): Promise<readonly CopiedTable[]> {
  const tables = await source.tables();
  await checkTables(tables, target);
  const state = await beginOrGoOn(source, target, options.restart);
  await copyAll(source, target, tables, state, options);
  const copied = await verifyAll(source, target, tables, options);
  await target.finish(await source.numbers());
  return copied;
}

async function checkTables(tables: readonly CopyTable[], target: CopyTarget): Promise<void> {
  const shape = (list: readonly CopyTable[]) =>
    list.map(({ name, columns }) => `${name} (${columns.toSorted().join(', ')})`).toSorted();
  const [here, there] = [shape(tables), shape(await target.tables())];
  const odd = [...here.filter((one) => !there.includes(one)), ...there.filter((one) => !here.includes(one))];
  if (odd.length === 0) return;
  throw new StorageError('schema', `source and target do not have the same tables: ${odd.join('; ')}`);
}

async function beginOrGoOn(source: CopySource, target: CopyTarget, restart: boolean): Promise<CopyState> {
  const before = await target.state();
  if (before === null && (await target.isUsed())) {
    throw new StorageError(
      'conflict',
      `${target.name} holds accounts, mail or settings already; only an empty store can take a copy`,
    );
  }
  if (before !== null && !restart) {
    if (before.source === source.name) return before;
    throw new StorageError(
      'conflict',
      `${target.name} holds an incomplete copy of ${before.source}: go on with that one, or throw it away with --restart`,
    );
  }
  await target.begin(source.name);
  return { source: source.name, tables: new Map() };
}

async function copyAll(
  source: CopySource,
  target: CopyTarget,
  tables: readonly CopyTable[],
  state: CopyState,
  { onStep }: CopyOptions,
): Promise<void> {
  const total = await rowsOf(source, tables);
  let before = 0;
  for (const table of tables) {
    let progress: TableProgress = state.tables.get(table.name) ?? { after: null, rows: 0, done: false };
    const step = () => onStep({ phase: 'copy', table: table.name, done: before + progress.rows, total });
    step();
    while (!progress.done) {
      const rows = await source.page(table, progress.after);
      const last = rows.at(-1);
      progress = {
        after: last === undefined ? progress.after : keyOf(table, last),
        rows: progress.rows + rows.length,
        done: last === undefined,
      };
      await target.put(table, rows, progress);
      step();
    }
    before += progress.rows;
  }
}

async function verifyAll(
  source: CopySource,
  target: CopyTarget,
  tables: readonly CopyTable[],
  { onStep }: CopyOptions,
): Promise<CopiedTable[]> {
  const total = 2 * (await rowsOf(source, tables));
  let done = 0;
  const copied: CopiedTable[] = [];
  const different: string[] = [];
  for (const table of tables) {
    const read = (side: CopySource) =>
      digestOf(side, table, (rows) => {
        done += rows;
        onStep({ phase: 'verify', table: table.name, done, total });
      });
    const [theirs, ours] = [await read(source), await read(target)];
    if (theirs.rows !== ours.rows)
      different.push(`${table.name} (${theirs.rows} rows, in the copy ${ours.rows})`);
    else if (theirs.checksum !== ours.checksum) different.push(`${table.name} (other contents)`);
    copied.push({ table: table.name, rows: ours.rows, checksum: ours.checksum });
  }
  if (different.length === 0) return copied;
  throw new StorageError(
    'conflict',
    `the copy is not like ${source.name}: ${different.join(', ')}. Something was changed while it was made: make sure that no server runs on either side and begin anew with --restart`,
  );
}

async function digestOf(
  side: CopySource,
  table: CopyTable,
  onRows: (rows: number) => void,
): Promise<RowDigest> {
  const digest = new RowDigest();
  let after: TableProgress['after'] = null;
  for (;;) {
    const rows: readonly CopyRow[] = await side.page(table, after);
    const last = rows.at(-1);
    if (last === undefined) return digest;
    for (const row of rows) digest.add(row);
    after = keyOf(table, last);
    onRows(rows.length);
  }
}

async function rowsOf(side: CopySource, tables: readonly CopyTable[]): Promise<number> {
  let total = 0;
  for (const table of tables) total += await side.count(table);
  return total;
}
