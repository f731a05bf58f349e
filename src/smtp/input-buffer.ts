const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');

/** Bytes received and not consumed yet. They are kept without copying, so they must not change meanwhile. */
export class InputBuffer {
  #bytes: Buffer = EMPTY;
  #at = 0;

  get length(): number {
    return this.#bytes.length - this.#at;
  }

  receive(bytes: Buffer): void {
    this.#bytes = this.length === 0 ? bytes : Buffer.concat([this.#bytes.subarray(this.#at), bytes]);
    this.#at = 0;
  }

  /** The next line without its CRLF; null while it has not all come. `limitBytes` counts the CRLF. */
  takeLine(limitBytes: number): Buffer | null | 'too-long' {
    const end = this.#bytes.indexOf(CRLF, this.#at);
    const lengthBytes = (end === -1 ? this.#bytes.length : end) - this.#at;
    if (end === -1 && lengthBytes <= limitBytes - 1) {
      this.#shrink();
      return null;
    }
    if (lengthBytes + CRLF.length > limitBytes) return 'too-long';
    const line = this.take(lengthBytes);
    this.take(CRLF.length);
    return line;
  }

  /** Drops what is left of a line, with its CRLF; false while that has not come. */
  dropLine(): boolean {
    const end = this.#bytes.indexOf(CRLF, this.#at);
    if (end !== -1) {
      this.take(end - this.#at + CRLF.length);
      return true;
    }
    const splitCrlf = this.length > 0 && this.#bytes.at(-1) === CRLF[0];
    this.clear();
    if (splitCrlf) this.receive(CRLF.subarray(0, 1));
    return false;
  }

  /** What was not consumed yet, at most so much of it, taken out. */
  take(limitBytes = Number.POSITIVE_INFINITY): Buffer {
    const end = Math.min(this.#bytes.length, this.#at + limitBytes);
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    if (end === this.#bytes.length) this.clear();
    return bytes;
  }

  /** Gives back the end of what was taken last. */
  putBack(rest: Buffer): void {
    if (this.length === 0) {
      this.#bytes = rest;
      this.#at = 0;
    } else if (rest.length <= this.#at) {
      this.#at -= rest.length;
    } else {
      // Something was received since, so that what was taken no longer stands in front of the input.
      this.#bytes = Buffer.concat([rest, this.take()]);
      this.#at = 0;
    }
  }

  /** Keeps what is left in memory of its own, not the whole read it came in. */
  #shrink(): void {
    this.#bytes = this.length === 0 ? EMPTY : Buffer.from(this.#bytes.subarray(this.#at));
    this.#at = 0;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#at = 0;
  }
}
