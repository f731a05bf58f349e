/** The operations of the trust contract, carried out by each engine, and the shape of its rows. */
import { createHash } from 'node:crypto';
import type { DueTlsReport, KeptStsPolicy, TlsSessionCount } from '../trust-contract.ts';
import type { Op } from './operations.ts';

export interface TrustWriteOps {
  keepStsPolicy: Op<{ domain: string; policy: KeptStsPolicy }, void>;
  addTlsSessions: Op<{ counts: readonly TlsSessionCount[] }, void>;
  claimTlsReport: Op<{ now: number; until: number }, DueTlsReport | null>;
  endTlsReport: Op<Pick<DueTlsReport, 'day' | 'domain' | 'dueAt'>, boolean>;
  putOffTlsReport: Op<Pick<DueTlsReport, 'day' | 'domain' | 'dueAt' | 'sent'>, boolean>;
}

export interface TrustReadOps {
  stsPolicy: Op<{ domain: string }, KeptStsPolicy | null>;
}

/** A row of `sts_policy`, the patterns joined by spaces. */
export type StsRow = Omit<KeptStsPolicy, 'mx'> & { readonly mx: string };

export function stsPolicyOf({ mx, ...row }: StsRow): KeptStsPolicy {
  return { ...row, mx: mx === '' ? [] : mx.split(' ') };
}

/** A row of `tls_report`, what it was sent to joined by line ends. */
export interface TlsReportRow {
  readonly day: number;
  readonly domain: string;
  readonly sent: string;
}

export function tlsReportOf(
  { day, domain, sent }: TlsReportRow,
  dueAt: number,
  counts: DueTlsReport['counts'],
): DueTlsReport {
  return { day, domain, dueAt, sent: sent === '' ? [] : sent.split('\n'), counts };
}

/** The key of a detail, which may be longer than a key can be. */
export function tlsCountKey(detail: string): string {
  return createHash('sha256').update(detail).digest('hex');
}
