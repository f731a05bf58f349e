/** Sessions of accounts at the page, and an account's messages. */
import { StorageError } from '../contract.ts';
import { type AccountSession, MAX_ACCOUNT_SESSIONS } from '../owner-contract.ts';
import type { In } from '../shared/operations.ts';
import {
  type OwnerWriteOps,
  type OwnMessageRow,
  type OwnPlace,
  type OwnRecipientRow,
  ownMessageOf,
  ownPlacesSql,
  ownPlacesValues,
} from '../shared/owner-operations.ts';
import { numbers, type Runner } from './connection.ts';
import type { Reads } from './reads.ts';
import type { WriteContext } from './write-context.ts';

type SessionOps = Omit<OwnerWriteOps, 'setAccountForward'>;

export const ACCOUNT_SESSIONS: {
  readonly [K in keyof SessionOps]: (context: WriteContext, input: In<SessionOps, K>) => Promise<unknown>;
} = {
  addAccountSession: async ({ tx }, session) => {
    const { tokenHash, id, accountId, createdAt, lastSeenAt, expiresAt, address, userAgent } = session;
    // The lock keeps a session from being added while the account is disabled or its password changed.
    const [account] = await tx.run('SELECT id FROM account WHERE id = $1 AND enabled = 1 FOR NO KEY UPDATE', [
      accountId,
    ]);
    if (account === undefined) throw new StorageError('not-found', 'the account is gone or disabled');
    await tx.run(
      `DELETE FROM account_session WHERE id IN (SELECT id FROM account_session
        WHERE account_id = $1 ORDER BY created_at DESC, id OFFSET ${MAX_ACCOUNT_SESSIONS - 1})`,
      [accountId],
    );
    await tx.run(
      `INSERT INTO account_session
        (token_hash, id, account_id, created_at, last_seen_at, expires_at, address, user_agent)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [tokenHash, id, accountId, createdAt, lastSeenAt, expiresAt, address, userAgent],
    );
  },
  touchAccountSession: ({ tx }, { id, lastSeenAt }) =>
    tx.run('UPDATE account_session SET last_seen_at = $1 WHERE id = $2', [lastSeenAt, id]),
  removeAccountSession: async ({ tx }, { id }) =>
    (await tx.run('DELETE FROM account_session WHERE id = $1 RETURNING id', [id])).length > 0,
  removeAccountSessions: ({ tx }, { accountId }) => endAccountSessions(tx, accountId, null),
};

/** Resolves to how many were ended. */
export async function endAccountSessions(
  tx: Runner,
  accountId: number,
  keep: string | null,
): Promise<number> {
  const rows = await tx.run('DELETE FROM account_session WHERE account_id = $1 AND id <> $2 RETURNING id', [
    accountId,
    keep ?? '',
  ]);
  return rows.length;
}

const SESSION = `s.id, s.account_id AS "accountId", s.created_at AS "createdAt", s.last_seen_at AS "lastSeenAt",
  s.expires_at AS "expiresAt", s.address, s.user_agent AS "userAgent"`;

export function ownerReads(db: Runner) {
  return {
    accountSession: async ({ tokenHash }) => {
      const [row] = await db.run<AccountSession & { account: string }>(
        `SELECT ${SESSION}, account.address AS account FROM account_session AS s
         JOIN account ON account.id = s.account_id WHERE s.token_hash = $1 AND account.enabled = 1`,
        [tokenHash],
      );
      return row ?? null;
    },
    accountSessions: async ({ accountId }) => [
      ...(await db.run<AccountSession>(
        `SELECT ${SESSION} FROM account_session AS s WHERE s.account_id = $1 ORDER BY s.created_at DESC, s.id`,
        [accountId],
      )),
    ],
    ownMessages: async (request) => {
      const values = ownPlacesValues(request);
      const places = await db.run<OwnPlace>(
        ownPlacesSql(request.which, (n, type) => `$${n}::${type}`),
        request.which === 'received' ? values.slice(0, 5) : values,
      );
      if (places.length === 0) return [];
      const ids = numbers(places.map(({ id }) => id));
      const [messages, recipients] = await Promise.all([
        db.run<OwnMessageRow>(
          'SELECT id, received_at, sender, subject, size FROM message WHERE id = ANY ($1::bigint[])',
          [ids],
        ),
        db.run<OwnRecipientRow>(
          `SELECT message_id, address, original, rule, state FROM recipient
           WHERE message_id = ANY ($1::bigint[]) ORDER BY message_id, idx`,
          [ids],
        ),
      ]);
      const rows = new Map(messages.map((row) => [row.id, row]));
      return places.flatMap((place) => {
        const row = rows.get(place.id);
        if (row === undefined) return [];
        const of = recipients.filter(({ message_id }) => message_id === place.id);
        return [ownMessageOf(place, row, of, request.address)];
      });
    },
  } satisfies Partial<Reads>;
}
