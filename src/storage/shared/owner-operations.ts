/** The operations of the owner's contract, carried out by each engine, and what they share. */
import { accountForwardRule } from '../../mail/forward-rule.ts';
import type { MessageId } from '../../mail/message-id.ts';
import type {
  AccountForward,
  AccountSession,
  OwnerStore,
  OwnMessage,
  OwnMessagesRequest,
} from '../owner-contract.ts';
import type { Op } from './operations.ts';
import { sourceKindNumber, stateName } from './rows.ts';

export interface OwnerWriteOps {
  addAccountSession: Op<Parameters<OwnerStore['addAccountSession']>[0], void>;
  touchAccountSession: Op<{ id: string; lastSeenAt: number }, void>;
  removeAccountSession: Op<{ id: string }, boolean>;
  removeAccountSessions: Op<{ accountId: number }, number>;
  setAccountForward: Op<{ address: string; forward: AccountForward | null }, void>;
}

export interface OwnerReadOps {
  accountSession: Op<{ tokenHash: string }, (AccountSession & { account: string }) | null>;
  accountSessions: Op<{ accountId: number }, AccountSession[]>;
  ownMessages: Op<OwnMessagesRequest, OwnMessage[]>;
}

export interface OwnPlace {
  readonly at: number;
  readonly id: MessageId;
  readonly sent: number;
  readonly received: number;
}

export interface OwnMessageRow {
  readonly id: MessageId;
  readonly received_at: number;
  readonly sender: string;
  readonly subject: string | null;
  readonly size: number;
}

export interface OwnRecipientRow {
  readonly message_id: MessageId;
  readonly address: string;
  readonly original: string;
  readonly rule: string;
  readonly state: number;
}

/**
 * Places of an account's messages, newest first: parameters are 1 its address in lower case, 2 since, 3 and 4 the
 * position, 5 the limit, 6 its address as it stands. `p(n, type)` writes a parameter. What it sent is found by who
 * signed in, or where nobody did by the sender that a local client gave.
 */
export function ownPlacesSql(
  which: OwnMessagesRequest['which'],
  p: (n: number, type: 'text' | 'bigint') => string,
): string {
  const page = (at: string, id: string) =>
    `${at} >= ${p(2, 'bigint')} AND (${at}, ${id}) < (${p(3, 'bigint')}, ${p(4, 'bigint')})
     ORDER BY ${at} DESC, ${id} DESC LIMIT ${p(5, 'bigint')}`;
  const signedIn = `SELECT received_at AS at, id, 1 AS sent, 0 AS received FROM message
    WHERE source_user = ${p(6, 'text')} AND ${page('received_at', 'id')}`;
  const inItsName = `SELECT s.at, s.id, 1 AS sent, 0 AS received FROM search_message AS s
    JOIN message AS m ON m.id = s.id WHERE s.sender = ${p(1, 'text')}
    AND m.source_user IS NULL AND m.source_kind = ${sourceKindNumber('local')} AND ${page('s.at', 's.id')}`;
  const came = `SELECT at, id, 0 AS sent, 1 AS received FROM search_recipient
    WHERE address = ${p(1, 'text')} AND ${page('at', 'id')}`;
  const parts =
    which === 'sent' ? [signedIn, inItsName] : which === 'received' ? [came] : [signedIn, inItsName, came];
  return `SELECT at, id, max(sent) AS sent, max(received) AS received
    FROM (${parts.map((part, n) => `SELECT * FROM (${part}) AS part${n}`).join(' UNION ALL ')}) AS own
    GROUP BY at, id ORDER BY at DESC, id DESC LIMIT ${p(5, 'bigint')}`;
}

/** The values of `ownPlacesSql`. */
export function ownPlacesValues({ address, since, after, limit }: OwnMessagesRequest): (string | number)[] {
  const at = after?.at ?? Number.MAX_SAFE_INTEGER;
  return [address.toLowerCase(), since, at, after?.id ?? Number.MAX_SAFE_INTEGER, limit, address];
}

/** Whether a recipient is the account: its mailbox, or where it forwards to. */
export function isOwnRecipient(
  row: { readonly address: string; readonly rule: string },
  account: string,
): boolean {
  const wanted = account.toLowerCase();
  return (
    row.address.toLowerCase() === wanted ||
    row.rule.toLowerCase() === accountForwardRule(account).toLowerCase()
  );
}

export function ownMessageOf(
  place: OwnPlace,
  row: OwnMessageRow,
  recipients: readonly OwnRecipientRow[],
  account: string,
): OwnMessage {
  const sent = place.sent === 1;
  const own = recipients.filter((one) => isOwnRecipient(one, account));
  return {
    id: row.id,
    receivedAt: row.received_at,
    sent,
    received: own.length > 0,
    sender: row.sender,
    rawSubject: row.subject ?? '',
    sizeBytes: row.size,
    recipients: (sent ? recipients : own).map(({ address, original, rule, state }) => ({
      address,
      original,
      rule,
      state: stateName(state),
    })),
  };
}
