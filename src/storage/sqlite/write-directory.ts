import { type Account, type Alias, type Domain, StorageError } from '../contract.ts';
import type { AccountForward } from '../owner-contract.ts';
import { type AccountRow, accountOf, domainPart, lookupName } from '../shared/directory-rows.ts';
import { SLICE } from '../shared/slices.ts';
import type { BodyTable } from './write-bodies.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

/** Domains, accounts, aliases and the mailboxes that belong to accounts. */
export class DirectoryTables {
  readonly #bodies: BodyTable;
  readonly #forget: (accountId: number, name: string) => void;
  readonly #findDomain;
  readonly #insertDomain;
  readonly #deleteDomain;
  readonly #setForward;
  readonly #setCatchAll;
  readonly #domainInUse;
  readonly #findAccount;
  readonly #findAlias;
  readonly #anyAccount;
  readonly #insertAccount;
  readonly #insertMailbox;
  readonly #nextUidValidity;
  readonly #deleteAccount;
  readonly #orphanMailboxes;
  readonly #setPassword;
  readonly #endSessions;
  readonly #setAccountForward;
  readonly #setEnabled;
  readonly #setQuota;
  readonly #clearPostmaster;
  readonly #setPostmaster;
  readonly #insertAlias;
  readonly #deleteAlias;
  readonly #orphanMailbox;
  readonly #mailboxSlice;
  readonly #deleteEntry;
  readonly #deleteMailbox;
  readonly #inbox;
  readonly #takeEntry;
  readonly #subtractUsed;
  readonly #touchMailbox;

  /** `forget` removes what else is kept of an account that is gone. */
  constructor({ db }: WriterContext, bodies: BodyTable, forget: (accountId: number, name: string) => void) {
    this.#bodies = bodies;
    this.#forget = forget;
    this.#findDomain = db.prepare('SELECT name FROM domain WHERE name = ?');
    this.#insertDomain = db.prepare('INSERT INTO domain (name) VALUES (?)');
    this.#deleteDomain = db.prepare('DELETE FROM domain WHERE name = ?');
    this.#setForward = db.prepare(
      'UPDATE domain SET forward_host = ?, forward_port = ?, forward_address = ? WHERE name = ?',
    );
    this.#setCatchAll = db.prepare('UPDATE domain SET catch_all = ? WHERE name = ?');
    this.#domainInUse = db.prepare(`SELECT address FROM account WHERE domain = ?1
      UNION ALL SELECT address FROM alias WHERE domain = ?1 LIMIT 1`);
    this.#findAccount = db.prepare('SELECT * FROM account WHERE name = ?');
    this.#findAlias = db.prepare('SELECT name FROM alias WHERE name = ?');
    this.#anyAccount = db.prepare('SELECT id FROM account LIMIT 1');
    this.#insertAccount = db.prepare(`INSERT INTO account
      (name, address, domain, password_hash, quota, created_at, postmaster) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#insertMailbox = db.prepare(
      "INSERT INTO mailbox (account_id, name, uidvalidity, uidnext, modseq) VALUES (?, 'INBOX', ?, 1, 1)",
    );
    this.#nextUidValidity = db.prepare(`INSERT INTO sequence (name, value) VALUES ('uidvalidity', ?1)
      ON CONFLICT (name) DO UPDATE SET value = max(value + 1, ?1) RETURNING value`);
    this.#deleteAccount = db.prepare('DELETE FROM account WHERE id = ?');
    this.#orphanMailboxes = db.prepare('UPDATE mailbox SET account_id = NULL WHERE account_id = ?');
    this.#setPassword = db.prepare('UPDATE account SET password_hash = ? WHERE name = ?');
    this.#endSessions = db.prepare('DELETE FROM account_session WHERE account_id = ? AND id <> ?');
    this.#setAccountForward = db.prepare('UPDATE account SET forward_to = ?, forward_keep = ? WHERE id = ?');
    this.#setEnabled = db.prepare('UPDATE account SET enabled = ? WHERE name = ?');
    this.#setQuota = db.prepare('UPDATE account SET quota = ? WHERE name = ?');
    this.#clearPostmaster = db.prepare('UPDATE account SET postmaster = 0 WHERE postmaster = 1');
    this.#setPostmaster = db.prepare('UPDATE account SET postmaster = 1 WHERE name = ?');
    this.#insertAlias = db.prepare('INSERT INTO alias (name, address, domain, targets) VALUES (?, ?, ?, ?)');
    this.#deleteAlias = db.prepare('DELETE FROM alias WHERE name = ?');
    this.#orphanMailbox = db.prepare('SELECT id FROM mailbox WHERE account_id IS NULL LIMIT 1');
    this.#mailboxSlice = db.prepare(
      `SELECT uid, body_id FROM mailbox_message WHERE mailbox_id = ? LIMIT ${SLICE}`,
    );
    this.#deleteEntry = db.prepare('DELETE FROM mailbox_message WHERE mailbox_id = ? AND uid = ?');
    this.#deleteMailbox = db.prepare('DELETE FROM mailbox WHERE id = ?');
    this.#inbox = db.prepare("SELECT id FROM mailbox WHERE account_id = ? AND name = 'INBOX'");
    this.#takeEntry = db.prepare(
      'DELETE FROM mailbox_message WHERE mailbox_id = ? AND uid = ? RETURNING body_id, size',
    );
    this.#subtractUsed = db.prepare('UPDATE account SET used_bytes = used_bytes - ? WHERE id = ?');
    this.#touchMailbox = db.prepare('UPDATE mailbox SET modseq = modseq + 1 WHERE id = ?');
  }

  addDomain(name: string): void {
    if (rowOf(this.#findDomain, name) !== undefined) {
      throw new StorageError('conflict', `the domain ${name} exists already`);
    }
    this.#insertDomain.run(name);
  }

  removeDomain(name: string): void {
    this.#needDomain(name);
    const user = rowOf<{ address: string }>(this.#domainInUse, name);
    if (user !== undefined) {
      throw new StorageError(
        'conflict',
        `the domain ${name} still has accounts or aliases (${user.address}): remove them first`,
      );
    }
    this.#deleteDomain.run(name);
  }

  setForward(name: string, forward: Domain['forward']): void {
    this.#needDomain(name);
    const host = forward !== null && 'host' in forward ? forward : null;
    const address = forward !== null && 'address' in forward ? forward.address : null;
    this.#setForward.run(host?.host ?? null, host?.port ?? null, address, name);
  }

  setCatchAll(name: string, address: string | null): void {
    this.#needDomain(name);
    this.#setCatchAll.run(address, name);
  }

  /** The first account made is the server's postmaster. */
  addAccount(input: { address: string; passwordHash: string | null; quotaBytes: number | null }): Account {
    const { address, passwordHash, quotaBytes } = input;
    const name = this.#needFree(address);
    const first = rowOf(this.#anyAccount) === undefined;
    const now = Date.now();
    const domain = domainPart(address);
    this.#insertAccount.run(name, address, domain, passwordHash, quotaBytes, now, first ? 1 : 0);
    const row = this.#needAccount(address);
    // An account made again in the same second must not look like the old mailbox.
    const validity = rowOf<{ value: number }>(this.#nextUidValidity, Math.floor(now / 1000));
    this.#insertMailbox.run(row.id, validity?.value ?? 1);
    return accountOf(row);
  }

  /** The account goes at once; its mail is swept afterwards, see `sweepMailboxes`. */
  removeAccount(address: string): void {
    const row = this.#needAccount(address);
    if (row.postmaster === 1) {
      throw new StorageError(
        'conflict',
        `${row.address} is the server's postmaster: move postmaster to another account first`,
      );
    }
    this.#deleteAccount.run(row.id);
    this.#forget(row.id, lookupName(address));
    this.#orphanMailboxes.run(row.id);
  }

  setPassword(address: string, passwordHash: string, keepSession: string | null): void {
    this.#endSessions.run(this.#needAccount(address).id, keepSession ?? '');
    this.#setPassword.run(passwordHash, lookupName(address));
  }

  setEnabled(address: string, enabled: boolean): void {
    const { id } = this.#needAccount(address);
    if (!enabled) this.#endSessions.run(id, '');
    this.#setEnabled.run(enabled ? 1 : 0, lookupName(address));
  }

  setQuota(address: string, quotaBytes: number | null): void {
    this.#needAccount(address);
    this.#setQuota.run(quotaBytes, lookupName(address));
  }

  setAccountForward(address: string, forward: AccountForward | null): void {
    const { id } = this.#needAccount(address);
    const targets = forward === null ? null : JSON.stringify(forward.targets);
    this.#setAccountForward.run(targets, forward?.keep === false ? 0 : 1, id);
  }

  movePostmaster(address: string): void {
    this.#needAccount(address);
    this.#clearPostmaster.run();
    this.#setPostmaster.run(lookupName(address));
  }

  addAlias({ address, targets }: Alias): void {
    const name = this.#needFree(address);
    this.#insertAlias.run(name, address, domainPart(address), JSON.stringify(targets));
  }

  removeAlias(address: string): void {
    if (Number(this.#deleteAlias.run(lookupName(address)).changes) === 0) {
      throw new StorageError('not-found', `there is no alias ${address}`);
    }
  }

  /** Deletes a slice of the mail of accounts that are gone; true while there is more. */
  sweepMailboxes(): boolean {
    const mailbox = rowOf<{ id: number }>(this.#orphanMailbox);
    if (mailbox === undefined) return false;
    const rows = rowsOf<{ uid: number; body_id: number }>(this.#mailboxSlice, mailbox.id);
    for (const { uid, body_id } of rows) {
      this.#deleteEntry.run(mailbox.id, uid);
      this.#bodies.dropRef(body_id);
    }
    if (rows.length < SLICE) this.#deleteMailbox.run(mailbox.id);
    return true;
  }

  removeEntries(accountId: number, uids: readonly number[]): number {
    const mailbox = rowOf<{ id: number }>(this.#inbox, accountId);
    if (mailbox === undefined) return 0;
    let removed = 0;
    let bytes = 0;
    for (const uid of uids) {
      const row = rowOf<{ body_id: number; size: number }>(this.#takeEntry, mailbox.id, uid);
      if (row === undefined) continue;
      this.#bodies.dropRef(row.body_id);
      removed++;
      bytes += row.size;
    }
    if (removed > 0) {
      this.#subtractUsed.run(bytes, accountId);
      this.#touchMailbox.run(mailbox.id);
    }
    return removed;
  }

  #needDomain(name: string): void {
    if (rowOf(this.#findDomain, name) === undefined) {
      throw new StorageError('not-found', `there is no domain ${name}`);
    }
  }

  #needAccount(address: string): AccountRow {
    const row = rowOf<AccountRow>(this.#findAccount, lookupName(address));
    if (row === undefined) throw new StorageError('not-found', `there is no account ${address}`);
    return row;
  }

  /** Lookup name of an address in a hosted domain that nobody has yet. */
  #needFree(address: string): string {
    const name = lookupName(address);
    this.#needDomain(domainPart(address));
    if (rowOf(this.#findAccount, name) !== undefined) {
      throw new StorageError('conflict', `the account ${address} exists already`);
    }
    if (rowOf(this.#findAlias, name) !== undefined) {
      throw new StorageError('conflict', `the alias ${address} exists already`);
    }
    return name;
  }
}
