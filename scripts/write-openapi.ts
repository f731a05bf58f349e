/** Writes docs/openapi.json from the route table; with --check only says whether it is up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { openApiDocument } from '../src/admin/http/openapi.ts';

const root = resolve(import.meta.dirname, '..');
const file = resolve(root, 'docs/openapi.json');
const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string };
const text = `${JSON.stringify(openApiDocument(version), null, 2)}\n`;

if (process.argv.includes('--check')) {
  let before = '';
  try {
    before = readFileSync(file, 'utf8');
  } catch {
    // A missing file is out of date as well.
  }
  if (before !== text) {
    console.error('docs/openapi.json is out of date: run "npm run docs"');
    process.exitCode = 1;
  }
} else writeFileSync(file, text);
