import { randomBytes } from 'node:crypto';
import { StorageError } from '../contract.js';
import { BodyArea, PendingBody } from './body-area.js';
import { ContentReader } from './content-reader.js';
import { ID_BLOCK, MessageIds } from './message-ids.js';
import { ThreadClient } from './thread-client.js';
import { SLICE } from './writer-context.js';
const READER_CACHE_BYTES = 4 * 1024 * 1024;
/** Each answer can be a chunk of 256 KB. */
const BULK_GROUP_OPS = 16;
/** While there is an alarm the store is asked this often whether it takes mail again. */
const PROBE_EVERY_MS = 1000;
const DIRECTORY_CHANGES = new Set([
    'addDomain',
    'removeDomain',
    'setForward',
    'setCatchAll',
    'addAccount',
    'removeAccount',
    'setPassword',
    'setEnabled',
    'setQuota',
    'movePostmaster',
    'addAlias',
    'removeAlias',
]);
/** Cuts a selector of many messages into selectors of at most `SLICE`. */
function slicesOf(selector) {
    if (!('ids' in selector))
        return [selector];
    const slices = [];
    for (let from = 0; from < selector.ids.length; from += SLICE) {
        slices.push({ ids: selector.ids.slice(from, from + SLICE) });
    }
    return slices;
}
/**
 * The contract on SQLite: one writer thread that commits in groups, one reader thread for short look-ups and
 * one for bodies, lists and mailboxes.
 */
export class SqliteStorage {
    #connection;
    #writer;
    #lookups;
    #bulk;
    #ids;
    #bodies;
    #queuedListeners = [];
    #directoryVersion = 1;
    #alarm = null;
    #probeTimer;
    #sweeping = null;
    #closing = false;
    #closed = null;
    constructor(connection) {
        this.#connection = connection;
        const reader = { ...connection, readOnly: true, cacheBytes: READER_CACHE_BYTES };
        this.#writer = connection.readOnly
            ? null
            : new ThreadClient({
                file: 'writer-worker',
                data: { connection },
                onGroup: (flags, trouble) => this.#afterGroup(flags, trouble),
            });
        this.#lookups = new ThreadClient({ file: 'reader-worker', data: { connection: reader } });
        this.#bulk = new ThreadClient({
            file: 'reader-worker',
            data: { connection: reader },
            groupOps: BULK_GROUP_OPS,
        });
        this.#ids = new MessageIds(() => this.#write('reserveIds', { count: ID_BLOCK }));
        this.#bodies = new BodyArea({
            nextId: () => this.#ids.take(),
            putChunk: (bodyId, n, payload) => this.#write('putChunk', { bodyId, n }, payload),
            dropBody: (bodyId) => this.#dropBody(bodyId),
        });
    }
    /** Opens the threads and puts right what a crash left; with `takeOver` every claim counts as a dead process's. */
    async start(takeOver) {
        try {
            // Other readers start when they are first asked for something.
            await (this.#writer ?? this.#lookups).start();
            if (this.#writer === null)
                return;
            await Promise.all([this.#ids.start(), this.#write('orphanBodies', null)]);
            if (takeOver)
                await this.#releaseClaims(true);
            this.#sweepSoon();
        }
        catch (error) {
            await this.close();
            throw error;
        }
    }
    /** The threads, for tests that end one. */
    get threads() {
        return { writer: this.#writer, lookups: this.#lookups };
    }
    // -------------------------------------------------------------- the whole
    nextMessageId() {
        if (this.#writer === null)
            throw new StorageError('unavailable', 'the store is open for reading only');
        return this.#ids.take();
    }
    openWriter() {
        return this.#bodies.openWriter();
    }
    drained() {
        return this.#bodies.drained();
    }
    handedOnBytes() {
        return this.#bodies.handedOnBytes;
    }
    async accept(input) {
        const { body, ...rest } = input;
        if (!(body instanceof PendingBody))
            throw new StorageError('internal', 'the body is not from openWriter()');
        const tail = body.finish();
        const { storedChunks, sizeBytes, payload } = tail;
        try {
            await this.#write('accept', { ...rest, bodyId: tail.bodyId ?? rest.id, storedChunks, sizeBytes }, payload);
        }
        catch (error) {
            body.drop();
            throw error;
        }
        finally {
            this.#bodies.release(payload.sizeBytes);
        }
    }
    onQueued(listener) {
        this.#queuedListeners.push(listener);
    }
    alarms() {
        return this.#alarm === null ? [] : [this.#alarm];
    }
    newestTime() {
        return this.#bulk.run('newestTime', null);
    }
    async verify() {
        // A thread of its own: it reads everything, and mail must not wait for that.
        const connection = { ...this.#connection, readOnly: true, cacheBytes: READER_CACHE_BYTES };
        const reader = new ThreadClient({ file: 'reader-worker', data: { connection } });
        try {
            await reader.start();
            return await reader.run('verify', null);
        }
        finally {
            await reader.close();
        }
    }
    close() {
        this.#closed ??= this.#close();
        return this.#closed;
    }
    async #close() {
        this.#closing = true;
        clearTimeout(this.#probeTimer);
        await this.#sweeping;
        await Promise.all([this.#lookups.close(), this.#bulk.close()]);
        // Last, so that its end folds the write-ahead log into the file.
        await this.#writer?.close();
    }
    // -------------------------------------------------------------- queue
    async dueDestinations(request) {
        return this.#bulk.run('dueDestinations', request);
    }
    async nextDueAt() {
        return this.#bulk.run('nextDueAt', null);
    }
    async claimDue(request) {
        return this.#write('claimDue', request);
    }
    async renewClaims(tokens, leaseMs) {
        return this.#write('renewClaims', { tokens, leaseMs });
    }
    async settle(input) {
        await this.#write('settle', input);
    }
    releaseExpired() {
        return this.#releaseClaims(false);
    }
    async list(request) {
        return this.#bulk.run('list', { limit: request.limit, after: request.after ?? 0 });
    }
    async message(id) {
        return this.#bulk.run('message', { id });
    }
    async openBody(id) {
        return this.#contentReader(await this.#bulk.run('messageContent', { id }));
    }
    retry(selector) {
        const now = Date.now();
        return this.#inSlices(selector, (slice) => this.#write('retry', { selector: slice, now }));
    }
    async hold(selector) {
        if ('all' in selector)
            await this.#write('setHoldAll', { on: true });
        return this.#inSlices(selector, (slice) => this.#write('hold', { selector: slice }));
    }
    async release(selector) {
        if ('all' in selector)
            await this.#write('setHoldAll', { on: false });
        return this.#inSlices(selector, (slice) => this.#write('release', { selector: slice }));
    }
    delete(selector) {
        return this.#inSlices(selector, (slice) => this.#write('delete', { selector: slice }));
    }
    async claimForRemoval(selector, leaseMs) {
        for (const slice of slicesOf(selector)) {
            const claims = await this.#write('claimForRemoval', { selector: slice, leaseMs });
            if (claims.length > 0)
                return claims;
        }
        return [];
    }
    async counts() {
        return this.#bulk.run('counts', null);
    }
    sweep(keepMs) {
        const before = Date.now() - keepMs;
        return this.#repeat(() => this.#write('sweepMessages', { before }));
    }
    // -------------------------------------------------------------- directory
    directoryVersion() {
        return this.#directoryVersion;
    }
    async domain(name) {
        return this.#lookups.run('domain', { name });
    }
    async entry(address) {
        return this.#lookups.run('entry', { address });
    }
    async account(address) {
        return this.#lookups.run('account', { address });
    }
    async postmaster() {
        return this.#lookups.run('postmaster', null);
    }
    async passwordHash(accountId) {
        return this.#lookups.run('passwordHash', { accountId });
    }
    async listDomains() {
        return this.#bulk.run('listDomains', null);
    }
    async listAccounts(domain) {
        return this.#bulk.run('listAccounts', { domain: domain ?? null });
    }
    async listAliases(domain) {
        return this.#bulk.run('listAliases', { domain: domain ?? null });
    }
    async addDomain(name) {
        await this.#write('addDomain', { name });
    }
    async removeDomain(name) {
        await this.#write('removeDomain', { name });
    }
    async setForward(name, forward) {
        await this.#write('setForward', { name, forward });
    }
    async setCatchAll(name, address) {
        await this.#write('setCatchAll', { name, address });
    }
    async addAccount(input) {
        return this.#write('addAccount', input);
    }
    async removeAccount(address) {
        await this.#write('removeAccount', { address });
        while (await this.#write('sweepMailboxes', null))
            ;
    }
    async setPassword(address, passwordHash) {
        await this.#write('setPassword', { address, passwordHash });
    }
    async setEnabled(address, enabled) {
        await this.#write('setEnabled', { address, enabled });
    }
    async setQuota(address, quotaBytes) {
        await this.#write('setQuota', { address, quotaBytes });
    }
    async movePostmaster(address) {
        await this.#write('movePostmaster', { address });
    }
    async addAlias(alias) {
        await this.#write('addAlias', alias);
    }
    async removeAlias(address) {
        await this.#write('removeAlias', { address });
    }
    // -------------------------------------------------------------- mailboxes
    async inbox(accountId, request) {
        return this.#bulk.run('inbox', { accountId, ...request });
    }
    async openEntry(accountId, uid) {
        return this.#contentReader(await this.#bulk.run('entryContent', { accountId, uid }));
    }
    async removeEntries(accountId, uids) {
        return this.#write('removeEntries', { accountId, uids });
    }
    // -------------------------------------------------------------- settings
    async readSettings() {
        return this.#lookups.run('readSettings', null);
    }
    async writeSettings(input) {
        return this.#write('writeSettings', input);
    }
    async settingsHistory(request) {
        return this.#bulk.run('settingsHistory', { limit: request.limit, before: request.before ?? null });
    }
    async settingChange(n) {
        return this.#lookups.run('settingChange', { n });
    }
    async serverSecret(name, bytes) {
        return this.keepSecret(name, Uint8Array.from(randomBytes(bytes)));
    }
    async keepSecret(name, value) {
        return (await this.#lookups.run('secret', { name })) ?? this.#write('keepSecret', { name, value });
    }
    // -------------------------------------------------------------- within
    async #write(type, input, payload) {
        if (this.#writer === null)
            throw new StorageError('unavailable', 'the store is open for reading only');
        const value = await this.#writer.run(type, input, payload);
        if (DIRECTORY_CHANGES.has(type))
            this.#directoryVersion++;
        return value;
    }
    #contentReader(content) {
        return content === null ? null : new ContentReader(this.#bulk, content);
    }
    /** Runs a slice's operation until it finds less than a slice; resolves to the sum. */
    async #repeat(slice) {
        let total = 0;
        for (;;) {
            const changed = await slice();
            total += changed;
            if (changed < SLICE)
                return total;
        }
    }
    async #inSlices(selector, run) {
        let total = 0;
        for (const slice of slicesOf(selector))
            total += await this.#repeat(() => run(slice));
        return total;
    }
    #releaseClaims(all) {
        return this.#repeat(() => this.#write('releaseExpired', { all }));
    }
    #afterGroup(flags, trouble) {
        if (trouble !== null)
            this.#raiseAlarm(trouble);
        if (flags.deadBodies)
            this.#sweepSoon();
        if (flags.queued)
            for (const listener of this.#queuedListeners)
                listener();
    }
    /**
     * Stays until the store has taken a whole chunk: on a full disk small writes go on succeeding for a while, and
     * without mail nobody else would find out that there is room again.
     */
    #raiseAlarm({ message }) {
        const { path } = this.#connection;
        this.#alarm = `The store ${path} cannot be written: ${message}. Mail is put off and nothing is lost; look at its disk (space, read-only, errors), CMail then goes on by itself.`;
        if (this.#probeTimer === undefined && !this.#closing)
            this.#probeSoon();
    }
    #probeSoon() {
        const timer = setTimeout(() => {
            this.#write('probeDisk', null).then(() => {
                this.#alarm = null;
                this.#probeTimer = undefined;
            }, () => {
                if (!this.#closing)
                    this.#probeSoon();
            });
        }, PROBE_EVERY_MS);
        this.#probeTimer = timer.unref();
    }
    /** One that cannot be swept now is swept at the next start; the alarm tells why. */
    #dropBody(bodyId) {
        this.#write('dropBody', { bodyId }).catch(() => undefined);
    }
    #sweepSoon() {
        this.#sweeping ??= this.#sweep().finally(() => {
            this.#sweeping = null;
        });
    }
    async #sweep() {
        try {
            while (!this.#closing && (await this.#write('sweepMailboxes', null)))
                ;
            while (!this.#closing && (await this.#write('sweepBodies', null)))
                ;
        }
        catch {
            // The alarm tells why; what is left is swept after the next deletion or at the next start.
        }
    }
}
