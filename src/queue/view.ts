/** The queue as JSON: the shapes of `queue list` and `message ID`, which others may rely on. */
import { formatMessageId } from '../mail/message-id.ts';
import type { MessageEvent, QueuedMessage, QueuedRecipient } from '../storage/contract.ts';

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

export interface TimelineJson extends MessageJson {
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

/** `queue show ID` and `message ID`: the message and its timeline. */
export function messageJson(message: QueuedMessage, events: readonly MessageEvent[]): TimelineJson {
  return { ...oneMessage(message), events: events.map(eventJson) };
}
