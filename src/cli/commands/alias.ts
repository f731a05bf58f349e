import type { Command } from 'commander';
import type { Alias } from '../../storage/contract.ts';
import { write } from '../io.ts';
import { type CliSession, change, readList, withConnection } from '../session.ts';

/** `alias …`: addresses that lead to others. */
export function addAliasCommands(program: Command, session: CliSession): void {
  const alias = program.command('alias').description('addresses that lead to others');

  alias
    .command('add <name> <targets...>')
    .description('send mail for an address on to others, here or elsewhere')
    .action((address: string, targets: string[], _, command: Command) =>
      withConnection(session, command, true, async (connection) => {
        const done = await connection.call<Alias & { unknown: string[] }>('alias.add', { address, targets });
        await write(session.io.stdout, `${done.address} goes to ${done.targets.join(', ')}\n`);
        for (const unknown of done.unknown) {
          await write(session.io.stderr, `cmail: warning: there is no ${unknown} yet\n`);
        }
      }),
    );

  alias
    .command('list')
    .description('show the aliases')
    .option('--domain <name>', 'of one domain')
    .option('--json', 'as JSON')
    .action(({ domain }: { domain?: string }, command: Command) =>
      readList<Alias>(session, command, 'alias.list', domain === undefined ? {} : { domain }, {
        headings: ['ALIAS', 'TARGETS'],
        rows: ({ address, targets }) => [[address, targets.join(', ')]],
        empty: 'No aliases.',
      }),
    );

  alias
    .command('remove <name>')
    .description('remove an alias')
    .action((address: string, _, command: Command) =>
      change<{ address: string }>(
        session,
        command,
        'alias.remove',
        { address },
        (done) => `${done.address} removed`,
      ),
    );
}
