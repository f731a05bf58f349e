/** What the owner of an account asks: the own account and nothing else. */
import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import { type AnswerOf, call, type RowOf } from './client.ts';
import { pagesOf } from './pages.ts';

export type Me = AnswerOf<'GET /me'>;
export type OwnMessageRow = RowOf<'GET /me/messages'>;
export type OwnStory = AnswerOf<'GET /me/messages/:id'>;
export type AppPasswordRow = RowOf<'GET /me/app-passwords'>;
export type SignInRow = RowOf<'GET /me/sign-ins'>;
export type AppPasswordScope = AppPasswordRow['scopes'][number];
export type Which = 'all' | 'sent' | 'received';

const KEY = ['me'] as const;
const REFRESH_MS = 10_000;
const STORY_REFRESH_MS = 3_000;

export function useMe() {
  return useQuery({ queryKey: [...KEY, 'account'], queryFn: () => call('GET /me') });
}

export function useOwnMessages(which: Which) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'messages', which],
    queryFn: ({ pageParam, signal }) =>
      call('GET /me/messages', { query: { which, after: pageParam }, signal }),
    ...pagesOf,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

export function useOwnMessage(id: string) {
  return useQuery({
    queryKey: [...KEY, 'message', id],
    queryFn: () => call('GET /me/messages/:id', { params: { id } }),
    refetchInterval: STORY_REFRESH_MS,
  });
}

export function useAppPasswords() {
  return useQuery({
    queryKey: [...KEY, 'app-passwords'],
    queryFn: async () => (await call('GET /me/app-passwords')).rows,
  });
}

export function useSignIns() {
  return useQuery({
    queryKey: [...KEY, 'sign-ins'],
    queryFn: async () => (await call('GET /me/sign-ins')).rows,
  });
}

/** A change after which everything of the account is read again. */
function useChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: KEY }) });
}

export function useOwnChanges() {
  return {
    setPassword: useChange((body: { readonly currentPassword: string; readonly password: string }) =>
      call('PUT /me/password', { body }),
    ),
    addAppPassword: useChange((body: { readonly name: string; readonly scopes: AppPasswordScope[] }) =>
      call('POST /me/app-passwords', { body }),
    ),
    revokeAppPassword: useChange((name: string) =>
      call('DELETE /me/app-passwords/:name', { params: { name } }),
    ),
    setForward: useChange((forward: { readonly targets: string[]; readonly keep: boolean } | null) =>
      call('PUT /me/forward', { body: { forward } }),
    ),
  };
}
