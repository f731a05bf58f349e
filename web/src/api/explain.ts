/** What would happen to an address, asked live. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { call } from './client.ts';
import type { SettingChangeInput } from './settings.ts';
import type { Explanation } from './types.ts';

export interface Attempt {
  readonly address: string;
  readonly from: string;
  readonly client: string | null;
  readonly user: string | null;
}

/** null asks nothing. */
export function useExplanation(attempt: Attempt | null, changes: readonly SettingChangeInput[]) {
  return useQuery({
    queryKey: ['explain', attempt, changes],
    enabled: attempt !== null,
    placeholderData: attempt === null ? undefined : keepPreviousData,
    staleTime: 0,
    queryFn: ({ signal }) =>
      call<Explanation>('/explain', { method: 'POST', body: { ...attempt, with: changes }, signal }),
  });
}
