/** The one-time link of the first run: valid until it is used, somebody else makes an administrator, or a restart. */
import { randomBytes } from 'node:crypto';
import type { Storage } from '../../storage/contract.ts';
import { HttpProblem } from './problem.ts';
import { sameSecret } from './sessions.ts';

const TOKEN_BYTES = 24;
/** Wrong tokens taken before the link is dead: guessing is hopeless, noise is not wanted. */
const MAX_WRONG = 100;

export class SetupLink {
  readonly #storage: Storage;
  #token: string | null = null;
  #wrong = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Makes the link when there is no administrator; null when there is one. `origin` as in `http://127.0.0.1:8025`. */
  async make(origin: string): Promise<string | null> {
    if (!(await this.needed())) return null;
    this.#token = randomBytes(TOKEN_BYTES).toString('base64url');
    return `${origin}/setup#token=${this.#token}`;
  }

  async needed(): Promise<boolean> {
    return (await this.#storage.administrators()).length === 0;
  }

  /** Rejects with an `HttpProblem`: 409 when there is an administrator, 403 when the token is not the link's. */
  async check(token: string): Promise<void> {
    if (!(await this.needed())) {
      throw new HttpProblem({
        status: 409,
        detail: 'there is an administrator already',
        mend: 'Sign in instead. Who forgot the password sets a new one with "cmail admin password NAME".',
      });
    }
    if (this.#token !== null && this.#wrong < MAX_WRONG && sameSecret(token, this.#token)) return;
    this.#wrong += 1;
    throw new HttpProblem({
      status: 403,
      detail: 'this link is not valid',
      mend: 'Use the link that the running server printed; a restart prints a new one.',
    });
  }

  used(): void {
    this.#token = null;
  }
}
