import { StorageError } from '../contract.ts';
import { MAX_APP_PASSWORDS, SIGN_INS_KEPT } from '../credentials-contract.ts';
import { lookupName } from '../shared/directory-rows.ts';
import type { In, WriteOps } from '../shared/operations.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

/** App passwords and the history of sign-ins. */
export class CredentialTables {
  readonly #findAccount;
  readonly #accountExists;
  readonly #count;
  readonly #insert;
  readonly #delete;
  readonly #used;
  readonly #newest;
  readonly #record;
  readonly #forgetOld;
  readonly #forgetPasswords;
  readonly #forgetSignIns;

  constructor({ db }: WriterContext) {
    this.#findAccount = db.prepare('SELECT id FROM account WHERE name = ?');
    this.#accountExists = db.prepare('SELECT id FROM account WHERE id = ?');
    this.#count = db.prepare(
      'SELECT count(*) AS n, coalesce(sum(name = ?2), 0) AS same FROM app_password WHERE account_id = ?1',
    );
    this.#insert = db.prepare(
      'INSERT INTO app_password (account_id, name, hash, scopes, created_at) VALUES (?, ?, ?, ?, ?)',
    );
    this.#delete = db.prepare('DELETE FROM app_password WHERE account_id = ? AND name = ?');
    this.#used = db.prepare('UPDATE app_password SET last_used_at = ? WHERE account_id = ? AND name = ?');
    this.#newest = db.prepare('SELECT coalesce(max(n), 0) AS n FROM sign_in WHERE account_id = ?');
    this.#record = db.prepare('INSERT INTO sign_in (account_id, n, at, detail) VALUES (?, ?, ?, ?)');
    this.#forgetOld = db.prepare('DELETE FROM sign_in WHERE account_id = ? AND n <= ?');
    this.#forgetPasswords = db.prepare('DELETE FROM app_password WHERE account_id = ?');
    this.#forgetSignIns = db.prepare('DELETE FROM sign_in WHERE account_id = ?');
  }

  add({ address, name, hash, scopes }: In<WriteOps, 'addAppPassword'>): void {
    const accountId = this.#needAccount(address);
    const found = rowOf<{ n: number; same: number }>(this.#count, accountId, name);
    if ((found?.same ?? 0) > 0)
      throw new StorageError('conflict', `${address} has an app password ${name} already`);
    if ((found?.n ?? 0) >= MAX_APP_PASSWORDS)
      throw new StorageError(
        'limit',
        `${address} has ${MAX_APP_PASSWORDS} app passwords, and may have no more`,
      );
    this.#insert.run(accountId, name, hash, scopes.join(','), Date.now());
  }

  revoke({ address, name }: In<WriteOps, 'revokeAppPassword'>): void {
    const accountId = this.#needAccount(address);
    if (Number(this.#delete.run(accountId, name).changes) === 0)
      throw new StorageError('not-found', `${address} has no app password ${name}`);
  }

  /** Nothing for an account that is gone. */
  record({ accountId, record }: In<WriteOps, 'recordSignIn'>): void {
    if (rowOf(this.#accountExists, accountId) === undefined) return;
    const now = Date.now();
    const n = (rowOf<{ n: number }>(this.#newest, accountId)?.n ?? 0) + 1;
    this.#record.run(accountId, n, now, JSON.stringify(record));
    this.#forgetOld.run(accountId, n - SIGN_INS_KEPT);
    if (record.outcome === 'ok' && record.appPassword !== null)
      this.#used.run(now, accountId, record.appPassword);
  }

  /** The account is gone. */
  forget(accountId: number): void {
    this.#forgetPasswords.run(accountId);
    this.#forgetSignIns.run(accountId);
  }

  #needAccount(address: string): number {
    const row = rowOf<{ id: number }>(this.#findAccount, lookupName(address));
    if (row === undefined) throw new StorageError('not-found', `there is no account ${address}`);
    return row.id;
  }
}
