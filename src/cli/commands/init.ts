import type { Command } from 'commander';
import { nodeConfig } from '../connect.ts';
import { readNewPassword } from '../input.ts';
import { UsageError, write } from '../io.ts';
import { type CliSession, nodeOptions, withConnection } from '../session.ts';

interface InitOptions {
  readonly admin?: string;
  readonly passwordStdin?: true;
  readonly domain?: string;
  readonly account?: string;
  readonly hostname?: string;
}

/** `init`: makes the store and, where it is asked for, what the first run on the page makes. */
export function addInitCommand(program: Command, session: CliSession): void {
  program
    .command('init')
    .description('make the data folder and its store, and what the first run on the page makes')
    .option('--hostname <name>', 'write the host name into cmail.toml when it has none')
    .option('--admin <name>', 'add the first administrator')
    .option('--password-stdin', 'read the password of administrator and account from standard input')
    .option('--domain <name>', 'host this domain')
    .option('--account <address>', 'add the first account, with the same password as the administrator')
    .action(async (options: InitOptions, command: Command) => {
      const { data } = await nodeConfig(nodeOptions(command), session.io);
      const needsPassword = options.admin !== undefined || options.account !== undefined;
      if (options.passwordStdin === true && !needsPassword) {
        throw new UsageError('a password is given for nobody', 'Name --admin or --account.');
      }
      const password = needsPassword ? await readNewPassword(session.io, options.passwordStdin === true) : '';
      await withConnection(session, command, true, async (connection) => {
        const done = [`The store in ${data} is ready.`];
        if (options.hostname !== undefined) {
          const node = await connection.call<{ configFile: string }>('node.hostname', {
            hostname: options.hostname,
          });
          done.push(`${node.configFile} has the host name; it is in force after a restart.`);
        }
        if (options.admin !== undefined) {
          const added = await connection.call<{ name: string }>('administrator.add', {
            name: options.admin,
            password,
            onlyFirst: true,
          });
          done.push(`Administrator ${added.name} added.`);
        }
        if (options.domain !== undefined) {
          await connection.call('domain.add', { name: options.domain });
          done.push(`${options.domain} is hosted.`);
        }
        if (options.account !== undefined) {
          await connection.call('account.add', { address: options.account, password });
          done.push(`Account ${options.account} added.`);
        }
        await write(session.io.stdout, `${done.join('\n')}\n`);
      });
    });
}
