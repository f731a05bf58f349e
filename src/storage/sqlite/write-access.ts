import {
  type Administrator,
  type AdminSession,
  MAX_ADMINISTRATORS,
  MAX_SESSIONS,
  MAX_TOKENS,
  type NewAuditEntry,
} from '../access-contract.ts';
import { StorageError } from '../contract.ts';
import type { AccessWriteOps } from '../shared/access-operations.ts';
import type { Handlers, In } from '../shared/operations.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

type Input<K extends keyof AccessWriteOps> = In<AccessWriteOps, K>;

/** Administrators, sessions, tokens and the audit. */
export class AccessTables {
  readonly #db: WriterContext['db'];
  readonly #forgetFactor;
  readonly #find;
  readonly #insert;
  readonly #setHash;
  readonly #remove;
  readonly #insertSession;
  readonly #signedIn;
  readonly #touchSession;
  readonly #removeSession;
  readonly #removeSessionsBut;
  readonly #insertToken;
  readonly #touchToken;
  readonly #revokeToken;
  readonly #revokeTokensOf;
  readonly #insertAudit;

  constructor({ db }: WriterContext, forgetFactor: (administrator: string) => void) {
    this.#forgetFactor = forgetFactor;
    this.#db = db;
    this.#find = db.prepare('SELECT name FROM administrator WHERE name = ?');
    this.#insert = db.prepare('INSERT INTO administrator (name, password_hash, created_at) VALUES (?, ?, ?)');
    this.#setHash = db.prepare('UPDATE administrator SET password_hash = ? WHERE name = ?');
    this.#remove = db.prepare('DELETE FROM administrator WHERE name = ?');
    this.#insertSession = db.prepare(`INSERT INTO admin_session
      (token_hash, id, administrator, created_at, last_seen_at, expires_at, address, user_agent)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#signedIn = db.prepare('UPDATE administrator SET last_sign_in_at = ? WHERE name = ?');
    this.#touchSession = db.prepare('UPDATE admin_session SET last_seen_at = ? WHERE id = ?');
    this.#removeSession = db.prepare('DELETE FROM admin_session WHERE id = ?');
    this.#removeSessionsBut = db.prepare('DELETE FROM admin_session WHERE administrator = ? AND id <> ?');
    this.#insertToken = db.prepare(`INSERT INTO api_token
      (token_hash, id, name, scopes, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#touchToken = db.prepare('UPDATE api_token SET last_used_at = ? WHERE id = ?');
    this.#revokeToken = db.prepare('UPDATE api_token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL');
    this.#revokeTokensOf = db.prepare(
      'UPDATE api_token SET revoked_at = ? WHERE created_by = ? AND revoked_at IS NULL',
    );
    this.#insertAudit = db.prepare(
      'INSERT INTO audit (at, who, address, action, details) VALUES (?, ?, ?, ?, ?)',
    );
  }

  addAdministrator({ name, passwordHash, onlyFirst }: Input<'addAdministrator'>): Administrator {
    const count = this.#count('administrator');
    if (onlyFirst && count > 0) throw new StorageError('conflict', 'there is an administrator already');
    if (this.#exists(name)) throw new StorageError('conflict', `the administrator ${name} exists already`);
    refuseMore('administrators', count, MAX_ADMINISTRATORS);
    const createdAt = Date.now();
    this.#insert.run(name, passwordHash, createdAt);
    return { name, createdAt, lastSignInAt: null };
  }

  setPassword({ name, passwordHash, keepSession }: Input<'setAdministratorPassword'>): void {
    this.#mustExist(name);
    this.#setHash.run(passwordHash, name);
    this.#removeSessionsBut.run(name, keepSession ?? '');
  }

  removeAdministrator(name: string): void {
    this.#mustExist(name);
    if (this.#count('administrator') === 1) {
      throw new StorageError('conflict', `${name} is the last administrator`);
    }
    this.#removeSessionsBut.run(name, '');
    this.#revokeTokensOf.run(Date.now(), name);
    this.#remove.run(name);
    this.#forgetFactor(name);
  }

  addSession(session: AdminSession & { tokenHash: string }): void {
    const { tokenHash, id, administrator, createdAt, lastSeenAt, expiresAt, address, userAgent } = session;
    this.#mustExist(administrator);
    refuseMore('sessions', this.#count('admin_session'), MAX_SESSIONS);
    this.#insertSession.run(
      tokenHash,
      id,
      administrator,
      createdAt,
      lastSeenAt,
      expiresAt,
      address,
      userAgent,
    );
    this.#signedIn.run(createdAt, administrator);
  }

  touchSession({ id, lastSeenAt }: Input<'touchSession'>): void {
    this.#touchSession.run(lastSeenAt, id);
  }

  removeSession(id: string): boolean {
    return Number(this.#removeSession.run(id).changes) > 0;
  }

  removeSessions(administrator: string): number {
    return Number(this.#removeSessionsBut.run(administrator, '').changes);
  }

  addToken(token: Input<'addToken'>): void {
    refuseMore('API tokens', this.#count('api_token'), MAX_TOKENS);
    const { tokenHash, id, name, scopes, createdBy, createdAt, expiresAt } = token;
    this.#insertToken.run(tokenHash, id, name, scopes.join(' '), createdBy, createdAt, expiresAt);
  }

  touchToken({ id, lastUsedAt }: Input<'touchToken'>): void {
    this.#touchToken.run(lastUsedAt, id);
  }

  revokeToken(id: string): boolean {
    return Number(this.#revokeToken.run(Date.now(), id).changes) > 0;
  }

  recordAudit({ who, address, action, details }: NewAuditEntry): void {
    this.#insertAudit.run(Date.now(), who, address, action, details);
  }

  sweep({ now, idleBefore, keepMs }: Input<'sweepAccess'>): void {
    const before = now - keepMs;
    const db = this.#db;
    for (const table of ['admin_session', 'account_session']) {
      db.prepare(`DELETE FROM ${table} WHERE expires_at <= ? OR last_seen_at < ?`).run(now, idleBefore);
    }
    db.prepare('DELETE FROM api_token WHERE expires_at < ?1 OR revoked_at < ?1').run(before);
    db.prepare('DELETE FROM audit WHERE at < ?').run(before);
  }

  #exists(name: string): boolean {
    return rowOf(this.#find, name) !== undefined;
  }

  #mustExist(name: string): void {
    if (!this.#exists(name)) throw new StorageError('not-found', `there is no administrator ${name}`);
  }

  #count(table: 'administrator' | 'admin_session' | 'api_token'): number {
    return Number(this.#db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0);
  }
}

function refuseMore(what: string, count: number, limit: number): void {
  if (count >= limit) throw new StorageError('limit', `there are ${limit} ${what} already`);
}

export function accessHandlers(tables: AccessTables): Handlers<AccessWriteOps> {
  return {
    addAdministrator: (input) => tables.addAdministrator(input),
    setAdministratorPassword: (input) => tables.setPassword(input),
    removeAdministrator: ({ name }) => tables.removeAdministrator(name),
    addSession: (session) => tables.addSession(session),
    touchSession: (input) => tables.touchSession(input),
    removeSession: ({ id }) => tables.removeSession(id),
    removeSessions: ({ administrator }) => tables.removeSessions(administrator),
    addToken: (token) => tables.addToken(token),
    touchToken: (input) => tables.touchToken(input),
    revokeToken: ({ id }) => tables.revokeToken(id),
    recordAudit: (entry) => tables.recordAudit(entry),
    sweepAccess: (request) => tables.sweep(request),
  };
}
