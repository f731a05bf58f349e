/** App passwords and the history of sign-ins. */
import { StorageError } from '../contract.ts';
import { MAX_APP_PASSWORDS, SIGN_INS_KEPT } from '../credentials-contract.ts';
import { type AppPasswordRow, appPasswordOf, type SignInRow, signInOf } from '../shared/credential-rows.ts';
import { lookupName } from '../shared/directory-rows.ts';
import type { In, WriteOps } from '../shared/operations.ts';
import type { Runner } from './connection.ts';
import type { Reads } from './reads.ts';
import { databaseTime, type WriteContext } from './write-context.ts';

export async function addAppPassword(
  { tx }: WriteContext,
  { address, name, hash, scopes }: In<WriteOps, 'addAppPassword'>,
): Promise<void> {
  // The lock keeps two nodes from making one too many, or two of a name.
  const accountId = await needAccount(tx, address);
  const names = await tx.run<{ name: string }>('SELECT name FROM app_password WHERE account_id = $1', [
    accountId,
  ]);
  if (names.some((one) => one.name === name))
    throw new StorageError('conflict', `${address} has an app password ${name} already`);
  if (names.length >= MAX_APP_PASSWORDS)
    throw new StorageError(
      'limit',
      `${address} has ${MAX_APP_PASSWORDS} app passwords, and may have no more`,
    );
  await tx.run(
    'INSERT INTO app_password (account_id, name, hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)',
    [accountId, name, hash, scopes.join(','), await databaseTime(tx)],
  );
}

export async function revokeAppPassword(
  { tx }: WriteContext,
  { address, name }: In<WriteOps, 'revokeAppPassword'>,
): Promise<void> {
  const accountId = await needAccount(tx, address);
  const gone = await tx.run('DELETE FROM app_password WHERE account_id = $1 AND name = $2 RETURNING name', [
    accountId,
    name,
  ]);
  if (gone.length === 0) throw new StorageError('not-found', `${address} has no app password ${name}`);
}

/** Nothing for an account that is gone. */
export async function recordSignIn(
  { tx }: WriteContext,
  { accountId, record }: In<WriteOps, 'recordSignIn'>,
): Promise<void> {
  // Sign-ins of one account come one after the other, whatever node takes them.
  const [account] = await tx.run('SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE', [accountId]);
  if (account === undefined) return;
  const nowMs = await databaseTime(tx);
  const [row] = await tx.run<{ n: number }>(
    `INSERT INTO sign_in (account_id, n, at, detail)
     SELECT $1::bigint, coalesce(max(n), 0) + 1, $2::bigint, $3::text FROM sign_in WHERE account_id = $1::bigint
     RETURNING n`,
    [accountId, nowMs, JSON.stringify(record)],
  );
  await tx.run('DELETE FROM sign_in WHERE account_id = $1 AND n <= $2', [
    accountId,
    (row?.n ?? 0) - SIGN_INS_KEPT,
  ]);
  if (record.outcome === 'ok' && record.appPassword !== null) {
    await tx.run('UPDATE app_password SET last_used_at = $1 WHERE account_id = $2 AND name = $3', [
      nowMs,
      accountId,
      record.appPassword,
    ]);
  }
}

/** The account is gone. */
export async function forgetCredentials(tx: Runner, accountId: number): Promise<void> {
  await tx.run('DELETE FROM app_password WHERE account_id = $1', [accountId]);
  await tx.run('DELETE FROM sign_in WHERE account_id = $1', [accountId]);
}

async function needAccount(tx: Runner, address: string): Promise<number> {
  const [row] = await tx.run<{ id: number }>('SELECT id FROM account WHERE name = $1 FOR NO KEY UPDATE', [
    lookupName(address),
  ]);
  if (row === undefined) throw new StorageError('not-found', `there is no account ${address}`);
  return row.id;
}

export function credentialReads(db: Runner): Pick<Reads, 'appPasswords' | 'findAppPassword' | 'signIns'> {
  return {
    appPasswords: async ({ accountId }) => {
      const rows = await db.run<AppPasswordRow>(
        'SELECT * FROM app_password WHERE account_id = $1 ORDER BY name',
        [accountId],
      );
      return rows.map(appPasswordOf);
    },
    findAppPassword: async ({ accountId, hash }) => {
      const [row] = await db.run<AppPasswordRow>(
        'SELECT * FROM app_password WHERE account_id = $1 AND hash = $2',
        [accountId, hash],
      );
      return row === undefined ? null : appPasswordOf(row);
    },
    signIns: async ({ accountId, limit, before }) => {
      const rows = await db.run<SignInRow>(
        'SELECT n, at, detail FROM sign_in WHERE account_id = $1 AND n < $2 ORDER BY n DESC LIMIT $3',
        [accountId, before ?? Number.MAX_SAFE_INTEGER, limit],
      );
      return rows.map(signInOf);
    },
  };
}
