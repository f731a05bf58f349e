import { accountOf, aliasOf, domainOf, lookupName, } from './directory-rows.js';
import { rowOf, rowsOf } from './writer-context.js';
/** Domains, accounts and aliases as readers see them. */
export class DirectoryReads {
    #domain;
    #account;
    #alias;
    #postmaster;
    #passwordHash;
    #domains;
    #accounts;
    #aliases;
    constructor(db) {
        this.#domain = db.prepare('SELECT * FROM domain WHERE name = ?');
        this.#account = db.prepare('SELECT * FROM account WHERE name = ?');
        this.#alias = db.prepare('SELECT address, targets FROM alias WHERE name = ?');
        this.#postmaster = db.prepare('SELECT * FROM account WHERE postmaster = 1');
        this.#passwordHash = db.prepare('SELECT password_hash FROM account WHERE id = ?');
        this.#domains = db.prepare('SELECT * FROM domain ORDER BY name');
        this.#accounts = db.prepare('SELECT * FROM account WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, name');
        this.#aliases = db.prepare('SELECT address, targets FROM alias WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, name');
    }
    domain(name) {
        const row = rowOf(this.#domain, name);
        return row === undefined ? null : domainOf(row);
    }
    account(address) {
        const row = rowOf(this.#account, lookupName(address));
        return row === undefined ? null : accountOf(row);
    }
    entry(address) {
        const account = this.account(address);
        if (account !== null)
            return { type: 'account', account };
        const row = rowOf(this.#alias, lookupName(address));
        return row === undefined ? null : { type: 'alias', alias: aliasOf(row) };
    }
    postmaster() {
        const row = rowOf(this.#postmaster);
        return row === undefined ? null : accountOf(row);
    }
    passwordHash(accountId) {
        return rowOf(this.#passwordHash, accountId)?.password_hash ?? null;
    }
    listDomains() {
        return rowsOf(this.#domains).map(domainOf);
    }
    listAccounts(domain) {
        return rowsOf(this.#accounts, domain).map(accountOf);
    }
    listAliases(domain) {
        return rowsOf(this.#aliases, domain).map(aliasOf);
    }
}
