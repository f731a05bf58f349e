/** Domains, accounts, aliases, import. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type AnswerOf, call, type RowOf } from './client.ts';
import { pagesOf } from './pages.ts';

export type DomainRow = RowOf<'GET /domains'>;
export type AccountRow = RowOf<'GET /accounts'>;
export type AliasRow = RowOf<'GET /aliases'>;
export type ImportReport = AnswerOf<'POST /import'>;
export type ImportLine = ImportReport['lines'][number];

const KEY = ['directory'] as const;
/** Domains are few; more than this are found by their page's list. */
const MOST_DOMAINS = 500;

export function useDomains() {
  return useQuery({
    queryKey: [...KEY, 'domains'],
    queryFn: async () => (await call('GET /domains', { query: { limit: MOST_DOMAINS } })).rows,
  });
}

export function useAccounts(domain: string) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'accounts', domain],
    queryFn: ({ pageParam }) => call('GET /accounts', { query: { domain, after: pageParam } }),
    ...pagesOf,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

/** The last sign-ins of an account, newest first. */
export function useAccountSignIns(address: string) {
  return useQuery({
    queryKey: [...KEY, 'sign-ins', address],
    queryFn: async () => (await call('GET /accounts/:address/sign-ins', { params: { address } })).rows,
  });
}

export function useAliases(domain: string) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'aliases', domain],
    queryFn: ({ pageParam }) => call('GET /aliases', { query: { domain, after: pageParam } }),
    ...pagesOf,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

/** A change after which every list of the directory is read again. */
function useChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: KEY }) });
}

interface DomainChange {
  readonly name: string;
  /** Empty: none. */
  readonly forward: string;
  readonly catchAll: string;
}

export function useDomainChanges() {
  return {
    add: useChange((name: string) => call('POST /domains', { body: { name } })),
    change: useChange(({ name, forward, catchAll }: DomainChange) =>
      call('PATCH /domains/:name', {
        params: { name },
        body: { forward: forward || null, catchAll: catchAll || null },
      }),
    ),
    remove: useChange((name: string) => call('DELETE /domains/:name', { params: { name } })),
  };
}

interface NewAccount {
  readonly address: string;
  readonly password: string;
  /** Empty: no limit. */
  readonly quota: string;
}

export function useAccountChanges() {
  return {
    add: useChange(({ address, password, quota }: NewAccount) =>
      call('POST /accounts', { body: { address, password, ...(quota === '' ? {} : { quota }) } }),
    ),
    setPassword: useChange(({ address, password }: Omit<NewAccount, 'quota'>) =>
      call('PATCH /accounts/:address', { params: { address }, body: { password } }),
    ),
    setQuota: useChange(({ address, quota }: Omit<NewAccount, 'password'>) =>
      call('PATCH /accounts/:address', { params: { address }, body: { quota: quota || null } }),
    ),
    setEnabled: useChange(({ address, enabled }: { readonly address: string; readonly enabled: boolean }) =>
      call('PATCH /accounts/:address', { params: { address }, body: { enabled } }),
    ),
    resetSecondFactor: useChange((address: string) =>
      call('DELETE /accounts/:address/second-factor', { params: { address } }),
    ),
    setForward: useChange(({ address, forward }: Pick<AccountRow, 'address' | 'forward'>) =>
      call('PATCH /accounts/:address', { params: { address }, body: { forward } }),
    ),
    makePostmaster: useChange((address: string) =>
      call('PATCH /accounts/:address', { params: { address }, body: { isPostmaster: true } }),
    ),
    remove: useChange((address: string) => call('DELETE /accounts/:address', { params: { address } })),
  };
}

export function useAliasChanges() {
  return {
    add: useChange((body: AliasRow) => call('POST /aliases', { body })),
    change: useChange(({ address, targets }: AliasRow) =>
      call('PATCH /aliases/:address', { params: { address }, body: { targets } }),
    ),
    remove: useChange((address: string) => call('DELETE /aliases/:address', { params: { address } })),
  };
}

export function useImport() {
  const run = (dryRun: boolean) => (csv: string) => call('POST /import', { body: { csv, dryRun } });
  return { preview: useMutation({ mutationFn: run(true) }), apply: useChange(run(false)) };
}
