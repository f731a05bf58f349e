/** The settings: list, check, save, history, revert. */
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client.ts';
import { type FieldError, Problem } from './problem.ts';

export interface SettingInfo {
  readonly key: string;
  readonly label: string;
  readonly help: string;
  readonly effect: string;
  readonly unit: string;
  readonly range: string;
  /** Canonical text; `(set)` for a secret that is set. */
  readonly text: string;
  readonly defaultText: string;
  readonly secret: boolean;
  readonly kind: 'onOff' | 'number' | 'choice' | 'choices' | 'text';
  readonly wholeNumber: boolean;
  readonly choices: readonly string[];
}

export interface SettingChangeInput {
  readonly key: string;
  readonly value: string;
}

export interface SettingWarning {
  readonly key: string;
  readonly text: string;
}

export interface HistoryEntry {
  readonly n: number;
  readonly at: string;
  readonly author: string;
  readonly key: string;
  readonly old: string | null;
  readonly new: string | null;
}

/** What others changed since. */
export interface Conflict {
  readonly version: number;
  readonly changes: readonly HistoryEntry[];
}

export interface SettingsList {
  readonly settings: readonly SettingInfo[];
  readonly version: number;
  readonly warnings: readonly SettingWarning[];
}

const KEY = ['settings'] as const;
const REFRESH_MS = 15_000;

export function useSettingsList() {
  return useQuery({
    queryKey: [...KEY, 'list'],
    queryFn: () => call<SettingsList>('/settings'),
    refetchInterval: REFRESH_MS,
  });
}

export interface SettingsCheck {
  readonly errors: readonly FieldError[];
  readonly warnings: readonly SettingWarning[];
}

/** What the server says of changes without storing them; an error of the form is an answer here, not a failure. */
export function useSettingsCheck(changes: readonly SettingChangeInput[]) {
  return useQuery({
    queryKey: [...KEY, 'check', changes],
    enabled: changes.length > 0,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<SettingsCheck> => {
      try {
        const { warnings } = await call<{ warnings: readonly SettingWarning[] }>('/settings/preview', {
          method: 'POST',
          body: { changes },
          signal,
        });
        return { errors: [], warnings };
      } catch (error) {
        if (error instanceof Problem && error.status === 422) return { errors: error.errors, warnings: [] };
        throw error;
      }
    },
  });
}

export function useSaveSettings() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (input: {
      readonly changes: readonly SettingChangeInput[];
      readonly ifVersion: number | null;
    }) => call<unknown>('/settings', { method: 'PATCH', body: input }),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

/** The others' changes that a 409 tells of; null for any other problem. */
export function conflictOf(problem: Problem): Conflict | null {
  const { version, changes } = problem.body;
  if (problem.status !== 409 || typeof version !== 'number' || !Array.isArray(changes)) return null;
  return { version, changes: changes as HistoryEntry[] };
}

export function useSettingsHistory(limit: number) {
  return useQuery({
    queryKey: [...KEY, 'history', limit],
    queryFn: () => call<readonly HistoryEntry[]>('/settings/history', { query: { limit } }),
    refetchInterval: REFRESH_MS,
  });
}

export function useRevert() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (n: number) => call<unknown>(`/settings/history/${n}/revert`, { method: 'POST', body: {} }),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}
