/** Messages of one maildrop a session sees; of a larger one the oldest, the rest next time. */
export const MAILDROP_LIMIT = 50_000;
const PAGE_ENTRIES = 1_000;
/** Reads the listing of an account's INBOX in pages. Rejects when the store does. */
export async function openMaildrop(store, accountId, limit = MAILDROP_LIMIT) {
    const uids = [];
    const sizesBytes = [];
    let afterUid = 0;
    for (;;) {
        // One more than wanted tells whether there is more than the limit.
        const wanted = Math.min(PAGE_ENTRIES, limit + 1 - uids.length);
        const page = await store.inbox(accountId, { afterUid, limit: wanted });
        for (const entry of page.entries) {
            if (entry.uid <= afterUid)
                throw new Error('the mailbox listing is not in uid order');
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
