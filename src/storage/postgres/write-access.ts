import { type Administrator, MAX_ADMINISTRATORS, MAX_SESSIONS, MAX_TOKENS } from '../access-contract.ts';
import { StorageError } from '../contract.ts';
import type { AccessWriteOps } from '../shared/access-operations.ts';
import type { In } from '../shared/operations.ts';
import type { Runner } from './connection.ts';
import { forgetSecondFactor } from './second-factor.ts';
import { databaseTime, type WriteContext } from './write-context.ts';

type Handlers = {
  readonly [K in keyof AccessWriteOps]: (
    context: WriteContext,
    input: In<AccessWriteOps, K>,
  ) => Promise<unknown>;
};

/** Administrators, sessions, tokens and the audit. */
export const ACCESS: Handlers = {
  addAdministrator: async ({ tx }, { name, passwordHash, onlyFirst }): Promise<Administrator> => {
    await oneAtATime(tx);
    const count = await countOf(tx, 'administrator');
    if (onlyFirst && count > 0) throw new StorageError('conflict', 'there is an administrator already');
    if (await exists(tx, name))
      throw new StorageError('conflict', `the administrator ${name} exists already`);
    refuseMore('administrators', count, MAX_ADMINISTRATORS);
    const createdAt = await databaseTime(tx);
    await tx.run('INSERT INTO administrator (name, password_hash, created_at) VALUES ($1, $2, $3)', [
      name,
      passwordHash,
      createdAt,
    ]);
    return { name, createdAt, lastSignInAt: null };
  },

  setAdministratorPassword: async ({ tx }, { name, passwordHash, keepSession }) => {
    await mustExist(tx, name);
    await tx.run('UPDATE administrator SET password_hash = $1 WHERE name = $2', [passwordHash, name]);
    await endSessions(tx, name, keepSession);
  },

  removeAdministrator: async ({ tx }, { name }) => {
    await oneAtATime(tx);
    await mustExist(tx, name);
    if ((await countOf(tx, 'administrator')) === 1)
      throw new StorageError('conflict', `${name} is the last administrator`);
    await endSessions(tx, name, null);
    await tx.run('UPDATE api_token SET revoked_at = $1 WHERE created_by = $2 AND revoked_at IS NULL', [
      await databaseTime(tx),
      name,
    ]);
    await tx.run('DELETE FROM administrator WHERE name = $1', [name]);
    await forgetSecondFactor(tx, { kind: 'administrator', name });
  },

  addSession: async ({ tx }, session) => {
    const { tokenHash, id, administrator, createdAt, lastSeenAt, expiresAt, address, userAgent } = session;
    await mustExist(tx, administrator);
    refuseMore('sessions', await countOf(tx, 'admin_session'), MAX_SESSIONS);
    await tx.run(
      `INSERT INTO admin_session
        (token_hash, id, administrator, created_at, last_seen_at, expires_at, address, user_agent)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [tokenHash, id, administrator, createdAt, lastSeenAt, expiresAt, address, userAgent],
    );
    await tx.run('UPDATE administrator SET last_sign_in_at = $1 WHERE name = $2', [createdAt, administrator]);
  },

  touchSession: ({ tx }, { id, lastSeenAt }) =>
    tx.run('UPDATE admin_session SET last_seen_at = $1 WHERE id = $2', [lastSeenAt, id]),

  removeSession: async ({ tx }, { id }) =>
    (await tx.run('DELETE FROM admin_session WHERE id = $1 RETURNING id', [id])).length > 0,

  removeSessions: ({ tx }, { administrator }) => endSessions(tx, administrator, null),

  addToken: async ({ tx }, token) => {
    refuseMore('API tokens', await countOf(tx, 'api_token'), MAX_TOKENS);
    const { tokenHash, id, name, scopes, createdBy, createdAt, expiresAt } = token;
    await tx.run(
      `INSERT INTO api_token (token_hash, id, name, scopes, created_by, created_at, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [tokenHash, id, name, scopes.join(' '), createdBy, createdAt, expiresAt],
    );
  },

  touchToken: ({ tx }, { id, lastUsedAt }) =>
    tx.run('UPDATE api_token SET last_used_at = $1 WHERE id = $2', [lastUsedAt, id]),

  revokeToken: async ({ tx }, { id }) => {
    const rows = await tx.run(
      'UPDATE api_token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL RETURNING id',
      [await databaseTime(tx), id],
    );
    return rows.length > 0;
  },

  recordAudit: async ({ tx }, { who, address, action, details }) =>
    tx.run('INSERT INTO audit (at, who, address, action, details) VALUES ($1, $2, $3, $4, $5)', [
      await databaseTime(tx),
      who,
      address,
      action,
      details,
    ]),

  sweepAccess: async ({ tx }, { now, idleBefore, keepMs }) => {
    const before = now - keepMs;
    for (const table of ['admin_session', 'account_session']) {
      await tx.run(`DELETE FROM ${table} WHERE expires_at <= $1 OR last_seen_at < $2`, [now, idleBefore]);
    }
    await tx.run('DELETE FROM api_token WHERE expires_at < $1 OR revoked_at < $1', [before]);
    await tx.run('DELETE FROM audit WHERE at < $1', [before]);
  },
};

/** Whoever else adds or removes an administrator waits until this is committed. */
async function oneAtATime(tx: Runner): Promise<void> {
  await tx.run(`INSERT INTO sequence AS s (name, value) VALUES ('administrators', 1)
    ON CONFLICT (name) DO UPDATE SET value = s.value + 1`);
}

async function exists(tx: Runner, name: string): Promise<boolean> {
  return (await tx.run('SELECT name FROM administrator WHERE name = $1', [name])).length > 0;
}

async function mustExist(tx: Runner, name: string): Promise<void> {
  if (!(await exists(tx, name))) throw new StorageError('not-found', `there is no administrator ${name}`);
}

async function endSessions(tx: Runner, administrator: string, keep: string | null): Promise<number> {
  const rows = await tx.run('DELETE FROM admin_session WHERE administrator = $1 AND id <> $2 RETURNING id', [
    administrator,
    keep ?? '',
  ]);
  return rows.length;
}

async function countOf(tx: Runner, table: 'administrator' | 'admin_session' | 'api_token'): Promise<number> {
  const [row] = await tx.run<{ n: number }>(`SELECT count(*)::integer AS n FROM ${table}`);
  return row?.n ?? 0;
}

function refuseMore(what: string, count: number, limit: number): void {
  if (count >= limit) throw new StorageError('limit', `there are ${limit} ${what} already`);
}
