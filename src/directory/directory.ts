/**
 * The directory of users as the decision asks it: domains, accounts, aliases, with the answers kept in
 * memory until the directory changes, since every RCPT asks.
 */
import type { Account, AddressEntry, Alias, DirectoryStore, Domain } from '../storage/contract.ts';

/** Answers kept; when full the cache starts anew. */
const CACHE_ENTRIES = 20_000;

export class Directory {
  readonly #store: DirectoryStore;
  readonly #answers = new Map<string, unknown>();
  #version = -1;

  constructor(store: DirectoryStore) {
    this.#store = store;
  }

  /** A hosted domain, by canonical name. */
  domain(name: string): Promise<Domain | null> {
    return this.#ask(`domain ${name}`, () => this.#store.domain(name));
  }

  /** Account or alias with exactly this address. Accounts with a quota are read afresh for their usage. */
  async entry(address: string): Promise<AddressEntry> {
    const found = await this.#ask(`entry ${address.toLowerCase()}`, () => this.#store.entry(address));
    if (found?.type === 'account' && found.account.quotaBytes !== null) return this.#store.entry(address);
    return found;
  }

  /** The account that gets the mail for postmaster; null before any account exists. */
  postmaster(): Promise<Account | null> {
    return this.#ask('postmaster', () => this.#store.postmaster());
  }

  async #ask<T>(key: string, read: () => Promise<T>): Promise<T> {
    const version = this.#store.directoryVersion();
    if (version !== this.#version || this.#answers.size >= CACHE_ENTRIES) {
      this.#answers.clear();
      this.#version = version;
    }
    if (this.#answers.has(key)) return this.#answers.get(key) as T;
    const answer = await read();
    // An answer read while the directory changed may be either the old or the new one: not kept.
    if (this.#store.directoryVersion() === version && this.#version === version)
      this.#answers.set(key, answer);
    return answer;
  }
}

/** Where an address in a hosted domain leads by the directory alone. */
export type Found =
  | { readonly type: 'account'; readonly account: Account; readonly rule: 'account' | 'subaddress' }
  | { readonly type: 'alias'; readonly alias: Alias; readonly rule: 'alias' | 'subaddress' }
  | { readonly type: 'catch-all'; readonly target: string }
  | { readonly type: 'unknown' };

/** Account, then alias, then `user+tag`, then catch-all (BEHAVIOUR.md, "Who is refused" 5). */
export async function findUser(directory: Directory, localPart: string, domain: Domain): Promise<Found> {
  const exact = await directory.entry(`${localPart}@${domain.name}`);
  if (exact?.type === 'account') return { ...exact, rule: 'account' };
  if (exact?.type === 'alias') return { ...exact, rule: 'alias' };
  const plus = localPart.indexOf('+');
  if (plus > 0) {
    const base = await directory.entry(`${localPart.slice(0, plus)}@${domain.name}`);
    if (base !== null) return { ...base, rule: 'subaddress' };
  }
  if (domain.catchAll !== null) return { type: 'catch-all', target: domain.catchAll };
  return { type: 'unknown' };
}
