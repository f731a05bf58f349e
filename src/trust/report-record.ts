/** Where a domain wants its TLS reports sent: the TXT record `_smtp._tls.` (RFC 8460 §3). Pure. */
import { parseAddress } from '../mail/address.ts';

export type ReportTarget =
  | { readonly kind: 'mailto'; readonly uri: string; readonly address: string }
  | { readonly kind: 'https'; readonly uri: string; readonly url: URL };

/** Targets of one record that are used. */
const MAX_TARGETS = 4;
const MAX_URI_CHARS = 1_000;

/** The targets by the TXT records of `_smtp._tls.`; none without exactly one record of this version. */
export function reportTargets(records: readonly string[]): readonly ReportTarget[] {
  const ours = records.filter((text) => /^v=TLSRPTv1\s*(?:;|$)/.test(text));
  const [record] = ours;
  if (record === undefined || ours.length > 1) return [];
  const rua = record
    .split(';')
    .map((field) => /^\s*rua\s*=(.*)$/s.exec(field)?.[1])
    .find((value) => value !== undefined);
  const uris = new Set((rua ?? '').split(',').map((uri) => uri.trim()));
  return [...uris].flatMap((uri) => target(uri) ?? []).slice(0, MAX_TARGETS);
}

/** Null for what we cannot send to. */
function target(uri: string): ReportTarget | null {
  if (uri.length > MAX_URI_CHARS || !/^[!-~]+$/.test(uri)) return null;
  if (/^mailto:/i.test(uri)) return mailTarget(uri);
  if (!/^https:\/\//i.test(uri)) return null;
  const url = URL.parse(uri);
  if (url === null || url.username !== '' || url.password !== '') return null;
  return { kind: 'https', uri, url };
}

/** RFC 6068, without the header fields that may follow. */
function mailTarget(uri: string): ReportTarget | null {
  const encoded = /^mailto:([^?#]*)/i.exec(uri)?.[1] ?? '';
  try {
    const address = parseAddress(decodeURIComponent(encoded));
    if (!address.ok || address.value.domain === '') return null;
    return { kind: 'mailto', uri, address: address.value.text };
  } catch {
    // A percent sign that encodes nothing.
    return null;
  }
}
