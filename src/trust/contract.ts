/** What TLS a server must have for mail to go to it, and who says so. */
import type { TlsaRecord } from '../dns/contract.ts';

/**
 * `none`: never TLS. `opportunistic`: TLS with any certificate, else in clear. `encrypt`: TLS with any certificate, or no
 * mail. `verify`: with a trusted certificate for the host's name, or no mail. `dane`: with the certificate that DNS
 * names, or no mail.
 */
export type TlsLevel = 'none' | 'opportunistic' | 'encrypt' | 'verify' | 'dane';

/** The one decision for one server. */
export interface TlsPolicy {
  readonly level: TlsLevel;
  readonly source: 'settings' | 'rule' | 'mta-sts' | 'dane';
  /** What was found and what follows from it, one sentence. */
  readonly text: string;
  /** Why no mail may go to this server now, whatever TLS it has; null when it may. */
  readonly refused: string | null;
  /** Usable TLSA records; empty but for `dane`. */
  readonly tlsa: readonly TlsaRecord[];
  /** The name asked for by SNI, where it is not the host's. */
  readonly servername: string | null;
  /** Names of which a certificate under a DANE trust anchor must have one (RFC 7672 §3.2.2). */
  readonly names: readonly string[];
}

/** What the administrator's rule for a destination asks for; null where there is none. */
export type RuleLevel = Exclude<TlsLevel, 'dane'> | null;

export interface PolicyQuestion {
  /** The recipient domain, lower-case A-labels. */
  readonly domain: string;
  /** The MX host; equals `domain` for an implicit MX. */
  readonly host: string;
  readonly port: number;
  /** DNSSEC validated the MX records, or there are none and the domain is its own host. */
  readonly mxAuthenticated: boolean;
  readonly rule: RuleLevel;
}

export interface TlsPolicies {
  /** Never rejects. */
  policyFor(question: PolicyQuestion): Promise<TlsPolicy>;
}

export type StsMode = 'none' | 'testing' | 'enforce';

/** An MTA-STS policy (RFC 8461 §3.2). */
export interface StsPolicy {
  readonly mode: StsMode;
  readonly maxAgeSeconds: number;
  /** Host names and `*.` patterns, lower case. */
  readonly mx: readonly string[];
}
