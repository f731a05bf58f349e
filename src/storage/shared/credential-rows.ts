import type { AppPassword, AppPasswordScope, SignIn, SignInRecord } from '../credentials-contract.ts';

export interface AppPasswordRow {
  readonly name: string;
  /** Comma-separated. */
  readonly scopes: string;
  readonly created_at: number;
  readonly last_used_at: number | null;
}

export function appPasswordOf(row: AppPasswordRow): AppPassword {
  return {
    name: row.name,
    scopes: row.scopes.split(',') as AppPasswordScope[],
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}

export interface SignInRow {
  readonly n: number;
  readonly at: number;
  /** A `SignInRecord` as JSON. */
  readonly detail: string;
}

export function signInOf({ n, at, detail }: SignInRow): SignIn {
  return { n, at, ...(JSON.parse(detail) as SignInRecord) };
}
