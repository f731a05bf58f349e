/** The state of a settings form: what was edited, what the server thinks of it, saving it all or nothing. */
import { useDebouncedValue } from '@mantine/hooks';
import { useMemo, useState } from 'react';
import { type FieldError, type Problem, problemOf } from '../../api/problem.ts';
import {
  type Conflict,
  conflictOf,
  type SettingChangeInput,
  type SettingInfo,
  useSaveSettings,
  useSettingsCheck,
  useSettingsList,
} from '../../api/settings.ts';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const CHECK_AFTER_MS = 250;

export interface SettingsForm {
  readonly settings: readonly SettingInfo[];
  /** The text of a field, as edited or as stored. */
  text(key: string): string;
  isChanged(key: string): boolean;
  edit(key: string, value: string): void;
  /** Back to what is stored. */
  forget(key: string): void;
  discard(): void;
  readonly changes: readonly SettingChangeInput[];
  errorsAt(key: string): readonly FieldError[];
  warningsAt(key: string): readonly string[];
  /** What the change of this key will do; '' until the server has said. */
  willDo(key: string): string;
  /** Keys with an error, in the order of the settings. */
  readonly invalid: readonly SettingInfo[];
  readonly checking: boolean;
  save(overVersion?: number): Promise<void>;
  readonly saving: boolean;
  /** What went wrong while saving, other than at a field. */
  readonly problem: Problem | null;
  readonly conflict: Conflict | null;
  readonly resolve: ConflictChoices;
}

/** What a second administrator may do when told. */
export interface ConflictChoices {
  takeTheirs(): void;
  keepMine(): void;
  lookAgain(): void;
}

type Edits = Readonly<Record<string, string>>;

/** The form over all settings; its fields may show any part of them. */
export function useSettingsForm() {
  const list = useSettingsList();
  const [edits, setEdits] = useState<Edits>({});
  const [base, setBase] = useState<number | null>(null);
  const settings = list.data?.settings ?? [];
  const changes = useMemo(() => changesOf(settings, edits), [settings, edits]);
  const check = useChecked(changes);
  const saving = useSaving({
    changes,
    version: base ?? list.data?.version ?? null,
    done: () => {
      setEdits({});
      setBase(null);
    },
  });
  const edit = (key: string, value: string) => {
    // From the first edit on, what others change counts as unseen.
    if (base === null) setBase(list.data?.version ?? null);
    saving.forget();
    setEdits((before) => ({ ...before, [key]: value }));
  };
  const discard = () => {
    setEdits({});
    setBase(null);
    saving.forget();
  };
  const errors = saving.errors.length > 0 ? saving.errors : check.errors;
  const form: SettingsForm = {
    settings,
    text: (key) => edits[key] ?? settings.find((one) => one.key === key)?.text ?? '',
    isChanged: (key) => changes.some((change) => change.key === key),
    edit,
    forget: (key) => setEdits((before) => without(before, [key])),
    discard,
    changes,
    errorsAt: (key) => errors.filter((error) => error.key === key),
    warningsAt: (key) =>
      (changes.length > 0 && check.warnings !== null ? check.warnings : (list.data?.warnings ?? []))
        .filter((warning) => warning.key === key)
        .map((warning) => warning.text),
    willDo: (key) => check.changes.find((change) => change.key === key)?.sentence ?? '',
    invalid: settings.filter(({ key }) => errors.some((error) => error.key === key)),
    checking: check.checking,
    save: saving.save,
    saving: saving.pending,
    problem: errors.length > 0 && saving.problem?.status === 422 ? null : saving.problem,
    conflict: saving.conflict,
    resolve: choices({ saving, setEdits, setBase, refetch: () => void list.refetch() }),
  };
  return { list, form };
}

function changesOf(settings: readonly SettingInfo[], edits: Edits): SettingChangeInput[] {
  return settings.flatMap(({ key, text, secret }) => {
    const value = edits[key];
    if (value === undefined || (!secret && value.trim() === text)) return [];
    return [{ key, value: secret ? value : value.trim() }];
  });
}

function without(edits: Edits, keys: readonly string[]): Edits {
  return Object.fromEntries(Object.entries(edits).filter(([key]) => !keys.includes(key)));
}

/** What the server says of the changes, asked a moment after the last keystroke. */
function useChecked(changes: readonly SettingChangeInput[]) {
  const [settled] = useDebouncedValue(changes, CHECK_AFTER_MS);
  const check = useSettingsCheck(settled);
  const checking = changes.length > 0 && (settled !== changes || check.isFetching);
  const nothing = changes.length === 0;
  return {
    checking,
    errors: nothing ? [] : (check.data?.errors ?? []),
    warnings: nothing ? null : (check.data?.warnings ?? null),
    changes: check.data?.changes ?? [],
  };
}

function useSaving(input: {
  readonly changes: readonly SettingChangeInput[];
  readonly version: number | null;
  readonly done: () => void;
}) {
  const mutation = useSaveSettings();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const forget = () => {
    setProblem(null);
    setConflict(null);
  };
  const save = async (overVersion?: number) => {
    forget();
    try {
      await mutation.mutateAsync({ changes: input.changes, version: overVersion ?? input.version });
      toast(t.settings.saved(input.changes.length));
      input.done();
    } catch (error) {
      const known = problemOf(error);
      const others = conflictOf(known);
      if (others === null) setProblem(known);
      else setConflict(others);
    }
  };
  return { save, pending: mutation.isPending, problem, errors: problem?.errors ?? [], conflict, forget };
}

function choices(on: {
  readonly saving: ReturnType<typeof useSaving>;
  readonly setEdits: (change: (before: Edits) => Edits) => void;
  readonly setBase: (version: number) => void;
  readonly refetch: () => void;
}): ConflictChoices {
  const { conflict } = on.saving;
  const seen = (keep: (edits: Edits) => Edits) => {
    if (conflict === null) return;
    on.setEdits(keep);
    on.setBase(conflict.version);
    on.saving.forget();
    on.refetch();
  };
  return {
    takeTheirs: () => seen((edits) => without(edits, conflict?.changes.map(({ key }) => key) ?? [])),
    keepMine: () => void on.saving.save(conflict?.version),
    lookAgain: () => seen((edits) => edits),
  };
}
