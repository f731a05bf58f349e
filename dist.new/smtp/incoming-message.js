import { DataDecoder } from './data-decoder.js';
import { BARE_NEWLINE, TOO_LARGE } from './receiver-replies.js';
/** A message while its bytes come: what it holds, and whether it is already known to be refused. */
export class IncomingMessage {
    #decoder;
    #limitBytes = Number.POSITIVE_INFINITY;
    #tooLarge = false;
    constructor(chunking, policy) {
        this.#decoder = new DataDecoder(chunking ? 'chunked' : 'dotted', policy.bareNewline);
        this.limit(policy);
    }
    /** Takes over the size limit in force now; `announcedBytes` are about to come (BDAT). */
    limit(policy, announcedBytes = 0) {
        this.#limitBytes = sizeLimit(policy);
        this.#checkSize(announcedBytes);
    }
    get sizeBytes() {
        return this.#decoder.sizeBytes;
    }
    get eightBit() {
        return this.#decoder.eightBit;
    }
    /** The end mark of DATA was read; `takeRest()` has what follows it. */
    get finished() {
        return this.#decoder.finished;
    }
    get tooLarge() {
        return this.#tooLarge;
    }
    get pendingBytes() {
        return this.#decoder.pendingBytes;
    }
    /** Why the message is refused, or null. Size comes first, so that it does not matter which showed first. */
    get failure() {
        if (this.#tooLarge)
            return TOO_LARGE;
        return this.#decoder.refused ? BARE_NEWLINE : null;
    }
    write(bytes) {
        this.#decoder.write(bytes);
    }
    /** The next piece to hand on; null when all that was written is used up, or nothing of it is wanted. */
    read() {
        for (;;) {
            const piece = this.#decoder.read();
            this.#checkSize(0);
            if (piece === null || this.failure === null)
                return piece;
        }
    }
    /** The end of the last chunk: what is left to hand on. */
    finish() {
        const piece = this.#decoder.finish();
        this.#checkSize(0);
        return this.failure === null ? piece : null;
    }
    takeRest() {
        return this.#decoder.takeRest();
    }
    #checkSize(announcedBytes) {
        if (this.#decoder.sizeBytes + announcedBytes > this.#limitBytes)
            this.#tooLarge = true;
    }
}
/** The largest message taken; Infinity without a limit. */
export function sizeLimit(policy) {
    return policy.maxMessageBytes === 0 ? Number.POSITIVE_INFINITY : policy.maxMessageBytes;
}
