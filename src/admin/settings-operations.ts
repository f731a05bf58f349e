import { z } from 'zod';
import { type SettingsOutcome, suggestKey } from '../settings/service.ts';
import { SETTINGS_FILE_BYTES } from '../settings/toml.ts';
import type { SettingError } from '../settings/validate.ts';
import type { SettingChange } from '../storage/contract.ts';
import { type FieldError, OperationError } from './context.ts';
import { MAX_ROWS, type OperationTable, operation } from './operation.ts';

/** A key and its text as entered; null goes back to the default. */
export const changeSchema = z.strictObject({
  key: z.string().max(1000),
  value: z.string().max(100_000).nullable(),
});

/** The newest entry of the history the caller knows of; null when it does not matter. */
const versionSchema = z.number().int().min(0).nullable().default(null);

const pastSchema = z.union([
  z.strictObject({ n: z.number().int().min(0) }),
  z.strictObject({ atMs: z.number().int().min(0) }),
]);

export const settingsOperations: OperationTable = {
  'settings.list': operation(z.strictObject({}), ({ settings }) => settings.list()),

  'settings.get': operation(z.strictObject({ key: z.string().max(1000) }), ({ settings }, { key }) => {
    const view = settings.get(key);
    if (view) return view;
    const near = suggestKey(key);
    throw new OperationError(
      `there is no setting ${key}`,
      near === undefined ? 'See "cmail settings list".' : `Did you mean ${near}?`,
    );
  }),

  'settings.set': operation(
    z.strictObject({ changes: z.array(changeSchema).min(1).max(200), ifVersion: versionSchema }),
    async ({ settings, author, wakeSender }, { changes, ifVersion }) => {
      const done = accepted(await settings.set(changes, author, ifVersion));
      wakeSender();
      return done;
    },
  ),

  'settings.export': operation(z.strictObject({}), ({ settings }) => settings.exportToml()),

  'settings.apply': operation(
    z.strictObject({
      text: z.string().max(SETTINGS_FILE_BYTES),
      dryRun: z.boolean(),
      ifVersion: versionSchema,
    }),
    async ({ settings, author, wakeSender }, { text, dryRun, ifVersion }) => {
      const done = accepted(await settings.applyToml(text, author, dryRun, ifVersion));
      if (!dryRun) wakeSender();
      return done;
    },
  ),

  'settings.history': operation(
    z.strictObject({
      limit: z.number().int().min(1).max(MAX_ROWS),
      before: z.number().int().min(1).optional(),
    }),
    async ({ settings }, { limit, before }) => (await settings.history(limit, before)).map(historyJson),
  ),

  'settings.revert': operation(
    z.strictObject({ n: z.number().int().min(1) }),
    async ({ settings, author, wakeSender }, { n }) => {
      const done = accepted(await settings.revert(n, author));
      wakeSender();
      return done;
    },
  ),

  'settings.revertTo': operation(
    z.strictObject({ past: pastSchema, dryRun: z.boolean().default(false) }),
    async ({ settings, author, wakeSender }, { past, dryRun }) => {
      const done = accepted(await settings.revertTo(past, author, dryRun));
      if (!dryRun) wakeSender();
      return done;
    },
  ),
};

/** What a change did; thrown as an error when it was refused. */
export function accepted(outcome: SettingsOutcome): Extract<SettingsOutcome, { ok: true }> {
  if (outcome.ok) return outcome;
  throw settingsRefusal(outcome);
}

/** Nothing was changed: why, at each field that is concerned, and what others changed meanwhile. */
export function settingsRefusal(outcome: Extract<SettingsOutcome, { ok: false }>): OperationError {
  const { message, mend, errors, conflict } = outcome;
  return new OperationError(message, mend, 1, {
    errors: fieldErrors(errors),
    ...(conflict === undefined
      ? {}
      : {
          kind: 'conflict',
          more: { version: conflict.version, changes: conflict.changes.map(historyJson) },
        }),
  });
}

/** An error between settings stands at each of them. */
export function fieldErrors(errors: readonly SettingError[]): FieldError[] {
  return errors.flatMap(({ key, also = [], reason, wouldDo }) =>
    [key, ...also].map((one) => ({ key: one, message: reason, wouldDo: one === key ? wouldDo : '' })),
  );
}

function historyJson(entry: SettingChange) {
  return { ...entry, at: new Date(entry.at).toISOString() };
}
