/** A TLS report in JSON (RFC 8460 §4.4). Pure. */
import { createHash } from 'node:crypto';
import type { DueTlsReport } from '../storage/trust-contract.ts';
import { DAY_MS, type TlsCountDetail } from './report-tally.ts';

export interface ReportFrame {
  /** Our name, as organisation and as submitter. */
  readonly hostname: string;
  /** Mail address of whom to ask. */
  readonly contact: string;
}

/** A finished report with what its mail and file are named by. */
export interface TlsReport {
  readonly domain: string;
  readonly reportId: string;
  /** RFC 8460 §5.1. */
  readonly fileName: string;
  readonly json: string;
}

interface PolicyEntry {
  readonly policy: Readonly<Record<string, unknown>>;
  readonly summary: { successful: number; failed: number };
  readonly failures: Readonly<Record<string, unknown>>[];
}

export function makeTlsReport(due: DueTlsReport, { hostname, contact }: ReportFrame): TlsReport {
  const { day, domain, counts } = due;
  const begin = (day * DAY_MS) / 1000;
  const end = ((day + 1) * DAY_MS) / 1000 - 1;
  // The same at every attempt, so that a report that came twice is seen to.
  const unique = createHash('sha256').update(`${day} ${domain}`).digest('hex').slice(0, 16);
  const reportId = `${begin}.${unique}@${hostname}`;
  const json = JSON.stringify({
    'organization-name': hostname,
    'date-range': { 'start-datetime': utc(begin), 'end-datetime': utc(end) },
    'contact-info': contact,
    'report-id': reportId,
    policies: policiesOf(counts),
  });
  return { domain, reportId, json, fileName: `${hostname}!${domain}!${begin}!${end}!${unique}.json.gz` };
}

/** RFC 3339 without fractions. */
function utc(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\.000Z$/, 'Z');
}

function policiesOf(counts: DueTlsReport['counts']): readonly Readonly<Record<string, unknown>>[] {
  const entries = new Map<string, PolicyEntry>();
  for (const { detail, sessions } of counts) {
    // Written by `TlsTally` alone.
    const { policy, failure, ...where } = JSON.parse(detail) as TlsCountDetail;
    const key = JSON.stringify(policy);
    const entry = entries.get(key) ?? newEntry(policy);
    entries.set(key, entry);
    if (failure === null) {
      entry.summary.successful += sessions;
      continue;
    }
    entry.summary.failed += sessions;
    entry.failures.push({
      'result-type': failure,
      ...(where.sendingAddress === null ? {} : { 'sending-mta-ip': where.sendingAddress }),
      ...(where.mxHost === null ? {} : { 'receiving-mx-hostname': where.mxHost }),
      ...(where.mxAddress === null ? {} : { 'receiving-ip': where.mxAddress }),
      'failed-session-count': sessions,
    });
  }
  return [...entries.values()].map(({ policy, summary, failures }) => ({
    policy,
    summary: {
      'total-successful-session-count': summary.successful,
      'total-failure-session-count': summary.failed,
    },
    ...(failures.length === 0 ? {} : { 'failure-details': failures }),
  }));
}

function newEntry({ type, strings, policyDomain, mx }: TlsCountDetail['policy']): PolicyEntry {
  const policy = {
    'policy-type': type,
    ...(strings.length === 0 ? {} : { 'policy-string': strings }),
    'policy-domain': policyDomain,
    ...(mx.length === 0 ? {} : { 'mx-host': mx }),
  };
  return { policy, summary: { successful: 0, failed: 0 }, failures: [] };
}
