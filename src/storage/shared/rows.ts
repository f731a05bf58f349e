/** What rows look like, and how they become the contract's values. */
import { notifyOf } from '../../mail/dsn.ts';
import type { MessageSource, QueuedMessage, QueuedRecipient, RecipientState } from '../contract.ts';

/** Recipient states as stored; below `FIRST_FINAL` a recipient is still to be dealt with. */
export const QUEUED = 0;
export const SENDING = 1;
export const HELD = 2;
export const DELIVERED = 3;
export const FAILED = 4;
export const DELETED = 5;
export const EXPANDED = 6;

const STATE_NAMES: readonly RecipientState[] = [
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

const SOURCE_KINDS: readonly MessageSource['kind'][] = ['local', 'external', 'internal'];

/** A recipient's state by its number. */
export function stateName(state: number): RecipientState {
  return STATE_NAMES[state] ?? 'failed';
}

export function sourceKindNumber(kind: MessageSource['kind']): number {
  return SOURCE_KINDS.indexOf(kind);
}

export interface MessageRow {
  readonly id: number;
  readonly body_id: number;
  readonly sender: string;
  readonly size: number;
  readonly received_at: number;
  readonly finished_at: number | null;
  readonly source_kind: number;
  readonly source_address: string | null;
  readonly source_helo: string | null;
  readonly source_user: string | null;
  readonly source_protocol: string | null;
  readonly smtputf8: number;
  readonly eight_bit: number;
  readonly header: string;
  readonly notice_for: number | null;
  readonly dsn_ret: 'FULL' | 'HDRS' | null;
  readonly dsn_envid: string | null;
  readonly require_tls: number;
}

export interface RecipientRow {
  readonly message_id: number;
  readonly idx: number;
  readonly address: string;
  readonly original: string;
  readonly rule: string;
  readonly state: number;
  readonly destination: string | null;
  readonly via: string | null;
  readonly attempts: number;
  readonly next_attempt_at: number | null;
  readonly last_reply: string | null;
  readonly last_kind: string | null;
  readonly delay_notice: number;
  readonly decided_at: number | null;
  readonly crashes: number;
  readonly dsn_notify: number | null;
  readonly dsn_orcpt: string | null;
}

export function recipientOf(row: RecipientRow): QueuedRecipient {
  return {
    index: row.idx,
    address: row.address,
    original: row.original,
    rule: row.rule,
    state: stateName(row.state),
    destination: row.destination,
    via: row.via,
    attempts: row.attempts,
    nextAttemptAt: row.next_attempt_at,
    lastReply: row.last_reply,
    lastKind: row.last_kind,
    delayNoticeSent: row.delay_notice === 1,
    crashes: row.crashes,
    dsn: { notify: notifyOf(row.dsn_notify), orcpt: row.dsn_orcpt },
  };
}

export function messageOf(row: MessageRow, recipients: readonly RecipientRow[]): QueuedMessage {
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
    dsn: { ret: row.dsn_ret, envid: row.dsn_envid },
    requireTls: row.require_tls === 1,
    recipients: recipients.map(recipientOf),
  };
}
