/** What is remembered of how other domains want their mail protected. Times are ms since 1970. */

/** An MTA-STS policy as last fetched (RFC 8461). */
export interface KeptStsPolicy {
  /** Of the TXT record it was fetched for. */
  readonly id: string;
  readonly mode: 'none' | 'testing' | 'enforce';
  readonly maxAgeSeconds: number;
  readonly mx: readonly string[];
  readonly fetchedAt: number;
  /** In force until then. */
  readonly expiresAt: number;
}

/** Policies kept; when there are more, those that end first go. */
export const MAX_STS_POLICIES = 50_000;

/** Sessions of one UTC day that went the same way, for the reports of RFC 8460. */
export interface TlsSessionCount {
  /** Days since 1970-01-01, UTC. */
  readonly day: number;
  /** The recipient domain: it gets the report. */
  readonly domain: string;
  /** When the report is due; the first that is given for a day and domain counts. */
  readonly dueAt: number;
  /** What was counted, as JSON; equal texts are counted together. */
  readonly detail: string;
  readonly sessions: number;
}

/** A claimed report. */
export interface DueTlsReport {
  readonly day: number;
  readonly domain: string;
  /** Until then it is the claimant's alone; names the claim. */
  readonly dueAt: number;
  /** Where it was sent to before, as `putOffTlsReport` had it. */
  readonly sent: readonly string[];
  /** The most frequent first, at most `MAX_TLS_COUNTS_PER_REPORT`. */
  readonly counts: readonly { readonly detail: string; readonly sessions: number }[];
}

/** Rows of counts kept of all days and domains; beyond it only what is there already is counted on. */
export const MAX_TLS_COUNTS = 100_000;
export const MAX_TLS_COUNTS_PER_REPORT = 1_000;

export interface TrustStore {
  /** Adds to what was counted before. */
  addTlsSessions(counts: readonly TlsSessionCount[]): Promise<void>;
  /** Claims the report that is due first until `until`: nobody else is given it before; null when none is due. */
  claimTlsReport(claim: { readonly now: number; readonly until: number }): Promise<DueTlsReport | null>;
  /** Ends a claimed report and forgets its counts; false when the claim is somebody else's by now. */
  endTlsReport(claim: Pick<DueTlsReport, 'day' | 'domain' | 'dueAt'>): Promise<boolean>;
  /** Notes where a claimed report was sent; it is due again when the claim ends. False as above. */
  putOffTlsReport(claim: Pick<DueTlsReport, 'day' | 'domain' | 'dueAt' | 'sent'>): Promise<boolean>;
  /** The last policy of a domain, also one that has ended; null without one. */
  stsPolicy(domain: string): Promise<KeptStsPolicy | null>;
  /** In place of an older one. */
  keepStsPolicy(domain: string, policy: KeptStsPolicy): Promise<void>;
}
