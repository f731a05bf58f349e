/** What would happen to an address, asked live. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { type AnswerOf, call } from './client.ts';
import type { SettingChangeInput } from './settings.ts';

export type Explained = AnswerOf<'POST /explain'>;
export type Explanation = Explained['inForce'];

export interface Attempt {
  readonly address: string;
  readonly from: string;
  readonly client: string | null;
  readonly user: string | null;
}

/** By the settings in force and as edited; null asks nothing. */
export function useExplained(attempt: Attempt | null, changes: readonly SettingChangeInput[]) {
  return useQuery({
    queryKey: ['explain', attempt, changes],
    enabled: attempt !== null,
    placeholderData: keepPreviousData,
    staleTime: 0,
    queryFn: ({ signal }) =>
      call('POST /explain', {
        body: { ...(attempt ?? { address: '' }), changes: [...changes] },
        signal,
      }),
  });
}
