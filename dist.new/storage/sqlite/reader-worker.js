import { parentPort, workerData } from 'node:worker_threads';
import { errorForm } from './errors.js';
import { NO_FLAGS, } from './protocol.js';
import { DirectoryReads } from './read-directory.js';
import { MailboxReads } from './read-mailbox.js';
import { newestTime } from './read-newest.js';
import { QueueReads } from './read-queue.js';
import { SettingReads } from './read-settings.js';
import { verifyStore } from './read-verify.js';
import { openConnection } from './schema.js';
const NO_BYTES = new Uint8Array(0);
function makeHandlers(db) {
    const queue = new QueueReads(db);
    const directory = new DirectoryReads(db);
    const mailboxes = new MailboxReads(db);
    const settings = new SettingReads(db);
    return {
        dueDestinations: (request) => queue.dueDestinations(request),
        nextDueAt: () => queue.nextDueAt(),
        list: (request) => queue.list(request),
        message: (request) => queue.message(request),
        messageContent: (request) => queue.content(request),
        entryContent: ({ accountId, uid }) => mailboxes.content(accountId, uid),
        chunk: ({ bodyId, n }) => mailboxes.chunk(bodyId, n),
        findChunk: ({ bodyId, at }) => mailboxes.findChunk(bodyId, at),
        counts: () => queue.counts(),
        domain: ({ name }) => directory.domain(name),
        entry: ({ address }) => directory.entry(address),
        account: ({ address }) => directory.account(address),
        postmaster: () => directory.postmaster(),
        passwordHash: ({ accountId }) => directory.passwordHash(accountId),
        listDomains: () => directory.listDomains(),
        listAccounts: ({ domain }) => directory.listAccounts(domain),
        listAliases: ({ domain }) => directory.listAliases(domain),
        inbox: ({ accountId, afterUid, limit }) => mailboxes.inbox(accountId, afterUid, limit),
        readSettings: () => settings.read(),
        settingsHistory: ({ limit, before }) => settings.history(limit, before),
        settingChange: ({ n }) => settings.change(n),
        secret: ({ name }) => settings.secret(name),
        newestTime: () => newestTime(db),
        verify: () => verifyStore(db),
    };
}
function serve(port, { connection }) {
    let db;
    let handlers;
    try {
        db = openConnection(connection);
        handlers = new Map(Object.entries(makeHandlers(db)));
    }
    catch (error) {
        port.postMessage({ type: 'failed', error: errorForm(error) });
        return;
    }
    port.on('message', (group) => {
        if (group === null) {
            db.close();
            port.close();
            return;
        }
        const values = [];
        const errors = [];
        const transfer = [];
        group.ops.forEach((op, index) => {
            try {
                const handler = handlers.get(op.type);
                if (handler === undefined)
                    throw new Error(`no operation ${op.type}`);
                const value = handler(op.input, NO_BYTES);
                values[index] = value;
                if (value instanceof Uint8Array && value.buffer instanceof ArrayBuffer)
                    transfer.push(value.buffer);
            }
            catch (error) {
                values[index] = null;
                errors.push({ index, error: errorForm(error) });
            }
        });
        const answer = { type: 'group', values, errors, slab: group.slab, flags: NO_FLAGS };
        port.postMessage(answer, transfer);
    });
    port.postMessage({ type: 'ready' });
}
if (parentPort !== null)
    serve(parentPort, workerData);
