/** The outgoing queue: destinations, messages, actions. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type AnswerOf, call, type RowOf } from './client.ts';
import { pagesOf } from './pages.ts';

export type QueueAction = 'retry' | 'hold' | 'release' | 'delete';
export type DestinationRow = RowOf<'GET /queue/destinations'>;
export type QueueRow = RowOf<'GET /queue'>;
/** How much an action touches. */
export type QueueCount = AnswerOf<'POST /queue/retry'>;

export type QueueSelector =
  | { readonly ids: string[] }
  | { readonly destination: string }
  | { readonly all: true };

const KEY = ['queue'] as const;
const REFRESH_MS = 5000;

export function useDestinations() {
  return useInfiniteQuery({
    queryKey: [...KEY, 'destinations'],
    queryFn: ({ pageParam }) => call('GET /queue/destinations', { query: { after: pageParam } }),
    ...pagesOf,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({
      rows: pages.flatMap(({ rows }) => rows),
      holdAll: pages.some(({ holdAll }) => holdAll),
    }),
  });
}

export function useQueueOf(destination: string) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'of', destination],
    queryFn: ({ pageParam }) => call('GET /queue', { query: { destination, after: pageParam } }),
    ...pagesOf,
    refetchInterval: REFRESH_MS,
    select: ({ pages }) => ({ rows: pages.flatMap(({ rows }) => rows) }),
  });
}

interface ActionInput {
  readonly action: QueueAction;
  readonly selector: QueueSelector;
  /** With `delete`: the senders are told. */
  readonly notice?: boolean;
  /** With `hold` of a destination: what arrives later is held too. */
  readonly stay?: boolean;
}

function act(
  { action, selector, notice = false, stay = false }: ActionInput,
  dryRun: boolean,
): Promise<QueueCount> {
  if (action === 'delete') return call('POST /queue/delete', { body: { selector, dryRun, notice } });
  if (action === 'hold') return call('POST /queue/hold', { body: { selector, dryRun, stay } });
  return call(`POST /queue/${action}`, { body: { selector, dryRun } });
}

/** Counts what an action would touch, and touches nothing. */
export function useQueueCount({ action, selector }: Pick<ActionInput, 'action' | 'selector'>) {
  return useQuery({
    queryKey: [...KEY, 'count', action, selector],
    staleTime: 0,
    gcTime: 0,
    queryFn: () => act({ action, selector }, true),
  });
}

/** Lets one message find out now whether the servers of a destination are back. */
export function useEndBackOff() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (destination: string) =>
      call('POST /queue/end-back-off', { body: { selector: { destination } } }),
    onSettled: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

export function useQueueAction() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (input: ActionInput) => act(input, false),
    onSuccess: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: KEY }),
        client.invalidateQueries({ queryKey: ['messages'] }),
      ]),
  });
}
