import type { Writable } from 'node:stream';

const BAR_CHARS = 30;
const REDRAW_MS = 100;
const LINE_EVERY_PERCENT = 10;

/** How far a long command is: one bar that moves on a terminal, a line each tenth otherwise. */
export class Progress {
  readonly #stream: Writable & { readonly isTTY?: boolean };
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #said = '';
  #drawn = false;

  constructor(stream: Writable & { readonly isTTY?: boolean }) {
    this.#stream = stream;
  }

  /** `done` of `total`; what is being done may change on the way, and begins at 0 again. */
  show(what: string, done: number, total: number): void {
    const percent = total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total));
    if (this.#stream.isTTY) this.#draw(what, percent);
    else this.#say(what, percent);
  }

  /** Leaves the terminal's cursor on a line of its own. */
  end(): void {
    if (this.#drawn) this.#stream.write('\n');
    this.#drawn = false;
  }

  #draw(what: string, percent: number): void {
    const now = performance.now();
    if (now - this.#drawnAtMs < REDRAW_MS && percent < 100) return;
    this.#drawnAtMs = now;
    this.#drawn = true;
    const full = Math.round((percent / 100) * BAR_CHARS);
    const bar = '#'.repeat(full) + '.'.repeat(BAR_CHARS - full);
    // Erases to the end of the line (ECMA-48, EL), where a longer name may have been.
    this.#stream.write(`\r[${bar}] ${String(percent).padStart(3)} % ${what}\x1b[K`);
  }

  #say(what: string, percent: number): void {
    const tenth = percent - (percent % LINE_EVERY_PERCENT);
    const [verb] = what.split(' ', 1);
    const key = `${verb} ${tenth}`;
    if (key === this.#said) return;
    this.#said = key;
    this.#stream.write(`${String(tenth).padStart(3)} % ${what}\n`);
  }
}
