/** The queue as JSON: the shapes of `queue list` and `message ID`, which others may rely on. */
import { formatMessageId } from '../mail/message-id.ts';
import type { MessageEvent, QueuedMessage, QueuedRecipient } from '../storage/contract.ts';
import { type WhyContext, whyWaiting } from './why.ts';

export interface RecipientJson {
  readonly address: string;
  readonly original: string;
  readonly state: QueuedRecipient['state'];
  readonly destination: string | null;
  readonly via: string | null;
  readonly attempts: number;
  /** ISO 8601, UTC. */
  readonly nextAttemptAt: string | null;
  readonly lastReply: string | null;
}

export interface MessageJson {
  readonly id: string;
  readonly sender: string;
  /** Bytes. */
  readonly size: number;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
  readonly recipients: readonly RecipientJson[];
}

export interface EventJson extends Readonly<Record<string, unknown>> {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly kind: MessageEvent['kind'];
  readonly recipient: string | null;
}

export interface ExplainedRecipientJson extends RecipientJson {
  /** Why it is waiting, for what and until when, in one sentence; null when it is finished. */
  readonly why: string | null;
}

export interface TimelineJson extends MessageJson {
  readonly recipients: readonly ExplainedRecipientJson[];
  /** The message this one is a notice about. */
  readonly noticeFor: string | null;
  readonly events: readonly EventJson[];
}

function isoTime(atMs: number): string {
  return new Date(atMs).toISOString();
}

function recipientJson(recipient: QueuedRecipient): RecipientJson {
  const { address, original, state, destination, via, attempts, nextAttemptAt, lastReply } = recipient;
  const next = nextAttemptAt === null ? null : isoTime(nextAttemptAt);
  return { address, original, state, destination, via, attempts, nextAttemptAt: next, lastReply };
}

function oneMessage(message: QueuedMessage): MessageJson {
  return {
    id: formatMessageId(message.id),
    sender: message.sender,
    size: message.sizeBytes,
    receivedAt: isoTime(message.receivedAt),
    recipients: message.recipients.map(recipientJson),
  };
}

/** `queue list` */
export function queueListJson(messages: readonly QueuedMessage[]): MessageJson[] {
  return messages.map(oneMessage);
}

/**
 * What an event's kind needs stands beside its kind. A detail that is itself called `kind` (of a failure, of a
 * notice) is shown as `fallbackKind`, `noticeKind` and so on.
 */
function eventJson({ at, kind, recipient, detail }: MessageEvent): EventJson {
  const { kind: detailKind, ...rest } = detail;
  const named = detailKind === undefined ? {} : { [`${kind}Kind`]: detailKind };
  return { ...rest, ...named, at: isoTime(at), kind, recipient };
}

/** `queue show ID` and `message ID`: the message, why each recipient waits, and its timeline from an event on. */
export function messageJson(
  message: QueuedMessage,
  events: readonly MessageEvent[],
  { first, end, ...waiting }: MessageContext,
): TimelineJson {
  const reasons = lastReasons(events);
  return {
    ...oneMessage(message),
    recipients: message.recipients.map((recipient) => ({
      ...recipientJson(recipient),
      why: whyWaiting(recipient, { ...waiting, message, reason: reasons.get(recipient.address) ?? null }),
    })),
    noticeFor: message.noticeFor === null ? null : formatMessageId(message.noticeFor),
    events: events.slice(first, end).map(eventJson),
  };
}

/** What bears on waiting recipients, and which of the events to show. */
export interface MessageContext extends Omit<WhyContext, 'message' | 'reason'> {
  readonly first: number;
  readonly end: number;
}

/** The reason of each recipient's last deferral. */
function lastReasons(events: readonly MessageEvent[]): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  for (const { kind, recipient, detail } of events) {
    if (kind !== 'deferred' || recipient === null) continue;
    if (typeof detail.reason === 'string') reasons.set(recipient, detail.reason);
  }
  return reasons;
}
