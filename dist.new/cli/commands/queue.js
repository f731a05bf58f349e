import { UsageError, write } from '../io.js';
import { formatBytes, formatTime, writeJson } from '../output.js';
import { change, readList, wantsJson, withConnection } from '../session.js';
import { timelineText } from '../timeline.js';
import { wholeNumber } from './settings.js';
const MAX_LISTED = 10_000;
const MAX_IDS = 1000;
/** `queue …` and `message ID`. */
export function addQueueCommands(program, session) {
    const queue = program.command('queue').description('what is waiting to leave for another server');
    addQueueList(queue, session);
    for (const [name, description] of [
        ['retry', 'try now'],
        ['hold', 'do not try until released; --all also holds what arrives later'],
        ['release', 'try again what was held'],
    ]) {
        selecting(queue.command(`${name} [ids...]`).description(description)).action((ids, options, command) => change(session, command, `queue.${name}`, { selector: selectorOf(ids, options) }, sayRecipients(name)));
    }
    selecting(queue.command('delete [ids...]').description('take out of the queue'))
        .option('--notice', 'tell the senders with a failure notice')
        .action((ids, options, command) => {
        const args = { selector: selectorOf(ids, options), notice: options.notice === true };
        return change(session, command, 'queue.delete', args, sayRecipients('delete'));
    });
    addTimeline(queue.command('show <id>').description('one message with its timeline'), session);
    addTimeline(program.command('message <id>').description('the timeline of a message, finished ones too'), session);
}
function addQueueList(queue, session) {
    queue
        .command('list')
        .description('show the queue, the oldest first')
        .option('--limit <n>', 'messages at most', '1000')
        .option('--after <id>', 'go on after this message')
        .option('--json', 'as JSON')
        .action(({ limit: text, after }, command) => {
        const limit = wholeNumber(text, '--limit');
        if (limit > MAX_LISTED) {
            throw new UsageError(`--limit ${limit} is above ${MAX_LISTED}`, 'Go on with --after and the last ID shown.');
        }
        const format = {
            headings: ['ID', 'RECEIVED', 'SIZE', 'SENDER', 'RECIPIENT', 'STATE', 'TRIED', 'NEXT', 'LAST REPLY'],
            rows: queueRows,
            empty: 'The queue is empty.',
        };
        return readList(session, command, 'queue.list', after === undefined ? {} : { after }, format, limit);
    });
}
function queueRows({ id, receivedAt, size, sender, recipients }) {
    return recipients.map(({ address, state, attempts, nextAttemptAt, lastReply }, index) => [
        ...(index === 0 ? [id, formatTime(receivedAt), formatBytes(size), `<${sender}>`] : ['', '', '', '']),
        address,
        state,
        String(attempts),
        formatTime(nextAttemptAt),
        lastReply ?? '-',
    ]);
}
function selecting(command) {
    return command
        .option('--destination <name>', 'everything for one destination')
        .option('--all', 'everything');
}
function selectorOf(ids, { destination, all }) {
    const given = Number(ids.length > 0) + Number(destination !== undefined) + Number(all === true);
    if (given !== 1) {
        throw new UsageError(given === 0 ? 'no message was named' : 'IDs, --destination and --all cannot be given together', 'Give IDs, or --destination NAME, or --all.');
    }
    if (ids.length > MAX_IDS)
        throw new UsageError(`more than ${MAX_IDS} IDs`, 'Give fewer at once, or use --destination.');
    if (ids.length > 0)
        return { ids };
    return destination === undefined ? { all: true } : { destination };
}
function sayRecipients(action) {
    const words = { retry: 'to be tried now', hold: 'held', release: 'released', delete: 'deleted' }[action];
    return ({ recipients }) => `${recipients} ${recipients === 1 ? 'recipient' : 'recipients'} ${words}`;
}
function addTimeline(command, session) {
    command.option('--json', 'as JSON').action((id, _, self) => withConnection(session, self, false, async (connection) => {
        const first = await connection.call('message', { id });
        const events = [...first.message.events];
        for (let next = first.nextEvent; next !== null;) {
            const part = await connection.call('message', { id, eventsFrom: next });
            events.push(...part.message.events);
            next = part.nextEvent;
        }
        const message = { ...first.message, events };
        if (wantsJson(self))
            await writeJson(session.io, message);
        else
            await write(session.io.stdout, timelineText(message));
    }));
}
