import type { Command } from 'commander';
import { UsageError, write } from '../io.ts';
import { formatBytes, formatTime, writeJson } from '../output.ts';
import { type CliSession, change, readList, wantsJson, withConnection } from '../session.ts';
import { type Timeline, timelineText } from '../timeline.ts';
import { wholeNumber } from './settings.ts';

interface RecipientView {
  readonly address: string;
  readonly state: string;
  readonly via: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: string | number | null;
  readonly lastReply: string | null;
}

interface MessageView {
  readonly id: string;
  readonly sender: string;
  readonly size: number;
  readonly receivedAt: string | number;
  readonly recipients: readonly RecipientView[];
}

interface SelectorOptions {
  readonly destination?: string;
  readonly all?: boolean;
}

const MAX_LISTED = 10_000;
const MAX_IDS = 1000;

/** `queue …` and `message ID`. */
export function addQueueCommands(program: Command, session: CliSession): void {
  const queue = program.command('queue').description('what is waiting to leave for another server');
  addQueueList(queue, session);
  addDestinations(queue, session);
  for (const [name, description] of [
    ['retry', 'send now: try at once what waits'],
    ['release', 'try again what was held; --destination also lifts the hold on what arrives later'],
  ] as const) {
    selecting(queue.command(`${name} [ids...]`).description(description)).action(
      (ids: string[], options: SelectorOptions, command: Command) =>
        change(
          session,
          command,
          `queue.${name}`,
          { selector: selectorOf(ids, options) },
          sayRecipients(name),
        ),
    );
  }
  queue
    .command('end-back-off')
    .description('let one message find out now whether the servers of a destination are back')
    .option('--destination <name>', 'one destination')
    .option('--all', 'every destination')
    .option('--json', 'as JSON')
    .action((options: SelectorOptions, command: Command) => {
      const args = { selector: selectorOf([], options) };
      return change(
        session,
        command,
        'queue.end-back-off',
        args,
        ({ destinations }: { destinations: number }) =>
          destinations === 0 ? 'nothing was backed off' : `ended for ${destinations} sets of servers`,
      );
    });
  selecting(
    queue
      .command('hold [ids...]')
      .description('do not try until released; --all also holds what arrives later'),
  )
    .option('--stay', 'with --destination: also hold what arrives later')
    .action((ids: string[], options: SelectorOptions & { stay?: boolean }, command: Command) => {
      const stay = options.stay === true;
      if (stay && options.destination === undefined) {
        throw new UsageError(
          '--stay goes with --destination',
          'Give --destination NAME; --all holds what arrives later anyway.',
        );
      }
      const args = { selector: selectorOf(ids, options), stay };
      return change(session, command, 'queue.hold', args, (done: Done) =>
        stay
          ? `${sayRecipients('hold')(done)}, and what arrives later is held too`
          : sayRecipients('hold')(done),
      );
    });
  selecting(queue.command('delete [ids...]').description('take out of the queue'))
    .option('--notice', 'tell the senders with a failure notice')
    .action((ids: string[], options: SelectorOptions & { notice?: boolean }, command: Command) => {
      const args = { selector: selectorOf(ids, options), notice: options.notice === true };
      return change(session, command, 'queue.delete', args, sayRecipients('delete'));
    });
  addTimeline(queue.command('show <id>').description('one message with its timeline'), session);
  addTimeline(
    program.command('message <id>').description('the timeline of a message, finished ones too'),
    session,
  );
}

function addQueueList(queue: Command, session: CliSession): void {
  queue
    .command('list')
    .description('show the queue, the oldest first')
    .option('--limit <n>', 'messages at most', '1000')
    .option('--after <id>', 'go on after this message')
    .option('--json', 'as JSON')
    .action(({ limit: text, after }: { limit: string; after?: string }, command: Command) => {
      const limit = wholeNumber(text, '--limit');
      if (limit > MAX_LISTED) {
        throw new UsageError(
          `--limit ${limit} is above ${MAX_LISTED}`,
          'Go on with --after and the last ID shown.',
        );
      }
      const format = {
        headings: ['ID', 'RECEIVED', 'SIZE', 'SENDER', 'RECIPIENT', 'STATE', 'TRIED', 'NEXT', 'LAST REPLY'],
        rows: queueRows,
        empty: 'The queue is empty.',
      };
      return readList<MessageView>(
        session,
        command,
        'queue.list',
        after === undefined ? {} : { after },
        format,
        limit,
      );
    });
}

interface DestinationView {
  readonly destination: string;
  readonly waiting: number;
  readonly sending: number;
  readonly held: number;
  readonly sessions: number;
  readonly nextAttemptAt: string | null;
  readonly lastReply: string | null;
  readonly backedOffUntil: string | null;
  readonly backOffReply: string | null;
}

function addDestinations(queue: Command, session: CliSession): void {
  queue
    .command('destinations')
    .description('where mail waits to go, the fullest first, and what is backed off')
    .option('--json', 'as JSON')
    .action((_, command: Command) => {
      const format = {
        headings: [
          ...['DESTINATION', 'WAITING', 'SENDING', 'HELD', 'SESSIONS'],
          ...['NEXT', 'BACKED OFF UNTIL', 'LAST REPLY'],
        ],
        rows: (row: DestinationView) => [
          [
            ...[row.destination, ...[row.waiting, row.sending, row.held, row.sessions].map(String)],
            ...[formatTime(row.nextAttemptAt), formatTime(row.backedOffUntil)],
            row.backOffReply ?? row.lastReply ?? '-',
          ],
        ],
        empty: 'Nothing is waiting.',
      };
      return readList<DestinationView>(session, command, 'queue.destinations', {}, format);
    });
}

function queueRows({ id, receivedAt, size, sender, recipients }: MessageView): string[][] {
  return recipients.map(({ address, state, attempts, nextAttemptAt, lastReply }, index) => [
    ...(index === 0 ? [id, formatTime(receivedAt), formatBytes(size), `<${sender}>`] : ['', '', '', '']),
    address,
    state,
    String(attempts),
    formatTime(nextAttemptAt),
    lastReply ?? '-',
  ]);
}

function selecting(command: Command): Command {
  return command
    .option('--destination <name>', 'everything for one destination')
    .option('--all', 'everything');
}

function selectorOf(ids: readonly string[], { destination, all }: SelectorOptions): object {
  const given = Number(ids.length > 0) + Number(destination !== undefined) + Number(all === true);
  if (given !== 1) {
    throw new UsageError(
      given === 0 ? 'no message was named' : 'IDs, --destination and --all cannot be given together',
      'Give IDs, or --destination NAME, or --all.',
    );
  }
  if (ids.length > MAX_IDS)
    throw new UsageError(`more than ${MAX_IDS} IDs`, 'Give fewer at once, or use --destination.');
  if (ids.length > 0) return { ids };
  return destination === undefined ? { all: true } : { destination };
}

interface Done {
  readonly recipients: number;
  /** A rule held what arrives later, and does no more. */
  readonly lifted?: boolean;
  /** A wider rule that holds the destination all the same. */
  readonly stillHeldBy?: string | null;
}

function sayRecipients(action: 'retry' | 'hold' | 'release' | 'delete') {
  const words = { retry: 'to be tried now', hold: 'held', release: 'released', delete: 'deleted' }[action];
  return ({ recipients, lifted, stillHeldBy }: Done) => {
    const said = `${recipients} ${recipients === 1 ? 'recipient' : 'recipients'} ${words}`;
    const rule = lifted === true ? ', and what arrives later is held no more' : '';
    const still =
      typeof stillHeldBy === 'string'
        ? `; the rule for ${stillHeldBy} still holds this destination: change smtp.destinationRules`
        : '';
    return `${said}${rule}${still}`;
  };
}

function addTimeline(command: Command, session: CliSession): void {
  command.option('--json', 'as JSON').action((id: string, _, self: Command) =>
    withConnection(session, self, false, async (connection) => {
      type Part = { readonly message: Timeline; readonly nextEvent: number | null };
      const first = await connection.call<Part>('message', { id });
      const events = [...first.message.events];
      for (let next = first.nextEvent; next !== null; ) {
        const part: Part = await connection.call('message', { id, eventsFrom: next });
        events.push(...part.message.events);
        next = part.nextEvent;
      }
      const message = { ...first.message, events };
      if (wantsJson(self)) await writeJson(session.io, message);
      else await write(session.io.stdout, timelineText(message));
    }),
  );
}
