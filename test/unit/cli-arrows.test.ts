import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findOffences } from '../../scripts/check-arrows.ts';

const root = resolve(import.meta.dirname, '../..');

test('imports against the arrows are found, contracts and own files are not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const files: Readonly<Record<string, string>> = {
    'mail/a.ts': "import { b } from './b.ts';\nimport x from 'node:fs';\n",
    'mail/bad.ts': "export {\n  y,\n} from '../smtp/y.ts';\n",
    'smtp/a.ts':
      "import type { C } from '../storage/contract.ts';\nimport type { P } from '../sending/ports.ts';\n",
    'smtp/bad.ts':
      "import { p } from '../sending/ports.ts';\nconst q = await import('../queue/q.ts');\nimport '../dns/d.ts';\n",
    'server/all.ts': "import { a } from '../smtp/a.ts';\n",
    'attic/a.ts': '',
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  assert.deepEqual(findOffences(folder), [
    'attic/a.ts: the folder attic is not in the table of arrows',
    'mail/bad.ts: mail may not import ../smtp/y.ts',
    'smtp/bad.ts: smtp may not import ../sending/ports.ts',
    'smtp/bad.ts: smtp may not import ../queue/q.ts',
    'smtp/bad.ts: smtp may not import ../dns/d.ts',
  ]);
});

test('the settings reference is up to date', async () => {
  const script = join(root, 'scripts/write-settings-reference.ts');
  await promisify(execFile)(process.execPath, [script, '--check']);
});
