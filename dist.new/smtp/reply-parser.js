/** RFC 5321 §4.5.3.1.5 asks for 512; some peers write more. */
const MAX_LINE_BYTES = 4096;
const MAX_LINES = 200;
/** Unread bytes of pipelined replies: one read of the runtime and a line. */
const MAX_HELD_BYTES = 128 * 1024;
const REPLY_LINE = /^([2-5][0-9]{2})(?:([ -])(.*))?$/s;
const ENHANCED = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|$)/;
/**
 * Push bytes, then call `next` until it gives null (more bytes are needed) or `malformed` (not SMTP, or a
 * limit is passed; it stays so). Lines may end in LF alone: peers do that, and nothing hangs on it here.
 */
export class ReplyParser {
    #held = Buffer.alloc(0);
    #code = '';
    #lines = [];
    #malformed = false;
    get heldBytes() {
        return this.#held.length;
    }
    push(bytes) {
        if (this.#malformed)
            return;
        this.#held = this.#held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
        if (this.#held.length > MAX_HELD_BYTES)
            this.#giveUp();
    }
    next() {
        for (;;) {
            if (this.#malformed)
                return 'malformed';
            const end = this.#held.indexOf(0x0a);
            if (end > MAX_LINE_BYTES || (end < 0 && this.#held.length > MAX_LINE_BYTES))
                return this.#giveUp();
            if (end < 0)
                return null;
            const line = this.#held.toString('utf8', 0, end).replace(/\r$/, '');
            this.#held = this.#held.subarray(end + 1);
            const parts = REPLY_LINE.exec(line);
            const code = parts?.[1] ?? '';
            if (parts === null || (this.#lines.length > 0 && code !== this.#code))
                return this.#giveUp();
            this.#code = code;
            this.#lines.push(cleanText(parts[3] ?? ''));
            if (this.#lines.length > MAX_LINES)
                return this.#giveUp();
            if (parts[2] === '-')
                continue;
            const lines = this.#lines;
            this.#lines = [];
            return makeReply(Number(code), lines);
        }
    }
    /** Forgets all that came: after STARTTLS nothing said before counts (RFC 3207 §4.2). */
    clear() {
        this.#held = Buffer.alloc(0);
        this.#lines = [];
    }
    #giveUp() {
        this.#malformed = true;
        this.clear();
        return 'malformed';
    }
}
/** A peer's words may end up in a log, a notice or on a page: no control characters. */
function cleanText(text) {
    return text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
}
function makeReply(code, lines) {
    const enhanced = ENHANCED.exec(lines[0] ?? '')?.[1];
    // RFC 2034 §3: none in a greeting or a 3yz reply; one of another class than the code is only words.
    if (enhanced === undefined || code === 220 || Number(enhanced[0]) !== Math.floor(code / 100)) {
        return { code, lines };
    }
    return { code, enhanced, lines: lines.map((line) => withoutPrefix(line, enhanced)) };
}
function withoutPrefix(line, enhanced) {
    const found = ENHANCED.exec(line);
    return found?.[1] === enhanced ? line.slice(found[0].length) : line;
}
