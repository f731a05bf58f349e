import type { Command } from 'commander';
import type { Page } from '../admin/operation.ts';
import type { Connect, Connection } from './connect.ts';
import { type CliIo, write } from './io.ts';
import { formatTable, writeJson, writeJsonArray } from './output.ts';

/** What every command works with. */
export interface CliSession {
  readonly io: CliIo;
  readonly connect: Connect;
  /** The exit status unless something goes wrong: 1 when a check found trouble. */
  exitCode: 0 | 1;
}

interface GlobalOptions {
  readonly data?: string;
  readonly config?: string;
}

/** The two options every command takes. */
export function nodeOptions(command: Command): { data: string | undefined; config: string | undefined } {
  const { data, config } = command.optsWithGlobals<GlobalOptions>();
  return { data, config };
}

/** Runs `work` with a connection and closes it, whatever happens. */
export async function withConnection<T>(
  session: CliSession,
  command: Command,
  writes: boolean,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await session.connect({ ...nodeOptions(command), writes }, session.io);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/** A command that changes something and says so in a line. */
export function change<T>(
  session: CliSession,
  command: Command,
  op: string,
  args: unknown,
  words: (result: T) => string,
): Promise<void> {
  return withConnection(session, command, true, async (connection) => {
    await write(session.io.stdout, `${words(await connection.call<T>(op, args))}\n`);
  });
}

/** A command that reads one thing, for people or as JSON. */
export function read<T>(
  session: CliSession,
  command: Command,
  op: string,
  args: unknown,
  format: (result: T) => string,
): Promise<T> {
  return withConnection(session, command, false, async (connection) => {
    const result = await connection.call<T>(op, args);
    if (wantsJson(command)) await writeJson(session.io, result);
    else await write(session.io.stdout, format(result));
    return result;
  });
}

export interface ListFormat<T> {
  readonly headings: readonly string[];
  /** The table's rows for one element. */
  rows(element: T): readonly (readonly string[])[];
  /** Said when there is nothing. */
  readonly empty: string;
}

/** A command that reads a list, page by page. */
export function readList<T>(
  session: CliSession,
  command: Command,
  op: string,
  args: Readonly<Record<string, unknown>>,
  format: ListFormat<T>,
  limit = Number.POSITIVE_INFINITY,
): Promise<void> {
  return withConnection(session, command, false, async (connection) => {
    const pages = allPages<T>(connection, op, args, limit);
    if (wantsJson(command)) return writeJsonArray(session.io, pages);
    let empty = true;
    for await (const rows of pages) {
      if (rows.length === 0) continue;
      empty = false;
      await write(session.io.stdout, formatTable(format.headings, rows.flatMap(format.rows)));
    }
    if (empty) await write(session.io.stdout, `${format.empty}\n`);
  });
}

async function* allPages<T>(
  connection: Connection,
  op: string,
  args: Readonly<Record<string, unknown>>,
  limit: number,
): AsyncIterable<readonly T[]> {
  let left = limit;
  let next: Readonly<Record<string, unknown>> = {};
  while (left > 0) {
    const bound = Number.isFinite(left) ? { limit: left } : {};
    const page: Page<T> = await connection.call(op, { ...args, ...bound, ...next });
    yield page.rows;
    if (page.next === null) return;
    left -= page.rows.length;
    next = { after: page.next };
  }
}

export function wantsJson(command: Command): boolean {
  return command.opts<{ json?: boolean }>().json === true;
}
