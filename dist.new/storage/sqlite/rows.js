/** Recipient states as stored; below `FIRST_FINAL` a recipient is still to be dealt with. */
export const QUEUED = 0;
export const SENDING = 1;
export const HELD = 2;
export const DELIVERED = 3;
export const FAILED = 4;
export const DELETED = 5;
export const EXPANDED = 6;
const STATE_NAMES = [
    'queued',
    'sending',
    'held',
    'delivered',
    'failed',
    'deleted',
    'expanded',
];
/** What a `sending` row was claimed for, and so what it goes back to. */
export const CLAIM_NONE = 0;
export const CLAIM_ATTEMPT = 1;
export const CLAIM_REMOVAL = 2;
export const CLAIM_REMOVAL_OF_HELD = 3;
/** A body being received; 0 is one that nothing refers to any more. */
export const BODY_PENDING = -1;
export const CHUNK_BYTES = 256 * 1024;
const SOURCE_KINDS = ['local', 'external', 'internal'];
export function sourceKindNumber(kind) {
    return SOURCE_KINDS.indexOf(kind);
}
export function recipientOf(row) {
    return {
        index: row.idx,
        address: row.address,
        original: row.original,
        rule: row.rule,
        state: STATE_NAMES[row.state] ?? 'failed',
        destination: row.destination,
        via: row.via,
        attempts: row.attempts,
        nextAttemptAt: row.next_attempt_at,
        lastReply: row.last_reply,
        lastKind: row.last_kind,
        delayNoticeSent: row.delay_notice === 1,
        crashes: row.crashes,
    };
}
export function messageOf(row, recipients) {
    return {
        id: row.id,
        sender: row.sender,
        sizeBytes: row.size,
        receivedAt: row.received_at,
        source: {
            kind: SOURCE_KINDS[row.source_kind] ?? 'external',
            address: row.source_address,
            helo: row.source_helo,
            user: row.source_user,
            protocol: row.source_protocol,
        },
        smtputf8: row.smtputf8 === 1,
        eightBit: row.eight_bit === 1,
        header: row.header,
        noticeFor: row.notice_for,
        recipients: recipients.map(recipientOf),
    };
}
