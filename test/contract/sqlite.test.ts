import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { storageSuite } from './storage-suite.ts';

storageSuite('sqlite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-sqlite-'));
  return {
    open: () => openSqliteStorage({ path: join(folder, 'cmail.db') }),
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
});
