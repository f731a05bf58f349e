/** The queue as JSON: the shapes of `queue list` and `message ID`, which others may rely on. */
import { formatMessageId } from '../mail/message-id.js';
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
/** `queue show ID` and `message ID`: the message and its timeline. What an event's kind needs stands beside its kind. */
export function messageJson(message, events) {
    return {
        ...oneMessage(message),
        events: events.map(({ at, kind, recipient, detail }) => ({
            ...detail,
            at: isoTime(at),
            kind,
            recipient,
        })),
    };
}
