/** A server on a disk that loses power: builds test/faults/power-cut-shim.c and starts `cmail` under it. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './cmail.ts';
import { runChecked } from './command.ts';
import { requireTool } from './require.ts';

const SOURCE = resolve(import.meta.dirname, '../faults/power-cut-shim.c');

/** What of the unsynced a disk keeps at the cut; see the shim. */
export const KEPT = ['none', 'order', 'some'] as const;
/** `all`: as after a kill, which loses nothing that was written. */
export type Kept = (typeof KEPT)[number] | 'all';

export interface CutOptions {
  /** The data folder; what is written below it is withheld. */
  readonly dataDir: string;
  readonly keep: Kept;
  readonly seed: number;
  /** `before K` or `after K`: the K-th sync from the start. */
  readonly at?: string;
  /** The disk says "synced" and does nothing. */
  readonly ignoreSync?: boolean;
}

export interface PowerCut {
  /** The environment of a server that starts on the disk. */
  environment(options: CutOptions): Promise<Record<string, string>>;
  /** `cut`, or `before K` / `after K` counted from now. Throws when no server runs on the disk. */
  command(text: string): void;
}

/** Compiles the shim; null (and the test skipped) where there is no compiler or no LD_PRELOAD. */
export async function preparePowerCut(t: TestContext): Promise<PowerCut | null> {
  if (process.platform !== 'linux') {
    if (process.env.CMAIL_TEST_REQUIRE === 'all') throw new Error('the power-cut tests need Linux');
    t.skip('the power-cut tests need Linux');
    return null;
  }
  const compiler = requireTool(t, 'cc');
  if (compiler === null) return null;
  const folder = await temporaryFolder(t);
  const library = join(folder, 'power-cut-shim.so');
  const control = join(folder, 'control');
  await runChecked(compiler, [
    '-O2',
    '-Wall',
    '-shared',
    '-fPIC',
    '-o',
    library,
    SOURCE,
    '-ldl',
    '-lpthread',
  ]);
  return {
    async environment({ dataDir, keep, seed, at, ignoreSync }) {
      await rm(control, { force: true });
      return {
        LD_PRELOAD: library,
        POWER_CUT_ROOT: dataDir,
        POWER_CUT_CONTROL: control,
        POWER_CUT_KEEP: keep,
        POWER_CUT_SEED: String(seed),
        UV_USE_IO_URING: '0', // its writes would not come by the shim
        ...(at === undefined ? {} : { POWER_CUT_AT: at }),
        ...(ignoreSync ? { POWER_CUT_IGNORE_SYNC: '1' } : {}),
      };
    },
    command(text) {
      // Without waiting: with no reader the server has ended, and that is an error here.
      const fd = openSync(control, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        writeSync(fd, `${text}\n`);
      } finally {
        closeSync(fd);
      }
    },
  };
}
