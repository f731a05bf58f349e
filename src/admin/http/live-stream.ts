/** `GET live`: the dashboard's state as server-sent events (HTML Living Standard §9.2), for a bounded number of readers. */
import { HttpProblem } from './problem.ts';
import { SECURITY_HEADERS } from './static-files.ts';

export const MAX_STREAMS = 32;
/** A reader this far behind is disconnected; its browser connects again and gets the whole state. */
export const MAX_UNSENT_BYTES = 256 * 1024;
const EVERY_MS = 2_000;
/** Sent when nothing changed, so that both sides notice a dead connection. */
const KEEP_ALIVE_MS = 15_000;

export interface LiveOptions {
  /** The whole state. */
  readonly read: () => Promise<object>;
  /** Whether the caller may still see it; asked from time to time. */
  readonly everyMs?: number;
}

interface Reader {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  readonly allowed: () => Promise<boolean>;
  sentAtMs: number;
}

/** Reads the state once for all readers. */
export class LiveStreams {
  readonly #options: LiveOptions;
  readonly #readers = new Set<Reader>();
  #timer: NodeJS.Timeout | undefined;
  #last = '';
  #closed = false;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#readers.size;
  }

  /** Rejects with an `HttpProblem` 503 when there are too many. `allowed` ends the stream when it says no. */
  async open(allowed: () => Promise<boolean>): Promise<Response> {
    if (this.#readers.size >= MAX_STREAMS || this.#closed) {
      throw new HttpProblem({
        status: 503,
        detail: `there are ${MAX_STREAMS} live views open already`,
        mend: 'Close one.',
        headers: { 'retry-after': '10' },
      });
    }
    const first = eventOf(await this.#options.read());
    let reader: Reader | undefined;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          reader = { controller, allowed, sentAtMs: Date.now() };
          this.#readers.add(reader);
          controller.enqueue(bytesOf(`retry: 3000\n${first}`));
          this.#tickSoon();
        },
        cancel: () => {
          if (reader !== undefined) this.#readers.delete(reader);
        },
      },
      { highWaterMark: MAX_UNSENT_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    return new Response(stream, {
      headers: {
        ...SECURITY_HEADERS,
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      },
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const reader of this.#readers) this.#end(reader);
  }

  #tickSoon(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#tick().finally(() => {
        this.#timer = undefined;
        if (this.#readers.size > 0) this.#tickSoon();
      });
    }, this.#options.everyMs ?? EVERY_MS);
  }

  async #tick(): Promise<void> {
    let event = '';
    let key = '';
    try {
      const state = await this.#options.read();
      event = eventOf(state);
      key = JSON.stringify({ ...state, at: null });
    } catch {
      // The store has trouble; the readers keep what they have until it is well.
      return;
    }
    const changed = key !== this.#last;
    this.#last = key;
    const now = Date.now();
    for (const reader of [...this.#readers]) {
      const due = now - reader.sentAtMs >= KEEP_ALIVE_MS;
      if (!changed && !due) continue;
      if (!(await reader.allowed().catch(() => false))) this.#end(reader);
      else this.#send(reader, event, now);
    }
  }

  #send(reader: Reader, event: string, now: number): void {
    const bytes = bytesOf(event);
    // `desiredSize` is what is left of the bound; null once the stream is broken.
    if ((reader.controller.desiredSize ?? 0) < bytes.byteLength) {
      this.#end(reader);
      return;
    }
    reader.controller.enqueue(bytes);
    reader.sentAtMs = now;
  }

  #end(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    try {
      reader.controller.close();
    } catch {
      // The reader went away at the same moment.
    }
  }
}

function eventOf(state: object): string {
  return `data: ${JSON.stringify(state)}\n\n`;
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
