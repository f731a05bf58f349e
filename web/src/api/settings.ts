/** The settings: list, check, save, history, revert. */
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type AnswerOf, call, type RowOf } from './client.ts';
import type { Problem } from './problem.ts';

export type SettingsList = AnswerOf<'GET /settings'>;
export type SettingInfo = SettingsList['settings'][number];
export type HistoryEntry = RowOf<'GET /settings/history'>;
export type SettingsPreview = AnswerOf<'POST /settings/preview'>;

export interface SettingChangeInput {
  readonly key: string;
  readonly value: string;
}

/** What others changed since. */
export interface Conflict {
  readonly version: number;
  readonly changes: readonly HistoryEntry[];
}

const KEY = ['settings'] as const;
const REFRESH_MS = 15_000;

export function useSettingsList() {
  return useQuery({
    queryKey: [...KEY, 'list'],
    queryFn: () => call('GET /settings'),
    refetchInterval: REFRESH_MS,
  });
}

/** What the server says of changes without storing them. */
export function useSettingsCheck(changes: readonly SettingChangeInput[]) {
  return useQuery({
    queryKey: [...KEY, 'check', changes],
    enabled: changes.length > 0,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => call('POST /settings/preview', { body: { changes: [...changes] }, signal }),
  });
}

interface SaveInput {
  readonly changes: readonly SettingChangeInput[];
  /** The version the changes are based on; null for the one now. */
  readonly version: number | null;
}

export function useSaveSettings() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ changes, version }: SaveInput) =>
      call('PATCH /settings', {
        body: { changes: [...changes], version: version ?? (await call('GET /settings')).version },
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

/** The others' changes that a 409 tells of; null for any other problem. */
export function conflictOf({ status, body }: Problem): Conflict | null {
  const { version, changes } = body;
  if (status !== 409 || typeof version !== 'number' || !Array.isArray(changes)) return null;
  return { version, changes: changes as HistoryEntry[] };
}

export function useSettingsHistory(limit: number) {
  return useQuery({
    queryKey: [...KEY, 'history', limit],
    queryFn: async () => (await call('GET /settings/history', { query: { limit } })).rows,
    refetchInterval: REFRESH_MS,
  });
}

export function useRevert() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (n: number) => call('POST /settings/history/:n/revert', { params: { n } }),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}
