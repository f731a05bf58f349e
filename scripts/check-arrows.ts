/**
 * Checks that the folders of src/ know only the folders they may know (docs: arrows go one way). Prints each
 * import that breaks the rule and exits 1 when there is one. Type-only imports of a contract and of
 * src/sending/ports.ts are allowed from everywhere; `server` may import anything, and `cli` may load it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

/** What each folder may import beside itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  mail: [],
  smtp: ['mail'],
  dns: ['mail'],
  settings: ['mail'],
  storage: ['mail'],
  directory: ['storage', 'listening', 'mail'],
  routing: ['dns', 'settings', 'mail'],
  queue: ['storage', 'mail'],
  mailbox: ['storage', 'mail'],
  notices: ['storage', 'mail'],
  trust: ['dns', 'settings', 'mail'],
  listening: ['mail'],
  pop3: ['mailbox', 'listening', 'mail'],
  sending: ['smtp', 'routing', 'trust', 'settings', 'dns', 'mail'],
  receiving: ['smtp', 'directory', 'settings', 'storage', 'queue', 'listening', 'mail'],
  admin: ['settings', 'directory', 'queue', 'storage', 'dns', 'listening', 'mail'],
  acme: ['mail'],
  cli: ['admin', 'server', 'settings', 'mail'],
};

/** Knows all. */
const TOP = 'server';

/** An import or re-export, static or dynamic; the first group is set for a type-only one. */
const IMPORT = /\b(?:import|export)(\s+type)?\s+[^'";]*?from\s*'([^']+)'|\bimport\s*\(?\s*'([^']+)'/g;

interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}

function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORT)]
    .map((match) => ({ target: match[2] ?? match[3] ?? '', typeOnly: match[1] !== undefined }))
    .filter(({ target }) => target.startsWith('.'));
}

function allowed(folder: string, file: string, { target, typeOnly }: Import, root: string): boolean {
  const path = relative(root, resolve(dirname(file), target));
  const other = path.split(sep)[0] ?? '';
  if (other === folder || folder === TOP) return true;
  // Its one value is `StorageError`, which callers must be able to tell from others.
  if (path === join('storage', 'contract.ts')) return true;
  if (typeOnly && (/[/\\-]contract\.ts$/.test(path) || path === join('sending', 'ports.ts'))) return true;
  return ALLOWED[folder]?.includes(other) ?? false;
}

/** The offending imports below a source folder, one line each. */
export function findOffences(root: string): string[] {
  const offences: string[] = [];
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!name.endsWith('.ts')) continue;
    const folder = name.split(sep)[0] ?? '';
    if (folder !== TOP && !(folder in ALLOWED)) {
      offences.push(`${name}: the folder ${folder} is not in the table of arrows`);
      continue;
    }
    const file = join(root, name);
    for (const one of importsOf(readFileSync(file, 'utf8'))) {
      if (!allowed(folder, file, one, root)) offences.push(`${name}: ${folder} may not import ${one.target}`);
    }
  }
  return offences;
}

if (import.meta.main) {
  const offences = findOffences(resolve(import.meta.dirname, '../src'));
  for (const offence of offences) console.error(offence);
  if (offences.length > 0) process.exitCode = 1;
}
