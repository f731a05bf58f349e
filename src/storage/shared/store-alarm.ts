/** While there is an alarm the store is asked this often whether it takes mail again. */
const PROBE_EVERY_MS = 1000;

/**
 * What is wrong with a store, until a probe goes well: on a full disk small writes go on succeeding for a while,
 * and without mail nobody else would find out that there is room again.
 */
export class StoreAlarm {
  readonly #probe: () => Promise<unknown>;
  #text: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `probe` rejects while the store does not take mail. */
  constructor(probe: () => Promise<unknown>) {
    this.#probe = probe;
  }

  get texts(): readonly string[] {
    return this.#text === null ? [] : [this.#text];
  }

  raise(text: string): void {
    this.#text = text;
    if (this.#timer === undefined && !this.#closed) this.#probeSoon();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #probeSoon(): void {
    const timer = setTimeout(() => {
      this.#probe().then(
        () => {
          this.#text = null;
          this.#timer = undefined;
        },
        () => {
          if (!this.#closed) this.#probeSoon();
        },
      );
    }, PROBE_EVERY_MS);
    this.#timer = timer.unref();
  }
}
