/** Signature checks of the ACME test server, written apart from src/acme/ so that both must be right. */
import {
  createHash,
  createHmac,
  createPublicKey,
  type JsonWebKey,
  timingSafeEqual,
  verify,
} from 'node:crypto';

export interface Flattened {
  readonly protected: string;
  readonly payload: string;
  readonly signature: string;
}

export interface Header {
  readonly alg?: string;
  readonly nonce?: string;
  readonly url?: string;
  readonly kid?: string;
  readonly jwk?: JsonWebKey;
}

export function headerOf(jws: Flattened): Header {
  return JSON.parse(Buffer.from(jws.protected, 'base64url').toString('utf8')) as Header;
}

export function payloadOf(jws: Flattened): unknown {
  return jws.payload === '' ? null : JSON.parse(Buffer.from(jws.payload, 'base64url').toString('utf8'));
}

const HASHES: Readonly<Record<string, string>> = { ES256: 'sha256', ES384: 'sha384', RS256: 'sha256' };

export function signatureIsRight(jws: Flattened, jwk: JsonWebKey): boolean {
  const { alg = '' } = headerOf(jws);
  const hash = HASHES[alg];
  if (hash === undefined) return false;
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const signature = Buffer.from(jws.signature, 'base64url');
  const form = alg.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' as const } : key;
  return verify(hash, Buffer.from(`${jws.protected}.${jws.payload}`), form, signature);
}

/** RFC 7638. */
export function thumbprint(jwk: JsonWebKey): string {
  const { crv, e, kty, n, x, y } = jwk;
  const text = kty === 'RSA' ? JSON.stringify({ e, kty, n }) : JSON.stringify({ crv, kty, x, y });
  return createHash('sha256').update(text).digest('base64url');
}

/** RFC 8555 §7.3.4: null when the binding is right, else what is wrong with it. */
export function bindingTrouble(
  binding: Flattened | undefined,
  keys: Readonly<Record<string, string>>,
  url: string,
  jwk: JsonWebKey,
): string | null {
  if (binding === undefined) return 'externalAccountRequired';
  const header = headerOf(binding);
  const mac = keys[header.kid ?? ''];
  if (header.alg !== 'HS256' || header.url !== url || header.nonce !== undefined) return 'malformed';
  if (mac === undefined) return 'unauthorized';
  const expected = createHmac('sha256', Buffer.from(mac, 'base64url'))
    .update(`${binding.protected}.${binding.payload}`)
    .digest();
  const given = Buffer.from(binding.signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'unauthorized';
  return thumbprint(payloadOf(binding) as JsonWebKey) === thumbprint(jwk) ? null : 'malformed';
}
