/** Messages: search, story, headers, source. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { type AnswerOf, address, call, type RowOf } from './client.ts';
import { pagesOf } from './pages.ts';

export type MessageRow = RowOf<'GET /messages'>;
export type MessageStory = AnswerOf<'GET /messages/:id'>;
export type MessageState = MessageRow['state'];
export type StoryEvent = MessageStory['events'][number];

export interface MessageSearch {
  readonly sender: string;
  readonly recipient: string;
  readonly subject: string;
  readonly id: string;
  readonly state: string;
  readonly since: string;
  readonly until: string;
}

const KEY = ['messages'] as const;
const REFRESH_MS = 5000;
const STORY_REFRESH_MS = 2000;
/** A story longer than this many parts ends there; each has 2,000 events. */
const MAX_PARTS = 10;

/** A `datetime-local` value is in the reader's own time. */
function iso(local: string): string | undefined {
  const ms = Date.parse(local);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

export function useMessages({ since, until, state, ...rest }: MessageSearch) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'list', { since, until, state, ...rest }],
    queryFn: ({ pageParam, signal }) =>
      call('GET /messages', {
        query: {
          ...rest,
          ...(state === '' ? {} : { state: state as MessageState }),
          since: iso(since),
          until: iso(until),
          after: pageParam,
        },
        signal,
      }),
    ...pagesOf,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({
      rows: pages.flatMap(({ rows }) => rows),
      searchedTo: pages.at(-1)?.searchedTo ?? null,
    }),
  });
}

async function readStory(id: string): Promise<MessageStory> {
  const story = await call('GET /messages/:id', { params: { id } });
  const events = [...story.events];
  let from = story.nextEvent;
  for (let part = 1; from !== null && part < MAX_PARTS; part += 1) {
    const more = await call('GET /messages/:id', { params: { id }, query: { eventsFrom: from } });
    events.push(...more.events);
    from = more.nextEvent;
  }
  return { ...story, events };
}

export function useMessage(id: string) {
  return useQuery({
    queryKey: [...KEY, 'one', id],
    queryFn: () => readStory(id),
    refetchInterval: STORY_REFRESH_MS,
  });
}

export function useMessageHeaders(id: string, wanted: boolean) {
  return useQuery({
    queryKey: [...KEY, 'headers', id],
    enabled: wanted,
    queryFn: () => call('GET /messages/:id/headers', { params: { id } }),
  });
}

/** Where the source is downloaded from. */
export function sourceAddress(id: string): string {
  return address('/messages/:id/source', { id });
}
