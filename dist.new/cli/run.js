import { readFile } from 'node:fs/promises';
import { Command, CommanderError } from 'commander';
import { OperationError } from '../admin/context.js';
import { describeError } from '../mail/failure.js';
import { addAccountCommands } from './commands/account.js';
import { addAliasCommands } from './commands/alias.js';
import { addDomainCommands } from './commands/domain.js';
import { addMailCommands } from './commands/mail.js';
import { addQueueCommands } from './commands/queue.js';
import { addExplainCommand, addServerCommands } from './commands/server.js';
import { addSettingsCommands } from './commands/settings.js';
import { connect } from './connect.js';
import { UsageError } from './io.js';
/**
 * Runs one command line (without program name) to its end. Resolves to the exit status: 0 done, 1 refused or
 * failed, 2 wrong usage; errors are on `io.stderr`. Never rejects.
 */
export async function runCli(argv, io, connectWith = connect) {
    const session = { io, connect: connectWith, exitCode: 0 };
    try {
        await createProgram(session, await version()).parseAsync(argv, { from: 'user' });
        return session.exitCode;
    }
    catch (error) {
        return complain(io, error);
    }
}
function createProgram(session, versionText) {
    const { io } = session;
    const program = new Command('cmail')
        .description('CMail, a mail server that can always say what it did and why')
        .version(versionText)
        .option('--data <dir>', 'data folder')
        .option('--config <file>', 'configuration of this node (cmail.toml)')
        .exitOverride()
        .configureOutput({
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        outputError: (text, writeErr) => writeErr(text.replace(/^error: /, 'cmail: ')),
    })
        .showHelpAfterError('See "cmail help" or "cmail COMMAND --help".');
    addServerCommands(program, session);
    addDomainCommands(program, session);
    addAccountCommands(program, session);
    addAliasCommands(program, session);
    addSettingsCommands(program, session);
    addExplainCommand(program, session);
    addQueueCommands(program, session);
    addMailCommands(program, session);
    return program;
}
function complain(io, error) {
    // Commander has said it already: help and version end with 0, everything else is wrong usage.
    if (error instanceof CommanderError)
        return error.exitCode === 0 ? 0 : 2;
    const lines = describeError(error).split('\n');
    for (const line of lines)
        io.stderr.write(`cmail: ${line}\n`);
    const mend = error instanceof UsageError || error instanceof OperationError ? error.mend : undefined;
    if (mend !== undefined)
        io.stderr.write(`${mend}\n`);
    if (error instanceof UsageError)
        return 2;
    return error instanceof OperationError ? error.exit : 1;
}
async function version() {
    const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
    const { version: found } = JSON.parse(text);
    return typeof found === 'string' ? found : 'unknown';
}
