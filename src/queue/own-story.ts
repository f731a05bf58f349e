/**
 * What the owner of an account may know of a message. Who sent it sees the recipients as they were addressed, and
 * where one leads to others here (an alias, somebody's forward) nothing of those. Whom it came for sees the own
 * delivery and the own forward: no other recipient, and not who brought it.
 */
import { forwarderOf } from '../mail/forward-rule.ts';
import type { MessageEvent, QueuedMessage, RecipientState } from '../storage/contract.ts';
import type { OwnRecipient } from '../storage/owner-contract.ts';
import type { FoundState } from '../storage/search-contract.ts';

export interface OwnRecipientJson {
  readonly address: string;
  readonly state: FoundState;
  /** The account's own forward leads there. */
  readonly forwarded: boolean;
  readonly lastReply: string | null;
}

export interface OwnEvent extends Readonly<Record<string, unknown>> {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly kind: MessageEvent['kind'];
  readonly recipient: string | null;
}

export interface OwnStory {
  readonly sent: boolean;
  readonly received: boolean;
  readonly recipients: readonly OwnRecipientJson[];
  readonly events: readonly OwnEvent[];
}

type Row = OwnRecipient & { readonly lastReply?: string | null };

/** Of a detail of an event, what names others or administrators. */
const HIDDEN_DETAILS: ReadonlySet<string> = new Set([
  'by',
  'id',
  'into',
  'kind',
  'messages',
  'recipients',
  'source',
  'to',
]);

/** null when the message is not the account's. */
export function ownStory(
  message: QueuedMessage,
  events: readonly MessageEvent[],
  account: string,
): OwnStory | null {
  const sent = wasSentBy(message, account);
  const own = message.recipients.filter((one) => isOwn(one, account));
  if (!sent && own.length === 0) return null;
  const shown = new Set(own.map(({ address }) => address));
  let allShown = false;
  if (sent) {
    const plain = message.recipients.filter(isPlain);
    for (const { address } of plain) shown.add(address);
    allShown = plain.length === message.recipients.length;
  }
  return {
    sent,
    received: own.length > 0,
    recipients: ownRecipients(message.recipients, account, sent),
    events: events.flatMap((event) => ownEvent(event, { sent, allShown, shown })),
  };
}

/** The recipients an owner is shown. */
export function ownRecipients(rows: readonly Row[], account: string, sent: boolean): OwnRecipientJson[] {
  const own = rows.filter((one) => isOwn(one, account));
  const mine = own
    .filter((one) => !sent || (forwarderOf(one.rule) !== null && !isPlain(one)))
    .map((one) => ({
      address: one.address,
      state: summary([one.state]),
      forwarded: forwarderOf(one.rule) !== null,
      lastReply: one.lastReply ?? null,
    }));
  return sent ? [...addressed(rows), ...mine] : mine;
}

/** One for each address that was named. Forwards count only where nothing else became of it. */
function addressed(rows: readonly Row[]): OwnRecipientJson[] {
  const groups = Map.groupBy(rows, ({ original }) => original.toLowerCase());
  return [...groups.values()].map((group) => {
    const unforwarded = group.filter(({ rule }) => forwarderOf(rule) === null);
    const counting = unforwarded.length > 0 ? unforwarded : group;
    const only = counting.length === 1 ? counting[0] : undefined;
    return {
      address: group[0]?.original ?? '',
      state: summary(counting.map(({ state }) => state)),
      forwarded: false,
      lastReply: only !== undefined && isPlain(only) ? (only.lastReply ?? null) : null,
    };
  });
}

/** The state of a message by those of the recipients its owner is shown. */
export function stateOfShown(recipients: readonly OwnRecipientJson[]): FoundState {
  const order: readonly FoundState[] = ['waiting', 'held', 'failed', 'delivered'];
  const states = new Set(recipients.map(({ state }) => state));
  return order.find((state) => states.has(state)) ?? 'deleted';
}

function summary(states: readonly RecipientState[]): FoundState {
  if (states.includes('queued') || states.includes('sending')) return 'waiting';
  if (states.includes('held')) return 'held';
  if (states.includes('failed')) return 'failed';
  return states.includes('delivered') || states.includes('expanded') ? 'delivered' : 'deleted';
}

function wasSentBy({ source, sender }: QueuedMessage, account: string): boolean {
  if (source.user !== null) return same(source.user, account);
  return source.kind === 'local' && same(sender, account);
}

/** The account's mailbox, or where its own forward leads. */
function isOwn({ address, rule }: Row, account: string): boolean {
  return same(address, account) || same(forwarderOf(rule) ?? '', account);
}

/** It goes to the very address that was named. */
function isPlain({ address, original }: Row): boolean {
  return same(address, original);
}

function ownEvent(
  { at, kind, recipient, detail }: MessageEvent,
  view: { readonly sent: boolean; readonly allShown: boolean; readonly shown: ReadonlySet<string> },
): OwnEvent[] {
  const time = { at: new Date(at).toISOString(), kind, recipient };
  if (kind === 'received') {
    const { sender, sizeBytes, source } = detail;
    return [{ sender, sizeBytes, ...(view.sent ? { source } : {}), ...time }];
  }
  if (recipient === null ? !view.allShown : !view.shown.has(recipient)) return [];
  const told = Object.entries(detail).filter(([key]) => !HIDDEN_DETAILS.has(key));
  return [{ ...Object.fromEntries(told), ...time }];
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
