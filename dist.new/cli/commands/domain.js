import { change, readList } from '../session.js';
/** `domain …`: the domains CMail accepts mail for. */
export function addDomainCommands(program, session) {
    const domain = program.command('domain').description('hosted domains');
    domain
        .command('add <name>')
        .description('accept mail for a domain')
        .action((name, _, command) => change(session, command, 'domain.add', { name }, (done) => `${done.name} added`));
    domain
        .command('list')
        .description('show the hosted domains')
        .option('--json', 'as JSON')
        .action((_, command) => readList(session, command, 'domain.list', {}, {
        headings: ['DOMAIN', 'FORWARD', 'CATCH-ALL'],
        rows: ({ name, forward, catchAll }) => [[name, forwardText(forward), catchAll ?? '-']],
        empty: 'No domains.',
    }));
    domain
        .command('remove <name>')
        .description('stop hosting a domain that has no accounts or aliases')
        .action((name, _, command) => change(session, command, 'domain.remove', { name }, (done) => `${done.name} removed`));
    domain
        .command('forward <name>')
        .description('send all mail of a hosted domain on to a server or an address')
        .requiredOption('--to <target>', 'HOST[:PORT], ADDRESS or none')
        .action((name, { to }, command) => change(session, command, 'domain.forward', { name, to }, (done) => done.forward === null
        ? `${done.name} is not forwarded`
        : `${done.name} goes to ${forwardText(done.forward)}`));
    domain
        .command('catch-all <name> <address>')
        .description("where mail for a domain's unknown users goes; none: nowhere")
        .action((name, address, _, command) => change(session, command, 'domain.catchAll', { name, address }, (done) => done.catchAll === null
        ? `${done.name} has no catch-all`
        : `unknown users of ${done.name} go to ${done.catchAll}`));
}
function forwardText(forward) {
    if (forward === null)
        return '-';
    if ('address' in forward)
        return forward.address;
    return forward.host.includes(':') ? `[${forward.host}]:${forward.port}` : `${forward.host}:${forward.port}`;
}
