/**
 * One outbound SMTP connection as a pure state machine: bytes in, actions out. No sockets, no clock. The
 * host (sending/talk.ts, a test) does:
 *
 *   session.receive(bytes)     whenever the peer sent something; session.lost(reason) when it is gone
 *   loop: action = session.next() until it returns null
 *   session.takeOutput()       after the loop: all that is to be written, as one write
 *
 * and keeps the wait of `session.phase`, anew whenever `session.repliesSeen` grew or the phase changed.
 */
import { failure } from '../mail/failure.js';
import { ReplyParser } from './reply-parser.js';
export class SenderSession {
    #options;
    #parser = new ReplyParser();
    #expected = [];
    #actions = [];
    #output = [];
    #state = 'greeting';
    #secure;
    #extensions = new Map();
    #greeting = null;
    #repliesSeen = 0;
    #transaction = null;
    #results = [];
    #needsReset = false;
    /** The phase of the reply being handled. */
    #handling = null;
    constructor(options) {
        this.#options = options;
        this.#secure = options.secure;
        this.#expected.push({ phase: 'greeting', handle: (reply) => this.#onGreeting(reply) });
    }
    get phase() {
        return this.#state === 'ended' ? 'ended' : (this.#expected[0]?.phase ?? this.#state);
    }
    /** Complete replies so far; each begins a new wait. */
    get repliesSeen() {
        return this.#repliesSeen;
    }
    /** The 220 we were greeted with. */
    get greeting() {
        return this.#greeting;
    }
    /** Extensions of the last EHLO by upper-case keyword, with their parameters. */
    get extensions() {
        return this.#extensions;
    }
    receive(bytes) {
        if (this.#state === 'ended' || this.#handshaking)
            return;
        this.#parser.push(bytes);
        for (;;) {
            if (this.phase === 'ended')
                return;
            const reply = this.#parser.next();
            if (reply === null)
                return;
            if (reply === 'malformed') {
                this.#fail(this.#lossKind(), 'The server did not speak SMTP', null);
                return;
            }
            this.#onReply(reply);
        }
    }
    /** Between the reply to STARTTLS and TLS; what the peer says in clear there is not heard (RFC 3207 §6). */
    get #handshaking() {
        return this.#state === 'starttls' && this.#expected.length === 0;
    }
    next() {
        return this.#actions.shift() ?? null;
    }
    takeOutput() {
        const output = Buffer.from(this.#output.join(''), 'utf8');
        this.#output = [];
        return output;
    }
    /** The connection is closed or a wait has run out. */
    lost(reason) {
        this.#fail(this.#lossKind(), reason, null);
    }
    tlsStarted(secure) {
        this.#secure = secure;
        this.#parser.clear();
        this.#hello();
    }
    tlsFailed(reason) {
        this.#fail('tls-failed', reason, null);
    }
    /** Starts a message. Only when `ready`; check `unsendable` before. */
    begin(transaction) {
        this.#transaction = transaction;
        this.#results = transaction.recipients.map(() => null);
        const pipelining = this.#extensions.has('PIPELINING') && this.#options.probe !== true;
        if (this.#needsReset) {
            this.#needsReset = false;
            // Whatever it answers: if the old transaction is still there, MAIL will be refused and say so.
            this.#send('RSET', 'mail', () => (pipelining ? undefined : this.#sendMail(transaction)));
            if (!pipelining)
                return;
        }
        this.#sendMail(transaction);
        if (!pipelining)
            return;
        for (let index = 0; index < transaction.recipients.length; index += 1)
            this.#sendRcpt(index);
        this.#send('DATA', 'data', (reply) => this.#onData(reply));
    }
    /** The message and its end are written. */
    bodySent() {
        if (this.#state !== 'data-block')
            return;
        this.#state = 'ready';
        this.#expected.push({ phase: 'data-end', handle: (reply) => this.#onDataEnd(reply) });
    }
    /** Asks the peer to end; the host closes when it has, or soon. */
    quit() {
        if (this.#state === 'ended')
            return;
        this.#output.push('QUIT\r\n');
        this.#state = 'ended';
    }
    #onReply(reply) {
        this.#repliesSeen += 1;
        if (this.#state === 'data-block') {
            this.#onEarlyReply(reply);
            return;
        }
        const expected = this.#expected[0];
        if (expected === undefined) {
            this.#fail('lost', 'The server ended the session', reply);
            return;
        }
        if (reply.code === 421 && expected.phase !== 'greeting') {
            this.#fail('lost', 'The server closed the session', reply);
            return;
        }
        this.#expected.shift();
        this.#handling = expected.phase;
        expected.handle(reply);
        this.#handling = null;
    }
    /** A reply in the middle of the data: the server has seen enough and will not read the rest. */
    #onEarlyReply(reply) {
        if (reply.code >= 400 && reply.code !== 421)
            this.#setUnknown(false, 'data-end', reply);
        this.#fail('lost', 'The server answered before the message was complete', reply);
    }
    #onGreeting(reply) {
        if (reply.code !== 220) {
            this.#fail('not-greeted', 'The server refused the connection', reply);
            return;
        }
        this.#greeting = reply;
        const name = (reply.lines[0] ?? '').split(' ')[0]?.toLowerCase();
        if (this.#options.refuseSelf && name === this.#options.hostname.toLowerCase()) {
            this.#fail('self', 'The server greeted us with our own name', reply);
            return;
        }
        this.#hello();
    }
    #hello() {
        this.#extensions = new Map();
        this.#send(`EHLO ${this.#options.hostname}`, 'ehlo', (reply) => {
            if (!isPositive(reply))
                return this.#helo();
            this.#extensions = parseExtensions(reply.lines);
            this.#afterHello();
        });
    }
    #helo() {
        this.#send(`HELO ${this.#options.hostname}`, 'ehlo', (reply) => {
            if (!isPositive(reply))
                return this.#fail('hello-refused', 'The server refused EHLO and HELO', reply);
            this.#afterHello();
        });
    }
    #afterHello() {
        const { tls, credentials } = this.#options;
        if (this.#secure === null && tls !== 'none') {
            if (this.#extensions.has('STARTTLS')) {
                this.#startTls();
                return;
            }
            if (tls !== 'opportunistic') {
                this.#fail('tls-unavailable', 'TLS is required and the server does not offer it', null);
                return;
            }
        }
        if (credentials === null) {
            this.#ready();
            return;
        }
        if (this.#secure?.verified !== true && !this.#options.loopback) {
            const text = 'The password is sent only under TLS with a verified certificate, which this connection has not';
            this.#fail('credentials', text, null);
            return;
        }
        this.#authenticate(credentials.username, credentials.password);
    }
    #startTls() {
        this.#send('STARTTLS', 'starttls', (reply) => {
            if (reply.code !== 220)
                return this.#fail('tls-failed', 'The server refused STARTTLS', reply);
            this.#parser.clear();
            this.#state = 'starttls';
            this.#actions.push({ type: 'start-tls' });
        });
    }
    /** RFC 4954 §4; PLAIN (RFC 4616) before LOGIN. */
    #authenticate(username, password) {
        const mechanisms = (this.#extensions.get('AUTH') ?? '').toUpperCase().split(/\s+/);
        const base64 = (text) => Buffer.from(text, 'utf8').toString('base64');
        if (mechanisms.includes('PLAIN')) {
            const response = base64(`\0${username}\0${password}`);
            this.#sendAuth(`AUTH PLAIN ${response}`, [response]);
            return;
        }
        if (mechanisms.includes('LOGIN')) {
            this.#sendAuth('AUTH LOGIN', [base64(username), base64(password)]);
            return;
        }
        this.#fail('credentials', 'The server offers no way to sign in that we have (PLAIN, LOGIN)', null);
    }
    #sendAuth(line, responses) {
        this.#send(line, 'auth', (reply) => {
            if (reply.code === 334)
                return this.#sendAuth(responses[0] ?? '*', responses.slice(1));
            if (isPositive(reply))
                return this.#ready();
            // 454 4.7.0 is "temporary authentication failure" (RFC 4954 §4.7.0) and for us a refused credential.
            const kind = reply.code >= 500 || reply.code === 454 ? 'credentials' : 'auth-deferred';
            this.#fail(kind, 'The server refused the user name or password', reply);
        });
    }
    #ready() {
        this.#state = 'ready';
        this.#actions.push({ type: 'ready' });
    }
    #sendMail(transaction) {
        let line = `MAIL FROM:<${transaction.sender}>`;
        if (this.#extensions.has('SIZE'))
            line += ` SIZE=${transaction.sizeBytes}`;
        if (transaction.eightBit && this.#extensions.has('8BITMIME'))
            line += ' BODY=8BITMIME';
        if (needsUtf8(transaction) && this.#extensions.has('SMTPUTF8'))
            line += ' SMTPUTF8';
        this.#send(line, 'mail', (reply) => this.#onMail(reply));
    }
    #sendRcpt(index) {
        const recipient = this.#transaction?.recipients[index] ?? '';
        this.#send(`RCPT TO:<${recipient}>`, 'rcpt', (reply) => this.#onRcpt(index, reply));
    }
    #onMail(reply) {
        if (!isPositive(reply)) {
            this.#setUnknown(false, 'mail', reply);
            if (this.#expected.length === 0)
                this.#finish();
            return;
        }
        // Until the end of data there is a transaction at the other side that the next MAIL would collide with.
        this.#needsReset = true;
        if (this.#expected.length === 0)
            this.#sendRcpt(0);
    }
    #onRcpt(index, reply) {
        if (this.#results[index]?.stage !== 'mail') {
            this.#results[index] = { accepted: isPositive(reply), stage: 'rcpt', reply };
        }
        if (this.#expected.length > 0)
            return;
        if (index + 1 < this.#results.length) {
            this.#sendRcpt(index + 1);
            return;
        }
        if (this.#hasAccepted() && this.#options.probe !== true)
            this.#send('DATA', 'data', (answer) => this.#onData(answer));
        else
            this.#finish();
    }
    #onData(reply) {
        if (reply.code === 354 && this.#hasAccepted()) {
            this.#state = 'data-block';
            this.#actions.push({ type: 'send-body' });
        }
        else if (reply.code === 354) {
            // RFC 2920 §3.1: 354 although no recipient was accepted is answered with an empty message.
            this.#send('.', 'data-end', () => {
                this.#needsReset = false;
                this.#finish();
            });
        }
        else if (reply.code < 400) {
            this.#fail('lost', 'The server gave a senseless answer to DATA', reply);
        }
        else {
            this.#setAccepted(false, 'data', reply);
            this.#finish();
        }
    }
    #onDataEnd(reply) {
        this.#needsReset = false;
        this.#setAccepted(isPositive(reply), 'data-end', reply);
        this.#finish();
    }
    #finish() {
        this.#actions.push({ type: 'done', results: this.#results.filter((result) => result !== null) });
        this.#transaction = null;
        this.#results = [];
    }
    #hasAccepted() {
        return this.#results.some((result) => result?.accepted === true);
    }
    #setAccepted(accepted, stage, reply) {
        this.#results = this.#results.map((old) => (old?.accepted === true ? { accepted, stage, reply } : old));
    }
    #setUnknown(accepted, stage, reply) {
        this.#results = this.#results.map((old) => (old?.accepted === false ? old : { accepted, stage, reply }));
    }
    #lossKind() {
        if (this.phase === 'greeting')
            return 'not-greeted';
        return this.phase === 'starttls' ? 'tls-failed' : 'lost';
    }
    #fail(kind, text, reply) {
        if (this.#state === 'ended')
            return;
        const problem = { kind, phase: this.#handling ?? this.phase, reply, text };
        // Accepted at RCPT is not yet delivered: only refusals are known now.
        const results = this.#results.map((result) => (result?.accepted === true ? null : result));
        this.#state = 'ended';
        this.#expected.length = 0;
        this.#actions.push({ type: 'failed', problem, results });
    }
    #send(line, phase, handle) {
        this.#output.push(line, '\r\n');
        this.#expected.push({ phase, handle });
    }
}
/**
 * Why a message cannot be given to a server with these extensions, as a final failure; null when it can. It
 * is never changed to fit (RFC 6152 §3, RFC 6531 §3.3, RFC 1870 §6.1).
 */
export function unsendable(transaction, extensions) {
    const limit = Number(extensions.get('SIZE') ?? '0');
    if (limit > 0 && transaction.sizeBytes > limit) {
        const text = `The message has ${transaction.sizeBytes} bytes and the server takes at most ${limit}`;
        return failure(552, '5.3.4', text);
    }
    if (hasUtf8Address(transaction) && !extensions.has('SMTPUTF8')) {
        return failure(553, '5.6.7', 'The server does not take addresses with characters outside ASCII');
    }
    if (transaction.eightBit && !extensions.has('8BITMIME')) {
        return failure(554, '5.6.3', 'The message has 8-bit content and the server takes 7-bit messages only');
    }
    return null;
}
function hasUtf8Address(transaction) {
    return [transaction.sender, ...transaction.recipients].some((address) => /[^\x00-\x7f]/.test(address));
}
function needsUtf8(transaction) {
    return transaction.smtputf8 || hasUtf8Address(transaction);
}
function isPositive(reply) {
    return reply.code >= 200 && reply.code < 300;
}
/** The lines of a reply to EHLO after the first (RFC 5321 §4.1.1.1); `AUTH=` is an old spelling. */
function parseExtensions(lines) {
    const extensions = new Map();
    for (const line of lines.slice(1)) {
        const [keyword = '', ...parameters] = line.trim().split(/[ =]+/);
        const known = extensions.get(keyword.toUpperCase());
        const text = parameters.join(' ');
        extensions.set(keyword.toUpperCase(), known === undefined ? text : `${known} ${text}`);
    }
    return extensions;
}
