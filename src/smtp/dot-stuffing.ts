/** Dot-stuffing of a message on its way out (RFC 5321 §4.5.2), chunk by chunk into one fixed buffer. */
import type { BodyEncoder } from './body-encoder.ts';

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const LINE_START_DOT = Buffer.from('\r\n.');

/** Room `DotStuffer.end` needs: CRLF and the final `.` CRLF. */
export const END_OF_DATA_BYTES = 5;

export class DotStuffer implements BodyEncoder {
  readonly endBytes = END_OF_DATA_BYTES;
  /** How much of CRLF was written last; a message begins as after one. */
  #seen: 'nothing' | 'cr' | 'crlf' = 'crlf';

  encode(input: Uint8Array, output: Buffer, offset: number): { read: number; written: number } {
    const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
    let read = 0;
    let at = offset;
    while (read < source.length && at < output.length) {
      if (this.#seen === 'crlf' && source[read] === DOT) {
        if (output.length - at < 2) break;
        output[at++] = DOT;
        output[at++] = DOT;
        read += 1;
        this.#seen = 'nothing';
        continue;
      }
      const count = Math.min(this.#plainLength(source, read), output.length - at);
      source.copy(output, at, read, read + count);
      this.#remember(source, read, count);
      read += count;
      at += count;
    }
    return { read, written: at - offset };
  }

  /** Writes the end of data, with the CRLF a last line lacks. */
  end(output: Buffer, offset: number): number {
    return output.write(this.#seen === 'crlf' ? '.\r\n' : '\r\n.\r\n', offset, 'latin1');
  }

  /** Bytes from `from` on that can be copied before a dot may have to be doubled. */
  #plainLength(source: Buffer, from: number): number {
    // A CRLF that began in the chunk before this one is not seen by the search below.
    if (this.#seen === 'cr' && source[from] === LF) return 1;
    const found = source.indexOf(LINE_START_DOT, from);
    return found < 0 ? source.length - from : found + 2 - from;
  }

  #remember(source: Buffer, from: number, count: number): void {
    const last = source[from + count - 1];
    const before = count > 1 ? source[from + count - 2] : this.#seen === 'cr' ? CR : undefined;
    if (last === LF && before === CR) this.#seen = 'crlf';
    else this.#seen = last === CR ? 'cr' : 'nothing';
  }
}
