import type { DatabaseSync } from 'node:sqlite';
import type { AccountSession, OwnMessage, OwnMessagesRequest } from '../owner-contract.ts';
import type { Handlers } from '../shared/operations.ts';
import {
  type OwnerReadOps,
  type OwnMessageRow,
  type OwnPlace,
  type OwnRecipientRow,
  ownMessageOf,
  ownPlacesSql,
  ownPlacesValues,
} from '../shared/owner-operations.ts';
import { rowOf, rowsOf } from './writer-context.ts';

const SESSION = `s.id, s.account_id AS accountId, s.created_at AS createdAt, s.last_seen_at AS lastSeenAt,
  s.expires_at AS expiresAt, s.address, s.user_agent AS userAgent`;

/** Sessions of accounts at the page, and an account's messages. */
export class OwnerReads {
  readonly #session;
  readonly #sessions;
  readonly #places;
  readonly #message;
  readonly #recipients;

  constructor(db: DatabaseSync) {
    this.#session = db.prepare(`SELECT ${SESSION}, account.address AS account FROM account_session AS s
      JOIN account ON account.id = s.account_id WHERE s.token_hash = ? AND account.enabled = 1`);
    this.#sessions = db.prepare(
      `SELECT ${SESSION} FROM account_session AS s WHERE s.account_id = ? ORDER BY s.created_at DESC, s.id`,
    );
    const places = (which: OwnMessagesRequest['which']) => db.prepare(ownPlacesSql(which, (n) => `?${n}`));
    this.#places = { all: places('all'), sent: places('sent'), received: places('received') };
    this.#message = db.prepare('SELECT id, received_at, sender, subject, size FROM message WHERE id = ?');
    this.#recipients = db.prepare(
      'SELECT message_id, address, original, rule, state FROM recipient WHERE message_id = ? ORDER BY idx',
    );
  }

  session(tokenHash: string): (AccountSession & { account: string }) | null {
    const row = rowOf<AccountSession & { account: string }>(this.#session, tokenHash);
    return row === undefined ? null : { ...row };
  }

  sessions(accountId: number): AccountSession[] {
    return rowsOf<AccountSession>(this.#sessions, accountId).map((row) => ({ ...row }));
  }

  messages(request: OwnMessagesRequest): OwnMessage[] {
    const values = ownPlacesValues(request);
    // A statement may not be given a value it has no place for.
    const given = request.which === 'received' ? values.slice(0, 5) : values;
    return rowsOf<OwnPlace>(this.#places[request.which], ...given).flatMap((place) => {
      const row = rowOf<OwnMessageRow>(this.#message, place.id);
      if (row === undefined) return [];
      const recipients = rowsOf<OwnRecipientRow>(this.#recipients, place.id);
      return [ownMessageOf(place, row, recipients, request.address)];
    });
  }
}

export function ownerReadHandlers(reads: OwnerReads): Handlers<OwnerReadOps> {
  return {
    accountSession: ({ tokenHash }) => reads.session(tokenHash),
    accountSessions: ({ accountId }) => reads.sessions(accountId),
    ownMessages: (request) => reads.messages(request),
  };
}
