/** Sessions, tokens, administrators, audit. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type AnswerOf, call, type RowOf } from './client.ts';
import { pagesOf } from './pages.ts';
import { useSession } from './session.ts';

export type SessionRow = RowOf<'GET /sessions'>;
export type TokenRow = RowOf<'GET /tokens'>;
export type TokenScope = TokenRow['scopes'][number];
export type AdministratorRow = RowOf<'GET /administrators'>;
export type AuditRow = RowOf<'GET /audit'>;

export type BanRow = RowOf<'GET /bans'>;
export type Enrolment = AnswerOf<'POST /second-factor'>;

const KEY = ['access'] as const;
/** Longer lists than this are cut: these are things of administrators, not of users. */
const MOST = 500;

function useChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: KEY }) });
}

export function useSessions() {
  return useQuery({
    queryKey: [...KEY, 'sessions'],
    queryFn: async () => (await call('GET /sessions', { query: { limit: MOST } })).rows,
  });
}

export function useTokens() {
  return useQuery({
    queryKey: [...KEY, 'tokens'],
    queryFn: async () => (await call('GET /tokens', { query: { limit: MOST } })).rows,
  });
}

export function useAdministrators() {
  return useQuery({
    queryKey: [...KEY, 'administrators'],
    queryFn: async () => (await call('GET /administrators', { query: { limit: MOST } })).rows,
  });
}

export function useEndSession() {
  return useChange((id: string) => call('DELETE /sessions/:id', { params: { id } }));
}

export function useRevokeToken() {
  return useChange((id: string) => call('DELETE /tokens/:id', { params: { id } }));
}

interface NewToken {
  readonly name: string;
  readonly scopes: TokenScope[];
  readonly days: number;
}

export function useMakeToken() {
  return useChange((body: NewToken) => call('POST /tokens', { body }));
}

interface NewPassword {
  readonly name: string;
  readonly password: string;
  /** Needed for one's own. */
  readonly currentPassword?: string;
}

export function useAdministratorChanges() {
  return {
    add: useChange((body: { readonly name: string; readonly password: string }) =>
      call('POST /administrators', { body }),
    ),
    setPassword: useChange(({ name, ...body }: NewPassword) =>
      call('PUT /administrators/:name/password', { params: { name }, body }),
    ),
    remove: useChange((name: string) => call('DELETE /administrators/:name', { params: { name } })),
  };
}

/** That of whoever is signed in: an administrator, or the owner of an account. */
export function useSecondFactor() {
  const own = useSession()?.kind === 'account';
  return useQuery({
    queryKey: [...KEY, 'second-factor'],
    queryFn: () => call(own ? 'GET /me/second-factor' : 'GET /second-factor'),
  });
}

export function useSecondFactorChanges() {
  const own = useSession()?.kind === 'account';
  return {
    begin: useChange((password: string) =>
      call(own ? 'POST /me/second-factor' : 'POST /second-factor', { body: { password } }),
    ),
    confirm: useChange((code: string) =>
      call(own ? 'POST /me/second-factor/confirm' : 'POST /second-factor/confirm', { body: { code } }),
    ),
    turnOff: useChange((body: { readonly password: string; readonly code: string }) =>
      call(own ? 'POST /me/second-factor/off' : 'POST /second-factor/off', { body }),
    ),
  };
}

/** Turns that of another administrator off. */
export function useResetSecondFactor() {
  return useChange((name: string) =>
    call('DELETE /administrators/:name/second-factor', { params: { name } }),
  );
}

export function useBans() {
  return useQuery({
    queryKey: [...KEY, 'bans'],
    queryFn: async () => (await call('GET /bans', { query: { limit: MOST } })).rows,
  });
}

export function useLiftBan() {
  return useChange((network: string) => call('POST /bans/lift', { body: { network } }));
}

export function useAudit() {
  return useInfiniteQuery({
    queryKey: [...KEY, 'audit'],
    queryFn: ({ pageParam }) => call('GET /audit', { query: { after: pageParam } }),
    ...pagesOf,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}
