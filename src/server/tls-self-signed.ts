/**
 * The certificate a server makes for itself when it is given none, so that TLS can be had from the first start.
 * A certificate is little more than a frame around what node:crypto makes (key, signature), so the frame is written
 * here: X.509 version 3 (RFC 5280 §4.1) in DER (X.690).
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const DAY_MS = 86_400_000;
/** Clients that were told to trust it must not be asked again each year. */
const VALID_DAYS = 3650;
/** For machines whose clocks are behind. */
const EARLIER_MS = DAY_MS;
/** Longest common name (RFC 5280 appendix A.1). */
const MAX_COMMON_NAME = 64;

/** Writes a new key (P-256) and a certificate for `hostname` signed with it; both are the owner's alone. */
export async function makeSelfSigned(
  files: { readonly cert: string; readonly key: string },
  hostname: string,
): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const certificate = selfSignedDer(hostname, publicKey, privateKey, Date.now());
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  await mkdir(dirname(files.cert), { recursive: true, mode: 0o700 });
  // The certificate last: when it is there, so is its key.
  await writeWhole(files.key, String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  await writeWhole(
    files.cert,
    `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  );
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

function selfSignedDer(hostname: string, publicKey: KeyObject, privateKey: KeyObject, nowMs: number): Buffer {
  const algorithm = sequence(objectId('2a8648ce3d040302')); // ecdsa-with-SHA256
  const name = sequence(
    der(0x31, sequence(objectId('550403'), utf8(hostname.slice(0, MAX_COMMON_NAME)))), // commonName
  );
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const body = sequence(
    explicit(0, der(0x02, Buffer.of(2))), // version 3
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(nowMs - EARLIER_MS), time(nowMs + VALID_DAYS * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(hostname, publicKey))),
  );
  return sequence(body, algorithm, bitString(sign('sha256', body, privateKey)));
}

function extensions(hostname: string, publicKey: KeyObject): Buffer[] {
  const keyId = createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
  return [
    extension('551d13', true, sequence()), // basicConstraints: no CA
    extension('551d0f', true, der(0x03, Buffer.of(7, 0x80))), // keyUsage: digitalSignature
    extension('551d25', false, sequence(objectId('2b06010505070301'))), // extKeyUsage: serverAuth
    extension('551d11', false, sequence(der(0x82, Buffer.from(hostname)))), // subjectAltName: a DNS name
    extension('551d0e', false, der(0x04, keyId)), // subjectKeyIdentifier
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(0x01, Buffer.of(0xff))] : [];
  return sequence(objectId(id), ...flag, der(0x04, value));
}

/** Tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function explicit(n: number, content: Buffer): Buffer {
  return der(0xa0 + n, content);
}

function objectId(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function utf8(text: string): Buffer {
  return der(0x0c, Buffer.from(text));
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.of(0), bytes]));
}

/** UTCTime, which RFC 5280 §4.1.2.5 wants up to 2049. */
function time(atMs: number): Buffer {
  const text = new Date(atMs).toISOString().replace(/[-:T]|\.\d+/g, '');
  return der(0x17, Buffer.from(text.slice(2)));
}
