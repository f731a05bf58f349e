/** A real file system of a few megabytes (ext4 on a loop device), for tests that fill it or take writing away. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { CleanUp } from './cmail.ts';

const run = promisify(execFile);

/** What is registered with `after` is done, the last first, before the disk goes. */
export interface SmallDisk extends CleanUp {
  readonly path: string;
  /** Takes so much space. */
  take(megabytes: number): Promise<void>;
  /** Takes all the space that is left. */
  fill(): Promise<void>;
  /** Gives back what `take` and `fill` took. */
  free(): Promise<void>;
  /** Makes the files in a folder immutable, also for who has them open, or takes it back. */
  lock(folder: string, on: boolean): Promise<void>;
  remount(mode: 'ro' | 'rw'): Promise<void>;
}

/** Mounts one; null, with the test skipped and the reason printed, where that is not possible. */
export async function mountSmallDisk(t: TestContext, megabytes: number): Promise<SmallDisk | null> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-disk-'));
  const image = join(folder, 'image');
  const path = join(folder, 'disk');
  let mounted = false;
  const actions: (() => Promise<void> | void)[] = [];
  t.after(async () => {
    for (const action of actions.reverse()) await action();
    if (mounted) await run('umount', [path]);
    await rm(folder, { recursive: true, force: true });
  });
  try {
    await writeFile(image, '');
    await truncate(image, megabytes * 1024 * 1024);
    await run('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', image]);
    await run('mkdir', [path]);
    await run('mount', ['-o', 'loop', image, path]);
    mounted = true;
  } catch (error) {
    const reason = `no file system can be mounted here: ${error instanceof Error ? error.message.trim() : error}`;
    // Root in a build can mount; that it cannot must not pass unseen.
    if (process.env.CMAIL_TEST_REQUIRE === 'all' && process.getuid?.() === 0) throw new Error(reason);
    t.diagnostic(`skipped: ${reason}`);
    t.skip(reason);
    return null;
  }
  return handle(path, actions);
}

function handle(path: string, actions: (() => Promise<void> | void)[]): SmallDisk {
  const filler = join(path, 'filler');
  return {
    path,
    after: (action) => void actions.push(action),
    async take(megabytes) {
      await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', `count=${megabytes}`]);
    },
    async fill() {
      // Ends with "no space left", which is what is wanted; the last blocks go one by one.
      for (const block of ['64k', '1k'])
        await run('dd', [
          'if=/dev/zero',
          `of=${filler}`,
          `bs=${block}`,
          'oflag=append',
          'conv=notrunc',
        ]).catch(() => undefined);
    },
    free: () => rm(filler),
    async lock(folder, on) {
      const files = (await readdir(folder)).filter(
        (name) => name.startsWith('cmail.db') && !name.endsWith('-shm'),
      );
      await run('chattr', [on ? '+i' : '-i', ...files.map((name) => join(folder, name))]);
    },
    remount: async (mode) => void (await run('mount', ['-o', `remount,${mode}`, path])),
  };
}
