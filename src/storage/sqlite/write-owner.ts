import { StorageError } from '../contract.ts';
import { MAX_ACCOUNT_SESSIONS } from '../owner-contract.ts';
import type { Handlers, In } from '../shared/operations.ts';
import type { OwnerWriteOps } from '../shared/owner-operations.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

/** Sessions of accounts at the page. */
export class AccountSessionTables {
  readonly #enabled;
  readonly #insert;
  readonly #dropOldest;
  readonly #touch;
  readonly #remove;
  readonly #removeAll;

  constructor({ db }: WriterContext) {
    this.#enabled = db.prepare('SELECT id FROM account WHERE id = ? AND enabled = 1');
    this.#insert = db.prepare(`INSERT INTO account_session
      (token_hash, id, account_id, created_at, last_seen_at, expires_at, address, user_agent)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#dropOldest = db.prepare(`DELETE FROM account_session WHERE id IN (SELECT id FROM account_session
      WHERE account_id = ? ORDER BY created_at DESC, id LIMIT -1 OFFSET ${MAX_ACCOUNT_SESSIONS - 1})`);
    this.#touch = db.prepare('UPDATE account_session SET last_seen_at = ? WHERE id = ?');
    this.#remove = db.prepare('DELETE FROM account_session WHERE id = ?');
    this.#removeAll = db.prepare('DELETE FROM account_session WHERE account_id = ?');
  }

  add(session: In<OwnerWriteOps, 'addAccountSession'>): void {
    const { tokenHash, id, accountId, createdAt, lastSeenAt, expiresAt, address, userAgent } = session;
    if (rowOf(this.#enabled, accountId) === undefined) {
      throw new StorageError('not-found', 'the account is gone or disabled');
    }
    this.#dropOldest.run(accountId);
    this.#insert.run(tokenHash, id, accountId, createdAt, lastSeenAt, expiresAt, address, userAgent);
  }

  touch({ id, lastSeenAt }: In<OwnerWriteOps, 'touchAccountSession'>): void {
    this.#touch.run(lastSeenAt, id);
  }

  remove(id: string): boolean {
    return Number(this.#remove.run(id).changes) > 0;
  }

  removeAll(accountId: number): number {
    return Number(this.#removeAll.run(accountId).changes);
  }
}

export function accountSessionHandlers(
  sessions: AccountSessionTables,
): Omit<Handlers<OwnerWriteOps>, 'setAccountForward'> {
  return {
    addAccountSession: (session) => sessions.add(session),
    touchAccountSession: (input) => sessions.touch(input),
    removeAccountSession: ({ id }) => sessions.remove(id),
    removeAccountSessions: ({ accountId }) => sessions.removeAll(accountId),
  };
}
