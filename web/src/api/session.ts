/** Who is signed in. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { navigate } from '../app/router.ts';
import { type AnswerOf, call, setCsrf, whenSignedOut } from './client.ts';
import { Problem } from './problem.ts';

export type Session = AnswerOf<'GET /session'>;

const KEY = ['session'] as const;
const FRESH_MS = 60_000;
let signedOut = false;

/** True after the server ended a session while the page was open. */
export function wasSignedOut(): boolean {
  return signedOut;
}

/** null when nobody is signed in. */
async function readSession(): Promise<Session | null> {
  try {
    const session = await call('GET /session');
    setCsrf(session.csrf);
    return session;
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
  return useQuery({ queryKey: KEY, queryFn: readSession, staleTime: FRESH_MS });
}

export function useSession(): Session | null {
  return useSessionQuery().data ?? null;
}

/** Takes over a session that was just begun. */
export function useBegunSession() {
  const client = useQueryClient();
  return (session: Session) => {
    signedOut = false;
    setCsrf(session.csrf);
    client.setQueryData(KEY, session);
  };
}

export function useSignIn() {
  const begun = useBegunSession();
  return useMutation({
    mutationFn: (body: { readonly name: string; readonly password: string }) =>
      call('POST /session', { body }),
    onSuccess: (answer) => {
      if ('csrf' in answer) begun(answer);
    },
  });
}

/** The second step, for whoever was answered with `pending`. */
export function useSignInCode() {
  const begun = useBegunSession();
  return useMutation({
    mutationFn: (body: { readonly pending: string; readonly code: string }) =>
      call('POST /session/code', { body }),
    onSuccess: begun,
  });
}

/** Ends this session, or every session of whoever is signed in; back to the sign-in. */
export function useSignOut() {
  const client = useQueryClient();
  return async (everywhere: boolean) => {
    const own = client.getQueryData<Session | null>(KEY)?.kind === 'account';
    await call(!everywhere ? 'DELETE /session' : own ? 'DELETE /me/sessions' : 'DELETE /sessions');
    setCsrf(null);
    await navigate('/');
    client.setQueryData(KEY, null);
    // What this one saw is not for the next one.
    client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== KEY[0] });
  };
}
