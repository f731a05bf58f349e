/** The queue as JSON: the shapes of `queue list` and `message ID`, which others may rely on. */
import { formatMessageId } from '../mail/message-id.js';
import { whyWaiting } from './why.js';
function isoTime(atMs) {
    return new Date(atMs).toISOString();
}
function recipientJson(recipient) {
    const { address, original, state, destination, via, attempts, nextAttemptAt, lastReply } = recipient;
    const next = nextAttemptAt === null ? null : isoTime(nextAttemptAt);
    return { address, original, state, destination, via, attempts, nextAttemptAt: next, lastReply };
}
function oneMessage(message) {
    return {
        id: formatMessageId(message.id),
        sender: message.sender,
        size: message.sizeBytes,
        receivedAt: isoTime(message.receivedAt),
        recipients: message.recipients.map(recipientJson),
    };
}
/** `queue list` */
export function queueListJson(messages) {
    return messages.map(oneMessage);
}
/**
 * What an event's kind needs stands beside its kind. A detail that is itself called `kind` (of a failure, of a
 * notice) is shown as `fallbackKind`, `noticeKind` and so on.
 */
function eventJson({ at, kind, recipient, detail }) {
    const { kind: detailKind, ...rest } = detail;
    const named = detailKind === undefined ? {} : { [`${kind}Kind`]: detailKind };
    return { ...rest, ...named, at: isoTime(at), kind, recipient };
}
/** `queue show ID` and `message ID`: the message, why each recipient waits, and its timeline from an event on. */
export function messageJson(message, events, { first, end, ...waiting }) {
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
/** The reason of each recipient's last deferral. */
function lastReasons(events) {
    const reasons = new Map();
    for (const { kind, recipient, detail } of events) {
        if (kind !== 'deferred' || recipient === null)
            continue;
        if (typeof detail.reason === 'string')
            reasons.set(recipient, detail.reason);
    }
    return reasons;
}
