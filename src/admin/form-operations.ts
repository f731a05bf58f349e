/** What a form for the settings needs beside listing and setting them: a preview, and explain with edited settings. */
import { z } from 'zod';
import type { AnySetting } from '../settings/definition.ts';
import { parseIpAddress } from '../settings/networks.ts';
import { changeSentence } from '../settings/sentences.ts';
import { allSettings } from '../settings/table.ts';
import { type AdminContext, OperationError } from './context.ts';
import { addressArgument, type OperationTable, operation } from './operation.ts';
import { changeSchema, fieldErrors } from './settings-operations.ts';

const changes = z.array(changeSchema).max(200);

export const formOperations: OperationTable = {
  /** Every setting with all that a form shows of it, and the version to give back with a change. */
  'settings.form': operation(z.strictObject({}), async ({ settings }) => {
    const version = await settings.version();
    const views = new Map(settings.list().map((view) => [view.key, view]));
    const warnings = settings.warnings();
    return {
      version,
      settings: allSettings.map((setting) => {
        const view = views.get(setting.key);
        const text = view?.text ?? '';
        return {
          ...facts(setting),
          text,
          value: view?.value,
          default: view?.default,
          isSet: setting.secret ? text !== '' : text !== setting.default,
          notes: warnings.filter(({ key }) => key === setting.key).map((one) => one.text),
        };
      }),
      warnings,
      problems: settings.problems(),
    };
  }),

  'settings.version': operation(z.strictObject({}), async ({ settings }) => ({
    version: await settings.version(),
  })),

  /** Errors at their fields, warnings, and what each change would do. Never an error itself. */
  'settings.preview': operation(z.strictObject({ changes }), async ({ settings }, args) => {
    const outcome = await settings.dryRun(args.changes);
    if (!outcome.ok) {
      return { valid: false, errors: fieldErrors(outcome.errors), warnings: [], changes: [] };
    }
    const after = await settings.preview(args.changes);
    return {
      valid: true,
      errors: [],
      warnings: outcome.warnings,
      changes: outcome.changes.map((change) => ({
        ...change,
        sentence: after.ok ? changeSentence(change, after.settings) : '',
      })),
    };
  }),

  /** By the settings in force and as edited, in one answer. */
  'explain.compare': operation(
    z.strictObject({
      address: z.string().max(1000),
      from: z.string().max(1000).default(''),
      client: z.string().max(100).nullable().default(null),
      user: z.string().max(1000).nullable().default(null),
      changes: changes.default([]),
      connect: z.boolean().default(false),
    }),
    compare,
  ),
};

function facts(setting: AnySetting) {
  const { key, label, help, effect, secret, type } = setting;
  return {
    key,
    label,
    group: groupOf(key),
    type: type.name,
    kind: kindOf(setting),
    wholeNumber: type.name === 'number',
    unit: type.unit,
    range: type.range,
    choices: [...(type.choices ?? [])],
    defaultText: setting.default,
    help,
    effect,
    secret,
  };
}

const ADVANCED: ReadonlySet<string> = new Set(allSettings.slice(0, 8).map(({ key }) => key));

function groupOf(key: string): 'advanced' | 'host' | 'queue' | 'timeouts' {
  if (ADVANCED.has(key)) return 'advanced';
  if (key.startsWith('smtp.host.')) return 'host';
  return key.startsWith('smtp.timeout.') ? 'timeouts' : 'queue';
}

/** Which control fits. */
function kindOf({ type }: AnySetting): 'onOff' | 'number' | 'choice' | 'choices' | 'text' {
  if (type.name === 'on/off') return 'onOff';
  if (type.name === 'number') return 'number';
  if (type.choices === undefined) return 'text';
  return type.name === 'list' ? 'choices' : 'choice';
}

async function compare(
  context: AdminContext,
  args: {
    readonly address: string;
    readonly from: string;
    readonly client: string | null;
    readonly user: string | null;
    readonly changes: readonly { readonly key: string; readonly value: string | null }[];
    readonly connect: boolean;
  },
) {
  const request = {
    address: args.address,
    from: args.from === '' || args.from === '<>' ? '' : addressArgument(args.from),
    client: clientArgument(args.client, args.user),
    user: args.user === null ? null : addressArgument(args.user),
    connect: args.connect,
  };
  const edited = await context.settings.preview(args.changes);
  const [inForce, changed] = await Promise.all([
    context.explain({ ...request, settings: context.settings.current() }),
    edited.ok && args.changes.length > 0 ? context.explain({ ...request, settings: edited.settings }) : null,
  ]);
  const shown = edited.ok ? (changed ?? inForce) : null;
  return {
    inForce,
    edited: shown,
    errors: edited.ok ? [] : fieldErrors(edited.errors),
    differs: shown !== null && JSON.stringify(shown) !== JSON.stringify(inForce),
  };
}

function clientArgument(client: string | null, user: string | null): string | null {
  if (client === null) return null;
  if (user !== null) {
    throw new OperationError('a client and a user cannot be given together', 'Give one of them.', 2, {
      errors: [{ key: 'user', message: 'a client is given as well', wouldDo: 'one of them' }],
    });
  }
  const address = parseIpAddress(client);
  if (address.ok) return address.value;
  throw new OperationError(`${client} is not an IP address`, 'Write it as 192.0.2.1.', 2, {
    errors: [{ key: 'client', message: 'it is not an IP address', wouldDo: '192.0.2.1' }],
  });
}
