import type { Command } from 'commander';
import { readNewPassword } from '../input.ts';
import { UsageError } from '../io.ts';
import { formatTime } from '../output.ts';
import { type CliSession, change, readList } from '../session.ts';

interface AdministratorRow {
  readonly name: string;
  readonly createdAt: string;
  readonly lastSignInAt: string | null;
}

interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly scope: string;
  readonly by: string;
  readonly expiresAt: string;
  readonly state: string;
}

interface AuditRow {
  readonly at: string;
  readonly who: string;
  readonly action: string;
  readonly details: string;
}

/** `admin` and `audit`: who may use the page and the API, and what was done. */
export function addAdminCommands(program: Command, session: CliSession): void {
  const admin = program.command('admin').description('administrators of the page and the API');
  admin
    .command('add <name>')
    .description('add an administrator')
    .option('--password-stdin', 'read the password from standard input')
    .action(async (name: string, { passwordStdin }: { passwordStdin?: true }, command: Command) => {
      const password = await readNewPassword(session.io, passwordStdin === true);
      const words = (done: { name: string }) => `administrator ${done.name} added`;
      await change(session, command, 'administrator.add', { name, password }, words);
    });
  admin
    .command('password <name>')
    .description('set the password and end the sessions made with the old one')
    .option('--password-stdin', 'read the password from standard input')
    .action(async (name: string, { passwordStdin }: { passwordStdin?: true }, command: Command) => {
      const password = await readNewPassword(session.io, passwordStdin === true);
      const words = (done: { name: string }) => `password of ${done.name} changed`;
      await change(session, command, 'administrator.password', { name, password }, words);
    });
  admin
    .command('remove <name>')
    .description('remove an administrator with sessions and tokens; never the last one')
    .action((name: string, _, command: Command) =>
      change<{ name: string }>(
        session,
        command,
        'administrator.remove',
        { name },
        (done) => `administrator ${done.name} removed`,
      ),
    );
  admin
    .command('list')
    .description('show the administrators')
    .option('--json', 'as JSON')
    .action((_, command: Command) =>
      readList<AdministratorRow>(
        session,
        command,
        'administrator.list',
        {},
        {
          headings: ['NAME', 'CREATED', 'LAST SIGN-IN'],
          rows: ({ name, createdAt, lastSignInAt }) => [
            [name, formatTime(createdAt), lastSignInAt === null ? '-' : formatTime(lastSignInAt)],
          ],
          empty: 'No administrators.',
        },
      ),
    );
  addTokenCommands(admin, session);
  addAuditCommand(program, session);
}

function addTokenCommands(admin: Command, session: CliSession): void {
  admin
    .command('tokens')
    .description('show the API tokens')
    .option('--json', 'as JSON')
    .action((_, command: Command) =>
      readList<TokenRow>(
        session,
        command,
        'token.list',
        {},
        {
          headings: ['ID', 'NAME', 'MAY', 'BY', 'UNTIL', 'STATE'],
          rows: ({ id, name, scope, by, expiresAt, state }) => [
            [id, name, scope, by, formatTime(expiresAt), state],
          ],
          empty: 'No API tokens.',
        },
      ),
    );
  admin
    .command('revoke-token <id>')
    .description('revoke an API token at once')
    .action((id: string, _, command: Command) =>
      change<{ id: string }>(session, command, 'token.revoke', { id }, (done) => `token ${done.id} revoked`),
    );
}

function addAuditCommand(program: Command, session: CliSession): void {
  program
    .command('audit')
    .description('what administrators did, newest first')
    .option('--limit <n>', 'entries', '100')
    .option('--json', 'as JSON')
    .action(({ limit }: { limit: string }, command: Command) => {
      const entries = Number(limit);
      if (!Number.isSafeInteger(entries) || entries < 1) {
        throw new UsageError(`--limit ${limit} is not a number`, 'Write it as --limit 100.');
      }
      return readList<AuditRow>(
        session,
        command,
        'audit.list',
        {},
        {
          headings: ['TIME', 'WHO', 'ACTION', ''],
          rows: ({ at, who, action, details }) => [[formatTime(at), who, action, details]],
          empty: 'Nothing was done yet.',
        },
        entries,
      );
    });
}
