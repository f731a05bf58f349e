import { readNewPassword } from '../input.js';
import { formatBytes, formatTime } from '../output.js';
import { change, readList } from '../session.js';
/** `account …`: people with a mailbox here. */
export function addAccountCommands(program, session) {
    const account = program.command('account').description('accounts with a mailbox');
    addCreation(account, session);
    addListing(account, session);
    addChanges(account, session);
}
function addCreation(account, session) {
    account
        .command('add <address>')
        .description('make an account; the password is asked for, or read from standard input')
        .option('--password-stdin', 'read the password from standard input, one line')
        .option('--quota <size>', 'largest mailbox, such as 500MB')
        .action(async (address, options, command) => {
        const password = await readNewPassword(session.io, options.passwordStdin === true);
        const args = { address, password, ...(options.quota === undefined ? {} : { quota: options.quota }) };
        await change(session, command, 'account.add', args, (done) => done.isPostmaster ? `${done.address} added; it is the server's postmaster` : `${done.address} added`);
    });
    account
        .command('password <address>')
        .description('set a new password')
        .option('--password-stdin', 'read the password from standard input, one line')
        .action(async (address, options, command) => {
        const password = await readNewPassword(session.io, options.passwordStdin === true);
        const words = (done) => `password of ${done.address} changed`;
        await change(session, command, 'account.password', { address, password }, words);
    });
}
function addListing(account, session) {
    account
        .command('list')
        .description('show the accounts')
        .option('--domain <name>', 'of one domain')
        .option('--json', 'as JSON')
        .action(({ domain }, command) => readList(session, command, 'account.list', domain === undefined ? {} : { domain }, {
        headings: ['ADDRESS', 'STATE', 'USED', 'QUOTA', 'CREATED', ''],
        rows: (row) => [
            [
                row.address,
                row.enabled ? 'enabled' : 'disabled',
                formatBytes(row.usedBytes),
                row.quotaBytes === null ? '-' : formatBytes(row.quotaBytes),
                formatTime(row.createdAt),
                row.isPostmaster ? 'postmaster' : '',
            ],
        ],
        empty: 'No accounts.',
    }));
}
function addChanges(account, session) {
    const simple = (name, op, description, words) => account
        .command(`${name} <address>`)
        .description(description)
        .action((address, _, command) => change(session, command, op, { address }, (done) => `${done.address} ${words}`));
    simple('remove', 'account.remove', 'remove an account with its mail', 'removed');
    simple('disable', 'account.disable', 'refuse mail and log-in', 'disabled');
    simple('enable', 'account.enable', 'take mail and log-in again', 'enabled');
    simple('postmaster', 'account.postmaster', "make it the server's postmaster", "is the server's postmaster");
    account
        .command('quota <address> <size>')
        .description('largest mailbox, such as 500MB; none: no limit')
        .action((address, quota, _, command) => change(session, command, 'account.quota', { address, quota }, (done) => done.quotaBytes === null
        ? `${done.address} has no quota`
        : `${done.address} has ${formatBytes(done.quotaBytes)}`));
}
