/** How the bytes of a message are written: dot-stuffed for DATA, or as they are for BDAT (RFC 3030 §2). */
export interface BodyEncoder {
  /** Room that `end` needs, in bytes. */
  readonly endBytes: number;
  /**
   * Encodes from `input` into `output` at `offset` until either is used up. Returns the bytes read and
   * written; nothing read means that the output is full (at least two bytes of room always make progress).
   */
  encode(input: Uint8Array, output: Buffer, offset: number): { read: number; written: number };
  /** Writes what stands after the message. Returns the bytes written, at most `endBytes`. */
  end(output: Buffer, offset: number): number;
}

/** The octets of a chunk: their number was said before, so nothing is doubled and nothing marks the end. */
export const CHUNK_ENCODER: BodyEncoder = {
  endBytes: 0,
  encode(input, output, offset) {
    const count = Math.min(input.length, output.length - offset);
    output.set(input.subarray(0, count), offset);
    return { read: count, written: count };
  },
  end: () => 0,
};
