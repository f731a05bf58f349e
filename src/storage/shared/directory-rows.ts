import type { Account, Alias, Domain } from '../contract.ts';

export interface AccountRow {
  readonly id: number;
  readonly address: string;
  readonly enabled: number;
  readonly quota: number | null;
  readonly used_bytes: number;
  readonly created_at: number;
  readonly postmaster: number;
  /** JSON list; null without a forward. */
  readonly forward_to: string | null;
  readonly forward_keep: number;
}

export interface DomainRow {
  readonly name: string;
  readonly forward_host: string | null;
  readonly forward_port: number | null;
  readonly forward_address: string | null;
  readonly catch_all: string | null;
}

export interface AliasRow {
  readonly address: string;
  readonly targets: string;
}

/** What an address is looked up by: local parts are compared without case. */
export function lookupName(address: string): string {
  return address.toLowerCase();
}

export function domainPart(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

export function accountOf(row: AccountRow): Account {
  return {
    id: row.id,
    address: row.address,
    enabled: row.enabled === 1,
    quotaBytes: row.quota,
    usedBytes: row.used_bytes,
    createdAt: row.created_at,
    isPostmaster: row.postmaster === 1,
    forward:
      row.forward_to === null
        ? null
        : { targets: JSON.parse(row.forward_to) as string[], keep: row.forward_keep === 1 },
  };
}

export function domainOf(row: DomainRow): Domain {
  const { name, forward_host: host, forward_port: port, forward_address: address, catch_all: catchAll } = row;
  if (host !== null) return { name, forward: { host, port: port ?? 25 }, catchAll };
  return { name, forward: address === null ? null : { address }, catchAll };
}

export function aliasOf(row: AliasRow): Alias {
  return { address: row.address, targets: JSON.parse(row.targets) as string[] };
}
