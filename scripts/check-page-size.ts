/**
 * Checks that the page's first load stays small: everything index.html asks for at once, and what the dashboard
 * (the first page after signing in) loads on top, gzipped. Prints the parts and exits 1 above the limit.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const LIMIT_BYTES = 250 * 1024;
const PAGE = resolve(import.meta.dirname, '../dist/web');
/** The page shown first; its own code counts as well. */
const FIRST_PAGE = /^Dashboard-.*\.(js|css)$/;

const size = (file: string): number => gzipSync(readFileSync(join(PAGE, file))).length;

/** Files of the first load: those index.html names, the first page's, and what these import. */
export function firstLoad(html: string, assets: readonly string[], read: (file: string) => string): string[] {
  const wanted = assets.filter((name) => html.includes(`/assets/${name}`) || FIRST_PAGE.test(name));
  const found = new Set<string>();
  while (wanted.length > 0) {
    const name = wanted.pop() ?? '';
    if (found.has(name)) continue;
    found.add(name);
    if (!name.endsWith('.js')) continue;
    // Static imports only: `from"./x.js"` and `import"./x.js"`, not `import("./x.js")`.
    for (const match of read(name).matchAll(/(?:from|import)\s*["']\.\/([^"']+)["']/g))
      wanted.push(match[1] ?? '');
  }
  return [...found].toSorted();
}

if (import.meta.main) {
  const html = readFileSync(join(PAGE, 'index.html'), 'utf8');
  const assets = readdirSync(join(PAGE, 'assets'));
  const files = firstLoad(html, assets, (name) => readFileSync(join(PAGE, 'assets', name), 'utf8'));
  const sizes = [
    ['index.html', size('index.html')],
    ['icon.svg', size('icon.svg')],
  ] as [string, number][];
  for (const name of files) sizes.push([`assets/${name}`, size(`assets/${name}`)]);
  const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
  for (const [name, bytes] of sizes) console.log(`${(bytes / 1024).toFixed(1).padStart(7)} kB  ${name}`);
  console.log(
    `${(total / 1024).toFixed(1).padStart(7)} kB  first load, gzipped (limit ${LIMIT_BYTES / 1024} kB)`,
  );
  if (total > LIMIT_BYTES) {
    console.error('The first load is too large: load what is not needed at once with import().');
    process.exitCode = 1;
  }
}
