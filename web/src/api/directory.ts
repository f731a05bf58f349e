/** Domains, accounts, aliases, import. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client.ts';
import { pagesOf } from './pages.ts';

export interface DomainRow {
  readonly name: string;
  readonly forward: { readonly host: string; readonly port: number } | { readonly address: string } | null;
  readonly catchAll: string | null;
}

export interface AccountRow {
  readonly address: string;
  readonly enabled: boolean;
  readonly quotaBytes: number | null;
  readonly usedBytes: number;
  readonly isPostmaster: boolean;
  readonly createdAt: string;
}

export interface AliasRow {
  readonly address: string;
  readonly targets: readonly string[];
}

export interface ImportLine {
  readonly line: number;
  readonly type: string;
  readonly address: string;
  readonly error: string | null;
  readonly mend: string;
}

export interface ImportReport {
  readonly lines: readonly ImportLine[];
}

interface Page<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}

const KEY = ['directory'] as const;
const one = (path: string, name: string) => `${path}/${encodeURIComponent(name)}`;

export function useDomains() {
  return useQuery({
    queryKey: [...KEY, 'domains'],
    queryFn: async () => (await call<Page<DomainRow>>('/domains')).rows,
  });
}

function usePages<Row>(path: string, domain: string) {
  return useInfiniteQuery({
    queryKey: [...KEY, path, domain],
    queryFn: ({ pageParam }) => call<Page<Row>>(path, { query: { domain, after: pageParam } }),
    ...pagesOf,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

export function useAccounts(domain: string) {
  return usePages<AccountRow>('/accounts', domain);
}

export function useAliases(domain: string) {
  return usePages<AliasRow>('/aliases', domain);
}

/** A change after which every list of the directory is read again. */
function useChange<Input, Output = unknown>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: KEY }) });
}

export function useDomainChanges() {
  return {
    add: useChange((name: string) => call('/domains', { method: 'POST', body: { name } })),
    change: useChange(
      (input: { readonly name: string; readonly forward: string; readonly catchAll: string }) =>
        call(one('/domains', input.name), {
          method: 'PATCH',
          body: { forward: input.forward || null, catchAll: input.catchAll || null },
        }),
    ),
    remove: useChange((name: string) => call(one('/domains', name), { method: 'DELETE' })),
  };
}

export function useAccountChanges() {
  const patch = (address: string, body: object) => call(one('/accounts', address), { method: 'PATCH', body });
  return {
    add: useChange(
      ({
        address,
        password,
        quota,
      }: {
        readonly address: string;
        readonly password: string;
        readonly quota: string;
      }) =>
        call('/accounts', {
          method: 'POST',
          body: { address, password, ...(quota === '' ? {} : { quota }) },
        }),
    ),
    setPassword: useChange(({ address, password }: { readonly address: string; readonly password: string }) =>
      patch(address, { password }),
    ),
    setQuota: useChange(({ address, quota }: { readonly address: string; readonly quota: string }) =>
      patch(address, { quota: quota || null }),
    ),
    setEnabled: useChange(({ address, enabled }: { readonly address: string; readonly enabled: boolean }) =>
      patch(address, { enabled }),
    ),
    makePostmaster: useChange((address: string) => patch(address, { isPostmaster: true })),
    remove: useChange((address: string) => call(one('/accounts', address), { method: 'DELETE' })),
  };
}

export function useAliasChanges() {
  return {
    add: useChange(({ address, targets }: AliasRow) =>
      call<{ readonly unknown: readonly string[] }>('/aliases', {
        method: 'POST',
        body: { address, targets },
      }),
    ),
    remove: useChange((address: string) => call(one('/aliases', address), { method: 'DELETE' })),
  };
}

export function useImport() {
  const run = (dryRun: boolean) => (csv: string) =>
    call<ImportReport>('/import', { method: 'POST', body: { csv, dryRun } });
  return { preview: useMutation({ mutationFn: run(true) }), apply: useChange(run(false)) };
}
