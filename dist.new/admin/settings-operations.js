import { z } from 'zod';
import { suggestKey } from '../settings/service.js';
import { SETTINGS_FILE_BYTES } from '../settings/toml.js';
import { OperationError } from './context.js';
import { MAX_ROWS, operation } from './operation.js';
/** A key and its text as entered. */
export const changeSchema = z.strictObject({ key: z.string().max(1000), value: z.string().max(100_000) });
/** The newest entry of the history the caller knows of; null when it does not matter. */
const versionSchema = z.number().int().min(0).nullable().default(null);
const pastSchema = z.union([
    z.strictObject({ n: z.number().int().min(0) }),
    z.strictObject({ atMs: z.number().int().min(0) }),
]);
export const settingsOperations = {
    'settings.list': operation(z.strictObject({}), ({ settings }) => settings.list()),
    'settings.get': operation(z.strictObject({ key: z.string().max(1000) }), ({ settings }, { key }) => {
        const view = settings.get(key);
        if (view)
            return view;
        const near = suggestKey(key);
        throw new OperationError(`there is no setting ${key}`, near === undefined ? 'See "cmail settings list".' : `Did you mean ${near}?`);
    }),
    'settings.set': operation(z.strictObject({ changes: z.array(changeSchema).min(1).max(200), ifVersion: versionSchema }), async ({ settings, author, wakeSender }, { changes, ifVersion }) => {
        const done = accepted(await settings.set(changes, author, ifVersion));
        wakeSender();
        return done;
    }),
    'settings.export': operation(z.strictObject({}), ({ settings }) => settings.exportToml()),
    'settings.apply': operation(z.strictObject({
        text: z.string().max(SETTINGS_FILE_BYTES),
        dryRun: z.boolean(),
        ifVersion: versionSchema,
    }), async ({ settings, author, wakeSender }, { text, dryRun, ifVersion }) => {
        const done = accepted(await settings.applyToml(text, author, dryRun, ifVersion));
        if (!dryRun)
            wakeSender();
        return done;
    }),
    'settings.history': operation(z.strictObject({ limit: z.number().int().min(1).max(MAX_ROWS) }), async ({ settings }, { limit }) => {
        const entries = await settings.history(limit);
        return entries.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() }));
    }),
    'settings.revert': operation(z.strictObject({ n: z.number().int().min(1) }), async ({ settings, author, wakeSender }, { n }) => {
        const done = accepted(await settings.revert(n, author));
        wakeSender();
        return done;
    }),
    'settings.revertTo': operation(z.strictObject({ past: pastSchema, dryRun: z.boolean().default(false) }), async ({ settings, author, wakeSender }, { past, dryRun }) => {
        const done = accepted(await settings.revertTo(past, author, dryRun));
        if (!dryRun)
            wakeSender();
        return done;
    }),
};
function accepted(outcome) {
    if (outcome.ok)
        return outcome;
    throw new OperationError(outcome.message, outcome.mend);
}
