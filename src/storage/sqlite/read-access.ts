import type { DatabaseSync } from 'node:sqlite';
import type { Administrator, AdminSession, ApiToken, AuditEntry } from '../access-contract.ts';
import type { AccessReadOps } from '../shared/access-operations.ts';
import type { Handlers } from '../shared/operations.ts';
import { rowOf, rowsOf } from './writer-context.ts';

const SESSION = `id, administrator, created_at AS createdAt, last_seen_at AS lastSeenAt, expires_at AS expiresAt,
  address, user_agent AS userAgent`;
const TOKEN = `id, name, scopes, created_by AS createdBy, created_at AS createdAt, expires_at AS expiresAt,
  last_used_at AS lastUsedAt, revoked_at AS revokedAt`;

type TokenRow = Omit<ApiToken, 'scopes'> & { readonly scopes: string };

/** Administrators, sessions, tokens and the audit. */
export class AccessReads {
  readonly #administrators;
  readonly #hash;
  readonly #session;
  readonly #sessions;
  readonly #token;
  readonly #tokens;
  readonly #audit;

  constructor(db: DatabaseSync) {
    this.#administrators = db.prepare(
      'SELECT name, created_at AS createdAt, last_sign_in_at AS lastSignInAt FROM administrator ORDER BY name',
    );
    this.#hash = db.prepare('SELECT password_hash AS hash FROM administrator WHERE name = ?');
    this.#session = db.prepare(`SELECT ${SESSION} FROM admin_session WHERE token_hash = ?`);
    this.#sessions = db.prepare(`SELECT ${SESSION} FROM admin_session ORDER BY created_at DESC, id`);
    this.#token = db.prepare(`SELECT ${TOKEN} FROM api_token WHERE token_hash = ?`);
    this.#tokens = db.prepare(`SELECT ${TOKEN} FROM api_token ORDER BY created_at DESC, id`);
    this.#audit = db.prepare(
      'SELECT n, at, who, address, action, details FROM audit WHERE n < ? ORDER BY n DESC LIMIT ?',
    );
  }

  administrators(): Administrator[] {
    return rowsOf<Administrator>(this.#administrators).map((row) => ({ ...row }));
  }

  hash(name: string): string | null {
    return rowOf<{ hash: string }>(this.#hash, name)?.hash ?? null;
  }

  session(tokenHash: string): AdminSession | null {
    const row = rowOf<AdminSession>(this.#session, tokenHash);
    return row === undefined ? null : { ...row };
  }

  sessions(): AdminSession[] {
    return rowsOf<AdminSession>(this.#sessions).map((row) => ({ ...row }));
  }

  token(tokenHash: string): ApiToken | null {
    const row = rowOf<TokenRow>(this.#token, tokenHash);
    return row === undefined ? null : tokenOf(row);
  }

  tokens(): ApiToken[] {
    return rowsOf<TokenRow>(this.#tokens).map(tokenOf);
  }

  audit(limit: number, before: number | null): AuditEntry[] {
    const rows = rowsOf<AuditEntry>(this.#audit, before ?? Number.MAX_SAFE_INTEGER, limit);
    return rows.map((row) => ({ ...row }));
  }
}

function tokenOf({ scopes, ...row }: TokenRow): ApiToken {
  return { ...row, scopes: scopes.split(' ') };
}

export function accessReadHandlers(reads: AccessReads): Handlers<AccessReadOps> {
  return {
    administrators: () => reads.administrators(),
    administratorHash: ({ name }) => reads.hash(name),
    adminSession: ({ tokenHash }) => reads.session(tokenHash),
    adminSessions: () => reads.sessions(),
    apiToken: ({ tokenHash }) => reads.token(tokenHash),
    apiTokens: () => reads.tokens(),
    audit: ({ limit, before }) => reads.audit(limit, before),
  };
}
