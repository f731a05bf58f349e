import { write } from '../io.js';
import { change, readList, withConnection } from '../session.js';
/** `alias …`: addresses that lead to others. */
export function addAliasCommands(program, session) {
    const alias = program.command('alias').description('addresses that lead to others');
    alias
        .command('add <name> <targets...>')
        .description('send mail for an address on to others, here or elsewhere')
        .action((address, targets, _, command) => withConnection(session, command, true, async (connection) => {
        const done = await connection.call('alias.add', { address, targets });
        await write(session.io.stdout, `${done.address} goes to ${done.targets.join(', ')}\n`);
        for (const unknown of done.unknown) {
            await write(session.io.stderr, `cmail: warning: there is no ${unknown} yet\n`);
        }
    }));
    alias
        .command('list')
        .description('show the aliases')
        .option('--domain <name>', 'of one domain')
        .option('--json', 'as JSON')
        .action(({ domain }, command) => readList(session, command, 'alias.list', domain === undefined ? {} : { domain }, {
        headings: ['ALIAS', 'TARGETS'],
        rows: ({ address, targets }) => [[address, targets.join(', ')]],
        empty: 'No aliases.',
    }));
    alias
        .command('remove <name>')
        .description('remove an alias')
        .action((address, _, command) => change(session, command, 'alias.remove', { address }, (done) => `${done.address} removed`));
}
