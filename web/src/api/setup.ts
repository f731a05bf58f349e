/** The first run. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client.ts';

/** Whether the one-time link still works; rejects with the reason when it does not. */
export function useSetupState(token: string) {
  return useQuery({
    queryKey: ['setup', token],
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: () => call<unknown>('/setup/check', { method: 'POST', body: { token } }),
  });
}

/** Makes the first administrator and signs this browser in. */
export function useFirstAdministrator() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (input: { readonly token: string; readonly name: string; readonly password: string }) =>
      call<unknown>('/setup', { method: 'POST', body: input }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['session'] }),
  });
}

/** Sends a real message from this server; resolves to its ID. */
export function useTestMessage() {
  return useMutation({
    mutationFn: (to: string) =>
      call<{ readonly id: string }>('/test-message', { method: 'POST', body: { to } }),
  });
}
