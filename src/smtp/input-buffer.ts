const EMPTY = Buffer.alloc(0);

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

  /** How far away `what` is; -1 when it is not there. */
  distanceTo(what: Buffer): number {
    const found = this.#bytes.indexOf(what, this.#at);
    return found === -1 ? -1 : found - this.#at;
  }

  endsWith(byte: number): boolean {
    return this.length > 0 && this.#bytes.at(-1) === byte;
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
  shrink(): void {
    this.#bytes = this.length === 0 ? EMPTY : Buffer.from(this.#bytes.subarray(this.#at));
    this.#at = 0;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#at = 0;
  }
}
