/** One certificate with its key as read from files: checked, and ready to be used by TLS. */
import { constants, createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';

/** Where a certificate is. `names` beside those it has itself. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  readonly names: readonly string[];
}

export interface Certificate {
  readonly files: CertificateFiles;
  /** Lower case; a first label may be `*`. */
  readonly names: readonly string[];
  readonly issuer: string;
  readonly selfSigned: boolean;
  /** ms since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SHA-256 of the certificate, as hexadecimal. */
  readonly fingerprint: string;
  /** SHA-256 of the public key (SPKI), as hexadecimal: what TLSA 3 1 1 holds (RFC 6698 §2.1). */
  readonly keyFingerprint: string;
  readonly context: SecureContext;
}

/**
 * TLS 1.2 with forward secrecy and authenticated encryption, and all of TLS 1.3 (RFC 9325 §4.2). Fewer would lock
 * out mail programs that are ten years old, more would be a finding.
 */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Reads and checks a pair; the failure names the file, what is wrong and what would do. */
export async function loadCertificate(files: CertificateFiles): Promise<Result<Certificate, string>> {
  const cert = await readPem(files.cert, 'certificate', 'tls.cert');
  if (!cert.ok) return cert;
  const key = await readPem(files.key, 'key', 'tls.key');
  if (!key.ok) return key;
  return checkPair(files, cert.value, key.value);
}

async function readPem(file: string, what: string, setting: string): Promise<Result<Buffer, string>> {
  try {
    return ok(await readFile(file));
  } catch (error) {
    return failed(
      `The ${what} file ${file} cannot be read: ${describeError(error)}. Name one that this user can read as ${setting} in cmail.toml, or leave [tls] out for a self-signed certificate.`,
    );
  }
}

function checkPair(files: CertificateFiles, cert: Buffer, key: Buffer): Result<Certificate, string> {
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(cert);
  } catch (error) {
    return failed(
      `The certificate file ${files.cert} holds no certificate in PEM form: ${describeError(error)}. It begins with -----BEGIN CERTIFICATE-----, the server's own first.`,
    );
  }
  try {
    const privateKey = createPrivateKey(key);
    if (!parsed.checkPrivateKey(privateKey))
      return failed(
        `The key in ${files.key} is not that of the certificate in ${files.cert}. Name the pair.`,
      );
  } catch (error) {
    return failed(
      `The key file ${files.key} holds no private key that can be used: ${describeError(error)}. It must be in PEM form and without a passphrase.`,
    );
  }
  try {
    return ok(describe(files, parsed, makeContext(cert, key)));
  } catch (error) {
    return failed(
      `The certificate ${files.cert} with the key ${files.key} cannot be used: ${describeError(error)}.`,
    );
  }
}

function makeContext(cert: Buffer, key: Buffer): SecureContext {
  return createSecureContext({
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: 'X25519:prime256v1:secp384r1',
    honorCipherOrder: true,
    // Each renegotiation costs the server far more than the client, and no mail program needs one.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  });
}

function describe(files: CertificateFiles, parsed: X509Certificate, context: SecureContext): Certificate {
  const ownNames = [...(parsed.subjectAltName ?? '').matchAll(/DNS:([^\s,"]+)/g)].map(
    ([, name = '']) => name,
  );
  return {
    files,
    names: [...new Set([...files.names, ...ownNames].map((name) => name.toLowerCase()))],
    issuer: parsed.issuer.replaceAll('\n', ', '),
    selfSigned: parsed.issuer === parsed.subject,
    notBefore: Date.parse(parsed.validFrom),
    notAfter: Date.parse(parsed.validTo),
    keyFingerprint: createHash('sha256')
      .update(parsed.publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
    fingerprint: parsed.fingerprint256.replaceAll(':', '').toLowerCase(),
    context,
  };
}

/** Whether one of the certificate's names is this one; `*` stands for one label (RFC 9525 §6.3). */
export function certificateHasName(certificate: Pick<Certificate, 'names'>, asked: string): boolean {
  const name = asked.toLowerCase();
  const parent = name.slice(name.indexOf('.') + 1);
  return certificate.names.some((own) => own === name || (name.includes('.') && own === `*.${parent}`));
}
