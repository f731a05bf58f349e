/** The outgoing queue: destinations, messages, actions. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client.ts';
import { pagesOf } from './pages.ts';

export type QueueAction = 'retry' | 'hold' | 'release' | 'delete';

export type QueueSelector =
  | { readonly ids: readonly string[] }
  | { readonly destination: string }
  | { readonly all: true };

export interface DestinationRow {
  readonly destination: string;
  readonly waiting: number;
  readonly sending: number;
  readonly held: number;
  readonly oldestAt: string | null;
  readonly lastReply: string | null;
  readonly nextAttemptAt: string | null;
  readonly backedOffUntil: string | null;
}

export interface QueueRecipient {
  readonly address: string;
  readonly original: string;
  readonly state: string;
  readonly why: string | null;
  readonly lastReply: string | null;
  readonly via: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: string | null;
}

export interface QueueRow {
  readonly id: string;
  readonly sender: string;
  readonly size: number;
  readonly receivedAt: string;
  readonly recipients: readonly QueueRecipient[];
}

interface Page<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}

const KEY = ['queue'] as const;
const REFRESH_MS = 5000;

export function useDestinations() {
  return useInfiniteQuery({
    queryKey: [...KEY, 'destinations'],
    queryFn: ({ pageParam }) =>
      call<Page<DestinationRow> & { readonly holdAll: boolean }>('/queue/destinations', {
        query: { after: pageParam },
      }),
    ...pagesOf,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows), holdAll: pages[0]?.holdAll === true }),
  });
}

export function useQueueOf(destination: string) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'of', destination],
    queryFn: ({ pageParam }) => call<Page<QueueRow>>('/queue', { query: { destination, after: pageParam } }),
    ...pagesOf,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

/** How much an action would touch. */
export interface QueueCount {
  readonly recipients: number;
  readonly messages: number;
}

export function useQueueCount(
  wanted: { readonly action: QueueAction; readonly selector: QueueSelector } | null,
) {
  return useQuery({
    queryKey: [...KEY, 'count', wanted],
    enabled: wanted !== null,
    staleTime: 0,
    gcTime: 0,
    queryFn: () =>
      call<QueueCount>(`/queue/${wanted?.action}`, {
        method: 'POST',
        body: { selector: wanted?.selector, dryRun: true },
      }),
  });
}

export function useQueueAction() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (input: {
      readonly action: QueueAction;
      readonly selector: QueueSelector;
      readonly notice: boolean;
    }) =>
      call<QueueCount>(`/queue/${input.action}`, {
        method: 'POST',
        body: { selector: input.selector, ...(input.action === 'delete' ? { notice: input.notice } : {}) },
      }),
    onSuccess: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: KEY }),
        client.invalidateQueries({ queryKey: ['messages'] }),
      ]),
  });
}
