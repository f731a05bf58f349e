/** Sessions, tokens, administrators, audit. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client.ts';
import { pagesOf } from './pages.ts';

export interface SessionRow {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly userAgent: string;
  readonly createdAt: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
  readonly current: boolean;
}

export interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly scope: string;
  readonly by: string;
  readonly lastUsedAt: string | null;
  readonly expiresAt: string;
  readonly state: 'active' | 'revoked' | 'expired';
}

export interface AdministratorRow {
  readonly name: string;
  readonly createdAt: string;
  readonly lastSignInAt: string | null;
}

export interface AuditRow {
  readonly id: string;
  readonly at: string;
  readonly who: string;
  readonly address: string | null;
  readonly action: string;
  readonly details: string;
}

const KEY = ['access'] as const;
const one = (path: string, id: string) => `${path}/${encodeURIComponent(id)}`;

function useRows<Row>(path: string) {
  return useQuery({
    queryKey: [...KEY, path],
    queryFn: async () => (await call<{ readonly rows: readonly Row[] }>(path)).rows,
  });
}

function useChange<Input, Output = unknown>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: KEY }) });
}

export const useSessions = () => useRows<SessionRow>('/sessions');
export const useTokens = () => useRows<TokenRow>('/tokens');
export const useAdministrators = () => useRows<AdministratorRow>('/administrators');

export const useEndSession = () =>
  useChange((id: string) => call(one('/sessions', id), { method: 'DELETE' }));
export const useRevokeToken = () => useChange((id: string) => call(one('/tokens', id), { method: 'DELETE' }));

export const useMakeToken = () =>
  useChange((input: { readonly name: string; readonly scope: string; readonly days: number }) =>
    call<{ readonly token: string }>('/tokens', { method: 'POST', body: input }),
  );

export function useAdministratorChanges() {
  return {
    add: useChange((input: { readonly name: string; readonly password: string }) =>
      call('/administrators', { method: 'POST', body: input }),
    ),
    setPassword: useChange(
      ({
        name,
        ...body
      }: {
        readonly name: string;
        readonly password: string;
        readonly currentPassword?: string;
      }) => call(`${one('/administrators', name)}/password`, { method: 'PUT', body }),
    ),
    remove: useChange((name: string) => call(one('/administrators', name), { method: 'DELETE' })),
  };
}

export function useAudit() {
  return useInfiniteQuery({
    queryKey: [...KEY, 'audit'],
    queryFn: ({ pageParam }) =>
      call<{ readonly rows: readonly AuditRow[]; readonly next: string | null }>('/audit', {
        query: { after: pageParam },
      }),
    ...pagesOf,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}
