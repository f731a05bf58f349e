/** Messages: search, story, headers, source. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import type { StoryEvent } from '../pages/messages/story.ts';
import { address, call } from './client.ts';
import { pagesOf } from './pages.ts';
import type { QueueRow } from './queue.ts';

export interface MessageSearch {
  readonly sender: string;
  readonly recipient: string;
  readonly subject: string;
  readonly id: string;
  readonly state: string;
  readonly since: string;
  readonly until: string;
}

export interface MessageRow {
  readonly id: string;
  readonly sender: string;
  readonly subject: string;
  readonly size: number;
  readonly receivedAt: string;
  readonly recipients: readonly { readonly address: string; readonly state: string }[];
}

export interface MessageStory extends QueueRow {
  readonly subject: string;
  readonly noticeFor: string | null;
  readonly events: readonly StoryEvent[];
}

const KEY = ['messages'] as const;
const REFRESH_MS = 5000;

/** A `datetime-local` value is in the reader's own time. */
function iso(local: string): string {
  const ms = Date.parse(local);
  return local === '' || Number.isNaN(ms) ? '' : new Date(ms).toISOString();
}

export function useMessages(search: MessageSearch) {
  const { since, until, ...rest } = search;
  return useInfiniteQuery({
    queryKey: [...KEY, 'list', search],
    queryFn: ({ pageParam, signal }) =>
      call<{ readonly rows: readonly MessageRow[]; readonly next: string | null }>('/messages', {
        query: { ...rest, since: iso(since), until: iso(until), after: pageParam },
        signal,
      }),
    ...pagesOf,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

export function useMessage(id: string) {
  return useQuery({
    queryKey: [...KEY, 'one', id],
    queryFn: () => call<MessageStory>(`/messages/${encodeURIComponent(id)}`),
    refetchInterval: 2000,
  });
}

export function useMessageHeaders(id: string, wanted: boolean) {
  return useQuery({
    queryKey: [...KEY, 'headers', id],
    enabled: wanted,
    queryFn: async () =>
      (await call<{ readonly headers: string }>(`/messages/${encodeURIComponent(id)}/headers`)).headers,
  });
}

/** Where the source is downloaded from. */
export function sourceAddress(id: string): string {
  return address(`/messages/${encodeURIComponent(id)}/source`);
}
