/** Signed requests of ACME: flattened JWS (RFC 7515) with ES256, and HS256 for the external account. */
import { createHash, createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { ExternalAccount } from './contract.ts';

/** The public part of an account key (RFC 7517, RFC 7518 §6.2.1). */
export interface Jwk {
  readonly crv: string;
  readonly kty: string;
  readonly x: string;
  readonly y: string;
}

/** Who signs: the account's URL, or its key while it has none. */
export type Signer = { readonly kid: string } | { readonly jwk: Jwk };

export function publicJwk(key: KeyObject): Jwk {
  const { crv = '', kty = '', x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  // In this order: the thumbprint is taken over it (RFC 7638 §3.2).
  return { crv, kty, x, y };
}

/** What answers a challenge: `token.thumbprint` (RFC 8555 §8.1). */
export function keyAuthorization(token: string, key: KeyObject): string {
  const thumbprint = createHash('sha256')
    .update(JSON.stringify(publicJwk(key)))
    .digest('base64url');
  return `${token}.${thumbprint}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The body of a POST; payload `''` makes it POST-as-GET (RFC 8555 §6.3). */
export function signedBody(
  key: KeyObject,
  header: Signer & { readonly nonce: string; readonly url: string },
  payload: object | '',
): string {
  const protectedPart = encode({ alg: 'ES256', ...header });
  const payloadPart = payload === '' ? '' : encode(payload);
  const signature = sign('sha256', Buffer.from(`${protectedPart}.${payloadPart}`), {
    key,
    dsaEncoding: 'ieee-p1363',
  }).toString('base64url');
  return JSON.stringify({ protected: protectedPart, payload: payloadPart, signature });
}

/** `externalAccountBinding` of a newAccount request (RFC 8555 §7.3.4). */
export function externalAccountBinding(account: ExternalAccount, key: KeyObject, url: string): object {
  const protectedPart = encode({ alg: 'HS256', kid: account.kid, url });
  const payload = encode(publicJwk(key));
  const signature = createHmac('sha256', account.hmacKey)
    .update(`${protectedPart}.${payload}`)
    .digest('base64url');
  return { protected: protectedPart, payload, signature };
}
