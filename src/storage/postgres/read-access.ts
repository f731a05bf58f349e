import type { Administrator, AdminSession, ApiToken, AuditEntry } from '../access-contract.ts';
import type { Runner } from './connection.ts';
import type { Reads } from './reads.ts';

const SESSION = `id, administrator, created_at AS "createdAt", last_seen_at AS "lastSeenAt",
  expires_at AS "expiresAt", address, user_agent AS "userAgent"`;
const TOKEN = `id, name, scopes, created_by AS "createdBy", created_at AS "createdAt", expires_at AS "expiresAt",
  last_used_at AS "lastUsedAt", revoked_at AS "revokedAt"`;

type TokenRow = Omit<ApiToken, 'scopes'> & { readonly scopes: string };

function tokenOf({ scopes, ...row }: TokenRow): ApiToken {
  return { ...row, scopes: scopes.split(' ') };
}

/** Administrators, sessions, tokens and the audit. */
export function accessReads(db: Runner) {
  return {
    administrators: async () => [
      ...(await db.run<Administrator>(
        `SELECT name, created_at AS "createdAt", last_sign_in_at AS "lastSignInAt" FROM administrator ORDER BY name`,
      )),
    ],
    administratorHash: async ({ name }) => {
      const [row] = await db.run<{ hash: string }>(
        'SELECT password_hash AS hash FROM administrator WHERE name = $1',
        [name],
      );
      return row?.hash ?? null;
    },
    adminSession: async ({ tokenHash }) => {
      const [row] = await db.run<AdminSession>(`SELECT ${SESSION} FROM admin_session WHERE token_hash = $1`, [
        tokenHash,
      ]);
      return row ?? null;
    },
    adminSessions: async () => [
      ...(await db.run<AdminSession>(`SELECT ${SESSION} FROM admin_session ORDER BY created_at DESC, id`)),
    ],
    apiToken: async ({ tokenHash }) => {
      const [row] = await db.run<TokenRow>(`SELECT ${TOKEN} FROM api_token WHERE token_hash = $1`, [
        tokenHash,
      ]);
      return row === undefined ? null : tokenOf(row);
    },
    apiTokens: async () =>
      (await db.run<TokenRow>(`SELECT ${TOKEN} FROM api_token ORDER BY created_at DESC, id`)).map(tokenOf),
    audit: async ({ limit, before }) => [
      ...(await db.run<AuditEntry>(
        'SELECT n, at, who, address, action, details FROM audit WHERE n < $1 ORDER BY n DESC LIMIT $2',
        [before ?? Number.MAX_SAFE_INTEGER, limit],
      )),
    ],
  } satisfies Partial<Reads>;
}
