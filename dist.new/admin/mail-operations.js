import { z } from 'zod';
import { formatMessageId } from '../mail/message-id.js';
import { OperationError } from './context.js';
import { addressArgument, MAX_ROWS, operation } from './operation.js';
/** Bytes of a mail one call gives. */
const PART_BYTES = 256 * 1024;
const PAGE_ENTRIES = 1000;
const address = z.string().min(1).max(1000);
/** Reading the mailbox of an account. */
export const mailOperations = {
    'mail.list': operation(z.strictObject({
        address,
        after: z.number().int().min(0).default(0),
        limit: z.number().int().min(1).max(MAX_ROWS).default(PAGE_ENTRIES),
    }), async (context, args) => {
        const account = await mailboxOf(context, args.address);
        const { entries } = await context.storage.inbox(account.id, {
            afterUid: args.after,
            limit: args.limit,
        });
        const full = entries.length === args.limit;
        return { rows: entries.map(entryJson), next: full ? (entries.at(-1)?.uid ?? null) : null };
    }),
    /** `uid` null is the newest. The content comes in parts, base64; `next` is where the next part starts. */
    'mail.show': operation(z.strictObject({
        address,
        uid: z.number().int().min(1).nullable(),
        fromByte: z.number().int().min(0).default(0),
    }), async (context, args) => {
        const account = await mailboxOf(context, args.address);
        const entry = await findEntry(context, account, args.uid);
        const reader = await context.storage.openEntry(account.id, entry.uid);
        if (!reader)
            throw noSuchMail(account, entry.uid);
        const parts = [];
        let bytes = 0;
        if (args.fromByte < reader.sizeBytes) {
            for await (const chunk of reader.chunks(args.fromByte)) {
                parts.push(chunk.subarray(0, PART_BYTES - bytes));
                bytes += parts.at(-1)?.length ?? 0;
                if (bytes >= PART_BYTES)
                    break;
            }
        }
        const end = args.fromByte + bytes;
        return {
            entry: entryJson(entry),
            content: Buffer.concat(parts).toString('base64'),
            next: bytes > 0 && end < reader.sizeBytes ? end : null,
        };
    }),
};
async function mailboxOf({ storage }, text) {
    const wanted = addressArgument(text);
    const account = await storage.account(wanted);
    if (account)
        return account;
    throw new OperationError(`there is no account ${wanted}`, 'See "cmail account list".');
}
async function findEntry({ storage }, account, uid) {
    if (uid !== null) {
        const { entries } = await storage.inbox(account.id, { afterUid: uid - 1, limit: 1 });
        const entry = entries[0];
        if (entry?.uid === uid)
            return entry;
        throw noSuchMail(account, uid);
    }
    let last;
    for (;;) {
        const { entries } = await storage.inbox(account.id, { afterUid: last?.uid ?? 0, limit: PAGE_ENTRIES });
        last = entries.at(-1) ?? last;
        if (entries.length < PAGE_ENTRIES)
            break;
    }
    if (last)
        return last;
    throw new OperationError(`the mailbox of ${account.address} is empty`);
}
function noSuchMail(account, uid) {
    return new OperationError(`there is no mail ${uid} in the mailbox of ${account.address}`, `See "cmail mail list ${account.address}".`);
}
function entryJson(entry) {
    const { uid, sizeBytes, receivedAt, sender, messageId } = entry;
    return {
        uid,
        size: sizeBytes,
        receivedAt: new Date(receivedAt).toISOString(),
        sender,
        message: formatMessageId(messageId),
    };
}
