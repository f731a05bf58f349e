import { reply, replyText } from '../mail/reply.js';
import { MAX_COMMAND_LINE_BYTES, parseChunkHeader, parseCommandLine, parseHello, parseMail, parseRcpt, } from './grammar.js';
import { IncomingMessage, sizeLimit } from './incoming-message.js';
import * as replies from './receiver-replies.js';
import { formatReply } from './reply-format.js';
const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const CR = 0x0d;
/** Commands that move no mail (NOOP, RSET, EHLO …) between two messages; each further one is an error. */
export const MAX_IDLE_COMMANDS = 100;
/** The decoder makes a string of what it searches; small ones die young, also while a client waits for the store. */
const DECODED_AT_ONCE_BYTES = 8 * 1024;
const IDLE_COMMANDS = new Set(['EHLO', 'HELO', 'RSET', 'NOOP', 'VRFY', 'HELP']);
/**
 * One receiving SMTP session (RFC 5321, 1870, 2920, 3030, 6152, 6531); `receiver-contract.ts` says how a host
 * drives it. Bytes given to `receive` are kept without copying until they are consumed, so they must not
 * change meanwhile. Memory is bounded by what one `receive` brought and one command line; the replies
 * gathered between two `takeOutput` calls are bounded by a small multiple of that.
 */
export class ReceiverSession {
    #policy;
    #input = EMPTY;
    #at = 0;
    #output = '';
    #actions = [];
    #phase = 'command';
    #question = null;
    /** The last action was an `end` the session answered itself; an answer to it is ignored. */
    #endAnswered = false;
    #greeted = false;
    #transaction = null;
    #chunk = null;
    #errors = 0;
    #idleCommands = 0;
    constructor(policy) {
        this.#policy = policy;
    }
    /** Queues the 220 greeting. */
    greet() {
        this.#send(replies.greeting(this.#policy()));
    }
    /** Takes what the peer sent. */
    receive(bytes) {
        if (this.#phase === 'closed')
            return;
        const held = this.#input.length - this.#at;
        this.#input = held === 0 ? bytes : Buffer.concat([this.#input.subarray(this.#at), bytes]);
        this.#at = 0;
    }
    /** The next thing for the host to do, or null while more bytes or an answer are needed. */
    next() {
        this.#endAnswered = false;
        for (;;) {
            const action = this.#actions.shift();
            if (action !== undefined) {
                this.#endAnswered = action.type === 'end' && action.failure !== null;
                return action;
            }
            if (this.#question !== null || !this.#advance())
                return null;
        }
    }
    /**
     * Answers the open question. Ignored after an `end` that carried a failure and in a closed session; with
     * no question at all it is a fault of the host and throws.
     */
    answer(value) {
        if (this.#phase === 'closed' || this.#endAnswered)
            return;
        const question = this.#question;
        if (question === null)
            throw new Error('ReceiverSession.answer: no question is open');
        const answer = 'lines' in value ? value : asReply(value);
        this.#question = null;
        if (question.type === 'data') {
            if (answer.code < 400)
                this.#beginMessage(question.chunk);
            else
                this.#refuseMessage(question.chunk, answer);
            return;
        }
        if (answer.code < 400)
            this.#accepted(question);
        this.#respond(answer);
        if (question.type === 'end')
            this.#transaction = null;
    }
    /** Answers `data`: the message may come (354 for DATA, nothing yet for BDAT). */
    answerAccept() {
        if (this.#phase !== 'closed' && this.#question?.type !== 'data') {
            throw new Error('ReceiverSession.answerAccept: no data question is open');
        }
        this.answer(replies.START_DATA);
    }
    /** Queues a closing reply such as 421; the next action is `close`, and an open question lapses. */
    fail(closing) {
        if (this.#phase === 'closed')
            return;
        this.#actions.length = 0;
        this.#send(closing);
        this.#close(replyText(closing));
    }
    /** All replies gathered since the last call; empty when there are none. */
    takeOutput() {
        if (this.#output === '')
            return EMPTY;
        const output = Buffer.from(this.#output);
        this.#output = '';
        return output;
    }
    /** The wait the host must limit now. */
    get deadline() {
        if (this.#question !== null || this.#phase === 'closed')
            return 'none';
        return this.#phase === 'data' || this.#phase === 'chunk' ? 'data-block' : 'command';
    }
    /** Bytes received and neither handed on nor consumed. */
    get bufferedBytes() {
        return this.#input.length - this.#at + (this.#transaction?.message?.pendingBytes ?? 0);
    }
    // ---------------------------------------------------------------- input
    /** Consumes one line or one piece of content; false when more bytes are needed. */
    #advance() {
        switch (this.#phase) {
            case 'command':
                return this.#advanceCommand();
            case 'overlong':
                return this.#advanceOverlong();
            case 'data':
                return this.#advanceData();
            case 'chunk':
                return this.#advanceChunk();
            case 'closed':
                return false;
        }
    }
    /** Input not consumed yet, taken out of the session. */
    #takeInput(limitBytes = Number.POSITIVE_INFINITY) {
        const end = Math.min(this.#input.length, this.#at + limitBytes);
        const bytes = this.#input.subarray(this.#at, end);
        this.#at = end;
        if (end === this.#input.length) {
            this.#input = EMPTY;
            this.#at = 0;
        }
        return bytes;
    }
    /** Gives back the end of what was taken last. */
    #putBack(rest) {
        if (this.#at === this.#input.length) {
            this.#input = rest;
            this.#at = 0;
        }
        else if (rest.length <= this.#at) {
            this.#at -= rest.length;
        }
        else {
            // Something was received since, so that what was taken no longer stands in front of the input.
            this.#input = Buffer.concat([rest, this.#takeInput()]);
            this.#at = 0;
        }
    }
    #advanceCommand() {
        const end = this.#input.indexOf(CRLF, this.#at);
        const lengthBytes = (end === -1 ? this.#input.length : end) - this.#at;
        if (end === -1 && lengthBytes <= MAX_COMMAND_LINE_BYTES - 1) {
            // Only the unfinished line is kept, not the whole read it came in.
            this.#input = lengthBytes === 0 ? EMPTY : Buffer.from(this.#input.subarray(this.#at));
            this.#at = 0;
            return false;
        }
        if (lengthBytes + CRLF.length > MAX_COMMAND_LINE_BYTES) {
            this.#phase = 'overlong';
            return true;
        }
        const line = parseCommandLine(this.#takeInput(lengthBytes));
        this.#takeInput(CRLF.length);
        const answer = line.ok ? this.#command(line.value) : asReply(line.failure);
        if (line.ok && answer !== null)
            this.#tellRefusal(line.value, answer);
        if (answer !== null)
            this.#respond(answer);
        if (line.ok && IDLE_COMMANDS.has(line.value.verb))
            this.#countIdle();
        return true;
    }
    #tellRefusal({ verb, argument }, answer) {
        if (answer.code >= 400 && (verb === 'MAIL' || verb === 'RCPT'))
            this.#actions.push({ type: 'refused', verb, argument, reply: answer });
    }
    #advanceOverlong() {
        const end = this.#input.indexOf(CRLF, this.#at);
        if (end === -1) {
            const splitCrlf = this.#input.at(-1) === CR;
            this.#input = splitCrlf ? CRLF.subarray(0, 1) : EMPTY;
            this.#at = 0;
            return false;
        }
        this.#takeInput(end - this.#at + CRLF.length);
        this.#phase = 'command';
        this.#respond(replies.TOO_LONG);
        return true;
    }
    #advanceData() {
        const message = this.#transaction.message;
        const piece = message.read();
        if (piece !== null) {
            this.#actions.push({ type: 'body', bytes: piece });
            return true;
        }
        if (message.finished) {
            // What was pipelined behind the end mark is the next command.
            this.#putBack(message.takeRest());
            this.#endMessage(message);
            return true;
        }
        if (this.#at === this.#input.length)
            return false;
        message.write(this.#takeInput(DECODED_AT_ONCE_BYTES));
        return true;
    }
    #advanceChunk() {
        const chunk = this.#chunk;
        const message = chunk.refusal === null ? this.#transaction.message : null;
        const piece = message?.read();
        if (piece) {
            this.#actions.push({ type: 'body', bytes: piece });
            return true;
        }
        if (chunk.remainingBytes === 0) {
            this.#chunk = null;
            this.#phase = 'command';
            if (message === null)
                this.#endRefusedChunk(chunk);
            else
                this.#endChunk(chunk.header, message);
            return true;
        }
        if (this.#at === this.#input.length)
            return false;
        const bytes = this.#takeInput(Math.min(chunk.remainingBytes, DECODED_AT_ONCE_BYTES));
        chunk.remainingBytes -= bytes.length;
        message?.write(bytes);
        return true;
    }
    // ---------------------------------------------------------------- message
    #beginMessage(chunk) {
        const message = new IncomingMessage(chunk !== null, this.#policy());
        this.#transaction.message = message;
        if (chunk === null) {
            this.#send(replies.START_DATA);
            this.#phase = 'data';
        }
        else {
            message.limit(this.#policy(), chunk.sizeBytes);
            this.#beginChunk(chunk, null);
        }
    }
    #refuseMessage(chunk, refusal) {
        if (chunk === null) {
            this.#respond(refusal);
        }
        else {
            this.#transaction.refusal = refusal;
            this.#beginChunk(chunk, refusal);
        }
    }
    #beginChunk(header, refusal) {
        this.#chunk = { header, remainingBytes: header.sizeBytes, refusal };
        this.#phase = 'chunk';
    }
    #endChunk(header, message) {
        if (!header.last) {
            // An error is counted once, at the end: a client may have sent many chunks ahead.
            this.#send(message.tooLarge ? replies.TOO_LARGE : replies.chunkReceived(header.sizeBytes));
            return;
        }
        const piece = message.finish();
        if (piece !== null)
            this.#actions.push({ type: 'body', bytes: piece });
        this.#endMessage(message);
    }
    #endRefusedChunk(chunk) {
        const ofMessage = this.#transaction !== null && this.#transaction.refusal !== null;
        if (ofMessage && chunk.header.last)
            this.#reset();
        if (ofMessage && !chunk.header.last)
            this.#send(chunk.refusal);
        else
            this.#respond(chunk.refusal);
    }
    #endMessage(message) {
        const { sizeBytes, eightBit, failure } = message;
        this.#phase = 'command';
        this.#transaction.message = null;
        this.#actions.push({ type: 'end', sizeBytes, eightBit, failure });
        if (failure === null) {
            this.#question = { type: 'end' };
        }
        else {
            this.#transaction = null;
            this.#respond(failure);
        }
    }
    // ---------------------------------------------------------------- commands
    /** Carries out a command; its reply, or null when that comes later. */
    #command({ verb, argument }) {
        switch (verb) {
            case 'EHLO':
            case 'HELO':
                return this.#hello(argument, verb === 'EHLO');
            case 'MAIL':
                return this.#mail(argument);
            case 'RCPT':
                return this.#rcpt(argument);
            case 'DATA':
                return argument === '' ? this.#data() : replies.NO_ARGUMENT;
            case 'BDAT':
                return this.#bdat(argument);
            case 'RSET':
                if (argument !== '')
                    return replies.NO_ARGUMENT;
                this.#reset();
                return replies.OK;
            case 'NOOP':
                return replies.OK;
            case 'VRFY':
                return argument === '' ? replies.VRFY_SYNTAX : replies.NOT_VERIFIED;
            case 'HELP':
                return replies.HELP;
            case 'QUIT':
                return argument === '' ? this.#quit() : replies.NO_ARGUMENT;
            case 'EXPN':
            case 'STARTTLS':
            case 'AUTH':
                return replies.NOT_IMPLEMENTED;
            default:
                return replies.NOT_RECOGNISED;
        }
    }
    #hello(argument, extended) {
        const name = parseHello(argument);
        if (!name.ok)
            return asReply(name.failure);
        this.#reset();
        this.#greeted = true;
        this.#actions.push({ type: 'hello', name: name.value, extended });
        return replies.helloReply(this.#policy(), extended);
    }
    #mail(argument) {
        if (!this.#greeted)
            return replies.NO_HELLO;
        if (this.#transaction !== null)
            return replies.MAIL_BEGUN;
        const mail = parseMail(argument);
        if (!mail.ok)
            return asReply(mail.failure);
        const { sender, parameters } = mail.value;
        if ((parameters.sizeBytes ?? 0) > sizeLimit(this.#policy()))
            return replies.TOO_LARGE;
        this.#question = { type: 'mail', smtputf8: parameters.smtputf8 };
        this.#actions.push({ type: 'mail', sender, parameters });
        return null;
    }
    #rcpt(argument) {
        const transaction = this.#transaction;
        if (transaction === null)
            return replies.NO_MAIL;
        if (transaction.message !== null || transaction.refusal !== null)
            return replies.CHUNKS_BEGUN;
        transaction.asked = true;
        const recipient = parseRcpt(argument, transaction.smtputf8);
        if (!recipient.ok)
            return asReply(recipient.failure);
        const { maxRecipients } = this.#policy();
        if (transaction.recipients >= maxRecipients)
            return replies.tooManyRecipients(maxRecipients);
        this.#question = { type: 'rcpt' };
        this.#actions.push({ type: 'rcpt', recipient: recipient.value });
        return null;
    }
    /** Why no message may come now, or null; RFC 5321 §3.3 leaves the choice between 503 and 554. */
    #notReady() {
        if (this.#transaction === null)
            return replies.NO_MAIL;
        if (this.#transaction.recipients > 0)
            return null;
        return this.#transaction.asked ? replies.NO_VALID_RCPT : replies.NO_RCPT;
    }
    #data() {
        if (this.#transaction?.message || this.#transaction?.refusal)
            return replies.CHUNKS_BEGUN;
        const notReady = this.#notReady();
        if (notReady !== null)
            return notReady;
        this.#question = { type: 'data', chunk: null };
        this.#actions.push({ type: 'data', chunking: false });
        return null;
    }
    /** The octets of a chunk follow whatever the answer is, so they are read even when it is refused. */
    #bdat(argument) {
        const header = parseChunkHeader(argument);
        if (!header.ok)
            return asReply(header.failure);
        const refusal = this.#transaction?.refusal ?? this.#notReady();
        const message = this.#transaction?.message ?? null;
        if (refusal !== null || message !== null) {
            message?.limit(this.#policy(), header.value.sizeBytes);
            this.#beginChunk(header.value, refusal);
            return null;
        }
        this.#question = { type: 'data', chunk: header.value };
        this.#actions.push({ type: 'data', chunking: true });
        return null;
    }
    #quit() {
        this.#reset();
        this.#send(replies.BYE);
        this.#close('QUIT');
        return null;
    }
    // ---------------------------------------------------------------- replies
    /** What a positive answer to a question changes. */
    #accepted(question) {
        if (question.type === 'mail') {
            const { smtputf8 } = question;
            this.#transaction = { smtputf8, recipients: 0, asked: false, message: null, refusal: null };
        }
        else if (question.type === 'rcpt') {
            this.#transaction.recipients += 1;
        }
        else {
            this.#errors = 0;
            this.#idleCommands = 0;
        }
    }
    /** Forgets the transaction; tells the host when there was one. */
    #reset() {
        if (this.#transaction === null)
            return;
        this.#transaction = null;
        this.#actions.push({ type: 'reset' });
    }
    #close(reason) {
        this.#phase = 'closed';
        this.#question = null;
        this.#transaction = null;
        this.#chunk = null;
        this.#input = EMPTY;
        this.#at = 0;
        this.#actions.push({ type: 'close', reason });
    }
    /** Queues a reply without judging it. */
    #send(value) {
        this.#output += formatReply(value, this.#transaction?.smtputf8 ?? false);
    }
    /** Queues a reply and counts it when it is a permanent failure. */
    #respond(value) {
        this.#send(value);
        if (value.code >= 500)
            this.#countError();
    }
    #countIdle() {
        this.#idleCommands += 1;
        if (this.#idleCommands > MAX_IDLE_COMMANDS)
            this.#countError();
    }
    #countError() {
        this.#errors += 1;
        if (this.#errors < this.#policy().maxErrors || this.#phase === 'closed')
            return;
        this.#send(replies.TOO_MANY_ERRORS);
        this.#reset();
        this.#close(replyText(replies.TOO_MANY_ERRORS));
    }
}
function asReply(failure) {
    return reply(failure.code, failure.enhanced, failure.text);
}
