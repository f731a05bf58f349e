import type { DatabaseSync } from 'node:sqlite';
import type { MailboxEntry } from '../contract.ts';
import type { StoredContent } from '../shared/operations.ts';
import { rowOf, rowsOf } from './writer-context.ts';

const INBOX_PAGE = 10_000;

/** Mailboxes and the chunks of bodies. */
export class MailboxReads {
  readonly #inbox;
  readonly #entries;
  readonly #content;
  readonly #chunk;
  readonly #chunkSizes;

  constructor(db: DatabaseSync) {
    this.#inbox = db.prepare("SELECT id, uidvalidity FROM mailbox WHERE account_id = ? AND name = 'INBOX'");
    this.#entries = db.prepare(`SELECT uid, size AS sizeBytes, received_at AS receivedAt, flags,
      message_id AS messageId, sender FROM mailbox_message WHERE mailbox_id = ? AND uid > ? ORDER BY uid LIMIT ?`);
    this.#content =
      db.prepare(`SELECT entry.header, body.id AS bodyId, body.size AS bodySizeBytes, body.chunks
      FROM mailbox JOIN mailbox_message AS entry ON entry.mailbox_id = mailbox.id JOIN body ON body.id = entry.body_id
      WHERE mailbox.account_id = ? AND mailbox.name = 'INBOX' AND entry.uid = ?`);
    this.#chunk = db.prepare('SELECT data FROM body_chunk WHERE id = (? << 24) + ?');
    this.#chunkSizes = db.prepare(`SELECT length(data) AS size FROM body_chunk
      WHERE id >= (?1 << 24) AND id < ((?1 + 1) << 24) ORDER BY id`);
  }

  inbox(
    accountId: number,
    afterUid: number,
    limit: number,
  ): { uidValidity: number; entries: MailboxEntry[] } {
    const mailbox = rowOf<{ id: number; uidvalidity: number }>(this.#inbox, accountId);
    if (mailbox === undefined) return { uidValidity: 0, entries: [] };
    const entries = rowsOf<MailboxEntry>(this.#entries, mailbox.id, afterUid, Math.min(limit, INBOX_PAGE));
    return { uidValidity: mailbox.uidvalidity, entries };
  }

  content(accountId: number, uid: number): StoredContent | null {
    return rowOf<StoredContent>(this.#content, accountId, uid) ?? null;
  }

  chunk(bodyId: number, n: number): Uint8Array | null {
    return rowOf<{ data: Uint8Array }>(this.#chunk, bodyId, n)?.data ?? null;
  }

  findChunk(bodyId: number, at: number): { n: number; start: number } {
    let n = 0;
    let start = 0;
    for (const row of this.#chunkSizes.iterate(bodyId)) {
      const size = Number(row.size);
      if (start + size > at) break;
      start += size;
      n++;
    }
    return { n, start };
  }
}
