/** Keys, certificate requests (RFC 2986), the TLS-ALPN-01 certificate (RFC 8737) and what an issued one says. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import {
  bitString,
  contextTag,
  type DerElement,
  der,
  implicitTag,
  integer,
  oid,
  readElements,
  sequence,
  TAG,
  time,
} from './der.ts';

const OID = {
  commonName: '2.5.4.3',
  subjectAltName: '2.5.29.17',
  authorityKeyIdentifier: '2.5.29.35',
  extensionRequest: '1.2.840.113549.1.9.14',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  /** id-pe-acmeIdentifier, RFC 8737 §6.1. */
  acmeIdentifier: '1.3.6.1.5.5.7.1.31',
} as const;

/** Longest common name (RFC 5280 appendix A.1). */
const MAX_COMMON_NAME = 64;
const DAY_MS = 86_400_000;
const MAX_CHAIN_CHARS = 200_000;
const MAX_CHAIN = 10;

/** A new P-256 key, made off the event loop. */
export async function newKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey;
}

export function keyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The P-256 private key of a PEM text; undefined when it is none. */
export function keyFromPem(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined;
  } catch {
    // Whatever is wrong with it: it is no key of ours, which the caller says with the name of the file.
    return undefined;
  }
}

/** SubjectPublicKeyInfo. */
export function publicKeyDer(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

function signed(key: KeyObject, contents: Buffer): Buffer {
  return sequence(contents, sequence(oid(OID.ecdsaWithSha256)), bitString(sign('sha256', contents, key)));
}

function subject(commonName: string): Buffer {
  return sequence(der(TAG.set, sequence(oid(OID.commonName), der(TAG.utf8, Buffer.from(commonName)))));
}

/** One extension of a certificate or request (RFC 5280 §4.1); `value` is its DER. */
export function extension(id: string, value: Uint8Array, critical = false): Buffer {
  const flag = critical ? [der(TAG.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...flag, der(TAG.octetString, value));
}

/** The extension that names hosts. */
export function altNames(names: readonly string[]): Buffer {
  const entries = names.map((name) => der(implicitTag(2), Buffer.from(name, 'ascii')));
  return extension(OID.subjectAltName, sequence(...entries));
}

/** The DER of a certificate request for host names, signed with `key`. */
export function certificateRequest(names: readonly string[], key: KeyObject): Buffer {
  const extensions = sequence(oid(OID.extensionRequest), der(TAG.set, sequence(altNames(names))));
  return signed(
    key,
    sequence(
      integer(Buffer.from([0])),
      // Optional beside the names in the extension; some CAs of companies want it.
      (names[0] ?? '').length > MAX_COMMON_NAME ? sequence() : subject(names[0] ?? ''),
      publicKeyDer(key),
      der(contextTag(0), extensions),
    ),
  );
}

export interface SelfSigned {
  readonly name: string;
  readonly key: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Buffer[];
}

/** PEM of a certificate signed with its own key (RFC 5280 §4.1, version 3). */
export function selfSignedCertificate({
  name,
  key,
  notBeforeMs,
  notAfterMs,
  extensions,
}: SelfSigned): string {
  const who = subject(name.slice(0, MAX_COMMON_NAME));
  const toBeSigned = sequence(
    der(contextTag(0), integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    sequence(oid(OID.ecdsaWithSha256)),
    who,
    sequence(time(notBeforeMs), time(notAfterMs)),
    who,
    publicKeyDer(key),
    der(contextTag(3), sequence(...extensions)),
  );
  const body = signed(key, toBeSigned)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${body}-----END CERTIFICATE-----\n`;
}

/** PEM of the certificate that answers a TLS-ALPN-01 challenge (RFC 8737 §3). */
export function challengeCertificate(
  name: string,
  keyAuthorization: string,
  key: KeyObject,
  nowMs: number,
): string {
  const digest = createHash('sha256').update(keyAuthorization).digest();
  return selfSignedCertificate({
    ...{ name, key, notBeforeMs: nowMs - DAY_MS, notAfterMs: nowMs + DAY_MS },
    extensions: [altNames([name]), extension(OID.acmeIdentifier, der(TAG.octetString, digest), true)],
  });
}

/** A certificate with its key, as used. */
export interface IssuedCertificate {
  /** PEM: the certificate, then the CA's intermediates. */
  readonly chain: string;
  readonly key: KeyObject;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Its name for renewal information (RFC 9773 §4.1); null when it names no authority key. */
  readonly ariId: string | null;
}

/**
 * Reads a chain and holds it against its key and the names it must have. The failure is one sentence.
 * Alternate chains and what follows the tenth certificate are not looked at.
 */
export function readCertificate(
  chain: string,
  key: KeyObject,
  names: readonly string[],
): Result<IssuedCertificate, string> {
  if (chain.length > MAX_CHAIN_CHARS) return failed('the certificate chain is too long');
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return failed('there is no certificate in it');
  if (blocks.length > MAX_CHAIN) return failed(`it holds more than ${MAX_CHAIN} certificates`);
  let leaf: X509Certificate;
  try {
    leaf = blocks.map((block) => new X509Certificate(block))[0] as X509Certificate;
  } catch (error) {
    return failed(`a certificate in it cannot be read: ${describeError(error)}`);
  }
  if (!leaf.checkPrivateKey(key)) return failed('the certificate is for another key');
  const missing = names.filter((name) => leaf.checkHost(name, { subject: 'never' }) === undefined);
  if (missing.length > 0) return failed(`the certificate is not for ${missing.join(', ')}`);
  return ok({
    chain: blocks.map((block) => `${block}\n`).join(''),
    key,
    names: dnsNames(leaf),
    issuer: leaf.issuer.split('\n').join(', '),
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
    ariId: ariId(leaf.raw),
  });
}

function dnsNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length));
}

/** base64url(authority key identifier) "." base64url(serial number), RFC 9773 §4.1. */
function ariId(raw: Buffer): string | null {
  const certificate = readElements(raw)?.[0];
  const fields = inside(inside(certificate)?.[0]);
  if (fields === undefined) return null;
  // The version is optional; the serial number is the first integer.
  const serial = fields.find(({ tag }) => tag === TAG.integer);
  const extensions = inside(inside(fields.find(({ tag }) => tag === contextTag(3)))?.[0]);
  const wanted = oid(OID.authorityKeyIdentifier).subarray(2);
  for (const one of extensions ?? []) {
    const parts = inside(one);
    if (parts?.[0] === undefined || !parts[0].contents.equals(wanted)) continue;
    const value = readElements(parts.at(-1)?.contents ?? Buffer.alloc(0))?.[0];
    const keyId = inside(value)?.find(({ tag }) => tag === implicitTag(0));
    if (keyId === undefined || serial === undefined) return null;
    return `${keyId.contents.toString('base64url')}.${serial.contents.toString('base64url')}`;
  }
  return null;
}

function inside(element: DerElement | undefined): DerElement[] | undefined {
  return element === undefined ? undefined : readElements(element.contents);
}
