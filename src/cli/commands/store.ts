import type { Command } from 'commander';
import { OperationError } from '../../admin/context.ts';
import { describeError } from '../../mail/failure.ts';
import { nodeConfig } from '../connect.ts';
import { write } from '../io.ts';
import { formatTable } from '../output.ts';
import { Progress } from '../progress.ts';
import { type CliSession, nodeOptions } from '../session.ts';

const WORDS = { copy: 'copying', verify: 'comparing' } as const;

/** `store copy`: moves the store to another engine. */
export function addStoreCommands(program: Command, session: CliSession): void {
  const store = program.command('store').description('where the mail is kept');

  store
    .command('copy')
    .description('copy the store to another engine, while no server runs; an interrupted copy goes on')
    .requiredOption('--to <url>', 'sqlite or postgres://user:password@host:port/database')
    .option('--from <url>', 'the same; default: the store of this node')
    .option('--restart', 'throw an incomplete copy away and begin anew')
    .action(async (options: { to: string; from?: string; restart?: true }, command: Command) => {
      const config = await nodeConfig(nodeOptions(command), session.io);
      const { copyBetweenStores } = await import('../../server/store-copy.ts');
      const progress = new Progress(session.io.stderr);
      const copied = await copyBetweenStores(config, {
        from: options.from,
        to: options.to,
        restart: options.restart === true,
        onStep: ({ phase, table, done, total }) => progress.show(`${WORDS[phase]} ${table}`, done, total),
      })
        .catch((error: unknown) => {
          throw new OperationError(describeError(error));
        })
        .finally(() => progress.end());
      const rows = copied.tables.map(({ table, rows, checksum }) => [table, String(rows), checksum]);
      await write(session.io.stdout, formatTable(['TABLE', 'ROWS', 'CHECKSUM'], rows));
      await write(session.io.stdout, `${copied.from} is now in ${copied.to}, row by row the same.\n${NEXT}`);
    });
}

const NEXT = `Set store.url in cmail.toml to it. Secrets stay encrypted with secret.key of this data folder: keep that file, and
copy it to the data folder of every other node.
`;
