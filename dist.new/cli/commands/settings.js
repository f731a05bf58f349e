import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { OperationError } from '../../admin/context.js';
import { describeError } from '../../mail/failure.js';
import { findSetting } from '../../settings/table.js';
import { SETTINGS_FILE_BYTES } from '../../settings/toml.js';
import { askHidden, readLine } from '../input.js';
import { UsageError, write } from '../io.js';
import { formatTable, formatTime, plain } from '../output.js';
import { read, withConnection } from '../session.js';
/** `settings …`: read and change the settings while mail flows. */
export function addSettingsCommands(program, session) {
    const settings = program.command('settings').description('the settings of docs/settings.md');
    addReading(settings, session);
    addChanging(settings, session);
    addFiles(settings, session);
    addHistory(settings, session);
}
function addReading(settings, session) {
    settings
        .command('list')
        .description('show every setting')
        .option('--json', 'as JSON')
        .action(async (_, command) => {
        await read(session, command, 'settings.list', {}, (list) => formatTable(['KEY', 'VALUE', 'UNIT', 'LABEL'], list.map(({ key, text, unit, label }) => [key, text === '' ? '""' : text, unit, label])));
    });
    settings
        .command('get <key>')
        .description('show one setting')
        .option('--json', 'as JSON')
        .action(async (key, _, command) => {
        await read(session, command, 'settings.get', { key }, ({ text }) => `${plain(text)}\n`);
    });
}
function addChanging(settings, session) {
    settings
        .command('set <key> [value] [more...]')
        .description('change settings, checked all together: KEY VALUE [KEY VALUE …]')
        .option('--stdin', 'read the value of one key from standard input (for secrets)')
        .option('--if-version <n>', 'only when nothing was changed after entry n of the history')
        .action(async (key, value, more, options, command) => {
        const changes = await changesOf(session, [key, ...(value === undefined ? [] : [value]), ...more], options);
        const ifVersion = versionOption(options.ifVersion);
        await withConnection(session, command, true, async (connection) => {
            await sayChanged(session, await connection.call('settings.set', { changes, ifVersion }));
        });
    });
}
async function changesOf(session, words, { stdin }) {
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
    const changes = [];
    for (let index = 0; index < words.length; index += 2) {
        changes.push({ key: words[index] ?? '', value: words[index + 1] ?? '' });
    }
    return changes;
}
function addFiles(settings, session) {
    settings
        .command('export')
        .description('print the settings as a file for apply, without secrets')
        .option('--json', 'as JSON text')
        .action(async (_, command) => {
        await read(session, command, 'settings.export', {}, (text) => text);
    });
    settings
        .command('apply <file>')
        .description('take the settings present in a TOML file; - is standard input')
        .option('--dry-run', 'only show what would change')
        .option('--if-version <n>', "only when nothing was changed after entry n, instead of the file's version")
        .action(async (file, options, command) => {
        const { dryRun = false } = options;
        const ifVersion = versionOption(options.ifVersion);
        const text = await readSettingsText(session, file);
        await withConnection(session, command, true, async (connection) => {
            const done = await connection.call('settings.apply', { text, dryRun, ifVersion });
            await sayChanged(session, done, dryRun);
        });
    });
}
function addHistory(settings, session) {
    settings
        .command('history')
        .description('show changes, the newest first')
        .option('--limit <n>', 'entries at most', '100')
        .option('--json', 'as JSON')
        .action(async ({ limit }, command) => {
        const args = { limit: wholeNumber(limit, '--limit') };
        await read(session, command, 'settings.history', args, (entries) => formatTable(['N', 'AT', 'AUTHOR', 'KEY', 'OLD', 'NEW'], entries.map((entry) => [
            String(entry.n),
            formatTime(entry.at),
            entry.author,
            entry.key,
            entry.old ?? '-',
            entry.new ?? '-',
        ])));
    });
    settings
        .command('revert [n]')
        .description('undo entry n of the history, or every change after a point of it')
        .option('--to <point>', 'back to the settings after entry N (0: before the first) or at a time')
        .option('--dry-run', 'with --to: only show what would change')
        .action((text, options, command) => {
        const { op, args } = revertCall(text, options);
        return withConnection(session, command, true, async (connection) => {
            await sayChanged(session, await connection.call(op, args), options.dryRun === true);
        });
    });
}
function revertCall(n, { to, dryRun = false }) {
    if ((n === undefined) === (to === undefined)) {
        throw new UsageError('give the entry to undo, or a point to go back to', REVERT_USAGE);
    }
    if (to !== undefined)
        return { op: 'settings.revertTo', args: { past: pastOption(to), dryRun } };
    if (dryRun)
        throw new UsageError('--dry-run goes with --to', REVERT_USAGE);
    return { op: 'settings.revert', args: { n: wholeNumber(n ?? '', 'n') } };
}
const REVERT_USAGE = 'Use "cmail settings revert N", or "cmail settings revert --to N|TIME [--dry-run]".';
/** ISO 8601, local time unless it names a zone. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/;
/** An entry's number, or a time as `settings history` shows it. */
function pastOption(text) {
    if (/^\d{1,9}$/.test(text))
        return { n: Number(text) };
    const [, day, time = '00:00', zone = ''] = TIME.exec(text) ?? [];
    const atMs = day === undefined ? Number.NaN : Date.parse(`${day}T${time}${zone}`);
    if (Number.isNaN(atMs) || atMs < 0) {
        throw new UsageError(`--to ${text} is neither an entry nor a time`, 'Give the number of an entry, or a time such as 2026-11-22T18:30 or 2026-11-22T18:30Z.');
    }
    return { atMs };
}
function versionOption(text) {
    if (text === undefined)
        return null;
    if (/^\d{1,9}$/.test(text))
        return Number(text);
    throw new UsageError(`--if-version ${text} is not a number`, 'Give the number of the newest entry of "cmail settings history" you know of; 0 before the first.');
}
/** A whole number from 1 on. */
export function wholeNumber(text, name) {
    if (/^[0-9]{1,9}$/.test(text) && Number(text) > 0)
        return Number(text);
    throw new UsageError(`${name} ${text} is not a number from 1 on`, 'Give a whole number, such as 100.');
}
async function readSettingsText(session, file) {
    if (file === '-') {
        const parts = [];
        let bytes = 0;
        for await (const chunk of session.io.stdin) {
            parts.push(Buffer.from(chunk));
            bytes += chunk.length;
            if (bytes > SETTINGS_FILE_BYTES)
                throw tooLong(file);
        }
        return Buffer.concat(parts).toString('utf8');
    }
    const path = resolve(session.io.cwd, file);
    try {
        if ((await stat(path)).size > SETTINGS_FILE_BYTES)
            throw tooLong(file);
        return await readFile(path, 'utf8');
    }
    catch (error) {
        if (error instanceof OperationError)
            throw error;
        throw new OperationError(`the settings file ${file} cannot be read: ${describeError(error)}`, 'Name another file.');
    }
}
function tooLong(file) {
    return new OperationError(`${file} is larger than ${SETTINGS_FILE_BYTES / 1024} KB`, 'Is it a settings file?');
}
async function sayChanged({ io }, { changes, warnings, untouched }, dryRun = false) {
    if (changes.length === 0)
        await write(io.stdout, 'Nothing changes: every value is as given already.\n');
    const words = dryRun ? ' (not changed: --dry-run)' : '';
    for (const { key, old, new: next } of changes) {
        await write(io.stdout, `${key}: ${old === '' ? '""' : old} -> ${next === '' ? '""' : next}${words}\n`);
    }
    for (const { key, text } of untouched)
        await write(io.stderr, `cmail: not reverted: ${key} is ${text}\n`);
    for (const { key, text } of warnings)
        await write(io.stderr, `cmail: warning: ${key} is ${text}\n`);
}
