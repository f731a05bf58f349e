/** Who is signed in. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { navigate } from '../app/router.ts';
import { call, whenSignedOut } from './client.ts';
import { Problem } from './problem.ts';

export interface Session {
  readonly name: string;
  readonly hostname: string;
}

const KEY = ['session'] as const;
let signedOut = false;

/** True after the server ended a session while the page was open. */
export function wasSignedOut(): boolean {
  return signedOut;
}

/** null when nobody is signed in. */
async function readSession(): Promise<Session | null> {
  try {
    return await call<Session>('/session');
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export function useSessionQuery() {
  const client = useQueryClient();
  whenSignedOut(() => {
    const before = client.getQueryData<Session | null>(KEY);
    if (before === null || before === undefined) return;
    signedOut = true;
    client.setQueryData(KEY, null);
  });
  return useQuery({ queryKey: KEY, queryFn: readSession, staleTime: 60_000 });
}

export function useSession(): Session | null {
  return useSessionQuery().data ?? null;
}

export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (input: { readonly name: string; readonly password: string }) =>
      call<unknown>('/session', { method: 'POST', body: input }),
    onSuccess: async () => {
      signedOut = false;
      await client.resetQueries();
    },
  });
}

/** Ends this session, or every session of this administrator; back to the sign-in. */
export function useSignOut() {
  const client = useQueryClient();
  return async (everywhere: boolean) => {
    await call<void>(everywhere ? '/sessions' : '/session', { method: 'DELETE' });
    await navigate('/');
    client.clear();
    client.setQueryData(KEY, null);
  };
}
