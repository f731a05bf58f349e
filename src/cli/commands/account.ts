import type { Command } from 'commander';
import { readNewPassword } from '../input.ts';
import { UsageError } from '../io.ts';
import { formatBytes, formatTime } from '../output.ts';
import { type CliSession, change, read, readList } from '../session.ts';

interface AccountRow {
  readonly address: string;
  readonly enabled: boolean;
  readonly quotaBytes: number | null;
  readonly usedBytes: number;
  readonly isPostmaster: boolean;
  readonly createdAt: string;
  readonly forward: Forward | null;
  readonly secondFactor: boolean;
}

interface Forward {
  readonly targets: readonly string[];
  readonly keep: boolean;
}

interface PasswordOptions {
  readonly passwordStdin?: boolean;
}

/** `account …`: people with a mailbox here. */
export function addAccountCommands(program: Command, session: CliSession): void {
  const account = program.command('account').description('accounts with a mailbox');
  addCreation(account, session);
  addListing(account, session);
  addChanges(account, session);
  addForward(account, session);
}

function addCreation(account: Command, session: CliSession): void {
  account
    .command('add <address>')
    .description('make an account; the password is asked for, or read from standard input')
    .option('--password-stdin', 'read the password from standard input, one line')
    .option('--quota <size>', 'largest mailbox, such as 500MB')
    .action(async (address: string, options: PasswordOptions & { quota?: string }, command: Command) => {
      const password = await readNewPassword(session.io, options.passwordStdin === true);
      const args = { address, password, ...(options.quota === undefined ? {} : { quota: options.quota }) };
      await change<AccountRow>(session, command, 'account.add', args, (done) =>
        done.isPostmaster ? `${done.address} added; it is the server's postmaster` : `${done.address} added`,
      );
    });

  account
    .command('password <address>')
    .description('set a new password')
    .option('--password-stdin', 'read the password from standard input, one line')
    .action(async (address: string, options: PasswordOptions, command: Command) => {
      const password = await readNewPassword(session.io, options.passwordStdin === true);
      const words = (done: { address: string }) => `password of ${done.address} changed`;
      await change(session, command, 'account.password', { address, password }, words);
    });
}

function addListing(account: Command, session: CliSession): void {
  account
    .command('list')
    .description('show the accounts')
    .option('--domain <name>', 'of one domain')
    .option('--json', 'as JSON')
    .action(({ domain }: { domain?: string }, command: Command) =>
      readList<AccountRow>(session, command, 'account.list', domain === undefined ? {} : { domain }, {
        headings: ['ADDRESS', 'STATE', 'USED', 'QUOTA', 'CREATED', ''],
        rows: (row) => [
          [
            row.address,
            row.enabled ? 'enabled' : 'disabled',
            formatBytes(row.usedBytes),
            row.quotaBytes === null ? '-' : formatBytes(row.quotaBytes),
            formatTime(row.createdAt),
            [
              row.isPostmaster ? 'postmaster' : '',
              row.secondFactor ? 'second factor' : '',
              row.forward === null ? '' : forwardWords(row.forward),
            ]
              .filter(Boolean)
              .join('; '),
          ],
        ],
        empty: 'No accounts.',
      }),
    );
}

function addChanges(account: Command, session: CliSession): void {
  const simple = (name: string, op: string, description: string, words: string) =>
    account
      .command(`${name} <address>`)
      .description(description)
      .action((address: string, _, command: Command) =>
        change<{ address: string }>(session, command, op, { address }, (done) => `${done.address} ${words}`),
      );
  simple('remove', 'account.remove', 'remove an account with its mail', 'removed');
  simple('disable', 'account.disable', 'refuse mail and log-in', 'disabled');
  simple('enable', 'account.enable', 'take mail and log-in again', 'enabled');
  simple('postmaster', 'account.postmaster', "make it the server's postmaster", "is the server's postmaster");

  account
    .command('quota <address> <size>')
    .description('largest mailbox, such as 500MB; none: no limit')
    .action((address: string, quota: string, _, command: Command) =>
      change<Pick<AccountRow, 'address' | 'quotaBytes'>>(
        session,
        command,
        'account.quota',
        { address, quota },
        (done) =>
          done.quotaBytes === null
            ? `${done.address} has no quota`
            : `${done.address} has ${formatBytes(done.quotaBytes)}`,
      ),
    );
}

function addForward(account: Command, session: CliSession): void {
  account
    .command('forward <address> [none]')
    .description("show where an account's mail is forwarded to, or change it; none: nowhere")
    .option('--to <addresses>', 'up to five addresses, with commas between them')
    .option('--keep <on|off>', 'whether a copy stays in the mailbox', 'on')
    .option('--json', 'as JSON')
    .action(
      async (
        address: string,
        none: string | undefined,
        { to, keep }: { to?: string; keep: string },
        command: Command,
      ) => {
        if (none === undefined && to === undefined) {
          await read<AccountRow>(
            session,
            command,
            'account.get',
            { address },
            ({ forward }) => `${forward === null ? 'no forward' : forwardWords(forward)}\n`,
          );
          return;
        }
        if ((none !== undefined && (none !== 'none' || to !== undefined)) || !/^(?:on|off)$/.test(keep)) {
          throw new UsageError(
            'it is not clear what to forward',
            'Give --to ADDRESSES, with --keep on or off, or the word none.',
          );
        }
        const targets = (to ?? '').split(',').map((one) => one.trim());
        const forward = to === undefined ? null : { targets, keep: keep === 'on' };
        await change<{ address: string; forward: Forward | null }>(
          session,
          command,
          'account.forward',
          { address, forward },
          (done) =>
            done.forward === null
              ? `${done.address} forwards to nobody`
              : `${done.address} ${forwardWords(done.forward)}`,
        );
      },
    );
}

function forwardWords({ targets, keep }: Forward): string {
  return `forwards to ${targets.join(', ')}, ${keep ? 'and keeps a copy' : 'without a copy'}`;
}
