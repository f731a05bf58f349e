/** How the certificate stands, in words for `status`, alarms and `check`. */
import type { AcmeConfig, AcmeFailure, AcmeView } from './contract.ts';
import type { AcmeState } from './files.ts';
import { isAlarm, type Renewal } from './schedule.ts';
import type { IssuedCertificate } from './x509.ts';

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}

export function acmeView(
  { directory, challenge, names }: AcmeConfig,
  state: AcmeState,
  certificate: IssuedCertificate | null,
  renewal: Renewal,
  listening: readonly string[],
): AcmeView {
  const { lastFailure, failures, nextAttemptAtMs, ari } = state;
  return {
    directory,
    challenge,
    names,
    listening,
    certificate:
      certificate === null
        ? null
        : {
            names: certificate.names,
            issuer: certificate.issuer,
            notBefore: iso(certificate.notBeforeMs),
            notAfter: iso(certificate.notAfterMs),
          },
    renewal:
      renewal.by === 'missing'
        ? null
        : {
            at: iso(renewal.atMs),
            by: renewal.by,
            explanation: renewal.by === 'ari' ? (ari?.explanation ?? null) : null,
          },
    failure:
      lastFailure === null
        ? null
        : {
            at: iso(lastFailure.atMs),
            kind: lastFailure.kind,
            text: lastFailure.text,
            mend: lastFailure.mend,
            running: failures,
            nextAttemptAt: iso(nextAttemptAtMs),
          },
  };
}

/** Sentences for the alarms of `status`; empty while all is well or a first failure has time enough left. */
export function acmeAlarms(
  { directory, names }: AcmeConfig,
  { lastFailure, failures, nextAttemptAtMs }: AcmeState,
  certificate: IssuedCertificate | null,
  responderFailure: AcmeFailure | null,
  nowMs: number,
): string[] {
  const alarms: string[] = [];
  if (responderFailure !== null && responderFailure.text !== lastFailure?.text)
    alarms.push(`${responderFailure.text} ${responderFailure.mend}`);
  if (lastFailure !== null && isAlarm(certificate, failures, nowMs)) {
    const who = names.join(', ');
    const how =
      certificate === null
        ? `There is no certificate for ${who} from ${directory} yet`
        : certificate.notAfterMs <= nowMs
          ? `The certificate for ${who} ended at ${iso(certificate.notAfterMs)}`
          : `The certificate for ${who} ends at ${iso(certificate.notAfterMs)} and could not be renewed`;
    const next = `The next attempt is at ${iso(nextAttemptAtMs)}.`;
    alarms.push(`${how}: ${lastFailure.text} ${lastFailure.mend} ${next}`);
  }
  return alarms;
}
