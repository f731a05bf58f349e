/**
 * The control socket speaks lines of JSON: `{op, args, author}` and then `{ok: true, result}` or
 * `{ok: false, error}`, one at a time. Who may open the socket (mode 0600) may do everything.
 */
import { z } from 'zod';
/** Longest request: a settings file with room for its JSON escapes. */
export const REQUEST_BYTES = 1024 * 1024;
/** Longest response; lists come in pages that stay far below it. */
export const RESPONSE_BYTES = 32 * 1024 * 1024;
export const requestSchema = z.strictObject({
    op: z.string().max(100),
    args: z.unknown(),
    author: z.string().min(1).max(100),
});
const NEWLINE = 0x0a;
/** Cuts a byte stream into lines of at most `maxBytes`. */
export class LineReader {
    #maxBytes;
    #parts = [];
    #bytes = 0;
    constructor(maxBytes) {
        this.#maxBytes = maxBytes;
    }
    /** The lines completed by these bytes; null when one grew past the limit. */
    push(bytes) {
        const lines = [];
        let start = 0;
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
            if (!this.#keep(bytes.subarray(start, end)))
                return null;
            lines.push(Buffer.concat(this.#parts).toString('utf8'));
            this.#parts = [];
            this.#bytes = 0;
            start = end + 1;
        }
        return this.#keep(bytes.subarray(start)) ? lines : null;
    }
    #keep(part) {
        this.#bytes += part.length;
        if (this.#bytes > this.#maxBytes)
            return false;
        if (part.length > 0)
            this.#parts.push(part);
        return true;
    }
}
