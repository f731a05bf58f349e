import { describeError } from '../mail/failure.js';
import { reply, replyText } from '../mail/reply.js';
import { ReceiverSession } from '../smtp/receiver-session.js';
import { HANDED_ON_LIMIT_BYTES } from '../storage/contract.js';
import { clientAt, isOnRelayNetworks } from './client.js';
import { decide } from './decision.js';
import { Transaction } from './transaction.js';
/** With less room than one read, the store counts as full. */
const NEARLY_FULL_BYTES = HANDED_ON_LIMIT_BYTES - 64 * 1024;
/** RCPTs of one message (RFC 5321 §4.5.3.1.8 asks for 100 at least). */
const MAX_RECIPIENTS = 1_000;
/** Senseless or refused commands before the session is closed. */
const MAX_ERRORS = 20;
/** A session in which nothing completes for this long is closed, whatever it waits for. */
const STUCK_MS = 30 * 60_000;
/** Replies a client has not read; above it CMail stops reading commands. */
const MAX_UNREAD_REPLY_BYTES = 64 * 1024;
/** Wait for the client to close after our last words. */
const CLOSE_WAIT_MS = 2_000;
const FAULT = reply(451, '4.3.0', 'Something went wrong here; please try again later');
export class Connection {
    #socket;
    #deps;
    #session;
    #address;
    #onClose;
    #transaction = null;
    #helo = '';
    #extended = false;
    /** Bytes the store would not take, tried again when it has room. */
    #refusedBytes = null;
    /** The read the engine works on, when it is the only one. */
    #lastRead = null;
    #waitsForRoom = false;
    #busy = false;
    #closing = false;
    #draining = false;
    #peerEnded = false;
    #reading = true;
    /** When the present wait began, moved on while the wait is ours. */
    #waitSinceMs = Date.now();
    #progressAtMs = Date.now();
    #windowBytes = 0;
    #closeAtMs = 0;
    #policySettings = null;
    #policy = null;
    constructor(socket, deps, onClose) {
        this.#socket = socket;
        this.#deps = deps;
        this.#onClose = onClose;
        this.#address = socket.remoteAddress ?? '';
        this.#session = new ReceiverSession(() => this.#currentPolicy());
        socket.on('data', (bytes) => this.#receive(bytes));
        socket.on('end', () => this.#ended());
        socket.on('drain', () => this.#run());
        socket.on('error', (error) => deps.log('info', 'connection lost', { client: this.#address, why: describeError(error) }));
        socket.on('close', () => this.#closed());
        this.#session.greet();
        this.#run();
    }
    /** Message bytes held and not handed on, for tests and status. */
    get heldBytes() {
        return this.#session.bufferedBytes + (this.#refusedBytes?.length ?? 0);
    }
    get address() {
        return this.#address;
    }
    /** Bytes read from the socket so far. */
    get bytesRead() {
        return this.#socket.bytesRead;
    }
    /** No further mail: says 421 now, or when the open transaction is over. */
    drain() {
        this.#draining = true;
        if (!this.#busy)
            this.#run();
    }
    destroy() {
        this.#socket.destroy();
    }
    /** Called about twice a second: ends what takes too long. `elapsedMs` since the last call. */
    tick(nowMs, elapsedMs) {
        if (this.#closing) {
            if (nowMs >= this.#closeAtMs)
                this.#socket.destroy();
            return;
        }
        // Time in which we ourselves do not read or are deciding is not the client's.
        if (this.#busy || this.#waitsForRoom)
            this.#waitSinceMs += elapsedMs;
        const reason = this.#overdue(nowMs);
        if (reason !== null)
            this.#fail(reply(421, '4.4.2', `${this.#deps.hostname} ${reason}, closing connection`), reason);
    }
    #overdue(nowMs) {
        const { timeouts, minDataRate } = this.#deps.settings();
        if (nowMs - this.#progressAtMs > STUCK_MS)
            return 'nothing completed for 30 minutes';
        const waitedMs = nowMs - this.#waitSinceMs;
        const deadline = this.#session.deadline;
        if (deadline === 'command')
            return waitedMs > timeouts.commandMs ? 'timeout waiting for a command' : null;
        if (deadline !== 'data-block' || waitedMs <= timeouts.dataBlockMs)
            return null;
        if (this.#windowBytes < (minDataRate * waitedMs) / 1000)
            return 'message data came too slowly';
        this.#startWait();
        return null;
    }
    #startWait() {
        this.#waitSinceMs = Date.now();
        this.#windowBytes = 0;
    }
    #currentPolicy() {
        const settings = this.#deps.settings();
        if (this.#policy === null || this.#policySettings !== settings) {
            this.#policySettings = settings;
            this.#policy = {
                hostname: this.#deps.hostname,
                maxMessageBytes: settings.maxIncomingSizeBytes,
                bareNewline: isOnRelayNetworks(this.#address, settings) ? settings.bareNewline : 'refuse',
                maxRecipients: MAX_RECIPIENTS,
                maxErrors: MAX_ERRORS,
            };
        }
        return this.#policy;
    }
    #receive(bytes) {
        if (this.#closing)
            return;
        if (this.#session.deadline === 'data-block') {
            this.#windowBytes += bytes.length;
            this.#progressAtMs = Date.now();
        }
        this.#lastRead = this.#session.bufferedBytes === 0 ? bytes : null;
        this.#session.receive(bytes);
        this.#run();
    }
    /**
     * Frees the memory of a read that is used up. Left to the collector, reads that waited for the store would
     * pile up in its old generation, far beyond what is held.
     */
    #freeRead() {
        const bytes = this.#lastRead;
        if (bytes === null || this.#session.bufferedBytes > 0 || this.#refusedBytes !== null)
            return;
        this.#lastRead = null;
        // Only a read that has its memory for itself, not one cut from a shared pool.
        const { buffer } = bytes;
        if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength)
            buffer.transfer(0);
    }
    /** Lets the engine go on until it needs more bytes or an answer that is not there yet. */
    #run() {
        if (this.#busy || this.#closing)
            return;
        let progressed = false;
        const before = this.#session.deadline;
        while (!this.#closing && this.#socket.writableLength <= MAX_UNREAD_REPLY_BYTES) {
            if (!this.#handOn())
                break;
            if (this.#draining && this.#transaction === null) {
                this.#fail(reply(421, '4.3.2', `${this.#deps.hostname} is shutting down`), 'shutting down');
                return;
            }
            const action = this.#session.next();
            if (action === null)
                break;
            progressed = true;
            const answer = this.#act(action);
            if (answer !== null) {
                this.#await(answer);
                break;
            }
        }
        this.#freeRead();
        this.#flushAndWait(progressed || this.#session.deadline !== before);
    }
    #flushAndWait(progressed) {
        if (!this.#busy) {
            const output = this.#session.takeOutput();
            if (output.length > 0)
                this.#socket.write(output);
            if (output.length > 0 || progressed) {
                this.#progressAtMs = Date.now();
                if (this.#session.deadline === 'command' || progressed)
                    this.#startWaitUnlessData(output.length > 0);
            }
            if (this.#peerEnded && !this.#waitsForRoom && !this.#closing)
                this.#close('the client closed the connection');
        }
        this.#regulateReading();
    }
    /** A data window runs on across blocks; a wait for a command begins anew with each completed one. */
    #startWaitUnlessData(replied) {
        if (this.#session.deadline !== 'data-block' || replied)
            this.#startWait();
    }
    /** Reading stops while as much is held as the buffer size allows; one read of the runtime may come on top. */
    #regulateReading() {
        const full = this.heldBytes >= this.#deps.settings().bufferSizeBytes ||
            this.#socket.writableLength > MAX_UNREAD_REPLY_BYTES;
        if (full === !this.#reading)
            return;
        this.#reading = !full;
        if (full)
            this.#socket.pause();
        else
            this.#socket.resume();
    }
    #await(answer) {
        this.#busy = true;
        answer.then(() => {
            this.#busy = false;
            this.#run();
        }, (error) => {
            this.#busy = false;
            this.#deps.log('error', 'a session failed', { client: this.#address, why: describeError(error) });
            this.#fail(reply(421, '4.3.0', `${this.#deps.hostname} something went wrong here, please try again later`), 'a fault');
        });
    }
    /** Hands on what the store refused before; false while it has no room for message bytes. */
    #handOn() {
        if (this.#refusedBytes === null) {
            // Bytes that could not be handed on are not even looked at: what a look makes would only pile up.
            if (this.#session.deadline !== 'data-block' || this.#deps.storage.handedOnBytes() <= NEARLY_FULL_BYTES)
                return true;
        }
        else if (this.#transaction === null || this.#transaction.append(this.#refusedBytes)) {
            this.#refusedBytes = null;
            return true;
        }
        if (!this.#waitsForRoom) {
            this.#waitsForRoom = true;
            this.#deps.storage.drained().then(() => this.#roomAgain(), (error) => this.#fail(FAULT, `the store failed: ${describeError(error)}`));
        }
        return false;
    }
    #roomAgain() {
        this.#waitsForRoom = false;
        this.#run();
    }
    /** Does what the engine asks; a promise when the answer takes time. */
    #act(action) {
        switch (action.type) {
            case 'hello':
                this.#helo = action.name;
                this.#extended = action.extended;
                return null;
            case 'mail':
                this.#transaction = new Transaction(this.#deps.storage, this.#deps.trace, action.sender, action.parameters);
                this.#session.answer(reply(250, '2.1.0', `<${action.sender?.text ?? ''}> sender ok`));
                return null;
            case 'rcpt':
                return this.#decide(action);
            case 'refused':
                this.#logRefusal('command refused', action.reply, { command: `${action.verb} ${action.argument}` });
                return null;
            case 'data':
                this.#transaction?.openBody();
                this.#session.answerAccept();
                return null;
            case 'body':
                if (this.#transaction !== null && !this.#transaction.append(action.bytes)) {
                    this.#refusedBytes = action.bytes;
                }
                return null;
            case 'end':
                return this.#finish(action);
            case 'reset':
                this.#forget();
                return null;
            case 'close':
                this.#close(action.reason);
                return null;
        }
    }
    #client() {
        return clientAt(this.#address, null, this.#deps.settings());
    }
    async #decide(action) {
        const transaction = this.#transaction;
        const decision = await decide(this.#deps.decision, {
            recipient: action.recipient,
            client: this.#client(),
            sender: transaction?.sender ?? null,
            declaredSizeBytes: transaction?.parameters.sizeBytes ?? 0,
            settings: this.#deps.settings(),
            purpose: 'rcpt',
        });
        if (decision.reply.code < 400)
            transaction?.add(decision);
        else {
            const about = { recipient: action.recipient.text, rule: decision.rule };
            this.#logRefusal('recipient refused', decision.reply, about);
        }
        this.#session.answer(decision.reply);
    }
    #finish(action) {
        const transaction = this.#transaction;
        this.#transaction = null;
        if (action.failure !== null || transaction === null) {
            transaction?.abort();
            const answer = action.failure ?? FAULT;
            this.#logRefusal('message refused', answer, {}, transaction);
            this.#session.answer(answer);
            return null;
        }
        const { hostname, settings } = this.#deps;
        const facts = { client: this.#client(), helo: this.#helo, extended: this.#extended, hostname };
        return transaction.finish(facts, settings(), action.eightBit).then((answer) => {
            if (answer.code >= 400)
                this.#logRefusal('message refused', answer, {}, transaction);
            this.#session.answer(answer);
        });
    }
    /** What is refused leaves no message behind to ask about: the log says who asked what, and which rule refused. */
    #logRefusal(words, answer, about, transaction = this.#transaction) {
        const { address, kind } = this.#client();
        const sender = transaction?.sender?.text ?? '';
        this.#deps.log('info', words, { client: address, kind, sender, ...about, reply: replyText(answer) });
    }
    #forget() {
        this.#transaction?.abort();
        this.#transaction = null;
        this.#refusedBytes = null;
    }
    #ended() {
        this.#peerEnded = true;
        if (!this.#busy)
            this.#run();
    }
    #fail(answer, reason) {
        this.#session.fail(answer);
        this.#close(reason);
    }
    #close(reason) {
        if (this.#closing)
            return;
        this.#closing = true;
        this.#closeAtMs = Date.now() + CLOSE_WAIT_MS;
        this.#forget();
        const output = this.#session.takeOutput();
        this.#deps.log('info', 'connection closed', { client: this.#address, why: reason });
        // What the client still sends is read and dropped, so that our last words are not lost to a reset.
        this.#socket.resume();
        this.#socket.end(output);
    }
    #closed() {
        this.#closing = true;
        this.#forget();
        this.#onClose();
    }
}
