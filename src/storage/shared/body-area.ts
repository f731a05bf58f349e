/** Bodies being received: their bytes on the main thread until the writer has committed them. */
import { type BodyWriter, HANDED_ON_LIMIT_BYTES, StorageError } from '../contract.ts';
import { PAGE_BYTES, PagePool, Payload } from './pages.ts';
import { CHUNK_BYTES } from './rows.ts';

/** Waiters are woken while this much is free, so that an append of one chunk then succeeds. */
const RESUME_BYTES = HANDED_ON_LIMIT_BYTES - CHUNK_BYTES;
/** When this much lies in chunks not yet full, they are sent as they are: else slow sessions could fill the area for ever. */
const EARLY_FLUSH_BYTES = HANDED_ON_LIMIT_BYTES / 8;
/** A chunk's key has 24 bits for its number. */
const MAX_CHUNKS = 2 ** 24;

export interface BodyPorts {
  nextId(): number;
  putChunk(bodyId: number, n: number, payload: Payload): Promise<unknown>;
  dropBody(bodyId: number): void;
}

/** The last part of a body, on its way with the message that owns it. */
export interface Tail {
  readonly bodyId: number | null;
  readonly storedChunks: number;
  readonly sizeBytes: number;
  readonly payload: Payload;
}

/** Counts the bytes handed on by all bodies and holds them to `HANDED_ON_LIMIT_BYTES`. */
export class BodyArea {
  readonly ports: BodyPorts;
  readonly pages = new PagePool();
  #handedOn = 0;
  #unsent = 0;
  readonly #open = new Set<PendingBody>();
  #waiters: (() => void)[] = [];
  #wakeQueued = false;

  constructor(ports: BodyPorts) {
    this.ports = ports;
  }

  get handedOnBytes(): number {
    return this.#handedOn;
  }

  openWriter(): PendingBody {
    return new PendingBody(this);
  }

  /** Resolves when an append of up to one chunk will be taken; those who waited longest go first. */
  drained(): Promise<void> {
    if (this.#handedOn <= RESUME_BYTES && this.#waiters.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      this.#wake();
    });
  }

  /** False when there is no room for `bytes` more. */
  reserve(body: PendingBody, bytes: number): boolean {
    if (this.#handedOn > RESUME_BYTES && this.#handedOn + bytes > HANDED_ON_LIMIT_BYTES) return false;
    this.#handedOn += bytes;
    this.#unsent += bytes;
    this.#open.add(body);
    return true;
  }

  /** Bytes of a body left for the writer thread. */
  sent(bytes: number): void {
    this.#unsent -= bytes;
  }

  /** Bytes sent are on disk, or given up. */
  release(bytes: number): void {
    this.#handedOn -= bytes;
    this.#wake();
  }

  forget(body: PendingBody): void {
    this.#open.delete(body);
  }

  relievePressure(): void {
    if (this.#handedOn <= HANDED_ON_LIMIT_BYTES / 2 || this.#unsent <= EARLY_FLUSH_BYTES) return;
    for (const body of this.#open) body.flush();
  }

  #wake(): void {
    if (this.#wakeQueued || this.#waiters.length === 0 || this.#handedOn > RESUME_BYTES) return;
    this.#wakeQueued = true;
    // A few at a time: each may take up to a chunk before the next is asked.
    setImmediate(() => {
      this.#wakeQueued = false;
      const room = Math.floor((HANDED_ON_LIMIT_BYTES - this.#handedOn) / CHUNK_BYTES);
      for (const resolve of this.#waiters.splice(0, Math.max(0, room))) resolve();
      this.#wake();
    });
  }
}

/** One body being received. */
export class PendingBody implements BodyWriter {
  readonly #area: BodyArea;
  #pages: Uint8Array[] = [];
  /** Bytes in the pages. */
  #used = 0;
  #sizeBytes = 0;
  #bodyId: number | null = null;
  #chunks = 0;
  #ended = false;
  #failure: StorageError | null = null;

  constructor(area: BodyArea) {
    this.#area = area;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  append(bytes: Uint8Array): boolean {
    // A body that cannot be stored takes and drops what comes; `accept` will say why.
    if (this.#ended || this.#failure !== null) return true;
    if (!this.#area.reserve(this, bytes.byteLength)) return false;
    this.#sizeBytes += bytes.byteLength;
    for (let from = 0; from < bytes.byteLength; ) {
      const filled = this.#used % PAGE_BYTES;
      if (filled === 0) this.#pages.push(this.#area.pages.take());
      const count = Math.min(bytes.byteLength - from, PAGE_BYTES - filled);
      this.#pages.at(-1)?.set(bytes.subarray(from, from + count), filled);
      this.#used += count;
      from += count;
      if (this.#used === CHUNK_BYTES) this.flush();
    }
    this.#area.relievePressure();
    return true;
  }

  abort(): void {
    if (this.#ended) return;
    this.#end();
    this.#dropUnsent();
    this.drop();
  }

  /** Sends what is here as a chunk of its own. */
  flush(): void {
    const size = this.#used;
    if (size === 0) return;
    if (this.#chunks === MAX_CHUNKS) {
      this.#fail(new StorageError('limit', `a body has at most ${MAX_CHUNKS} chunks`));
      return;
    }
    try {
      this.#bodyId ??= this.#area.ports.nextId();
    } catch (error) {
      this.#fail(error instanceof StorageError ? error : new StorageError('internal', String(error)));
      return;
    }
    const payload = this.#take();
    this.#area.ports.putChunk(this.#bodyId, this.#chunks++, payload).then(
      () => this.#area.release(size),
      (error: StorageError) => {
        this.#area.release(size);
        this.#fail(error);
      },
    );
  }

  /** Ends the body and hands over what was not sent yet; the caller releases its bytes. Throws when it cannot be stored. */
  finish(): Tail {
    if (this.#ended) throw new StorageError('internal', 'the body was accepted or aborted before');
    if (this.#failure !== null) {
      const reason = this.#failure;
      this.abort();
      throw reason;
    }
    this.#end();
    return {
      bodyId: this.#bodyId,
      storedChunks: this.#chunks,
      sizeBytes: this.#sizeBytes,
      payload: this.#take(),
    };
  }

  /** Has the chunks already written swept. */
  drop(): void {
    if (this.#bodyId !== null) this.#area.ports.dropBody(this.#bodyId);
  }

  #end(): void {
    this.#ended = true;
    this.#area.forget(this);
  }

  #fail(error: StorageError): void {
    this.#failure ??= error;
    this.#dropUnsent();
  }

  #dropUnsent(): void {
    const payload = this.#take();
    payload.release();
    if (payload.sizeBytes > 0) this.#area.release(payload.sizeBytes);
  }

  #take(): Payload {
    const payload = new Payload(this.#area.pages, this.#pages, this.#used);
    this.#area.sent(this.#used);
    this.#pages = [];
    this.#used = 0;
    return payload;
  }
}
