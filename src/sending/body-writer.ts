/** The message bytes of a transaction on their way to the socket. */
import type { Settings } from '../settings/values.ts';
import type { BodyEncoder } from '../smtp/body-encoder.ts';

/** A session in which nothing completes for this long is closed, whatever the waits are set to. */
export const NO_PROGRESS_MS = 30 * 60_000;

/** Asked anew for each block, so that a change acts at once. */
type BodyWriterSettings = () => Pick<Settings, 'timeouts' | 'bufferSizeBytes' | 'minDataRate'>;

/**
 * Writes a message through one buffer of `bufferSizeBytes` that is filled again only when the system has
 * taken it, and keeps the waits of data: one for each block, and the average rate. What the buffer holds last is
 * written by `end` only, so that a chunk is never complete before.
 */
export class BodyWriter {
  readonly #encoder: BodyEncoder;
  readonly #settings: BodyWriterSettings;
  readonly #rateGraceMs: number;
  readonly #write: (bytes: Uint8Array, waitMs: number) => Promise<boolean>;
  readonly #buffer: Buffer;
  #filled = 0;
  #writtenBytes = 0;
  #waitedMs = 0;

  constructor(
    encoder: BodyEncoder,
    settings: BodyWriterSettings,
    rateGraceMs: number,
    write: (bytes: Uint8Array, waitMs: number) => Promise<boolean>,
  ) {
    this.#encoder = encoder;
    this.#settings = settings;
    this.#rateGraceMs = rateGraceMs;
    this.#write = write;
    this.#buffer = Buffer.allocUnsafe(settings().bufferSizeBytes);
  }

  /** False when there is no more use in going on. */
  async take(chunk: Uint8Array): Promise<boolean> {
    let from = 0;
    while (from < chunk.length) {
      const { read, written } = this.#encoder.encode(chunk.subarray(from), this.#buffer, this.#filled);
      from += read;
      this.#filled += written;
      if (from < chunk.length && !(await this.#flush())) return false;
    }
    return true;
  }

  /** Writes what stands in the way of the end, so that `end` is one write. */
  async makeRoomForEnd(): Promise<boolean> {
    return this.#buffer.length - this.#filled >= this.#encoder.endBytes || this.#flush();
  }

  /** The end, after which nothing can be taken back. */
  async end(): Promise<boolean> {
    this.#filled += this.#encoder.end(this.#buffer, this.#filled);
    return this.#flush();
  }

  async #flush(): Promise<boolean> {
    const { timeouts, minDataRate } = this.#settings();
    // Only our waiting for the peer counts, not the time our own disk took.
    const rateLimitMs = Math.max(this.#rateGraceMs, (this.#writtenBytes / Math.max(minDataRate, 1)) * 1000);
    const waitMs = Math.max(1, Math.min(timeouts.dataBlockMs, rateLimitMs - this.#waitedMs, NO_PROGRESS_MS));
    const startedAt = performance.now();
    const written = await this.#write(this.#buffer.subarray(0, this.#filled), waitMs);
    this.#waitedMs += performance.now() - startedAt;
    this.#writtenBytes += this.#filled;
    this.#filled = 0;
    return written;
  }
}
