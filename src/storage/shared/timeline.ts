/** The timeline of a message, from its rows. */
import { decodeXtext, notifyOf, originalRecipient } from '../../mail/dsn.ts';
import type { MessageEvent, QueuedMessage } from '../contract.ts';
import type { RecipientRow } from './rows.ts';

export interface EventRow {
  readonly at: number;
  readonly kind: MessageEvent['kind'];
  readonly recipient: string | null;
  readonly detail: string;
}

/** All events in order of time. */
export function timelineOf(
  message: QueuedMessage,
  recipients: readonly RecipientRow[],
  rows: readonly EventRow[],
): MessageEvent[] {
  const stored = rows.map(({ at, kind, recipient, detail }) => ({
    at,
    kind,
    recipient,
    detail: JSON.parse(detail) as Record<string, unknown>,
  }));
  // Sorting is stable: what the rows themselves tell stands before what was recorded at the same time.
  return [...impliedEvents(message, recipients), ...stored].sort((a, b) => a.at - b.at);
}

/** What rows say by themselves needs no event row: receipt, decisions, delivery into mailboxes. */
function impliedEvents(message: QueuedMessage, rows: readonly RecipientRow[]): MessageEvent[] {
  const { receivedAt, source, sender, sizeBytes, dsn, requireTls } = message;
  const received: MessageEvent = {
    at: receivedAt,
    kind: 'received',
    recipient: null,
    detail: {
      sender,
      sizeBytes,
      source,
      ...(dsn.ret === null ? {} : { ret: dsn.ret }),
      ...(dsn.envid === null ? {} : { envid: decodeXtext(dsn.envid) }),
      ...(requireTls ? { requireTls } : {}),
    },
  };
  const perRecipient = rows.flatMap((row): MessageEvent[] => {
    const at = row.decided_at ?? receivedAt;
    const { address: recipient, rule, original, destination } = row;
    const via = row.via === 'mailbox' ? 'mailbox' : null;
    const asked = {
      ...(row.dsn_notify === null ? {} : { notify: notifyOf(row.dsn_notify) }),
      ...(row.dsn_orcpt === null ? {} : { orcpt: originalRecipient(row.dsn_orcpt).address }),
    };
    const detail = { rule, original, destination, ...asked };
    const decided: MessageEvent = { at, kind: 'decided', recipient, detail };
    return via === null ? [decided] : [decided, { at, kind: 'delivered', recipient, detail: { via } }];
  });
  return [received, ...perRecipient];
}
