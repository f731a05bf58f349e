import { describeError } from '../mail/failure.js';
import { DotStuffer, END_OF_DATA_BYTES } from '../smtp/dot-stuffing.js';
import { startTls } from './connect.js';
/** A session in which nothing completes for this long is closed, whatever the waits are set to. */
const NO_PROGRESS_MS = 30 * 60_000;
const RATE_GRACE_MS = 60_000;
export class PeerConnection {
    session;
    /** Messages sent over it. */
    messages = 0;
    #socket;
    #host;
    #settings;
    #rateGraceMs;
    #secured;
    #timer;
    #armedFor = '';
    #waiter = null;
    #actions = [];
    #interruptWrite = null;
    #ended = null;
    constructor(options) {
        this.session = options.session;
        this.#socket = options.socket;
        this.#host = options.host;
        this.#secured = options.secure;
        this.#settings = options.settings;
        this.#rateGraceMs = options.rateGraceMs ?? RATE_GRACE_MS;
        this.#listen(options.socket);
        this.#advance();
    }
    /** TLS version and whether the certificate is trusted; null without TLS. */
    get tls() {
        return this.#secured?.text ?? null;
    }
    /** The same with its parts. */
    get secured() {
        return this.#secured;
    }
    get usable() {
        return this.#ended === null && this.session.phase === 'ready';
    }
    /** Bytes given to the socket and not yet taken by the system. */
    get unsentBytes() {
        return this.#socket.writableLength;
    }
    /** Greeting, EHLO, TLS and AUTH; null when messages can be sent. */
    async open() {
        const action = await this.#next();
        if (action.type === 'start-tls') {
            await this.#secure();
            return this.open();
        }
        return action.type === 'failed' ? action.problem : null;
    }
    /** Sends one message to up to 100 recipients. Never rejects. */
    async transact(transaction, message) {
        if (this.#ended !== null)
            return { results: [], problem: this.#ended, unreadable: null };
        this.messages += 1;
        this.session.begin(transaction);
        this.#advance();
        let action = await this.#next();
        if (action.type === 'send-body') {
            const unreadable = await this.#sendBody(message);
            if (unreadable !== null) {
                this.destroy('The message could not be read');
                const results = transaction.recipients.map(() => null);
                return { results, problem: this.#ended, unreadable };
            }
            this.session.bodySent();
            this.#advance();
            action = await this.#next();
        }
        if (action.type === 'done')
            return { results: action.results, problem: null, unreadable: null };
        const failed = action.type === 'failed' ? action : null;
        return { results: failed?.results ?? [], problem: failed?.problem ?? this.#ended, unreadable: null };
    }
    /** Ends politely: QUIT, and closes when the server does or its time is over. */
    quit() {
        if (this.#ended !== null)
            return;
        this.session.quit();
        this.#ended = { kind: 'lost', phase: 'ended', reply: null, text: 'The session was ended by us' };
        clearTimeout(this.#timer);
        const socket = this.#socket;
        const output = this.session.takeOutput();
        if (!socket.destroyed)
            socket.end(output);
        const timer = setTimeout(() => socket.destroy(), Math.min(this.#settings().timeouts.quitMs, 10_000));
        timer.unref();
        socket.once('close', () => clearTimeout(timer));
        // Its answer to QUIT is of no use, but unread it would turn the close into a reset.
        socket.resume();
    }
    /** Ends at once. */
    destroy(reason) {
        this.session.lost(reason);
        this.#advance();
        this.#socket.destroy();
    }
    #listen(socket) {
        socket.on('data', (bytes) => {
            this.session.receive(bytes);
            this.#advance();
        });
        socket.on('error', (error) => this.#lost(describeError(error)));
        socket.on('close', () => this.#lost('The server closed the connection'));
    }
    #lost(reason) {
        this.session.lost(reason);
        this.#advance();
    }
    /** After anything happened: write what is to be written, hand on actions, set the wait. */
    #advance() {
        const output = this.session.takeOutput();
        if (output.length > 0 && !this.#socket.destroyed)
            this.#socket.write(output);
        for (let action = this.session.next(); action !== null; action = this.session.next()) {
            if (action.type === 'failed')
                this.#end(action.problem);
            this.#actions.push(action);
        }
        this.#arm();
        if (this.#actions.length === 0)
            return;
        this.#interruptWrite?.();
        const waiter = this.#waiter;
        if (waiter === null)
            return;
        this.#waiter = null;
        waiter(this.#actions.shift());
    }
    #end(problem) {
        this.#ended ??= problem;
        // Only after all that came with it is read: closing is not urgent, the verdict is.
        setImmediate(() => this.#socket.destroySoon());
    }
    #next() {
        const action = this.#actions.shift();
        if (action !== undefined)
            return Promise.resolve(action);
        if (this.#ended !== null)
            return Promise.resolve({ type: 'failed', problem: this.#ended, results: [] });
        return new Promise((resolve) => {
            this.#waiter = resolve;
        });
    }
    /** A wait runs to the complete reply: bytes that do not complete one do not prolong it. */
    #arm() {
        const phase = this.session.phase;
        const wanted = `${phase} ${this.session.repliesSeen}`;
        if (wanted === this.#armedFor)
            return;
        this.#armedFor = wanted;
        clearTimeout(this.#timer);
        const waitMs = phaseWaitMs(phase, this.#settings().timeouts);
        if (waitMs === null)
            return;
        this.#timer = setTimeout(() => this.destroy(`The server did not answer within ${waitMs / 1000} s (${phase})`), Math.min(waitMs, NO_PROGRESS_MS));
    }
    async #secure() {
        clearTimeout(this.#timer);
        this.#socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
        const limit = AbortSignal.timeout(this.#settings().timeouts.tlsMs);
        const secured = await startTls(this.#socket, this.#host, limit);
        if (!secured.ok) {
            this.session.tlsFailed(secured.reason);
        }
        else {
            this.#socket = secured.socket;
            this.#secured = secured.secure;
            this.#listen(secured.socket);
            this.session.tlsStarted(secured.secure);
        }
        this.#advance();
    }
    /** Null when all is written or the server interrupted; otherwise why the message could not be read. */
    async #sendBody(message) {
        const writer = new DataWriter(this.#settings, this.#rateGraceMs, (bytes, waitMs) => this.#write(bytes, waitMs));
        try {
            for await (const chunk of message()) {
                if (!(await writer.take(chunk)))
                    return null;
            }
        }
        catch (error) {
            return describeError(error);
        }
        await writer.end();
        return null;
    }
    /** Resolves to true when the system has taken the bytes, false when there is no more use in going on. */
    #write(bytes, waitMs) {
        if (this.#ended !== null || this.#actions.length > 0)
            return Promise.resolve(false);
        return new Promise((resolve) => {
            const finish = (written) => {
                clearTimeout(timer);
                this.#interruptWrite = null;
                resolve(written);
            };
            const timer = setTimeout(() => {
                this.destroy('The server took the data too slowly');
                finish(false);
            }, waitMs);
            this.#interruptWrite = () => finish(false);
            this.#socket.write(bytes, (error) => {
                if (error)
                    this.#lost(describeError(error));
                finish(!error);
            });
        });
    }
}
/**
 * Dot-stuffs a message through one buffer of `bufferSizeBytes` that is filled again only when the system has
 * taken it, and keeps the waits of data: one for each block, and the average rate.
 */
class DataWriter {
    #settings;
    #rateGraceMs;
    #write;
    #stuffer = new DotStuffer();
    #buffer;
    #filled = 0;
    #writtenBytes = 0;
    #waitedMs = 0;
    constructor(settings, rateGraceMs, write) {
        this.#settings = settings;
        this.#rateGraceMs = rateGraceMs;
        this.#write = write;
        this.#buffer = Buffer.allocUnsafe(settings().bufferSizeBytes);
    }
    async take(chunk) {
        let from = 0;
        while (from < chunk.length) {
            const { read, written } = this.#stuffer.encode(chunk.subarray(from), this.#buffer, this.#filled);
            from += read;
            this.#filled += written;
            if (from < chunk.length && !(await this.#flush()))
                return false;
        }
        return true;
    }
    async end() {
        if (this.#buffer.length - this.#filled < END_OF_DATA_BYTES && !(await this.#flush()))
            return false;
        this.#filled += this.#stuffer.end(this.#buffer, this.#filled);
        return this.#flush();
    }
    async #flush() {
        const { timeouts, minDataRate } = this.#settings();
        // Only our waiting for the peer counts, not the time our own disk took.
        const rateLimitMs = Math.max(this.#rateGraceMs, (this.#writtenBytes / Math.max(minDataRate, 1)) * 1000);
        const waitMs = Math.max(1, Math.min(timeouts.dataBlockMs, rateLimitMs - this.#waitedMs, NO_PROGRESS_MS));
        const startedAt = performance.now();
        const written = await this.#write(this.#buffer.subarray(0, this.#filled), waitMs);
        this.#waitedMs += performance.now() - startedAt;
        this.#writtenBytes += this.#filled;
        this.#filled = 0;
        return written;
    }
}
function phaseWaitMs(phase, timeouts) {
    switch (phase) {
        case 'greeting':
            return timeouts.greetingMs;
        case 'ehlo':
            return timeouts.ehloMs;
        case 'starttls':
            return timeouts.tlsMs;
        case 'auth':
            return timeouts.authMs;
        case 'mail':
            return timeouts.mailMs;
        case 'rcpt':
            return timeouts.rcptMs;
        case 'data':
            return timeouts.dataMs;
        case 'data-end':
            return timeouts.dataEndMs;
        default:
            return null;
    }
}
