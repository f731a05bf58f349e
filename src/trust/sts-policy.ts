/** The two texts of MTA-STS (RFC 8461): the TXT record and the policy. Pure. */
import { canonicalDomain } from '../mail/address.ts';
import { failed, ok, type Result } from '../mail/failure.ts';
import type { StsMode, StsPolicy } from './contract.ts';

/** Bytes of a policy that are read. */
export const MAX_POLICY_BYTES = 64 * 1024;
/** RFC 8461 §3.2. */
const MAX_AGE_SECONDS = 31_557_600;
/** Patterns kept of one policy. */
const MAX_MX = 100;
const MODES: readonly StsMode[] = ['none', 'testing', 'enforce'];

/** The id of the policy by the TXT records of `_mta-sts.`; null without exactly one valid record (§3.1). */
export function stsId(records: readonly string[]): string | null {
  const ours = records.filter((text) => /^v=STSv1\s*(?:;|$)/.test(text));
  const [record] = ours;
  if (record === undefined || ours.length > 1) return null;
  const ids = record
    .split(';')
    .map((field) => /^\s*id\s*=\s*([A-Za-z0-9]{1,32})\s*$/.exec(field)?.[1])
    .filter((id) => id !== undefined);
  return ids.length === 1 ? (ids[0] ?? null) : null;
}

/** Reads a policy; the failure says what is wrong with it. */
export function parseStsPolicy(text: string): Result<StsPolicy, string> {
  const fields = new Map<string, string>();
  const mx: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const field = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line);
    if (field === null) return failed('a line of the policy is not "key: value"');
    const [, key = '', value = ''] = field;
    // §3.2: of fields given twice the first counts, but for mx.
    if (key === 'mx') mx.push(value);
    else if (!fields.has(key)) fields.set(key, value);
  }
  if (fields.get('version') !== 'STSv1') return failed('the policy has no "version: STSv1"');
  const mode = MODES.find((one) => one === fields.get('mode'));
  if (mode === undefined) return failed('the policy has no mode of none, testing or enforce');
  const maxAge = fields.get('max_age') ?? '';
  if (!/^\d{1,10}$/.test(maxAge)) return failed('the policy has no max_age in seconds');
  const patterns = mx.slice(0, MAX_MX).map(mxPattern);
  if (patterns.includes(undefined)) return failed('an mx of the policy is not a host name or *.domain');
  if (mode !== 'none' && patterns.length === 0) return failed('the policy names no mx');
  return ok({
    mode,
    maxAgeSeconds: Math.min(Number(maxAge), MAX_AGE_SECONDS),
    mx: patterns.filter((one) => one !== undefined),
  });
}

function mxPattern(text: string): string | undefined {
  const below = text.startsWith('*.');
  const name = canonicalDomain(below ? text.slice(2) : text);
  return name === undefined || !below ? name : `*.${name}`;
}

/** A pattern with `*.` stands for one label (RFC 8461 §4.1). */
export function isMxOf({ mx }: Pick<StsPolicy, 'mx'>, host: string): boolean {
  const dot = host.indexOf('.');
  return mx.includes(host) || (dot > 0 && mx.includes(`*${host.slice(dot)}`));
}
