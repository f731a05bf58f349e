import { nodeConfig } from '../connect.js';
import { UsageError, write } from '../io.js';
import { formatTable, formatTree, plain } from '../output.js';
import { nodeOptions, read, withConnection } from '../session.js';
/** `start`, `init`, `status`, `check`, `verify`: the server as a whole. */
export function addServerCommands(program, session) {
    program
        .command('start')
        .description('run the server until SIGTERM')
        .action(async (_, command) => {
        const config = await nodeConfig(nodeOptions(command), session.io);
        const { runServer } = await import('../../server/start.js');
        session.exitCode = (await runServer(config)) === 0 ? 0 : 1;
    });
    program
        .command('init')
        .description('make the data folder and its store; start does it as well')
        .action(async (_, command) => {
        const { data } = await nodeConfig(nodeOptions(command), session.io);
        await withConnection(session, command, true, async () => {
            await write(session.io.stdout, `The store in ${data} is ready.\n`);
        });
    });
    program
        .command('status')
        .description('the state of server and queue')
        .option('--json', 'as JSON')
        .action(async (_, command) => {
        await read(session, command, 'status', {}, (status) => formatTree(status));
    });
    program
        .command('check')
        .description('check own configuration, DNS and ports')
        .option('--json', 'as JSON')
        .action(async (_, command) => {
        const findings = await read(session, command, 'check', {}, checkText);
        if (findings.some(({ level }) => level === 'error'))
            session.exitCode = 1;
    });
    program
        .command('verify')
        .description('check the consistency of the store')
        .option('--json', 'as JSON')
        .action(async (_, command) => {
        const { sound } = await read(session, command, 'verify', {}, ({ findings, total }) => total === 0 ? 'The store is sound.\n' : `${findings.map(plain).join('\n')}\n${total} findings\n`);
        if (!sound)
            session.exitCode = 1;
    });
}
function checkText(findings) {
    return formatTable(['LEVEL', 'TOPIC', 'FINDING'], findings.flatMap(({ level, topic, text, mend }) => [
        [level, topic, text],
        ...(mend === undefined ? [] : [['', '', `  ${mend}`]]),
    ]));
}
/** `explain`: decision and route in advance. */
export function addExplainCommand(program, session) {
    program
        .command('explain <address>')
        .description('what would happen to mail for an address; without client or user it comes from outside')
        .option('--from <address>', 'envelope sender', '')
        .option('--client <ip>', 'address of the client')
        .option('--user <name>', 'authenticated account')
        .option('--with <changes...>', 'as if settings were changed: KEY=VALUE …')
        .option('--json', 'as JSON')
        .action(async (address, options, command) => {
        const args = {
            address,
            from: options.from,
            client: options.client ?? null,
            user: options.user ?? null,
            with: (options.with ?? []).map(changeOf),
        };
        await read(session, command, 'explain', args, explainText);
    });
}
function changeOf(text) {
    const at = text.indexOf('=');
    if (at > 0)
        return { key: text.slice(0, at), value: text.slice(at + 1) };
    throw new UsageError(`--with ${text} is not KEY=VALUE`, 'Write it as smtp.useMxResolution=off.');
}
function explainText({ recipient, decision, rule, reply, route, steps }) {
    const said = [reply.code, reply.enhanced, reply.text].filter((part) => part !== '').join(' ');
    return [
        `${plain(recipient)}: ${decision} (${rule})\n`,
        `reply: ${plain(said)}\n`,
        route === null ? '' : `route:\n${formatTree(route, '  ')}`,
        steps.length === 0 ? '' : 'steps:\n',
        ...steps.map(({ kind, text }) => `  ${kind.padEnd(8)}  ${plain(text)}\n`),
    ].join('');
}
