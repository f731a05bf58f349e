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
  /** How sessions under it are told of in TLS reports; absent where they are not. */
  readonly reported?: ReportedPolicy;
}

/** What went wrong with TLS (RFC 8460 §4.3), as far as it can happen here. */
export type TlsFailureType =
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'tlsa-invalid'
  | 'dnssec-invalid'
  | 'sts-policy-fetch-error'
  | 'sts-policy-invalid'
  | 'sts-webpki-invalid';

/** A policy as a TLS report names it (RFC 8460 §4.4). */
export interface ReportedPolicy {
  /** The recipient domain: it gets the report. */
  readonly domain: string;
  /** For DANE the TLSA base domain, else the recipient domain (RFC 8460 §1.1). */
  readonly policyDomain: string;
  readonly type: 'tlsa' | 'sts' | 'no-policy-found';
  readonly strings: readonly string[];
  /** Host patterns of an MTA-STS policy. */
  readonly mx: readonly string[];
  /** What is wrong with the policy itself; null when nothing is. */
  readonly failure: TlsFailureType | null;
}

/** How one session went, as far as TLS goes. */
export interface TlsOutcome {
  readonly policy: ReportedPolicy;
  readonly mxHost: string;
  readonly mxAddress: string;
  /** Our own address; null when the server was not called. */
  readonly sendingAddress: string | null;
  /** Null: TLS as the policy wants it. */
  readonly failure: TlsFailureType | null;
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
