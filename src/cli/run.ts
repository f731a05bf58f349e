import { Command, CommanderError } from 'commander';
import { OperationError } from '../admin/context.ts';
import { describeError } from '../mail/failure.ts';
import { programVersion } from '../server/version.ts';
import { addAccessCommands } from './commands/access.ts';
import { addAccountCommands } from './commands/account.ts';
import { addAdminCommands } from './commands/admin.ts';
import { addAliasCommands } from './commands/alias.ts';
import { addDnsCommands } from './commands/dns.ts';
import { addDomainCommands } from './commands/domain.ts';
import { addInitCommand } from './commands/init.ts';
import { addMailCommands } from './commands/mail.ts';
import { addQueueCommands } from './commands/queue.ts';
import { addExplainCommand, addServerCommands } from './commands/server.ts';
import { addSettingsCommands } from './commands/settings.ts';
import { addStoreCommands } from './commands/store.ts';
import { type Connect, connect } from './connect.ts';
import { type CliIo, UsageError } from './io.ts';
import type { CliSession } from './session.ts';

/**
 * Runs one command line (without program name) to its end. Resolves to the exit status: 0 done, 1 refused or
 * failed, 2 wrong usage; errors are on `io.stderr`. Never rejects.
 */
export async function runCli(
  argv: readonly string[],
  io: CliIo,
  connectWith: Connect = connect,
): Promise<number> {
  const session: CliSession = { io, connect: connectWith, exitCode: 0 };
  try {
    await createProgram(session, await programVersion()).parseAsync(argv, { from: 'user' });
    return session.exitCode;
  } catch (error) {
    return complain(io, error);
  }
}

function createProgram(session: CliSession, versionText: string): Command {
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
  addInitCommand(program, session);
  addAdminCommands(program, session);
  addDomainCommands(program, session);
  addAccountCommands(program, session);
  addAccessCommands(program, session);
  addDnsCommands(program, session);
  addAliasCommands(program, session);
  addSettingsCommands(program, session);
  addExplainCommand(program, session);
  addQueueCommands(program, session);
  addMailCommands(program, session);
  addStoreCommands(program, session);
  return program;
}

function complain(io: CliIo, error: unknown): number {
  // Commander has said it already: help and version end with 0, everything else is wrong usage.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const lines = describeError(error).split('\n');
  for (const line of lines) io.stderr.write(`cmail: ${line}\n`);
  const mend = error instanceof UsageError || error instanceof OperationError ? error.mend : undefined;
  if (mend !== undefined) io.stderr.write(`${mend}\n`);
  if (error instanceof UsageError) return 2;
  return error instanceof OperationError ? error.exit : 1;
}
