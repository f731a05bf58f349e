/** Words of the ACME part (RFC 8555): what it is told, what it tells, what it is given. */

export type ChallengeType = 'http-01' | 'tls-alpn-01';

/** One address to listen on. */
export interface AcmeEndpoint {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** An account at the CA that the ACME account is bound to (RFC 8555 §7.3.4). */
export interface ExternalAccount {
  readonly kid: string;
  /** The HMAC key, decoded. */
  readonly hmacKey: Uint8Array;
}

/** What the administrator wants, checked. */
export interface AcmeConfig {
  /** https URL of the CA's directory object. */
  readonly directory: string;
  /** Mail addresses, without `mailto:`. */
  readonly contact: readonly string[];
  /** Host names for the certificate, lower-case A-labels; at least one, at most `MAX_NAMES`. */
  readonly names: readonly string[];
  readonly agreeToTerms: boolean;
  readonly challenge: ChallengeType;
  /** Where the answers to the CA's challenges are given. */
  readonly listen: readonly AcmeEndpoint[];
  readonly externalAccount: ExternalAccount | null;
  /** PEM of the only CAs trusted for the directory; null for those the system trusts. */
  readonly trustedCas: string | null;
}

/** Let's Encrypt takes a hundred names too; each is one challenge. */
export const MAX_NAMES = 100;

export type AcmeFailureKind =
  /** No answer from the CA: name, network, TLS, time. */
  | 'unreachable'
  /** An answer that is not ACME, or beyond a bound. */
  | 'bad-answer'
  /** The CA wants us to wait. */
  | 'rate-limited'
  /** The account is unknown, deactivated or may not. */
  | 'account'
  /** The terms of service are not agreed to. */
  | 'terms'
  | 'external-account'
  /** The CA could not see the answer to its challenge. */
  | 'validation'
  /** Any other refusal by the CA. */
  | 'refused'
  /** Our own disk or port. */
  | 'local'
  /** The server stops. */
  | 'stopped';

/** Why there is no certificate: what happened and what to do, in words for the administrator. */
export interface AcmeFailure {
  readonly kind: AcmeFailureKind;
  readonly text: string;
  readonly mend: string;
  /** How long the CA asks to wait, ms; null when it does not say. */
  readonly retryAfterMs: number | null;
  /** Type of the CA's problem document without its prefix, such as `badNonce`; null without one. */
  readonly problem: string | null;
}

export function acmeFailure(
  kind: AcmeFailureKind,
  text: string,
  mend: string,
  more: { readonly retryAfterMs?: number | null; readonly problem?: string | null } = {},
): AcmeFailure {
  return { kind, text, mend, retryAfterMs: more.retryAfterMs ?? null, problem: more.problem ?? null };
}

export type AcmeLog = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void;

/** Waits and bounds, all in ms; tests shorten them. */
export interface AcmeTimings {
  /** Longest wait for one answer of the CA. */
  readonly requestMs: number;
  /** First and longest wait between two looks at an order or authorization, whatever Retry-After says. */
  readonly pollFirstMs: number;
  readonly pollMaxMs: number;
  /** How long an authorization or order may stay undecided. */
  readonly pollTotalMs: number;
  /** Wait after the first failure; each further one doubles it. */
  readonly backOffFirstMs: number;
  readonly backOffMaxMs: number;
  /** Longest Retry-After obeyed for a whole attempt. */
  readonly retryAfterMaxMs: number;
  /** Least time from a certificate to the next order, whatever ARI says. */
  readonly betweenOrdersMs: number;
  /** Bounds of the time between two questions for renewal information, and its value when the CA names none. */
  readonly ariMinMs: number;
  readonly ariMaxMs: number;
  readonly ariDefaultMs: number;
  /** Least time between two attempts that the administrator asks for by hand. */
  readonly byHandMs: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export const DEFAULT_TIMINGS: AcmeTimings = {
  requestMs: 30 * SECOND_MS,
  pollFirstMs: 2 * SECOND_MS,
  pollMaxMs: MINUTE_MS,
  pollTotalMs: 10 * MINUTE_MS,
  backOffFirstMs: 10 * MINUTE_MS,
  backOffMaxMs: 12 * HOUR_MS,
  retryAfterMaxMs: 7 * 24 * HOUR_MS,
  betweenOrdersMs: HOUR_MS,
  ariMinMs: MINUTE_MS,
  ariMaxMs: 24 * HOUR_MS,
  ariDefaultMs: 6 * HOUR_MS,
  byHandMs: MINUTE_MS,
};

/** The certificate held, in words of JSON. Times as ISO 8601. */
export interface CertificateView {
  readonly names: readonly string[];
  readonly issuer: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** The state of the ACME part for `status`. */
export interface AcmeView {
  readonly directory: string;
  readonly challenge: ChallengeType;
  readonly names: readonly string[];
  /** Where the challenge is answered, as `address:port`; empty while it cannot be. */
  readonly listening: readonly string[];
  readonly certificate: CertificateView | null;
  /** When a new certificate is asked for, and which rule says so. */
  readonly renewal: {
    readonly at: string;
    readonly by: RenewalReason;
    readonly explanation: string | null;
  } | null;
  /** The last attempt when it failed; null after a success. */
  readonly failure: {
    readonly at: string;
    readonly kind: AcmeFailureKind;
    readonly text: string;
    readonly mend: string;
    /** Attempts failed one after the other. */
    readonly running: number;
    readonly nextAttemptAt: string;
  } | null;
}

/** `missing`: there is none, or not for these names from this CA; `ari`: the CA's window; else two thirds of its life. */
export type RenewalReason = 'missing' | 'ari' | 'two-thirds';
