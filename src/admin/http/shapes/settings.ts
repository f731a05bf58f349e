/** Shapes: settings, their preview and history, explain. */
import { z } from 'zod';
import { fieldErrorShape, page, shortText, time } from './common.ts';

export const changeInput = z.strictObject({
  key: z.string().max(1000),
  value: z.string().max(100_000).nullable().describe('canonical text; null: back to the default'),
});
export const changesInput = z.array(changeInput).max(200);

export const settingShape = z
  .object({
    key: z.string(),
    label: z.string(),
    group: z.enum(['advanced', 'host', 'queue', 'timeouts']),
    type: z.string().describe('on/off, number, size, duration, choice, name, text, list'),
    kind: z.enum(['onOff', 'number', 'choice', 'choices', 'text']).describe('which control fits'),
    wholeNumber: z.boolean(),
    unit: z.string(),
    range: z.string(),
    choices: z.array(z.string()),
    text: z.string().describe('canonical text, as a change takes it; `(set)` for a secret that is set'),
    value: z.unknown().describe('as JSON'),
    defaultText: z.string(),
    default: z.unknown(),
    help: z.string(),
    effect: z.string().describe('what a change acts on, and when'),
    secret: z.boolean(),
    isSet: z.boolean().describe('false while the default is in force'),
    notes: z.array(z.string()).describe('stored but without effect, and why'),
  })
  .meta({ id: 'Setting' });

export const settingWarning = z.object({ key: z.string(), text: z.string() });

export const settingsShape = z
  .object({
    version: z.number().int().describe('the newest entry of the history; give it back with PATCH'),
    settings: z.array(settingShape),
    warnings: z.array(settingWarning),
    problems: z.array(z.string()).describe('stored values that cannot be used'),
  })
  .meta({ id: 'Settings' });

export const settingDifference = z.object({ key: z.string(), old: z.string(), new: z.string() });

export const settingsPatchBody = z.strictObject({
  version: z.number().int().min(0).describe('that the changes are based on'),
  changes: changesInput.min(1),
});

export const settingsDone = z
  .object({
    version: z.number().int(),
    changes: z.array(settingDifference),
    warnings: z.array(settingWarning),
    untouched: z.array(settingWarning),
  })
  .meta({ id: 'SettingsDone' });

export const previewBody = z.strictObject({ changes: changesInput });
export const previewShape = z
  .object({
    valid: z.boolean(),
    errors: z.array(fieldErrorShape).describe('one entry for each field concerned'),
    warnings: z.array(settingWarning),
    changes: z.array(settingDifference.extend({ sentence: z.string().describe('what the change will do') })),
  })
  .meta({ id: 'SettingsPreview' });

export const historyRow = z
  .object({
    n: z.number().int(),
    at: time,
    author: z.string(),
    key: z.string(),
    old: z.string().nullable(),
    new: z.string().nullable(),
  })
  .meta({ id: 'SettingChange' });
export const historyList = page(historyRow);

export const explainBody = z.strictObject({
  address: z.string().max(1000),
  from: z.string().max(1000).default(''),
  client: z.string().max(100).nullable().default(null).describe('IP address; null: some external source'),
  user: z.string().max(1000).nullable().default(null).describe('authenticated account'),
  changes: changesInput.default([]).describe('settings as edited and not saved'),
  connect: z.boolean().default(false).describe('also call the servers, without sending mail'),
});

export const explanationShape = z
  .looseObject({
    recipient: z.string(),
    decision: z.enum(['local', 'external', 'refused', 'notice', 'postmaster', 'deferred']),
    rule: z.string(),
    reply: z.object({ code: z.number().int(), enhanced: z.string(), text: z.string() }),
    route: z
      .looseObject({
        via: z.enum(['mailbox', 'mx', 'smtp-host', 'forward', 'host']),
        fallback: z.string().nullable(),
        failure: z.looseObject({ kind: z.string(), status: z.string(), action: z.string() }).nullable(),
        hosts: z.array(
          z.looseObject({
            name: z.string(),
            port: z.number().int(),
            preference: z.number().int().nullable(),
            addresses: z.array(z.string()),
          }),
        ),
      })
      .nullable(),
    steps: z.array(z.looseObject({ kind: z.string(), text: z.string() })),
    outlook: z.array(z.looseObject({ kind: z.string(), action: z.string(), text: z.string() })),
    connect: z.array(z.looseObject({ name: z.string(), address: z.string() })).nullable(),
  })
  .meta({ id: 'Explanation' });

export const explainedShape = z
  .object({
    inForce: explanationShape,
    edited: explanationShape.nullable().describe('null when the edited settings are not valid'),
    errors: z.array(fieldErrorShape),
    differs: z.boolean(),
  })
  .meta({ id: 'Explained' });

export const revertParams = z.strictObject({ n: z.coerce.number().int().min(1) });
export const keyParams = z.strictObject({ key: shortText });
