/** The first run. */
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type AnswerOf, call } from './client.ts';
import { useBegunSession } from './session.ts';

export type PasswordStrength = AnswerOf<'POST /password-strength'>;

/** Whether the one-time link still works; rejects with the reason when it does not. */
export function useSetupState(token: string) {
  return useQuery({
    queryKey: ['setup', token],
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: async () => {
      await call('POST /setup/check', { body: { token } });
      return true;
    },
  });
}

/** Makes the first administrator and signs this browser in. */
export function useFirstAdministrator() {
  const begun = useBegunSession();
  return useMutation({
    mutationFn: (body: { readonly token: string; readonly name: string; readonly password: string }) =>
      call('POST /setup', { body }),
    onSuccess: begun,
  });
}

/** How strong a password is, by the rule the server goes by. */
export function usePasswordStrength(password: string, name: string) {
  return useQuery({
    queryKey: ['strength', password, name],
    enabled: password !== '',
    placeholderData: keepPreviousData,
    gcTime: 0,
    queryFn: ({ signal }) => call('POST /password-strength', { body: { password, name }, signal }),
  });
}

export function useNode() {
  return useQuery({ queryKey: ['node'], queryFn: () => call('GET /node') });
}

export function useSetHostname() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (hostname: string) => call('PUT /node/hostname', { body: { hostname } }),
    onSuccess: (node) => client.setQueryData(['node'], node),
  });
}

/** Sends a real message from this server; resolves to its ID. */
export function useTestMessage() {
  return useMutation({ mutationFn: (to: string) => call('POST /test-message', { body: { to } }) });
}
