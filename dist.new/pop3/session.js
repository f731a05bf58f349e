import { LineReader } from './line-reader.js';
import { MultiLineEncoder } from './multi-line.js';
/** RFC 2449 §4 asks for 255; 512 leaves room for long user names and passwords. CRLF included. */
export const LINE_LIMIT_BYTES = 512;
/** Output that waits; beyond it the session asks for a flush before it goes on. */
export const OUTPUT_LIMIT_BYTES = 32 * 1024;
/** Messages a listing looks at before the host gets its turn, so that other sessions do not wait. */
const LISTING_STEP = 5_000;
const FAILURE_CODES = { auth: '[AUTH]', sys: '[SYS/TEMP]', 'in-use': '[IN-USE]' };
const NO_LOGIN_TEXT = '[AUTH] this connection is not encrypted, and a login over it is taken from the server itself only';
const MESSAGE_NUMBER = /^\d{1,10}$/;
export class Pop3Session {
    #policy;
    #lines = new LineReader(LINE_LIMIT_BYTES);
    #state = 'authorization';
    #question = 'none';
    #output = [];
    #outputBytes = 0;
    #user = null;
    #errors = 0;
    #failedLogins = 0;
    #maildrop = null;
    #deleted = new Set();
    /** Sizes of all that is not deleted; kept, since STAT and LIST must not walk the maildrop. */
    #remainingBytes = 0;
    #encoder = null;
    /** The rest of a LIST or UIDL response. */
    #listing = null;
    #yield = false;
    #closing = null;
    constructor(policy) {
        this.#policy = policy;
        this.#write(`+OK ${policy.hostname} CMail POP3 ready\r\n`);
    }
    /** Bytes that wait for takeOutput. */
    get outputBytes() {
        return this.#outputBytes;
    }
    /** Bytes received and not yet consumed. */
    get pendingBytes() {
        return this.#lines.pendingBytes;
    }
    receive(bytes) {
        if (this.#state !== 'closed')
            this.#lines.receive(bytes);
    }
    next() {
        for (;;) {
            if (this.#question !== 'none')
                return null;
            if (this.#closing !== null) {
                const close = this.#closing;
                this.#closing = null;
                this.#state = 'closed';
                this.#lines.clear();
                return close;
            }
            if (this.#state === 'closed')
                return null;
            if (this.#outputBytes >= OUTPUT_LIMIT_BYTES || this.#yield) {
                this.#yield = false;
                return { type: 'flush' };
            }
            if (this.#listing !== null) {
                this.#continueListing();
                continue;
            }
            const line = this.#lines.next();
            if (line === null)
                return null;
            const action = 'tooLong' in line ? this.#error('the line is too long') : this.#command(line.text);
            if (action !== null)
                return action;
        }
    }
    /** Everything to be sent now. */
    takeOutput() {
        const output = Buffer.concat(this.#output);
        this.#output = [];
        this.#outputBytes = 0;
        return output;
    }
    /** Answers `login`: the maildrop to serve, or why not. */
    answerLogin(result) {
        this.#answering('login');
        if (!('failure' in result)) {
            this.#maildrop = result;
            this.#state = 'transaction';
            this.#restore(result);
            const count = result.uids.length;
            const more = result.truncated ? `; these are the oldest, the rest comes in the next session` : '';
            this.#ok(`${count} messages${more}`);
            return;
        }
        this.#failedLogins += 1;
        this.#refuse(`${FAILURE_CODES[result.failure]} ${result.text}`);
        if (this.#failedLogins >= this.#policy.maxFailedLogins)
            this.#close('too many failed logins');
    }
    /** Answers `retrieve`: the message is there, its content follows by messageBytes. */
    beginMessage(sizeBytes) {
        if (this.#encoder === null)
            throw new Error('beginMessage without a retrieve question');
        this.#ok(`${sizeBytes} octets`);
    }
    /** Takes a piece of content as stored; false once no more is wanted (TOP). */
    messageBytes(bytes) {
        if (this.#encoder === null)
            throw new Error('messageBytes without a retrieve question');
        for (const piece of this.#encoder.encode(bytes))
            this.#write(piece);
        return !this.#encoder.done;
    }
    endMessage() {
        this.#write(this.#takeEncoder().end());
    }
    /** Answers `retrieve`: the message cannot be sent. Only before beginMessage. */
    refuseMessage(code) {
        this.#takeEncoder();
        if (code === 'gone')
            this.#refuse('that message has been removed since this session began');
        else
            this.#refuse('[SYS/TEMP] the message cannot be read at the moment, please try again later');
    }
    /** Answers `update`. */
    answerUpdate(result) {
        this.#answering('update');
        if (result === 'done')
            this.#ok('bye');
        else
            this.#refuse('[SYS/TEMP] the deleted messages could not be removed and will be there next time');
        this.#close('quit');
    }
    #takeEncoder() {
        const encoder = this.#encoder;
        if (encoder === null)
            throw new Error('there is no open retrieve question');
        this.#answering('retrieve');
        this.#encoder = null;
        return encoder;
    }
    #answering(question) {
        if (this.#question !== question)
            throw new Error(`there is no open ${question} question`);
        this.#question = 'none';
    }
    #command(text) {
        const space = text.indexOf(' ');
        const keyword = (space < 0 ? text : text.slice(0, space)).toUpperCase();
        const rest = space < 0 ? '' : text.slice(space + 1);
        if (keyword === 'QUIT')
            return rest === '' ? this.#quit() : this.#error('QUIT takes no argument');
        if (keyword === 'CAPA')
            return rest === '' ? this.#capabilities() : this.#error('CAPA takes no argument');
        return this.#maildrop === null
            ? this.#authorization(keyword, rest)
            : this.#transaction(this.#maildrop, keyword, rest.trim());
    }
    #authorization(keyword, rest) {
        if (keyword !== 'USER' && keyword !== 'PASS')
            return this.#error('log in first, with USER and PASS');
        if (!this.#policy.loginAllowed)
            return this.#error(NO_LOGIN_TEXT);
        if (rest === '')
            return this.#error(`${keyword} needs an argument`);
        if (keyword === 'USER') {
            this.#user = rest.trim();
            // The same for every name, so that nobody learns which exist.
            this.#ok('password please');
            return null;
        }
        const user = this.#user;
        if (user === null)
            return this.#error('USER first');
        this.#user = null;
        this.#question = 'login';
        return { type: 'login', user, password: rest };
    }
    #transaction(maildrop, keyword, rest) {
        const words = rest === '' ? [] : rest.split(/ +/);
        const [wanted, allowed] = ARGUMENTS[keyword] ?? [-1, -1];
        if (wanted < 0)
            return this.#error('no such command');
        if (words.length < wanted || words.length > allowed)
            return this.#error(`wrong arguments for ${keyword}`);
        switch (keyword) {
            case 'STAT': {
                const count = maildrop.uids.length - this.#deleted.size;
                return this.#ok(`${count} ${this.#remainingBytes}`);
            }
            case 'NOOP':
                return this.#ok('');
            case 'RSET':
                this.#restore(maildrop);
                return this.#ok(`${maildrop.uids.length} messages`);
            case 'LIST':
                return this.#list(maildrop, words[0], (index) => `${index + 1} ${maildrop.sizesBytes[index]}`);
            case 'UIDL':
                return this.#list(maildrop, words[0], (index) => `${index + 1} ${maildrop.uidValidity}-${maildrop.uids[index]}`);
            default:
                return this.#onMessage(maildrop, keyword, words);
        }
    }
    /** RETR, DELE and TOP. */
    #onMessage(maildrop, keyword, words) {
        const index = this.#index(maildrop, words[0] ?? '');
        if (typeof index === 'string')
            return this.#error(index);
        if (keyword === 'DELE') {
            this.#deleted.add(index);
            this.#remainingBytes -= maildrop.sizesBytes[index] ?? 0;
            return this.#ok(`message ${index + 1} deleted`);
        }
        const lines = words[1];
        if (lines !== undefined && !MESSAGE_NUMBER.test(lines))
            return this.#error('that is not a number of lines');
        const bodyLines = lines === undefined ? null : Number(lines);
        this.#encoder = new MultiLineEncoder(bodyLines);
        this.#question = 'retrieve';
        return { type: 'retrieve', uid: maildrop.uids[index] ?? 0, bodyLines };
    }
    #list(maildrop, number, line) {
        if (number !== undefined) {
            const index = this.#index(maildrop, number);
            return typeof index === 'string' ? this.#error(index) : this.#ok(line(index));
        }
        const count = maildrop.uids.length - this.#deleted.size;
        this.#ok(`${count} messages (${this.#remainingBytes} octets)`);
        this.#listing = { next: 0, line };
        return null;
    }
    /** Writes one step of the listing. */
    #continueListing() {
        const listing = this.#listing;
        const maildrop = this.#maildrop;
        if (listing === null || maildrop === null)
            return;
        let text = '';
        const stop = Math.min(maildrop.uids.length, listing.next + LISTING_STEP);
        while (listing.next < stop && text.length < OUTPUT_LIMIT_BYTES) {
            if (!this.#deleted.has(listing.next))
                text += `${listing.line(listing.next)}\r\n`;
            listing.next += 1;
        }
        if (listing.next >= maildrop.uids.length) {
            text += '.\r\n';
            this.#listing = null;
        }
        this.#write(text);
        this.#yield = listing.next === stop;
    }
    /** Index of a message number, or why there is none. */
    #index(maildrop, number) {
        const index = MESSAGE_NUMBER.test(number) ? Number(number) - 1 : -1;
        if (index < 0 || index >= maildrop.uids.length) {
            return `no such message, there are ${maildrop.uids.length}`;
        }
        return this.#deleted.has(index) ? `message ${index + 1} is deleted` : index;
    }
    /** Nothing is deleted (again). */
    #restore(maildrop) {
        if (this.#deleted.size === 0 && this.#remainingBytes > 0)
            return;
        this.#deleted.clear();
        this.#remainingBytes = maildrop.sizesBytes.reduce((sum, size) => sum + size, 0);
    }
    #capabilities() {
        const login = this.#policy.loginAllowed && this.#maildrop === null ? ['USER'] : [];
        const lines = [
            'TOP',
            'UIDL',
            ...login,
            'PIPELINING',
            'RESP-CODES',
            'AUTH-RESP-CODE',
            'EXPIRE NEVER',
            'IMPLEMENTATION CMail',
        ];
        this.#ok('capabilities follow');
        this.#write(`${lines.join('\r\n')}\r\n.\r\n`);
        return null;
    }
    #quit() {
        const maildrop = this.#maildrop;
        if (maildrop === null || this.#deleted.size === 0) {
            this.#ok('bye');
            this.#close('quit');
            return null;
        }
        this.#question = 'update';
        return { type: 'update', uids: [...this.#deleted].map((index) => maildrop.uids[index] ?? 0) };
    }
    #error(text) {
        this.#refuse(text);
        this.#errors += 1;
        if (this.#errors >= this.#policy.maxErrors)
            this.#close('too many errors');
        return null;
    }
    #close(reason) {
        this.#closing = { type: 'close', reason };
    }
    #ok(text) {
        this.#write(text === '' ? '+OK\r\n' : `+OK ${text}\r\n`);
        return null;
    }
    #refuse(text) {
        // Texts come from outside the session too: one line, within the 512 octets of RFC 1939 §3.
        const line = text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 500);
        this.#write(`-ERR ${line}\r\n`);
    }
    #write(piece) {
        const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
        if (bytes.length === 0)
            return;
        this.#output.push(bytes);
        this.#outputBytes += bytes.length;
    }
}
/** Fewest and most arguments of each command of the TRANSACTION state. */
const ARGUMENTS = {
    STAT: [0, 0],
    NOOP: [0, 0],
    RSET: [0, 0],
    LIST: [0, 1],
    UIDL: [0, 1],
    RETR: [1, 1],
    DELE: [1, 1],
    TOP: [2, 2],
};
