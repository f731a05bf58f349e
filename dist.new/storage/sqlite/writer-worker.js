import { parentPort, workerData } from 'node:worker_threads';
import { errorForm } from './errors.js';
import { NO_FLAGS, } from './protocol.js';
import { openConnection } from './schema.js';
import { BodyTable } from './write-bodies.js';
import { BulkActions } from './write-bulk.js';
import { DirectoryTables } from './write-directory.js';
import { MessageTables } from './write-messages.js';
import { ClaimTables } from './write-queue.js';
import { SettingTables } from './write-settings.js';
function makeHandlers(context) {
    const bodies = new BodyTable(context);
    const messages = new MessageTables(context, bodies);
    const claims = new ClaimTables(context, messages, bodies);
    const bulk = new BulkActions(context, messages, claims);
    const directory = new DirectoryTables(context, bodies);
    const settings = new SettingTables(context);
    return {
        reserveIds: ({ count }) => settings.reserveIds(count),
        putChunk: ({ bodyId, n }, bytes) => bodies.putChunk(bodyId, n, bytes),
        dropBody: ({ bodyId }) => bodies.drop(bodyId),
        probeDisk: () => bodies.probe(),
        orphanBodies: () => bodies.orphanPending(),
        sweepBodies: () => bodies.sweep(),
        sweepMailboxes: () => directory.sweepMailboxes(),
        accept: (input, bytes) => messages.accept(input, bytes),
        claimDue: (request) => claims.claimDue(request),
        renewClaims: ({ tokens, leaseMs }) => claims.renew(tokens, leaseMs),
        settle: (input) => claims.settle(input),
        releaseExpired: ({ all }) => claims.releaseExpired(all),
        setHoldAll: ({ on }) => bulk.setHoldAll(on),
        retry: ({ selector, now }) => bulk.retry(selector, now),
        hold: ({ selector }) => bulk.hold(selector),
        release: ({ selector }) => bulk.release(selector),
        delete: ({ selector }) => bulk.delete(selector),
        claimForRemoval: ({ selector, leaseMs }) => bulk.claimForRemoval(selector, leaseMs),
        sweepMessages: ({ before }) => bulk.sweepMessages(before),
        addDomain: ({ name }) => directory.addDomain(name),
        removeDomain: ({ name }) => directory.removeDomain(name),
        setForward: ({ name, forward }) => directory.setForward(name, forward),
        setCatchAll: ({ name, address }) => directory.setCatchAll(name, address),
        addAccount: (input) => directory.addAccount(input),
        removeAccount: ({ address }) => directory.removeAccount(address),
        setPassword: ({ address, passwordHash }) => directory.setPassword(address, passwordHash),
        setEnabled: ({ address, enabled }) => directory.setEnabled(address, enabled),
        setQuota: ({ address, quotaBytes }) => directory.setQuota(address, quotaBytes),
        movePostmaster: ({ address }) => directory.movePostmaster(address),
        addAlias: (alias) => directory.addAlias(alias),
        removeAlias: ({ address }) => directory.removeAlias(address),
        removeEntries: ({ accountId, uids }) => directory.removeEntries(accountId, uids),
        writeSettings: (input) => settings.write(input),
        keepSecret: ({ name, value }) => settings.keepSecret(name, value),
    };
}
class Writer {
    #db;
    #context;
    #handlers;
    #begin;
    #commit;
    #rollback;
    #savepoint;
    #release;
    #undo;
    constructor(db) {
        this.#db = db;
        this.#context = { db, flags: { ...NO_FLAGS } };
        this.#handlers = new Map(Object.entries(makeHandlers(this.#context)));
        this.#begin = db.prepare('BEGIN IMMEDIATE');
        this.#commit = db.prepare('COMMIT');
        this.#rollback = db.prepare('ROLLBACK');
        this.#savepoint = db.prepare('SAVEPOINT op');
        this.#release = db.prepare('RELEASE op');
        this.#undo = db.prepare('ROLLBACK TO op');
    }
    run(group) {
        const { flags } = this.#context;
        flags.queued = false;
        flags.deadBodies = false;
        const values = [];
        const errors = [];
        try {
            this.#begin.run();
            group.ops.forEach((op, index) => {
                try {
                    values[index] = this.#runOne(op, group.slab);
                }
                catch (error) {
                    // Some failures (disk full) end the whole transaction, and with it the group.
                    if (!this.#db.isTransaction)
                        throw error;
                    values[index] = null;
                    errors.push({ index, error: errorForm(error) });
                }
            });
            this.#commit.run();
            return { type: 'group', values, errors, slab: group.slab, flags: { ...flags } };
        }
        catch (error) {
            if (this.#db.isTransaction)
                this.#rollback.run();
            const form = errorForm(error);
            const all = group.ops.map((_, index) => ({ index, error: form }));
            return { type: 'group', values: [], errors: all, slab: group.slab, flags: NO_FLAGS };
        }
    }
    #runOne(op, slab) {
        const handler = this.#handlers.get(op.type);
        if (handler === undefined)
            throw new Error(`no operation ${op.type}`);
        this.#savepoint.run();
        try {
            const bytes = new Uint8Array(slab ?? new ArrayBuffer(0), op.offset, op.length);
            const value = handler(op.input, bytes);
            this.#release.run();
            return value;
        }
        catch (error) {
            if (this.#db.isTransaction) {
                this.#undo.run();
                this.#release.run();
            }
            throw error;
        }
    }
}
function serve(port, { connection }) {
    const post = (message, transfer = []) => port.postMessage(message, transfer);
    let db;
    let writer;
    try {
        db = openConnection(connection);
        writer = new Writer(db);
    }
    catch (error) {
        post({ type: 'failed', error: errorForm(error) });
        return;
    }
    port.on('message', (group) => {
        if (group === null) {
            db.close();
            port.close();
            return;
        }
        const answer = writer.run(group);
        post(answer, group.slab === null ? [] : [group.slab]);
    });
    post({ type: 'ready' });
}
if (parentPort !== null)
    serve(parentPort, workerData);
