import type { DatabaseSync } from 'node:sqlite';
import type { AppPassword, SignIn } from '../credentials-contract.ts';
import { type AppPasswordRow, appPasswordOf, type SignInRow, signInOf } from '../shared/credential-rows.ts';
import { rowOf, rowsOf } from './writer-context.ts';

/** App passwords and the history of sign-ins as readers see them. */
export class CredentialReads {
  readonly #all;
  readonly #byHash;
  readonly #signIns;

  constructor(db: DatabaseSync) {
    this.#all = db.prepare('SELECT * FROM app_password WHERE account_id = ? ORDER BY name');
    this.#byHash = db.prepare('SELECT * FROM app_password WHERE account_id = ? AND hash = ?');
    this.#signIns = db.prepare(
      'SELECT n, at, detail FROM sign_in WHERE account_id = ? AND n < ? ORDER BY n DESC LIMIT ?',
    );
  }

  all(accountId: number): AppPassword[] {
    return rowsOf<AppPasswordRow>(this.#all, accountId).map(appPasswordOf);
  }

  byHash(accountId: number, hash: string): AppPassword | null {
    const row = rowOf<AppPasswordRow>(this.#byHash, accountId, hash);
    return row === undefined ? null : appPasswordOf(row);
  }

  signIns(accountId: number, limit: number, before: number | null): SignIn[] {
    return rowsOf<SignInRow>(this.#signIns, accountId, before ?? Number.MAX_SAFE_INTEGER, limit).map(
      signInOf,
    );
  }
}
