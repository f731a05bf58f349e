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

export interface TrustStore {
  /** The last policy of a domain, also one that has ended; null without one. */
  stsPolicy(domain: string): Promise<KeptStsPolicy | null>;
  /** In place of an older one. */
  keepStsPolicy(domain: string, policy: KeptStsPolicy): Promise<void>;
}
