import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { postgresPrograms } from './postgres-server.ts';

/**
 * The path of a program a test drives. Absent, the test is skipped with the reason and the result is null;
 * with CMAIL_TEST_REQUIRE=all its absence is a failure, so that a build cannot pass without it.
 */
export function requireTool(t: TestContext, name: string): string | null {
  const file = findTool(name);
  if (file !== null) return file;
  if (process.env.CMAIL_TEST_REQUIRE === 'all') {
    throw new Error(`${name} is not installed and CMAIL_TEST_REQUIRE=all wants every tool`);
  }
  const reason = `${name} is not installed`;
  t.diagnostic(`skipped: ${reason}`);
  t.skip(reason);
  return null;
}

/** The path of a program, null where it is not installed. */
export function findTool(name: string): string | null {
  const files = (process.env.PATH ?? '').split(':').map((folder) => path.join(folder, name));
  return files.find(isExecutable) ?? null;
}

/**
 * Whether PostgreSQL's programs are here, for tests that start one. Absent, the test is skipped with the reason;
 * with CMAIL_TEST_REQUIRE=all that is a failure.
 */
export function requirePostgres(t: TestContext): boolean {
  if (postgresPrograms() !== null) return true;
  const reason = 'PostgreSQL is not installed (Debian: postgresql)';
  if (process.env.CMAIL_TEST_REQUIRE === 'all') {
    throw new Error(`${reason} and CMAIL_TEST_REQUIRE=all wants every tool`);
  }
  t.diagnostic(`skipped: ${reason}`);
  t.skip(reason);
  return false;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
