import type { Command } from 'commander';
import { UsageError, write } from '../io.ts';
import { formatTime, plain } from '../output.ts';
import { type CliSession, change, readList, withConnection } from '../session.ts';

interface AppPasswordRow {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
}

interface SignInRow {
  readonly at: string;
  readonly outcome: string;
  readonly address: string;
  readonly service: string;
  readonly appPassword: string | null;
  readonly tls: string | null;
  readonly reason: string | null;
}

interface BanRow {
  readonly network: string;
  readonly until: string;
  readonly times: number;
  readonly failures: number;
}

/** `account app-password …`, `account sign-ins` and `access …`: who gets in, with what. */
export function addAccessCommands(program: Command, session: CliSession): void {
  const account = program.commands.find((command) => command.name() === 'account');
  if (account === undefined) throw new Error('the account commands come first');
  addAppPasswords(account, session);
  addSignIns(account, session);
  addBans(program, session);
}

function addAppPasswords(account: Command, session: CliSession): void {
  const group = account
    .command('app-password')
    .description('passwords of single devices, beside the account’s own');

  group
    .command('add <address> <name>')
    .description('make one; it is shown this once')
    .option('--scope <scopes>', 'what it is for: send, collect, or both with a comma', 'send,collect')
    .action(async (address: string, name: string, { scope }: { scope: string }, command: Command) => {
      const args = { address, name, scopes: scopesOf(scope) };
      await withConnection(session, command, true, async (connection) => {
        const made = await connection.call<AppPasswordRow & { address: string; password: string }>(
          'account.appPassword.add',
          args,
        );
        const words = `app password ${plain(made.name)} of ${made.address}, to ${made.scopes.join(' and ')}; it is not shown again:`;
        await write(session.io.stdout, `${words}\n${made.password}\n`);
      });
    });

  group
    .command('list <address>')
    .description('show those of an account')
    .option('--json', 'as JSON')
    .action((address: string, _, command: Command) =>
      readList<AppPasswordRow>(
        session,
        command,
        'account.appPassword.list',
        { address },
        {
          headings: ['NAME', 'FOR', 'CREATED', 'LAST USED'],
          rows: ({ name, scopes, createdAt, lastUsedAt }) => [
            [
              plain(name),
              scopes.join(', '),
              formatTime(createdAt),
              lastUsedAt === null ? 'never' : formatTime(lastUsedAt),
            ],
          ],
          empty: 'No app passwords.',
        },
      ),
    );

  group
    .command('revoke <address> <name>')
    .description('take one back; whoever uses it cannot sign in again')
    .action((address: string, name: string, _, command: Command) =>
      change<{ address: string; name: string }>(
        session,
        command,
        'account.appPassword.revoke',
        { address, name },
        (done) => `app password ${plain(done.name)} of ${done.address} revoked`,
      ),
    );
}

function scopesOf(text: string): string[] {
  const scopes = text.split(',').map((one) => one.trim());
  if (scopes.every((one) => one === 'send' || one === 'collect')) return scopes;
  throw new UsageError(`--scope ${text} is not known`, 'Write it as send, collect or send,collect.');
}

function addSignIns(account: Command, session: CliSession): void {
  account
    .command('sign-ins <address>')
    .description('show the last sign-ins, newest first')
    .option('--json', 'as JSON')
    .action((address: string, _, command: Command) =>
      readList<SignInRow>(
        session,
        command,
        'account.signIns',
        { address },
        {
          headings: ['TIME', 'OUTCOME', 'FROM', 'SERVICE', 'WITH', 'TLS', 'WHY'],
          rows: (row) => [
            [
              formatTime(row.at),
              row.outcome,
              plain(row.address),
              row.service,
              row.appPassword === null ? 'password' : plain(row.appPassword),
              row.tls ?? 'none',
              plain(row.reason ?? ''),
            ],
          ],
          empty: 'No sign-ins.',
        },
      ),
    );
}

function addBans(program: Command, session: CliSession): void {
  const access = program
    .command('access')
    .description('networks that may not sign in for a while, and second factors');

  access
    .command('list')
    .description('show them')
    .option('--json', 'as JSON')
    .action((_, command: Command) =>
      readList<BanRow>(
        session,
        command,
        'access.list',
        {},
        {
          headings: ['NETWORK', 'UNTIL', 'TIMES', 'FAILED SIGN-INS'],
          rows: ({ network, until, times, failures }) => [
            [network, formatTime(until), String(times), String(failures)],
          ],
          empty: 'Nobody is banned.',
        },
      ),
    );

  access
    .command('reset-factor <name>')
    .description(
      'turn the second factor of an administrator or an account off: the password alone opens the page then',
    )
    .option('--account', 'the name is the address of an account')
    .action((name: string, { account }: { account?: true }, command: Command) =>
      change<{ name: string }>(
        session,
        command,
        'secondFactor.reset',
        { subject: { kind: account === true ? 'account' : 'administrator', name } },
        (done) => `the second factor of ${plain(done.name)} is off`,
      ),
    );

  access
    .command('unban <network>')
    .description('let a network sign in again')
    .action((network: string, _, command: Command) =>
      change<{ network: string }>(
        session,
        command,
        'access.unban',
        { network },
        (done) => `${done.network} may sign in again`,
      ),
    );
}
