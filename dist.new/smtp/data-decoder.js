import { isAscii } from 'node:buffer';
const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
/*
 * The places in a run of text where something must be decided: a dot that begins a line, a CR or LF that is
 * not part of CRLF (a CR that ends the run among them, its LF may come yet). One compiled expression over a
 * whole read is several times faster than a loop over bytes or a native search for each line.
 */
const DOTTED_EVENT = /\r\n\.|\r(?!\n)|(?<!\r)\n/g;
const CHUNKED_EVENT = /\r(?!\n)|(?<!\r)\n/g;
/**
 * Turns what a client sends after DATA or in BDAT chunks into message content: finds the end mark
 * CRLF.CRLF and nothing else, removes the dots of transparency (RFC 5321 §4.5.2), and refuses or repairs CR
 * and LF outside CRLF. Only CRLF begins a line, so a dot after a repaired newline is content and stays.
 *
 * Use: `write` bytes, `read` pieces until null, again. Pieces are views of the bytes written.
 */
export class DataDecoder {
    /** The end mark was read (`dotted` only); what follows it is `takeRest()`. */
    finished = false;
    /** Content so far, dots and end mark not counted; exact also when it is refused. */
    sizeBytes = 0;
    /** A piece had a byte above 127. */
    eightBit = false;
    /** A CR or LF outside CRLF was met. */
    bareNewline = false;
    #dotted;
    #normalise;
    #bytes = EMPTY;
    #text = '';
    #at = 0;
    #state = 'line-start';
    constructor(framing, bareNewline) {
        this.#dotted = framing === 'dotted';
        this.#normalise = bareNewline === 'normalise';
    }
    /** A bare newline was met and is not to be repaired: no more pieces come, only the end is sought. */
    get refused() {
        return this.bareNewline && !this.#normalise;
    }
    /** Bytes written and not yet read. */
    get pendingBytes() {
        return this.#bytes.length - this.#at;
    }
    /** Takes the next bytes without copying; those before must have been read. */
    write(bytes) {
        this.#bytes = bytes;
        this.#text = bytes.toString('latin1');
        this.#at = 0;
    }
    /** The next piece of content, or null when more bytes are needed or the message has ended. */
    read() {
        while (!this.finished && this.#at < this.#bytes.length) {
            const piece = this.#state === 'text' ? this.#readText() : this.#readByte();
            if (this.#count(piece))
                return piece;
        }
        if (!this.finished)
            this.#release();
        return null;
    }
    /**
     * The end of the last chunk (`chunked` only). Returns what the content lacks: a CR held back, or the CRLF
     * of a last line without one, since neither a mailbox nor DATA can carry such a line.
     */
    finish() {
        if (this.#state === 'line-start')
            return null;
        if (this.#state === 'cr')
            this.bareNewline = true;
        this.#state = 'line-start';
        return this.#count(CRLF) ? CRLF : null;
    }
    /** The bytes after the end mark. */
    takeRest() {
        const rest = this.#bytes.subarray(this.#at);
        this.#release();
        return rest;
    }
    #release() {
        this.#bytes = EMPTY;
        this.#text = '';
        this.#at = 0;
    }
    /** Counts a piece; true when there is something to hand on. */
    #count(piece) {
        if (piece.length === 0)
            return false;
        this.sizeBytes += piece.length;
        if (this.refused)
            return false;
        if (!this.eightBit)
            this.eightBit = !isAscii(piece);
        return true;
    }
    /** One step in a state that depends on the very next byte. */
    #readByte() {
        const byte = this.#bytes[this.#at];
        if (this.#state === 'line-start')
            return this.#enter(byte === DOT && this.#dotted ? 'dot' : null);
        if (this.#state === 'dot')
            return this.#enter(byte === CR ? 'dot-cr' : null);
        if (byte !== LF)
            return this.#bareNewline();
        this.#at += 1;
        if (this.#state === 'cr') {
            this.#state = 'line-start';
            return CRLF;
        }
        this.finished = true;
        return EMPTY;
    }
    /** Consumes the byte into `state`, or with null leaves it to be read as text. */
    #enter(state) {
        if (state !== null)
            this.#at += 1;
        this.#state = state ?? 'text';
        return EMPTY;
    }
    /** Text up to the next event, or the event at the present place. */
    #readText() {
        const start = this.#at;
        const event = this.#dotted ? DOTTED_EVENT : CHUNKED_EVENT;
        event.lastIndex = start;
        if (!event.test(this.#text)) {
            this.#at = this.#bytes.length;
            // A bare LF would have been an event, so this one ends a CRLF.
            if (this.#bytes[this.#at - 1] === LF)
                this.#state = 'line-start';
            return this.#bytes.subarray(start);
        }
        const end = event.lastIndex;
        const last = this.#bytes[end - 1];
        if (last === DOT) {
            this.#at = end;
            this.#state = 'dot';
            return this.#bytes.subarray(start, end - 1);
        }
        this.#at = end - 1;
        if (last === CR && end === this.#bytes.length) {
            this.#at = end;
            this.#state = 'cr';
        }
        else if (this.#at === start) {
            this.#at = end;
            return this.#bareNewline();
        }
        return this.#bytes.subarray(start, end - 1);
    }
    /** A CR or LF alone: the newline that stands for it, for `#count` alone when it is refused. */
    #bareNewline() {
        this.bareNewline = true;
        // In DATA a dot after it must not be taken for transparency; in BDAT it only ends the line.
        this.#state = this.#dotted ? 'text' : 'line-start';
        return this.#normalise ? CRLF : CRLF.subarray(1);
    }
}
