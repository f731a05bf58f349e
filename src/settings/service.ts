import type { SettingChange, SettingsStore } from '../storage/contract.ts';
import { buildSettings } from './build.ts';
import type { AnySetting } from './definition.ts';
import { nearest } from './nearest.ts';
import { changesSince, type Past, stateAt } from './past.ts';
import { decryptSecret, encryptSecret } from './secrets.ts';
import { allSettings, findSetting } from './table.ts';
import { readSettingsFile, tomlLine, VERSION_LINE } from './toml.ts';
import type { SettingJson } from './types.ts';
import {
  type SettingError,
  type SettingInput,
  type SettingWarning,
  settingErrorText,
  settingWarnings,
  type ValidationContext,
  validateChanges,
} from './validate.ts';
import type { CurrentSettings, Settings } from './values.ts';

/** One setting as lists show it. Secrets are `(set)` or ''. */
export interface SettingView {
  readonly key: string;
  readonly value: SettingJson;
  readonly default: SettingJson;
  readonly unit: string;
  readonly label: string;
  readonly help: string;
  /** The value in canonical text, as `set` takes it. */
  readonly text: string;
}

/** A value before and after, in canonical text; secrets only as `(set)`, `(changed)`, `(not set)`. */
export interface SettingDifference {
  readonly key: string;
  readonly old: string;
  readonly new: string;
}

export type SettingsOutcome =
  | {
      readonly ok: true;
      /** What differs from before; empty when everything had its value already. */
      readonly changes: readonly SettingDifference[];
      readonly warnings: readonly SettingWarning[];
      /** Keys that a revert could not put back, and why. */
      readonly untouched: readonly SettingWarning[];
    }
  | {
      readonly ok: false;
      readonly message: string;
      readonly mend: string;
      readonly errors: readonly SettingError[];
      /** Set when others changed settings since the version given. */
      readonly conflict?: { readonly version: number; readonly changes: readonly SettingChange[] };
    };

export interface SettingsOptions extends ValidationContext {
  /** Key of the encrypted secrets, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Called after each change with the settings now in force. */
  readonly onChange?: (settings: Settings) => void;
}

/** Stored texts with secrets in the clear, the version all of it has, and what was wrong with it. */
interface Snapshot {
  readonly version: number;
  readonly values: ReadonlyMap<string, string>;
  readonly settings: Settings;
  readonly problems: readonly string[];
}

/**
 * The settings in force. Changes are made one after another; each is validated against what the one before
 * left, written, and in force when the call resolves.
 */
export class SettingsService {
  readonly #store: SettingsStore;
  readonly #options: SettingsOptions;
  #snapshot: Snapshot;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(store: SettingsStore, options: SettingsOptions, snapshot: Snapshot) {
    this.#store = store;
    this.#options = options;
    this.#snapshot = snapshot;
  }

  /** Rejects with `StorageError` when the store cannot be read. A damaged value does not stop it: see `problems`. */
  static async open(store: SettingsStore, options: SettingsOptions): Promise<SettingsService> {
    return new SettingsService(store, options, await readSnapshot(store, options.secretKey));
  }

  /** The settings in force now. */
  readonly current: CurrentSettings = () => this.#snapshot.settings;

  /** Stored values that could not be used, so that their default is in force. */
  problems(): readonly string[] {
    return this.#snapshot.problems;
  }

  warnings(): readonly SettingWarning[] {
    return settingWarnings(this.#snapshot.settings);
  }

  list(): readonly SettingView[] {
    return allSettings.map((setting) => this.#view(setting));
  }

  /** undefined when there is no such key; `suggestKey` names the nearest. */
  get(key: string): SettingView | undefined {
    const setting = findSetting(key);
    return setting && this.#view(setting);
  }

  /** What the settings would be with these changes; nothing is stored. */
  async preview(
    changes: readonly SettingInput[],
  ): Promise<{ readonly ok: true; readonly settings: Settings } | Extract<SettingsOutcome, { ok: false }>> {
    const checked = await validateChanges(this.#snapshot.values, changes, this.#options);
    if (!checked.ok) return refused(checked.errors);
    return { ok: true, settings: buildSettings(checked.values) };
  }

  /**
   * All or nothing. With `ifVersion`, refused when anything was changed after that entry of the history.
   * Rejects with `StorageError` when the store fails; then nothing changed.
   */
  set(
    changes: readonly SettingInput[],
    author: string,
    ifVersion: number | null = null,
  ): Promise<SettingsOutcome> {
    return this.#exclusively(() => this.#applyUnlessChanged(changes, author, false, ifVersion));
  }

  /**
   * Applies a settings file: only the keys present change. `dryRun` tells what would happen. A file that names
   * its version is refused when something was changed since; `ifVersion` counts instead of what the file says.
   */
  applyToml(
    text: string,
    author: string,
    dryRun: boolean,
    ifVersion: number | null = null,
  ): Promise<SettingsOutcome> {
    const file = readSettingsFile(text);
    if (!file.ok) {
      const where = file.error.line === null ? '' : `line ${file.error.line}: `;
      return Promise.resolve({
        ok: false,
        message: `the settings file cannot be used: ${where}${file.error.reason}`,
        mend: 'Correct the file; "cmail settings export" prints one in the right form. Nothing was changed.',
        errors: [],
      });
    }
    const version = ifVersion ?? file.version;
    return this.#exclusively(() => this.#applyUnlessChanged(file.changes, author, dryRun, version));
  }

  /** Refused, with the names of what was changed after the version, unless nothing would change anyway. */
  async #applyUnlessChanged(
    changes: readonly SettingInput[],
    author: string,
    dryRun: boolean,
    version: number | null,
  ): Promise<SettingsOutcome> {
    if (version === null) return this.#apply(changes, author, dryRun);
    await this.#reload();
    const preview = await this.#apply(changes, author, true);
    if (!preview.ok || preview.changes.length === 0) return preview;
    const { shown, newest } = await changesSince(this.#store, version);
    if (newest <= version) return dryRun ? preview : this.#apply(changes, author, false);
    const meanwhile = shown.map(({ n, author: who, key, old, new: next }) => {
      const [before, after] = [historyText(key, old), historyText(key, next)];
      return `  ${n}: ${who} changed ${key} from ${before || '""'} to ${after || '""'}`;
    });
    const refused = refusal(
      `the settings were changed after version ${version}; nothing was overwritten. Changed meanwhile:\n${meanwhile.join('\n')}`,
      `Start from these values, or repeat with --if-version ${newest} to change them nevertheless.`,
    );
    return { ...refused, conflict: { version: newest, changes: shown.map(shownChange) } };
  }

  /** Every setting except secrets, as a file `applyToml` takes. */
  async exportToml(): Promise<string> {
    // The version first: what is changed after it is then found by `apply`, never taken for known.
    const [newest] = await this.#store.settingsHistory({ limit: 1 });
    await this.refresh();
    const lines = [
      '# CMail settings. Apply with: cmail settings apply FILE',
      `${VERSION_LINE}${newest?.n ?? 0}`,
      '# apply refuses this file when a setting was changed after this version; without the line above it does not.',
    ];
    for (const setting of allSettings) {
      const note = setting.type.unit === '' ? setting.label : `${setting.label} (${setting.type.unit})`;
      lines.push('', `# ${note}: ${setting.type.range}`);
      lines.push(
        setting.secret
          ? `# ${setting.key} is a secret and not exported`
          : tomlLine(setting.key, this.#view(setting).value),
      );
    }
    return `${lines.join('\n')}\n`;
  }

  /** Newest first, older than entry `before`. A default is shown by its value. */
  async history(limit: number, before?: number): Promise<readonly SettingChange[]> {
    const entries = await this.#store.settingsHistory({
      limit,
      ...(before === undefined ? {} : { before }),
    });
    return entries.map(shownChange);
  }

  /** The newest entry of the history; 0 when nothing was ever changed. */
  async version(): Promise<number> {
    const [newest] = await this.#store.settingsHistory({ limit: 1 });
    return newest?.n ?? 0;
  }

  /** What would be said to a change, and what it would do; nothing is stored. */
  dryRun(changes: readonly SettingInput[]): Promise<SettingsOutcome> {
    return this.#exclusively(() => this.#apply(changes, '', true));
  }

  /** Undoes entry n of the history, as a change of its own. */
  revert(n: number, author: string): Promise<SettingsOutcome> {
    return this.#exclusively(async () => {
      const entry = await this.#store.settingChange(n);
      if (!entry) return refusal(`there is no entry ${n} in the history`, 'See "cmail settings history".');
      if (findSetting(entry.key)?.secret) {
        return refusal(
          `entry ${n} changed the secret ${entry.key}, and the old one is not kept`,
          `Enter it again with "cmail settings set ${entry.key} --stdin".`,
        );
      }
      return this.#apply([{ key: entry.key, value: entry.old }], author, false);
    });
  }

  /**
   * Goes back to the settings after an entry of the history (0: before the first) or at a time, as one change:
   * validated as a whole, all or nothing. Secrets stay and are named, for their old values are not kept.
   */
  revertTo(past: Past, author: string, dryRun = false): Promise<SettingsOutcome> {
    return this.#exclusively(async () => {
      await this.#reload();
      const state = await stateAt(this.#store, past);
      if (state === null)
        return refusal(
          `the history does not reach ${'n' in past ? `entry ${past.n}` : 'that time: it lies ahead'}`,
          'See "cmail settings history".',
        );
      const outcome = await this.#apply(state.changes, author, dryRun);
      return outcome.ok ? { ...outcome, untouched: state.untouched } : outcome;
    });
  }

  /** Reads the store again and puts what another node changed in force. Resolves to whether anything did. */
  refresh(): Promise<boolean> {
    return this.#exclusively(() => this.#reload());
  }

  async #reload(): Promise<boolean> {
    const snapshot = await readSnapshot(this.#store, this.#options.secretKey);
    if (snapshot.version === this.#snapshot.version) return false;
    this.#putInForce(snapshot);
    return true;
  }

  async #apply(changes: readonly SettingInput[], author: string, dryRun: boolean): Promise<SettingsOutcome> {
    const before = this.#snapshot;
    const checked = await validateChanges(before.values, changes, this.#options);
    if (!checked.ok) return refused(checked.errors);
    const changed = changes
      .map(({ key }) => key)
      .filter((key) => textOf(before.values, key) !== textOf(checked.values, key));
    const differences = changed.map((key) => difference(key, before.values, checked.values));
    const outcome: SettingsOutcome = {
      ok: true,
      changes: differences,
      warnings: checked.warnings,
      untouched: [],
    };
    if (dryRun || changed.length === 0) return outcome;
    let version: number;
    try {
      ({ version } = await this.#store.writeSettings({
        expectedVersion: before.version,
        author,
        changes: changed.map((key) => this.#storedChange(key, before.values, checked.values)),
      }));
    } catch (error) {
      if ((error as { kind?: unknown }).kind !== 'conflict') throw error;
      await this.#reload();
      return refusal(
        'the settings were changed by someone else at the same moment; nothing was overwritten',
        'Look at them again with "cmail settings list" and repeat your change.',
      );
    }
    const problems = before.problems.filter(
      (problem) => !changed.some((key) => problem.startsWith(`${key}:`)),
    );
    this.#putInForce({ version, values: checked.values, settings: buildSettings(checked.values), problems });
    return outcome;
  }

  #storedChange(key: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) {
    const value = after.get(key) ?? null;
    if (!findSetting(key)?.secret) {
      return { key, value, historyOld: before.get(key) ?? null, historyNew: value };
    }
    const shown = difference(key, before, after);
    const stored = value === null || value === '' ? null : encryptSecret(this.#options.secretKey, key, value);
    return { key, value: stored, historyOld: shown.old, historyNew: shown.new };
  }

  #putInForce(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#options.onChange?.(snapshot.settings);
  }

  #view(setting: AnySetting): SettingView {
    const { key, label, help, type } = setting;
    const text = shownValue(setting, this.#snapshot.values);
    return {
      key,
      value: setting.secret ? text : jsonOf(setting, text),
      default: jsonOf(setting, setting.default),
      unit: type.unit,
      label,
      help,
      text,
    };
  }

  /** One change at a time; the callers in waiting are bounded by the connections that may ask. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // The chain goes on after a failure; the failure itself goes to the caller.
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** The nearest key to a mistyped one. */
export function suggestKey(key: string): string | undefined {
  return nearest(
    key,
    allSettings.map((one) => one.key),
  );
}

function refusal(message: string, mend: string): Extract<SettingsOutcome, { ok: false }> {
  return { ok: false, message, mend, errors: [] };
}

function refused(errors: readonly SettingError[]): Extract<SettingsOutcome, { ok: false }> {
  return {
    ok: false,
    message: errors.map(settingErrorText).join('\n'),
    mend: 'Nothing was changed.',
    errors,
  };
}

function textOf(values: ReadonlyMap<string, string>, key: string): string {
  return values.get(key) ?? findSetting(key)?.default ?? '';
}

function shownValue(setting: AnySetting, values: ReadonlyMap<string, string>): string {
  const text = textOf(values, setting.key);
  if (!setting.secret) return text;
  return text === '' ? '' : '(set)';
}

function difference(
  key: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): SettingDifference {
  const old = textOf(before, key);
  const next = textOf(after, key);
  if (!findSetting(key)?.secret) return { key, old, new: next };
  return { key, old: old === '' ? '(not set)' : '(set)', new: next === '' ? '(not set)' : '(set)' };
}

function shownChange(entry: SettingChange): SettingChange {
  return {
    ...entry,
    old: historyText(entry.key, entry.old),
    new: historyText(entry.key, entry.new),
  };
}

function historyText(key: string, text: string | null): string | null {
  return text ?? findSetting(key)?.default ?? null;
}

function jsonOf(setting: AnySetting, text: string): SettingJson {
  const value = setting.type.parse(text);
  if (!value.ok) throw new Error(`${setting.key}: ${value.reason}`);
  return setting.type.toJson(value.value);
}

async function readSnapshot(store: SettingsStore, secretKey: Uint8Array): Promise<Snapshot> {
  const stored = await store.readSettings();
  const values = new Map<string, string>();
  const problems: string[] = [];
  for (const [key, text] of stored.values) {
    const setting = findSetting(key);
    if (!setting) {
      problems.push(`${key}: stored by another version of CMail and not known to this one`);
      continue;
    }
    const plain = setting.secret ? decryptSecret(secretKey, key, text) : text;
    if (plain === undefined) {
      problems.push(`${key}: cannot be decrypted with this secret.key; enter it again`);
      continue;
    }
    const value = setting.type.parse(plain);
    if (value.ok) values.set(key, setting.type.format(value.value));
    else problems.push(`${key}: ${value.reason}; the default is in force`);
  }
  return { version: stored.version, values, settings: buildSettings(values), problems };
}
