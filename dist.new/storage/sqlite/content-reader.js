import { StorageError } from '../contract.js';
/** A stored body with the lines in front of it; one chunk is in memory at a time. */
export class ContentReader {
    sizeBytes;
    #reader;
    #content;
    #header;
    constructor(reader, content) {
        this.#reader = reader;
        this.#content = content;
        this.#header = Buffer.from(content.header);
        this.sizeBytes = this.#header.byteLength + content.bodySizeBytes;
    }
    async *chunks(fromByte = 0) {
        const headerBytes = this.#header.byteLength;
        if (fromByte < headerBytes)
            yield this.#header.subarray(fromByte);
        const { bodyId, chunks } = this.#content;
        const at = Math.max(0, fromByte - headerBytes);
        const { n, start } = at === 0 ? { n: 0, start: 0 } : await this.#reader.run('findChunk', { bodyId, at });
        for (let chunk = n; chunk < chunks; chunk++) {
            const data = await this.#reader.run('chunk', { bodyId, n: chunk });
            if (data === null)
                throw new StorageError('not-found', 'the message was deleted while it was being read');
            yield chunk === n ? data.subarray(at - start) : data;
        }
    }
}
