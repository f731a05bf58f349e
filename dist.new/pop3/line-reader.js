const LF = 0x0a;
const CR = 0x0d;
/**
 * Cuts a byte stream into command lines. Lines end in CRLF; a bare LF is taken too, since commands carry
 * nothing that could be smuggled. At most one unfinished line up to the limit is kept between reads.
 */
export class LineReader {
    #limitBytes;
    #pending = Buffer.alloc(0);
    #discarding = false;
    /** `limitBytes` counts the line end. */
    constructor(limitBytes) {
        this.#limitBytes = limitBytes;
    }
    /** Bytes held and not yet consumed. */
    get pendingBytes() {
        return this.#pending.length;
    }
    receive(bytes) {
        // A copy: the unfinished line outlives the buffer it came in.
        this.#pending = Buffer.concat([this.#pending, bytes]);
    }
    /** The next whole line, or null when more bytes are needed. */
    next() {
        const end = this.#pending.indexOf(LF);
        if (end < 0) {
            if (this.#discarding || this.#pending.length >= this.#limitBytes) {
                this.#discarding = true;
                this.#pending = Buffer.alloc(0);
            }
            return null;
        }
        const tooLong = this.#discarding || end + 1 > this.#limitBytes;
        const textEnd = end > 0 && this.#pending[end - 1] === CR ? end - 1 : end;
        const text = tooLong ? '' : this.#pending.toString('utf8', 0, textEnd);
        const rest = this.#pending.subarray(end + 1);
        // An empty piece would keep the whole read it was cut from.
        this.#pending = rest.length === 0 ? Buffer.alloc(0) : rest;
        this.#discarding = false;
        return tooLong ? { tooLong: true } : { text };
    }
    clear() {
        this.#pending = Buffer.alloc(0);
    }
}
