const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const CRLF = Buffer.from('\r\n');
const ONE_DOT = Buffer.from('.');
/**
 * Turns message content into the body of a multi-line response (RFC 1939 §3): a line that begins with a dot
 * gets a second one, `end()` gives the final `.` line. Lines end in CRLF and nothing else, as in the store.
 * With `bodyLines` only the header, the blank line and so many lines of the body pass (TOP, RFC 1939 §7).
 */
export class MultiLineEncoder {
    #bodyLinesLeft;
    #inHeader = true;
    #lineLength = 0;
    #lastByte = LF;
    #beforeLast = CR;
    #done = false;
    constructor(bodyLines) {
        this.#bodyLinesLeft = bodyLines;
    }
    /** True once TOP has all it wants; further content is not needed. */
    get done() {
        return this.#done;
    }
    /** The content as it goes over the wire: pieces of `bytes` and inserted dots. */
    encode(bytes) {
        const pieces = [];
        const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        let sent = 0;
        let at = 0;
        while (at < buffer.length && !this.#done) {
            if (this.#atLineStart() && buffer[at] === DOT) {
                if (at > sent)
                    pieces.push(buffer.subarray(sent, at));
                pieces.push(ONE_DOT);
                sent = at;
            }
            at = this.#takeLine(buffer, at);
        }
        if (at > sent)
            pieces.push(buffer.subarray(sent, at));
        return pieces;
    }
    /** What follows the content: a line end where the content lacks one, then the final dot. */
    end() {
        return this.#atLineStart() ? '.\r\n' : '\r\n.\r\n';
    }
    #atLineStart() {
        return this.#beforeLast === CR && this.#lastByte === LF;
    }
    /** Consumes up to the end of the line at `from`, or of the buffer; returns where it stopped. */
    #takeLine(buffer, from) {
        // A CRLF may be cut between two reads.
        if (this.#lastByte === CR && buffer[from] === LF) {
            this.#advance(buffer, from, from + 1);
            this.#endLine(this.#lineLength - 2);
            return from + 1;
        }
        const end = buffer.indexOf(CRLF, from);
        const stop = end < 0 ? buffer.length : end + 2;
        this.#advance(buffer, from, stop);
        if (end >= 0)
            this.#endLine(this.#lineLength - 2);
        return stop;
    }
    #advance(buffer, from, to) {
        this.#lineLength += to - from;
        this.#beforeLast = to - from > 1 ? (buffer[to - 2] ?? 0) : this.#lastByte;
        this.#lastByte = buffer[to - 1] ?? 0;
    }
    #endLine(length) {
        this.#lineLength = 0;
        if (this.#bodyLinesLeft === null)
            return;
        if (this.#inHeader) {
            if (length > 0)
                return;
            this.#inHeader = false;
        }
        else {
            this.#bodyLinesLeft -= 1;
        }
        this.#done = this.#bodyLinesLeft === 0;
    }
}
