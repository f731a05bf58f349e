/** Checks a set of changes as a whole: each value by its type, then the rules between values. */
import { buildSettings } from './build.ts';
import { formatDestinationRule, type SmtpHostNumber } from './destination-rules.ts';
import { nearest } from './nearest.ts';
import { isLoopbackName } from './networks.ts';
import { formatSenderHost, SMTP_HOSTS, smtpHostsOf } from './smtp-host-table.ts';
import { allSettings, findSetting, table } from './table.ts';
import type { Settings } from './values.ts';

/** A change as entered; null goes back to the default. */
export interface SettingInput {
  readonly key: string;
  readonly value: string | null;
}

export interface SettingError {
  readonly key: string;
  /** As entered; never a secret. */
  readonly value: string;
  readonly reason: string;
  /** A value, or a change beside it, that would do. */
  readonly wouldDo: string;
  /** Other settings that stand against it, and could be changed instead. */
  readonly also?: readonly string[];
}

/** Stored, but without effect or with one that surprises. */
export interface SettingWarning {
  readonly key: string;
  readonly text: string;
}

export interface ValidationContext {
  /** Whether a host and port lead to this server; `settings` are those being checked (own names and addresses). */
  readonly isOwnHost: (name: string, port: number, settings: Settings) => boolean | Promise<boolean>;
}

export type Validation =
  | {
      readonly ok: true;
      /** Every stored text after the changes, canonical; keys at their default are absent unless entered. */
      readonly values: ReadonlyMap<string, string>;
      readonly warnings: readonly SettingWarning[];
    }
  | { readonly ok: false; readonly errors: readonly SettingError[] };

/** One line for people. */
export function settingErrorText(error: SettingError): string {
  const value = error.value === '' ? '""' : error.value;
  return `${error.key} = ${value}: ${error.reason}; ${error.wouldDo} would do`;
}

/** How long a value is repeated in an error. */
const SHOWN_VALUE = 200;

/**
 * All or nothing. `current` holds the stored texts, secrets in the clear. Rules that need the world outside
 * (is the SMTP host ourselves) are asked only when a change touches them, so that an unrelated setting can
 * always be changed.
 */
export async function validateChanges(
  current: ReadonlyMap<string, string>,
  changes: readonly SettingInput[],
  context: ValidationContext,
): Promise<Validation> {
  const values = new Map(current);
  const errors: SettingError[] = [];
  const seen = new Set<string>();
  for (const { key, value } of changes) {
    const error = seen.has(key) ? repeatedKey(key, value) : applyOne(values, key, value);
    if (error) errors.push(error);
    seen.add(key);
  }
  if (errors.length > 0) return { ok: false, errors };
  const settings = buildSettings(values);
  errors.push(...crossErrors(settings, values));
  if (errors.length === 0) errors.push(...(await ownHostErrors(settings, seen, context)));
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, values, warnings: settingWarnings(settings) };
}

function applyOne(values: Map<string, string>, key: string, value: string | null): SettingError | undefined {
  const setting = findSetting(key);
  if (!setting) return unknownKey(key, value);
  if (value === null) {
    values.delete(key);
    return undefined;
  }
  const parsed = setting.type.parse(value);
  if (parsed.ok) {
    values.set(key, setting.type.format(parsed.value));
    return undefined;
  }
  const example = setting.default === '' ? '""' : setting.default;
  return {
    key,
    value: setting.secret ? '(secret)' : shown(value),
    reason: `${parsed.reason} (${setting.type.range}${setting.type.unit === '' ? '' : `, in ${setting.type.unit}`})`,
    wouldDo: parsed.wouldDo ?? example,
  };
}

function unknownKey(key: string, value: string | null): SettingError {
  const near = nearest(
    key,
    allSettings.map((one) => one.key),
  );
  return {
    key: shown(key),
    // The value of a mistyped secret's key must not be repeated.
    value: near !== undefined && findSetting(near)?.secret ? '(secret)' : shown(value ?? ''),
    reason: 'there is no setting of this name',
    wouldDo: near ?? 'a key of "cmail settings list"',
  };
}

function repeatedKey(key: string, value: string | null): SettingError {
  const secret = findSetting(key)?.secret === true;
  return {
    key: shown(key),
    value: secret ? '(secret)' : shown(value ?? ''),
    reason: 'given twice',
    wouldDo: 'one value',
  };
}

function crossErrors(settings: Settings, values: ReadonlyMap<string, string>): SettingError[] {
  const errors: SettingError[] = [];
  if (settings.smtpHost === null) {
    if (settings.fallbackToSmtpHost) {
      errors.push({
        key: table.fallbackToSmtpHost.key,
        value: 'on',
        reason: 'needs an SMTP host, and none is entered',
        wouldDo: 'off, or an SMTP host in smtp.host.name given together with it,',
        also: [table.hostName.key],
      });
    }
    if (!settings.useMxResolution) {
      errors.push({
        key: table.useMxResolution.key,
        value: 'off',
        reason: 'sends everything to the SMTP host, and none is entered',
        wouldDo: 'on, or an SMTP host in smtp.host.name given together with it,',
        also: [table.hostName.key],
      });
    }
  }
  errors.push(...hostErrors(settings, values), ...missingHostErrors(settings));
  return errors;
}

/** A further host without the first, and passwords that would go out unprotected. */
function hostErrors(settings: Settings, values: ReadonlyMap<string, string>): SettingError[] {
  const errors: SettingError[] = [];
  for (const { which, name, tls, password } of SMTP_HOSTS) {
    const entered = values.get(name.key) ?? '';
    if (which > 1 && entered !== '' && settings.smtpHost === null) {
      errors.push({
        key: name.key,
        value: entered,
        reason: 'stands in for the first SMTP host, and none is entered',
        wouldDo: `${entered} in ${table.hostName.key}`,
        also: [table.hostName.key],
      });
    }
    const secret = values.get(password.key) ?? '';
    const open = entered !== '' && secret !== '' && values.get(tls.key) === 'none';
    if (!open || isLoopbackName(entered)) continue;
    errors.push({
      key: tls.key,
      value: 'none',
      reason: `would send the password for ${entered} unprotected`,
      wouldDo: `required, or an empty ${password.key},`,
      also: [password.key],
    });
  }
  return errors;
}

/** Rules and senders that name an SMTP host which is not there. */
function missingHostErrors(settings: Settings): SettingError[] {
  const hosts = smtpHostsOf(settings);
  const isMissing = (wanted: SmtpHostNumber | null) =>
    wanted === null ? hosts.length === 0 : !hosts.some(({ which }) => which === wanted);
  const missing = (key: string, value: string, wanted: SmtpHostNumber | null): SettingError => {
    const name = SMTP_HOSTS[(wanted ?? 1) - 1]?.name.key ?? '';
    return {
      key,
      value,
      reason: `sends mail to SMTP host ${wanted ?? 1}, and none is entered`,
      wouldDo: `it without this entry, or a host in ${name} given together with it,`,
      also: [name],
    };
  };
  const errors: SettingError[] = [];
  for (const rule of settings.destinationRules) {
    if (rule.route?.type !== 'smtp-host' || !isMissing(rule.route.which)) continue;
    errors.push(missing(table.destinationRules.key, formatDestinationRule(rule), rule.route.which));
  }
  for (const entry of settings.senderHosts) {
    if (isMissing(entry.which))
      errors.push(missing(table.senderHosts.key, formatSenderHost(entry), entry.which));
  }
  return errors;
}

async function ownHostErrors(
  settings: Settings,
  changed: ReadonlySet<string>,
  context: ValidationContext,
): Promise<SettingError[]> {
  const touched = (...keys: readonly { readonly key: string }[]) =>
    [...keys, table.ownNames, table.ownAddresses].some(({ key }) => changed.has(key));
  const errors: SettingError[] = [];
  for (const host of smtpHostsOf(settings)) {
    const setting = SMTP_HOSTS[host.which - 1];
    if (setting === undefined || !touched(setting.name, setting.port)) continue;
    if (!(await context.isOwnHost(host.name, host.port, settings))) continue;
    errors.push({
      key: setting.name.key,
      value: host.name,
      reason: `port ${host.port} of it is this server, so mail would go round in a circle`,
      wouldDo: "the name of your provider's server",
      also: [setting.port.key],
    });
  }
  if (!touched(table.destinationRules)) return errors;
  for (const rule of settings.destinationRules) {
    if (rule.route?.type !== 'host') continue;
    const { name, port } = rule.route;
    if (!(await context.isOwnHost(name, port, settings))) continue;
    errors.push({
      key: table.destinationRules.key,
      value: formatDestinationRule(rule),
      reason: `port ${port} of ${name} is this server, so mail would go round in a circle`,
      wouldDo: 'the name of another server',
    });
  }
  return errors;
}

/** Values that are stored but do nothing as the others stand. */
export function settingWarnings(settings: Settings): SettingWarning[] {
  const warnings: SettingWarning[] = [];
  const warn = (setting: { readonly key: string }, text: string) => warnings.push({ key: setting.key, text });
  if (settings.assumeExternal && !settings.refuseUnknownUsers) {
    warn(table.assumeExternal, 'without effect while smtp.refuseUnknownUsers is off');
  }
  if (settings.fallbackToSmtpHost && !settings.useMxResolution) {
    warn(table.fallbackToSmtpHost, 'without effect while smtp.useMxResolution is off');
  }
  if (settings.fallbackToSmtpHost && settings.fallbackOn.length === 0) {
    warn(table.fallbackToSmtpHost, 'without effect while smtp.fallbackOn is empty');
  }
  return warnings;
}

function shown(text: string): string {
  return text.length > SHOWN_VALUE ? `${text.slice(0, SHOWN_VALUE)}…` : text;
}
