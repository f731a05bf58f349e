import { z } from 'zod';
import { formatMessageId, type MessageId, parseMessageId } from '../mail/message-id.ts';
import type { NoticeRecipient } from '../notices/contract.ts';
import { messageJson, queueListJson } from '../queue/view.ts';
import { holdingRule } from '../settings/destination-rules.ts';
import type { Claim, QueuedMessage, QueueSelector } from '../storage/contract.ts';
import { type AdminContext, type DestinationState, OperationError } from './context.ts';
import { setHoldRule } from './hold-rule.ts';
import { MAX_ROWS, type OperationTable, operation, type Page } from './operation.ts';

/** Messages read from the store at a time. */
const READ_MESSAGES = 100;
/** Recipients in one page: a message can have a thousand. */
const PAGE_RECIPIENTS = 20_000;
const PAGE_EVENTS = 2000;
/** How long a claim for deletion lives; long enough for the notices of 1,000 recipients to be made. */
const REMOVAL_LEASE_MS = 60_000;
const MAX_IDS = 1000;

export const selectorSchema = z.union([
  z.strictObject({ ids: z.array(z.string().max(100)).min(1).max(MAX_IDS) }),
  z.strictObject({ destination: z.string().min(1).max(300) }),
  z.strictObject({ all: z.literal(true) }),
]);

export type SelectorArguments = z.infer<typeof selectorSchema>;

const selecting = z.strictObject({ selector: selectorSchema });

export const queueOperations: OperationTable = {
  'queue.list': operation(
    z.strictObject({ after: z.string().max(100).optional(), limit: z.number().int().min(1).max(MAX_ROWS) }),
    listQueue,
  ),

  'queue.retry': operation(selecting, async (context, { selector }) => {
    await endBackOffsFor(context, selector);
    const done = await act(context, selector, 'retry');
    if (!('destination' in selector)) return done;
    return { ...done, stillHeldBy: holdingRule(context.settings.current(), destinationOf(selector)) };
  }),
  /** Lets one message of a destination that is backed off find out now whether its servers are back. */
  'queue.end-back-off': operation(
    z.strictObject({
      selector: z.union([
        z.strictObject({ destination: z.string().min(1).max(300) }),
        z.strictObject({ all: z.literal(true) }),
      ]),
    }),
    async (context, { selector }) => {
      const destinations = endBackOffs(context, selector);
      if (destinations > 0 && 'destination' in selector) await tryOldest(context, destinationOf(selector));
      return { destinations };
    },
  ),
  /** With `stay` also what arrives later for the destination. */
  'queue.hold': operation(
    z.strictObject({ selector: selectorSchema, stay: z.boolean().default(false) }),
    async (context, { selector, stay }) => {
      if (stay) await setHoldRule(context, destinationOf(selector), true);
      return act(context, selector, 'hold');
    },
  ),
  /** For a destination, also lifts the hold on what arrives later. */
  'queue.release': operation(selecting, async (context, { selector }) => {
    if (!('destination' in selector)) return act(context, selector, 'release');
    const destination = destinationOf(selector);
    const lifted = await setHoldRule(context, destination, false);
    const done = await act(context, selector, 'release');
    return { ...done, lifted, stillHeldBy: holdingRule(context.settings.current(), destination) };
  }),

  'queue.delete': operation(
    z.strictObject({ selector: selectorSchema, notice: z.boolean() }),
    async (context, { selector, notice }) => {
      if (!notice) return act(context, selector, 'delete');
      return { recipients: await deleteWithNotice(context, await selectorOf(context, selector)) };
    },
  ),

  /** A message of the queue or of the history; its events in pages from `eventsFrom` on. */
  message: operation(
    z.strictObject({ id: z.string().max(100), eventsFrom: z.number().int().min(0).default(0) }),
    async ({ storage, settings, serverRunning, destinationStates }, { id, eventsFrom }) => {
      const states = destinationStates();
      const found = await storage.message(idArgument(id));
      if (!found) throw unknownMessage(id);
      const end = eventsFrom + PAGE_EVENTS;
      return {
        message: messageJson(found.message, found.events, {
          first: eventsFrom,
          end,
          now: Date.now(),
          settings: settings.current(),
          holdingRule: (destination) => holdingRule(settings.current(), destination),
          backedOff: (destination) => backedOff(states, destination),
          serverRunning,
        }),
        nextEvent: found.events.length > end ? end : null,
      };
    },
  ),
};

interface BackOff {
  /** ISO 8601. */
  readonly until: string;
  /** What came of the last attempt to reach its servers. */
  readonly reply: string | null;
}

/** Null when the destination is not backed off. */
export function backedOff(states: readonly DestinationState[], destination: string): BackOff | null {
  const state = states.find((one) => one.destination === destination);
  return state === undefined ? null : backedOffOf(state);
}

export function backedOffOf({ backedOffUntil, lastReply }: DestinationState): BackOff | null {
  return backedOffUntil === null ? null : { until: backedOffUntil, reply: lastReply };
}

/** Of messages, those of the destinations they wait for. */
async function endBackOffsFor(context: AdminContext, selector: SelectorArguments): Promise<void> {
  if (!('ids' in selector)) {
    endBackOffs(context, selector);
    return;
  }
  for (const id of selector.ids) {
    const found = await context.storage.message(idArgument(id));
    for (const { destination } of found?.message.recipients ?? []) {
      if (destination !== null) context.endBackOff(destination);
    }
  }
}

/** Asking for mail to be tried now is asking for its destination to be tried now. */
function endBackOffs(context: AdminContext, selector: SelectorArguments): number {
  if ('ids' in selector) return 0;
  return context.endBackOff('all' in selector ? null : destinationOf(selector));
}

/** All of its mail may have had its attempt and wait for its own time: then none would find out. */
async function tryOldest({ storage, wakeSender, author }: AdminContext, destination: string): Promise<void> {
  const [oldest] = await storage.queueOf({ destination, after: 0, limit: 1 });
  if (oldest === undefined) return;
  await storage.retry({ ids: [oldest.id] }, author);
  wakeSender();
}

function destinationOf(selector: SelectorArguments): string {
  if ('destination' in selector) return selector.destination.toLowerCase().replace(/\.$/, '');
  throw new OperationError(
    'what arrives later can be held for one destination, or with all',
    'Give --destination NAME together with --stay; --all holds what arrives later anyway.',
    2,
  );
}

/** A page ends at `limit` messages or at `PAGE_RECIPIENTS`, whichever is first. */
async function listQueue(
  { storage }: AdminContext,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<Page<ReturnType<typeof queueListJson>[number]>> {
  const rows: ReturnType<typeof queueListJson>[number][] = [];
  let last = after === undefined ? undefined : idArgument(after);
  let recipients = 0;
  for (;;) {
    const wanted = Math.min(READ_MESSAGES, limit - rows.length);
    const messages: readonly QueuedMessage[] = await storage.list({
      limit: wanted,
      ...(last === undefined ? {} : { after: last }),
    });
    rows.push(...queueListJson(messages));
    last = messages.at(-1)?.id ?? last;
    recipients += messages.reduce((sum, message) => sum + message.recipients.length, 0);
    if (messages.length < wanted || last === undefined) return { rows, next: null };
    if (rows.length >= limit || recipients >= PAGE_RECIPIENTS) return { rows, next: formatMessageId(last) };
  }
}

async function act(
  context: AdminContext,
  selector: SelectorArguments,
  action: 'retry' | 'hold' | 'release' | 'delete',
): Promise<{ recipients: number }> {
  const { storage, wakeSender, author } = context;
  const recipients = await storage[action](await selectorOf(context, selector), author);
  wakeSender();
  return { recipients };
}

/** Fails the recipients and accepts their notices in the same commit, a page at a time. */
async function deleteWithNotice(context: AdminContext, selector: QueueSelector): Promise<number> {
  const { storage } = context;
  let deleted = 0;
  for (;;) {
    const claims = await storage.claimForRemoval(selector, REMOVAL_LEASE_MS);
    if (claims.length === 0) return deleted;
    for (const claim of claims) {
      await settleRemoval(context, claim);
      deleted += claim.message.recipients.length;
    }
  }
}

async function settleRemoval({ storage, makeNotices, author }: AdminContext, claim: Claim): Promise<void> {
  const { message, token } = claim;
  const explanation =
    'An administrator of the mail server removed the message from the queue before it was delivered.';
  const recipients: NoticeRecipient[] = message.recipients.map(({ address, original, dsn }) => ({
    address,
    original,
    dsn,
    status: '5.0.0',
    remoteMta: null,
    diagnostic: null,
    explanation,
  }));
  const notices = await makeNotices({ kind: 'failure', message, recipients });
  const told = notices.map((notice) => formatMessageId(notice.id));
  await storage.settle({
    token,
    outcomes: message.recipients.map(({ index, via, lastKind }) => ({
      index,
      result: { type: 'failed' },
      via,
      lastReply: 'deleted by an administrator',
      lastKind,
    })),
    events: message.recipients.flatMap(({ address }) => [
      { kind: 'deleted' as const, recipient: address, detail: { by: author } },
      ...(told.length > 0
        ? [{ kind: 'notice' as const, recipient: address, detail: { messages: told } }]
        : []),
    ]),
    notices,
  });
}

/** A message that is not there is an error before anything is changed. */
export async function selectorOf(
  { storage }: AdminContext,
  selector: SelectorArguments,
): Promise<QueueSelector> {
  if ('destination' in selector) return { destination: destinationOf(selector) };
  if ('all' in selector) return selector;
  const ids = selector.ids.map(idArgument);
  for (const [index, id] of ids.entries()) {
    if (!(await storage.message(id))) throw unknownMessage(selector.ids[index] ?? '');
  }
  return { ids };
}

export function idArgument(text: string): MessageId {
  const id = parseMessageId(text);
  if (id !== undefined) return id;
  throw new OperationError(`${text} is not a queue ID`, 'See "cmail queue list".', 1, { kind: 'not-found' });
}

export function unknownMessage(id: string): OperationError {
  return new OperationError(
    `there is no message ${id}`,
    'See "cmail queue list"; the history of finished messages is kept for history.keep.',
    1,
    { kind: 'not-found' },
  );
}
