import type { DatabaseSync } from 'node:sqlite';
import type { Account, AddressEntry, Alias, Domain } from '../contract.ts';
import {
  type AccountRow,
  type AliasRow,
  accountOf,
  aliasOf,
  type DomainRow,
  domainOf,
  lookupName,
} from '../shared/directory-rows.ts';
import { rowOf, rowsOf } from './writer-context.ts';

/** Domains, accounts and aliases as readers see them. */
export class DirectoryReads {
  readonly #domain;
  readonly #account;
  readonly #alias;
  readonly #postmaster;
  readonly #passwordHash;
  readonly #domains;
  readonly #accounts;
  readonly #aliases;

  constructor(db: DatabaseSync) {
    this.#domain = db.prepare('SELECT * FROM domain WHERE name = ?');
    this.#account = db.prepare('SELECT * FROM account WHERE name = ?');
    this.#alias = db.prepare('SELECT address, targets FROM alias WHERE name = ?');
    this.#postmaster = db.prepare('SELECT * FROM account WHERE postmaster = 1');
    this.#passwordHash = db.prepare('SELECT password_hash FROM account WHERE id = ?');
    this.#domains = db.prepare('SELECT * FROM domain ORDER BY name');
    this.#accounts = db.prepare(
      'SELECT * FROM account WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, name',
    );
    this.#aliases = db.prepare(
      'SELECT address, targets FROM alias WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, name',
    );
  }

  domain(name: string): Domain | null {
    const row = rowOf<DomainRow>(this.#domain, name);
    return row === undefined ? null : domainOf(row);
  }

  account(address: string): Account | null {
    const row = rowOf<AccountRow>(this.#account, lookupName(address));
    return row === undefined ? null : accountOf(row);
  }

  entry(address: string): AddressEntry {
    const account = this.account(address);
    if (account !== null) return { type: 'account', account };
    const row = rowOf<AliasRow>(this.#alias, lookupName(address));
    return row === undefined ? null : { type: 'alias', alias: aliasOf(row) };
  }

  postmaster(): Account | null {
    const row = rowOf<AccountRow>(this.#postmaster);
    return row === undefined ? null : accountOf(row);
  }

  passwordHash(accountId: number): string | null {
    return rowOf<{ password_hash: string | null }>(this.#passwordHash, accountId)?.password_hash ?? null;
  }

  listDomains(): Domain[] {
    return rowsOf<DomainRow>(this.#domains).map(domainOf);
  }

  listAccounts(domain: string | null): Account[] {
    return rowsOf<AccountRow>(this.#accounts, domain).map(accountOf);
  }

  listAliases(domain: string | null): Alias[] {
    return rowsOf<AliasRow>(this.#aliases, domain).map(aliasOf);
  }
}
