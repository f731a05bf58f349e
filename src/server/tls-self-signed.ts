/** The certificate a server makes for itself when it is given none, so that TLS can be had from the first start. */
import { createHash, type KeyObject } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { der, oid, sequence, TAG } from '../acme/der.ts';
import { altNames, extension, keyToPem, newKey, publicKeyDer, selfSignedCertificate } from '../acme/x509.ts';

const DAY_MS = 86_400_000;
/** Clients that were told to trust it must not be asked again each year. */
const VALID_DAYS = 3650;
/** For machines whose clocks are behind. */
const EARLIER_MS = DAY_MS;

/** Writes a new key (P-256) and a certificate for `hostname` signed with it; both are the owner's alone. */
export async function makeSelfSigned(
  files: { readonly cert: string; readonly key: string },
  hostname: string,
): Promise<void> {
  const key = await newKey();
  const nowMs = Date.now();
  const certificate = selfSignedCertificate({
    ...{ name: hostname, key, extensions: extensions(hostname, key) },
    ...{ notBeforeMs: nowMs - EARLIER_MS, notAfterMs: nowMs + VALID_DAYS * DAY_MS },
  });
  await mkdir(dirname(files.cert), { recursive: true, mode: 0o700 });
  // The certificate last: when it is there, so is its key.
  await writeWhole(files.key, keyToPem(key));
  await writeWhole(files.cert, certificate);
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

function extensions(hostname: string, key: KeyObject): Buffer[] {
  const keyId = createHash('sha1').update(publicKeyDer(key)).digest();
  return [
    extension('2.5.29.19', sequence(), true), // basicConstraints: no CA
    extension('2.5.29.15', der(TAG.bitString, Buffer.of(7, 0x80)), true), // keyUsage: digitalSignature
    extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'))), // extKeyUsage: serverAuth
    altNames([hostname]),
    extension('2.5.29.14', der(TAG.octetString, keyId)), // subjectKeyIdentifier
  ];
}
