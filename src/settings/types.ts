/**
 * The types a setting's value can have. A type knows how to read a text, how to write it in canonical form
 * (stored, printed and accepted), and how it looks in JSON and TOML.
 */
import { isIP } from 'node:net';
import { canonicalDomain } from '../mail/address.ts';
import { parseIpAddress, parseRelayNetwork } from './networks.ts';
import {
  type DurationUnit,
  formatBoolean,
  formatDuration,
  formatSize,
  type Parsed,
  parseBoolean,
  parseDuration,
  parsed,
  parseInteger,
  parseSize,
  splitList,
  unparsed,
} from './text.ts';

/** A value as JSON and TOML show it. */
export type SettingJson = boolean | number | string | readonly string[];

export interface SettingType<T> {
  /** One word for people: `on/off`, `number`, `size`, `duration`, `choice`, `name`, `text`, `list`. */
  readonly name: string;
  /** The unit of a plain number; '' where there is none. */
  readonly unit: string;
  /** What is allowed, for the reference page and error texts. */
  readonly range: string;
  /** The choices of a choice or of a list of choices. */
  readonly choices?: readonly string[];
  parse(text: string): Parsed<T>;
  format(value: T): string;
  toJson(value: T): SettingJson;
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

export function onOff(): SettingType<boolean> {
  return {
    name: 'on/off',
    unit: '',
    range: 'on or off',
    parse: parseBoolean,
    format: formatBoolean,
    toJson: (value) => value,
  };
}

/** `unit` is for people; a text with a unit is refused. */
export function integer(bounds: Bounds, unit = ''): SettingType<number> {
  return {
    name: 'number',
    unit,
    range: `${bounds.min}–${bounds.max}`,
    parse: (text) => within(parseInteger(text), bounds, String),
    format: String,
    toJson: (value) => value,
  };
}

/** Bytes, written in the shortest exact form. */
export function size(bounds: Bounds): SettingType<number> {
  return {
    name: 'size',
    unit: 'bytes',
    range: `${formatSize(bounds.min)}–${formatSize(bounds.max)}`,
    parse: (text) => within(parseSize(text), bounds, formatSize),
    format: formatSize,
    toJson: formatSize,
  };
}

/** A number of KB; the value is in bytes, a plain number and the canonical form in KB. */
export function kilobytes(boundsKb: Bounds): SettingType<number> {
  const format = (bytes: number) => String(bytes / 1024);
  return {
    name: 'number',
    unit: 'KB',
    range: `${boundsKb.min}–${boundsKb.max}`,
    parse: (text) => {
      const bytes = within(
        parseSize(text, 1024),
        { min: boundsKb.min * 1024, max: boundsKb.max * 1024 },
        format,
      );
      if (!bytes.ok || bytes.value % 1024 === 0) return bytes;
      return unparsed('not a whole number of KB', String(Math.ceil(bytes.value / 1024)));
    },
    format,
    toJson: (bytes) => bytes / 1024,
  };
}

/** A number of seconds; the value is in ms, the canonical form a plain number. */
export function seconds(boundsSeconds: Bounds): SettingType<number> {
  const format = (ms: number) => String(ms / 1000);
  const bounds = { min: boundsSeconds.min * 1000, max: boundsSeconds.max * 1000 };
  return {
    name: 'number',
    unit: 's',
    range: `${boundsSeconds.min}–${boundsSeconds.max}`,
    parse: (text) => within(parseDuration(text, 's'), bounds, format),
    format,
    toJson: (ms) => ms / 1000,
  };
}

/** A longer time in ms; a plain number is in `unit`, the canonical form carries its unit. */
export function duration(bounds: Bounds, unit: DurationUnit): SettingType<number> {
  return {
    name: 'duration',
    unit,
    range: `${formatDuration(bounds.min)}–${formatDuration(bounds.max)}`,
    parse: (text) => within(parseDuration(text, unit), bounds, formatDuration),
    format: (ms) => formatDuration(ms),
    toJson: (ms) => formatDuration(ms),
  };
}

export function choice<T extends string>(choices: readonly T[]): SettingType<T> {
  return {
    name: 'choice',
    unit: '',
    range: choices.join(' | '),
    choices,
    parse: (text) => parseChoice(text, choices),
    format: (value) => value,
    toJson: (value) => value,
  };
}

/** A host name or an address without brackets; '' when allowed empty. */
export function hostName(): SettingType<string> {
  return {
    name: 'name',
    unit: '',
    range: 'host name or address; empty for none',
    parse: (text) => (text.trim() === '' ? parsed('') : parseHostName(text.trim())),
    format: (value) => value,
    toJson: (value) => value,
  };
}

/** Free text of one line. */
export function line(maxBytes: number): SettingType<string> {
  return {
    name: 'text',
    unit: '',
    range: `one line, at most ${maxBytes} bytes; empty for none`,
    parse: (text) => {
      if (/[\x00-\x1f\x7f]/.test(text)) return unparsed('holds control characters or more than one line');
      if (Buffer.byteLength(text) > maxBytes) return unparsed(`longer than ${maxBytes} bytes`);
      return parsed(text);
    },
    format: (value) => value,
    toJson: (value) => value,
  };
}

/** What an entry of a list is. */
export interface EntryType<T> {
  readonly range: string;
  readonly unit: string;
  readonly choices?: readonly string[];
  parse(text: string): Parsed<T>;
  format(value: T): string;
}

export const relayNetwork: EntryType<string> = {
  range: 'address ranges; at widest /8 (IPv4; public /16) or /32 (IPv6)',
  unit: '',
  parse: parseRelayNetwork,
  format: (value) => value,
};

export const ipAddress: EntryType<string> = {
  range: 'IP addresses',
  unit: '',
  parse: parseIpAddress,
  format: (value) => value,
};

/** One address of this family, in its usual form; '' for none. */
export function addressOf(family: 4 | 6): SettingType<string> {
  const example = family === 4 ? '192.0.2.1' : '2001:db8::1';
  return {
    name: 'address',
    unit: '',
    range: `an IPv${family} address; empty for none`,
    parse: (text) => {
      if (text.trim() === '') return parsed('');
      const address = parseIpAddress(text.trim());
      if (address.ok && isIP(address.value) === family) return address;
      return unparsed(`not an IPv${family} address`, example);
    },
    format: (value) => value,
    toJson: (value) => value,
  };
}

export const domainName: EntryType<string> = {
  range: 'host names',
  unit: '',
  parse: (text) => {
    const name = nameOf(text);
    return name === undefined ? unparsed('not a host name', 'mail.example.com') : parsed(name);
  },
  format: (value) => value,
};

export function durationEntry(bounds: Bounds, unit: DurationUnit): EntryType<number> {
  const type = duration(bounds, unit);
  return { range: `durations ${type.range}`, unit, parse: type.parse, format: type.format };
}

export function choiceEntry<T extends string>(choices: readonly T[]): EntryType<T> {
  return {
    range: choices.join(', '),
    unit: '',
    choices,
    parse: (text) => parseChoice(text, choices),
    format: (value) => value,
  };
}

/** A comma-separated list without repeats unless `repeats`. */
export function list<T>(
  entry: EntryType<T>,
  bounds: Bounds,
  options: { readonly repeats?: boolean } = {},
): SettingType<readonly T[]> {
  return {
    name: 'list',
    unit: entry.unit,
    range: `${entry.range}; ${bounds.min}–${bounds.max} entries`,
    ...(entry.choices === undefined ? {} : { choices: entry.choices }),
    parse: (text) => parseEntries(text, entry, bounds, options.repeats === true),
    format: (values) => values.map(entry.format).join(','),
    toJson: (values) => values.map(entry.format),
  };
}

function parseEntries<T>(
  text: string,
  entry: EntryType<T>,
  bounds: Bounds,
  repeats: boolean,
): Parsed<readonly T[]> {
  const texts = splitList(text);
  if (texts.length < bounds.min) return unparsed(`needs at least ${bounds.min} entry`);
  if (texts.length > bounds.max) return unparsed(`more than ${bounds.max} entries`);
  const values: T[] = [];
  const seen = new Set<string>();
  for (const one of texts) {
    if (one === '') return unparsed('an entry between two commas is empty');
    const value = entry.parse(one);
    if (!value.ok) return unparsed(`${one}: ${value.reason}`, value.wouldDo);
    const canonical = entry.format(value.value);
    if (seen.has(canonical) && !repeats) continue;
    seen.add(canonical);
    values.push(value.value);
  }
  return parsed(values);
}

function parseChoice<T extends string>(text: string, choices: readonly T[]): Parsed<T> {
  const found = choices.find((one) => one === text.trim().toLowerCase());
  return found === undefined ? unparsed(`not one of ${choices.join(', ')}`, choices[0]) : parsed(found);
}

function parseHostName(text: string): Parsed<string> {
  const address = parseIpAddress(text);
  if (address.ok) return address;
  const name = nameOf(text);
  if (name !== undefined) return parsed(name);
  const port = /^(\S+?):[0-9]+$/.exec(text);
  if (port) return unparsed('takes the name alone; the port is smtp.host.port', port[1]);
  return unparsed('not a host name or address', 'smtp.example.com');
}

function nameOf(text: string): string | undefined {
  return /[\s@:/[\]]/.test(text) ? undefined : canonicalDomain(text);
}

function within(value: Parsed<number>, bounds: Bounds, format: (value: number) => string): Parsed<number> {
  if (!value.ok) return value;
  if (value.value < bounds.min) return unparsed(`below the smallest value ${format(bounds.min)}`);
  if (value.value > bounds.max) return unparsed(`above the largest value ${format(bounds.max)}`);
  return value;
}
