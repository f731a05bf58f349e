/** Times, sizes and counts as people read them. */
import { t } from '../strings.ts';

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;
const exactFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });
const relativeFormat = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'long' });
const countFormat = new Intl.NumberFormat('en');

/** `at` is ISO 8601; relative to `nowMs`, such as "3 minutes ago" or "in 2 hours". */
export function relativeTime(at: string, nowMs: number): string {
  const seconds = Math.round((Date.parse(at) - nowMs) / 1000);
  const size = Math.abs(seconds);
  if (Number.isNaN(seconds)) return t.time.unknown;
  if (size < 5) return t.time.now;
  if (size < MINUTE_S) return relativeFormat.format(seconds, 'second');
  if (size < HOUR_S) return relativeFormat.format(Math.trunc(seconds / MINUTE_S), 'minute');
  if (size < DAY_S) return relativeFormat.format(Math.trunc(seconds / HOUR_S), 'hour');
  if (size < 60 * DAY_S) return relativeFormat.format(Math.trunc(seconds / DAY_S), 'day');
  return relativeFormat.format(Math.trunc(seconds / (30 * DAY_S)), 'month');
}

export function exactTime(at: string): string {
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? at : exactFormat.format(ms);
}

/** The time of day, such as 16:05. */
export function clock(at: string): string {
  return clockFormat.format(Date.parse(at));
}

/** Bytes with 1 KB = 1024, at most one decimal. */
export function bytes(count: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${units[unit]}`;
}

export function count(value: number): string {
  return countFormat.format(value);
}

/** `1 message`, `3 messages`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < MINUTE_S) return `${seconds.toFixed(1).replace(/\.0$/, '')} s`;
  if (seconds < HOUR_S) return `${Math.round(seconds / MINUTE_S)} min`;
  if (seconds < 2 * DAY_S) return `${Math.round(seconds / HOUR_S)} h`;
  return `${Math.round(seconds / DAY_S)} days`;
}

/** ISO times that stand within a sentence of the server, as people here read them. */
export function localTimes(sentence: string): string {
  return sentence.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (time) => exactTime(time));
}
