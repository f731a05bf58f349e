import { numbers, type Runner } from './connection.ts';

interface MailboxRow {
  readonly id: number;
  readonly account_id: number;
  readonly uidnext: number;
  readonly modseq: number;
}

/** The INBOXes a transaction delivers into: locked, counted on here, and written back once. */
export class Mailboxes {
  readonly #rows: Map<number, { id: number; uidnext: number; modseq: number; bytes: number; taken: boolean }>;

  private constructor(rows: readonly MailboxRow[]) {
    this.#rows = new Map(
      rows.map(({ id, account_id, uidnext, modseq }) => [
        account_id,
        { id, uidnext, modseq, bytes: 0, taken: false },
      ]),
    );
  }

  /** Locked in one order on all nodes. */
  static async lock(tx: Runner, accountIds: Iterable<number>): Promise<Mailboxes> {
    const ids = new Set(accountIds);
    if (ids.size === 0) return new Mailboxes([]);
    const rows = await tx.run<MailboxRow>(
      `SELECT id, account_id, uidnext, modseq FROM mailbox
       WHERE account_id = ANY ($1::bigint[]) AND name = 'INBOX' ORDER BY id FOR UPDATE`,
      [numbers(ids)],
    );
    return new Mailboxes(rows);
  }

  has(accountId: number): boolean {
    return this.#rows.has(accountId);
  }

  /** A place for an entry of `sizeBytes`. Throws when `has` is false. */
  take(accountId: number, sizeBytes: number): { mailboxId: number; uid: number; modseq: number } {
    const row = this.#rows.get(accountId);
    if (row === undefined) throw new Error(`the INBOX of account ${accountId} is not locked`);
    row.bytes += sizeBytes;
    row.taken = true;
    return { mailboxId: row.id, uid: row.uidnext++, modseq: ++row.modseq };
  }

  async flush(tx: Runner): Promise<void> {
    const rows = [...this.#rows].filter(([, { taken }]) => taken);
    if (rows.length === 0) return;
    const changed = rows.map(([accountId, { id, uidnext, modseq, bytes }]) => {
      return { id, account_id: accountId, uidnext, modseq, bytes };
    });
    await tx.run(
      `UPDATE mailbox SET uidnext = x.uidnext, modseq = x.modseq
       FROM json_to_recordset($1::json) AS x (id bigint, uidnext bigint, modseq bigint) WHERE mailbox.id = x.id`,
      [changed],
    );
    await tx.run(
      `UPDATE account SET used_bytes = used_bytes + x.bytes
       FROM json_to_recordset($1::json) AS x (account_id bigint, bytes bigint) WHERE account.id = x.account_id`,
      [changed],
    );
  }
}
