import type { Duplex } from 'node:stream';

const END_MARK = Buffer.from('\r\n.\r\n');

/** Takes command lines and message data off a socket, one asked for at a time. */
export class PeerReader {
  readonly #stream: Duplex;
  #chunks: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #onData = (bytes: Buffer): void => {
    this.#chunks.push(bytes);
    this.#wake?.();
  };
  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('close', this.#onEnd);
  }

  /** Lets go of the stream, for TLS to take over. */
  detach(): void {
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    this.#stream.off('close', this.#onEnd);
  }

  /** The next line without its CRLF; undefined when the connection ended first. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const held = this.#gather();
      const end = held.indexOf('\r\n');
      if (end >= 0) {
        this.#chunks = end + 2 < held.length ? [held.subarray(end + 2)] : [];
        return held.toString('utf8', 0, end);
      }
      if (!(await this.#more())) return undefined;
    }
  }

  /** Message data up to the end mark, dots unstuffed; undefined when the connection ended first. */
  async message(): Promise<Buffer | undefined> {
    // The mark counts from the CRLF of the DATA line (RFC 5321 §4.1.1.4): an empty message is `.` alone.
    this.#chunks.unshift(Buffer.from('\r\n'));
    let searched = 0;
    for (;;) {
      const at = this.#find(searched);
      if (at >= 0) {
        const held = this.#gather();
        const rest = held.subarray(at + END_MARK.length);
        this.#chunks = rest.length > 0 ? [rest] : [];
        return unstuffed(held.subarray(2, at + 2));
      }
      searched = this.#chunks.length;
      if (!(await this.#more())) return undefined;
    }
  }

  /** Exactly so many bytes; undefined when the connection ended first. */
  async octets(count: number): Promise<Buffer | undefined> {
    while (this.#heldBytes() < count) if (!(await this.#more())) return undefined;
    const held = Buffer.concat(this.#chunks);
    this.#chunks = count < held.length ? [held.subarray(count)] : [];
    return held.subarray(0, count);
  }

  #heldBytes(): number {
    return this.#chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** Position of the end mark in all that is held; looks only from the end of chunk `from` - 1 on. */
  #find(from: number): number {
    let skipped = 0;
    for (const chunk of this.#chunks.slice(0, Math.max(0, from - END_MARK.length))) skipped += chunk.length;
    const part = Buffer.concat(this.#chunks.slice(Math.max(0, from - END_MARK.length)));
    const at = part.indexOf(END_MARK);
    return at < 0 ? -1 : skipped + at;
  }

  #gather(): Buffer {
    const held = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = held.length > 0 ? [held] : [];
    return held;
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    const before = this.#chunks.length;
    await new Promise<void>((done) => {
      this.#wake = done;
    });
    this.#wake = undefined;
    return this.#chunks.length > before || !this.#ended;
  }
}

function unstuffed(data: Buffer): Buffer {
  if (!data.includes('\r\n.') && data[0] !== 0x2e) return data;
  return Buffer.from(data.toString('latin1').replace(/(^|\r\n)\./g, '$1'), 'latin1');
}
