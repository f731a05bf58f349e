import type { MailboxStore } from '../storage/contract.ts';

/** Messages of one maildrop a session sees; of a larger one the oldest, the rest next time. */
export const MAILDROP_LIMIT = 50_000;

const PAGE_ENTRIES = 1_000;

/**
 * What a session sees of a mailbox: fixed when it is opened, so that message numbers hold for its whole life
 * (RFC 1939 §5). Message number n is index n - 1. Mail that arrives later is seen next time.
 */
export interface Maildrop {
  readonly accountId: number;
  readonly uidValidity: number;
  readonly uids: readonly number[];
  /** Bytes of each message as retrieved. */
  readonly sizesBytes: readonly number[];
  /** There are more messages than `MAILDROP_LIMIT`. */
  readonly truncated: boolean;
}

/** Reads the listing of an account's INBOX in pages. Rejects when the store does. */
export async function openMaildrop(
  store: MailboxStore,
  accountId: number,
  limit: number = MAILDROP_LIMIT,
): Promise<Maildrop> {
  const uids: number[] = [];
  const sizesBytes: number[] = [];
  let afterUid = 0;
  for (;;) {
    // One more than wanted tells whether there is more than the limit.
    const wanted = Math.min(PAGE_ENTRIES, limit + 1 - uids.length);
    const page = await store.inbox(accountId, { afterUid, limit: wanted });
    for (const entry of page.entries) {
      if (entry.uid <= afterUid) throw new Error('the mailbox listing is not in uid order');
      afterUid = entry.uid;
      uids.push(entry.uid);
      sizesBytes.push(entry.sizeBytes);
    }
    const truncated = uids.length > limit;
    if (truncated || page.entries.length < wanted) {
      if (truncated) {
        uids.length = limit;
        sizesBytes.length = limit;
      }
      return { accountId, uidValidity: page.uidValidity, uids, sizesBytes, truncated };
    }
  }
}
