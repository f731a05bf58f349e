/** Whether DNS works at all, judged by the questions the server asks anyway. */
import type { QuestionType } from './message.ts';

/** So many questions running without a word from any server, or so many names running without a usable answer. */
export const MISSES_TO_DOWN = 3;
/** What happened longer ago tells nothing of now. */
const FORGOTTEN_MS = 3_600_000;

export class DnsHealth {
  readonly #nowMs: () => number;
  readonly #names = new Set<string>();
  #silences = 0;
  #lastMs = 0;
  #detail = '';

  /** `nowMs` is a clock that never goes back. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  answered(): void {
    this.#names.clear();
    this.#silences = 0;
  }

  /** No server had a usable answer; `silent` when none said anything. `detail` says what each of them did. */
  missed(
    question: { readonly name: string; readonly type: QuestionType },
    silent: boolean,
    detail: string,
  ): void {
    // Many networks have a broken reverse zone; of names to send to that says nothing.
    if (question.type === 'PTR' && !silent) return;
    this.#silences = silent ? Math.min(this.#silences + 1, MISSES_TO_DOWN) : 0;
    if (this.#names.size < MISSES_TO_DOWN) this.#names.add(question.name);
    this.#lastMs = this.#nowMs();
    this.#detail = detail;
  }

  /** A sentence with what to do; null while all is well or nothing is known. */
  alarm(): string | null {
    const down = this.#silences >= MISSES_TO_DOWN || this.#names.size >= MISSES_TO_DOWN;
    if (!down || this.#nowMs() - this.#lastMs > FORGOTTEN_MS) return null;
    return (
      `DNS is down: ${this.#detail}. ` +
      'Mail that is to leave by MX resolution waits, or goes to the SMTP host where fallback is on. ' +
      'See that this machine reaches its resolvers, or set dns.servers in cmail.toml to others'
    );
  }
}
