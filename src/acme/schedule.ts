/** When to ask the CA: pure rules over what is known. Times in ms since the epoch. */
import type { AcmeFailure, AcmeTimings, RenewalReason } from './contract.ts';
import type { AriWindow } from './files.ts';
import type { IssuedCertificate } from './x509.ts';

/** Whatever the CA's window says, this part of the life is left for attempts that fail. */
const LATEST_PART = 0.9;

export interface Renewal {
  readonly atMs: number;
  readonly by: RenewalReason;
}

/** When a certificate is replaced: at the moment chosen in the CA's window, else at two thirds of its life. */
export function renewalOf(certificate: IssuedCertificate, ari: AriWindow | null): Renewal {
  const { notBeforeMs, notAfterMs, ariId } = certificate;
  const lifeMs = notAfterMs - notBeforeMs;
  if (ari === null || ari.id !== ariId) return { atMs: notBeforeMs + (lifeMs * 2) / 3, by: 'two-thirds' };
  return { atMs: Math.min(ari.chosenMs, notBeforeMs + lifeMs * LATEST_PART), by: 'ari' };
}

/**
 * How long to wait after `failures` attempts in a row: doubling, with a fifth of jitter either way, and never
 * shorter than the CA asks (within a bound). `random` is 0 up to 1.
 */
export function waitAfter(
  failures: number,
  retryAfterMs: AcmeFailure['retryAfterMs'],
  timings: AcmeTimings,
  random: number,
): number {
  const doubled = timings.backOffFirstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30);
  const ownMs = Math.min(doubled, timings.backOffMaxMs) * (0.8 + 0.4 * random);
  const askedMs = Math.min(retryAfterMs ?? 0, timings.retryAfterMaxMs);
  // Not all at the very moment the limit ends.
  return Math.max(ownMs, askedMs * (1 + random / 20));
}

/** The part of the life that is left below which a failing renewal is an alarm. */
const ALARM_PART = 1 / 4;
const ALARM_FAILURES = 3;

/** Whether an attempt that failed is an alarm yet, or still a matter of the log and `status`. */
export function isAlarm(certificate: IssuedCertificate | null, failures: number, nowMs: number): boolean {
  if (certificate === null || failures >= ALARM_FAILURES) return true;
  const lifeMs = certificate.notAfterMs - certificate.notBeforeMs;
  return certificate.notAfterMs - nowMs < lifeMs * ALARM_PART;
}
