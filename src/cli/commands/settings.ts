import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { OperationError } from '../../admin/context.ts';
import { describeError } from '../../mail/failure.ts';
import type { SettingDifference, SettingView } from '../../settings/service.ts';
import { findSetting } from '../../settings/table.ts';
import { SETTINGS_FILE_BYTES } from '../../settings/toml.ts';
import type { SettingWarning } from '../../settings/validate.ts';
import type { Connection } from '../connect.ts';
import { askHidden, readLine } from '../input.ts';
import { UsageError, write } from '../io.ts';
import { formatTable, formatTime, plain } from '../output.ts';
import { type CliSession, read, withConnection } from '../session.ts';

interface Changed {
  readonly changes: readonly SettingDifference[];
  readonly warnings: readonly SettingWarning[];
  readonly untouched: readonly SettingWarning[];
}

interface HistoryEntry {
  readonly n: number;
  readonly at: string;
  readonly author: string;
  readonly key: string;
  readonly old: string | null;
  readonly new: string | null;
}

/** `settings …`: read and change the settings while mail flows. */
export function addSettingsCommands(program: Command, session: CliSession): void {
  const settings = program.command('settings').description('the settings of docs/settings.md');
  addReading(settings, session);
  addChanging(settings, session);
  addFiles(settings, session);
  addHistory(settings, session);
}

function addReading(settings: Command, session: CliSession): void {
  settings
    .command('list')
    .description('show every setting')
    .option('--json', 'as JSON')
    .action(async (_, command: Command) => {
      await read<SettingView[]>(session, command, 'settings.list', {}, (list) =>
        formatTable(
          ['KEY', 'VALUE', 'UNIT', 'LABEL'],
          list.map(({ key, text, unit, label }) => [key, text === '' ? '""' : text, unit, label]),
        ),
      );
    });

  settings
    .command('get <key>')
    .description('show one setting')
    .option('--json', 'as JSON')
    .action(async (key: string, _, command: Command) => {
      await read<SettingView>(session, command, 'settings.get', { key }, ({ text }) => `${plain(text)}\n`);
    });
}

function addChanging(settings: Command, session: CliSession): void {
  settings
    .command('set <key> [value] [more...]')
    .description('change settings, checked all together: KEY VALUE [KEY VALUE …]')
    .option('--stdin', 'read the value of one key from standard input (for secrets)')
    .option('--if-version <n>', 'only when nothing was changed after entry n of the history')
    .action(
      async (
        key: string,
        value: string | undefined,
        more: string[],
        options: { stdin?: boolean; ifVersion?: string },
        command: Command,
      ) => {
        const changes = await changesOf(
          session,
          [key, ...(value === undefined ? [] : [value]), ...more],
          options,
        );
        const ifVersion = versionOption(options.ifVersion);
        await withConnection(session, command, true, async (connection) => {
          await sayChanged(session, await connection.call<Changed>('settings.set', { changes, ifVersion }));
        });
      },
    );
}

async function changesOf(
  session: CliSession,
  words: readonly string[],
  { stdin }: { readonly stdin?: boolean },
) {
  const [first = ''] = words;
  if (stdin) {
    if (words.length !== 1) {
      throw new UsageError('--stdin takes one key and no value', 'Use "cmail settings set KEY --stdin".');
    }
    const value = session.io.stdin.isTTY
      ? await askHidden(session.io, `${first}: `)
      : await readLine(session.io);
    return [{ key: first, value }];
  }
  if (words.length % 2 !== 0) {
    const mend = findSetting(first)?.secret
      ? `Use "cmail settings set ${first} --stdin".`
      : 'Use "cmail settings set KEY VALUE [KEY VALUE …]"; write "" for an empty value.';
    throw new UsageError(`${words.at(-1) ?? ''} has no value`, mend);
  }
  const changes: { key: string; value: string }[] = [];
  for (let index = 0; index < words.length; index += 2) {
    changes.push({ key: words[index] ?? '', value: words[index + 1] ?? '' });
  }
  return changes;
}

function addFiles(settings: Command, session: CliSession): void {
  settings
    .command('export')
    .description('print the settings as a file for apply, without secrets')
    .option('--json', 'as JSON text')
    .action(async (_, command: Command) => {
      await read<string>(session, command, 'settings.export', {}, (text) => text);
    });

  settings
    .command('apply <file>')
    .description('take the settings present in a TOML file; - is standard input')
    .option('--dry-run', 'only show what would change')
    .option('--if-version <n>', "only when nothing was changed after entry n, instead of the file's version")
    .action(async (file: string, options: { dryRun?: boolean; ifVersion?: string }, command: Command) => {
      const { dryRun = false } = options;
      const ifVersion = versionOption(options.ifVersion);
      const text = await readSettingsText(session, file);
      await withConnection(session, command, true, async (connection: Connection) => {
        const done = await connection.call<Changed>('settings.apply', { text, dryRun, ifVersion });
        await sayChanged(session, done, dryRun);
      });
    });
}

function addHistory(settings: Command, session: CliSession): void {
  settings
    .command('history')
    .description('show changes, the newest first')
    .option('--limit <n>', 'entries at most', '100')
    .option('--json', 'as JSON')
    .action(async ({ limit }: { limit: string }, command: Command) => {
      const args = { limit: wholeNumber(limit, '--limit') };
      await read<HistoryEntry[]>(session, command, 'settings.history', args, (entries) =>
        formatTable(
          ['N', 'AT', 'AUTHOR', 'KEY', 'OLD', 'NEW'],
          entries.map((entry) => [
            String(entry.n),
            formatTime(entry.at),
            entry.author,
            entry.key,
            entry.old ?? '-',
            entry.new ?? '-',
          ]),
        ),
      );
    });

  settings
    .command('revert [n]')
    .description('undo entry n of the history, or every change after a point of it')
    .option('--to <point>', 'back to the settings after entry N (0: before the first) or at a time')
    .option('--dry-run', 'with --to: only show what would change')
    .action((text: string | undefined, options: { to?: string; dryRun?: boolean }, command: Command) => {
      const { op, args } = revertCall(text, options);
      return withConnection(session, command, true, async (connection) => {
        await sayChanged(session, await connection.call<Changed>(op, args), options.dryRun === true);
      });
    });
}

function revertCall(n: string | undefined, { to, dryRun = false }: { to?: string; dryRun?: boolean }) {
  if ((n === undefined) === (to === undefined)) {
    throw new UsageError('give the entry to undo, or a point to go back to', REVERT_USAGE);
  }
  if (to !== undefined) return { op: 'settings.revertTo', args: { past: pastOption(to), dryRun } };
  if (dryRun) throw new UsageError('--dry-run goes with --to', REVERT_USAGE);
  return { op: 'settings.revert', args: { n: wholeNumber(n ?? '', 'n') } };
}

const REVERT_USAGE = 'Use "cmail settings revert N", or "cmail settings revert --to N|TIME [--dry-run]".';

/** ISO 8601, local time unless it names a zone. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/;

/** An entry's number, or a time as `settings history` shows it. */
function pastOption(text: string): { n: number } | { atMs: number } {
  if (/^\d{1,9}$/.test(text)) return { n: Number(text) };
  const [, day, time = '00:00', zone = ''] = TIME.exec(text) ?? [];
  const atMs = day === undefined ? Number.NaN : Date.parse(`${day}T${time}${zone}`);
  if (Number.isNaN(atMs) || atMs < 0) {
    throw new UsageError(
      `--to ${text} is neither an entry nor a time`,
      'Give the number of an entry, or a time such as 2026-11-22T18:30 or 2026-11-22T18:30Z.',
    );
  }
  return { atMs };
}

function versionOption(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(
    `--if-version ${text} is not a number`,
    'Give the number of the newest entry of "cmail settings history" you know of; 0 before the first.',
  );
}

/** A whole number from 1 on. */
export function wholeNumber(text: string, name: string): number {
  if (/^[0-9]{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new UsageError(`${name} ${text} is not a number from 1 on`, 'Give a whole number, such as 100.');
}

async function readSettingsText(session: CliSession, file: string): Promise<string> {
  if (file === '-') {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of session.io.stdin) {
      parts.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (bytes > SETTINGS_FILE_BYTES) throw tooLong(file);
    }
    return Buffer.concat(parts).toString('utf8');
  }
  const path = resolve(session.io.cwd, file);
  try {
    if ((await stat(path)).size > SETTINGS_FILE_BYTES) throw tooLong(file);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof OperationError) throw error;
    throw new OperationError(
      `the settings file ${file} cannot be read: ${describeError(error)}`,
      'Name another file.',
    );
  }
}

function tooLong(file: string): OperationError {
  return new OperationError(
    `${file} is larger than ${SETTINGS_FILE_BYTES / 1024} KB`,
    'Is it a settings file?',
  );
}

async function sayChanged(
  { io }: CliSession,
  { changes, warnings, untouched }: Changed,
  dryRun = false,
): Promise<void> {
  if (changes.length === 0) await write(io.stdout, 'Nothing changes: every value is as given already.\n');
  const words = dryRun ? ' (not changed: --dry-run)' : '';
  for (const { key, old, new: next } of changes) {
    await write(io.stdout, `${key}: ${old === '' ? '""' : old} -> ${next === '' ? '""' : next}${words}\n`);
  }
  for (const { key, text } of untouched) await write(io.stderr, `cmail: not reverted: ${key} is ${text}\n`);
  for (const { key, text } of warnings) await write(io.stderr, `cmail: warning: ${key} is ${text}\n`);
}
