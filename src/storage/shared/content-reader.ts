import { type BodyReader, StorageError } from '../contract.ts';
import type { In, Out, ReadOps, StoredContent } from './operations.ts';

/** Has an engine carry out one read. */
export type Read = <K extends keyof ReadOps>(type: K, input: In<ReadOps, K>) => Promise<Out<ReadOps, K>>;

/** A stored body with the lines in front of it; one chunk is in memory at a time. */
export class ContentReader implements BodyReader {
  readonly sizeBytes: number;
  readonly #read: Read;
  readonly #content: StoredContent;
  readonly #header: Buffer;

  constructor(read: Read, content: StoredContent) {
    this.#read = read;
    this.#content = content;
    this.#header = Buffer.from(content.header);
    this.sizeBytes = this.#header.byteLength + content.bodySizeBytes;
  }

  async *chunks(fromByte = 0): AsyncGenerator<Uint8Array> {
    const headerBytes = this.#header.byteLength;
    if (fromByte < headerBytes) yield this.#header.subarray(fromByte);
    const { bodyId, chunks } = this.#content;
    const at = Math.max(0, fromByte - headerBytes);
    const { n, start } = at === 0 ? { n: 0, start: 0 } : await this.#read('findChunk', { bodyId, at });
    for (let chunk = n; chunk < chunks; chunk++) {
      const data = await this.#read('chunk', { bodyId, n: chunk });
      if (data === null)
        throw new StorageError('not-found', 'the message was deleted while it was being read');
      yield chunk === n ? data.subarray(at - start) : data;
    }
  }
}
