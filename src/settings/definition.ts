import type { SettingType } from './types.ts';

/** One setting: everything the form, the command line, a settings file and the reference page say of it. */
export interface Setting<T> {
  /** Dotted key, as in `settings set KEY VALUE`. */
  readonly key: string;
  /** The traditional label of the form. */
  readonly label: string;
  readonly type: SettingType<T>;
  /** Default in canonical text. */
  readonly default: string;
  /** When to change it, in the field's terms. */
  readonly help: string;
  /** What a change acts on, and when. */
  readonly effect: string;
  /** Stored encrypted and never shown. */
  readonly secret: boolean;
}

/** A setting whose type of value does not matter here. */
export type AnySetting = Setting<unknown>;

export function setting<T>(
  definition: Omit<Setting<T>, 'secret'> & { readonly secret?: boolean },
): Setting<T> {
  return { secret: false, ...definition };
}
