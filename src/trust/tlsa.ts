/** Which certificates a TLSA record stands for (RFC 6698 §2.1, RFC 7671, RFC 7672 §3.1). */
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import type { TlsaRecord } from '../dns/contract.ts';
import type { TlsFailureType } from './contract.ts';

const DANE_TA = 2;
const DANE_EE = 3;
const FULL = 0;
const DIGESTS = new Map([
  [1, { name: 'sha256', bytes: 32 }],
  [2, { name: 'sha512', bytes: 64 }],
]);

/** SMTP knows usages 2 and 3 only (RFC 7672 §3.1.3); what we cannot read is unusable too. */
export function isUsable({ usage, selector, matchingType, data }: TlsaRecord): boolean {
  if ((usage !== DANE_TA && usage !== DANE_EE) || selector > 1) return false;
  if (matchingType === FULL) return data.length > 0;
  return DIGESTS.get(matchingType)?.bytes === data.length;
}

/** How reports call what `checkTlsa` found. */
export function tlsaFailureType(problem: string): TlsFailureType {
  if (problem.endsWith(OUT_OF_DATE)) return 'certificate-expired';
  return problem.startsWith(OTHER_NAME) ? 'certificate-host-mismatch' : 'validation-failure';
}

const OUT_OF_DATE = 'is out of date';
const OTHER_NAME = 'its certificate is not for ';

/** Null when the certificate is one that the records stand for, otherwise why not. */
export function checkTlsa(
  records: readonly TlsaRecord[],
  /** As the server sent it, its own certificate first. */
  chain: readonly X509Certificate[],
  /** See `TlsPolicy.names`. */
  names: readonly string[],
  now: Date = new Date(),
): string | null {
  const leaf = chain[0];
  if (leaf === undefined) return 'the server sent no certificate';
  const strongest = withoutWeaker(records);
  // RFC 7672 §3.1.1: neither name nor dates of the certificate count.
  if (strongest.some((record) => record.usage === DANE_EE && matches(record, leaf))) return null;
  const anchors = strongest.filter(({ usage }) => usage === DANE_TA);
  if (anchors.length === 0) return 'its certificate is not the one that the TLSA records name';
  const broken = checkAnchored(anchors, chain, now);
  if (broken !== null) return broken;
  if (names.some((name) => leaf.checkHost(name, { subject: 'never' }) !== undefined)) return null;
  return `${OTHER_NAME}${names.join(' or ')}`;
}

/** RFC 7671 §9: where there are digests of two strengths for one thing, the weaker do not count. */
function withoutWeaker(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  const strong = new Set(
    records
      .filter(({ matchingType }) => matchingType === 2)
      .map(({ usage, selector }) => `${usage} ${selector}`),
  );
  return records.filter(
    ({ usage, selector, matchingType }) => matchingType !== 1 || !strong.has(`${usage} ${selector}`),
  );
}

function matches({ selector, matchingType, data }: TlsaRecord, certificate: X509Certificate): boolean {
  const whole =
    selector === 0 ? certificate.raw : certificate.publicKey.export({ type: 'spki', format: 'der' });
  const digest = DIGESTS.get(matchingType);
  return data.equals(digest === undefined ? whole : createHash(digest.name).update(whole).digest());
}

/** Goes up the chain from the server's certificate to one that a record names; null when it gets there. */
function checkAnchored(
  anchors: readonly TlsaRecord[],
  chain: readonly X509Certificate[],
  now: Date,
): string | null {
  const candidates = [...chain.slice(1), ...inRecords(anchors)];
  let current = chain[0];
  for (let depth = 0; current !== undefined && depth <= candidates.length; depth += 1) {
    const here = current;
    if (!isValidAt(here, now)) return `a certificate of its chain ${OUT_OF_DATE}`;
    if (isSignedByKeyIn(anchors, here)) return null;
    const issuer = candidates.find((one) => one.ca && here.checkIssued(one) && here.verify(one.publicKey));
    if (issuer === undefined || issuer.fingerprint256 === here.fingerprint256) break;
    if (anchors.some((record) => matches(record, issuer)))
      return isValidAt(issuer, now) ? null : `the certificate that the TLSA records name ${OUT_OF_DATE}`;
    current = issuer;
  }
  return 'its certificate does not lead to the one that the TLSA records name';
}

/** Certificates that stand in DNS whole: the server need not send those. */
function inRecords(anchors: readonly TlsaRecord[]): X509Certificate[] {
  return anchors.flatMap(({ selector, matchingType, data }) => {
    if (selector !== 0 || matchingType !== FULL) return [];
    try {
      return [new X509Certificate(data)];
    } catch {
      // Not a certificate: it matches nothing.
      return [];
    }
  });
}

/** A bare key in DNS (2 1 0) may have signed without a certificate of its own in the chain. */
function isSignedByKeyIn(anchors: readonly TlsaRecord[], certificate: X509Certificate): boolean {
  return anchors.some(({ selector, matchingType, data }) => {
    if (selector !== 1 || matchingType !== FULL) return false;
    try {
      return certificate.verify(createPublicKey({ key: data, format: 'der', type: 'spki' }));
    } catch {
      // Not a key: it signed nothing.
      return false;
    }
  });
}

function isValidAt(certificate: X509Certificate, now: Date): boolean {
  return certificate.validFromDate <= now && now <= certificate.validToDate;
}
