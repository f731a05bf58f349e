/** What a client sends to sign in, read strictly: base64 (RFC 4648 §4) and PLAIN (RFC 4616). */
import { failed, ok, type Result } from './failure.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** `malformed`: not what the mechanism says; `other-identity`: signs in as one to act for another. */
export type SaslProblem = 'malformed' | 'other-identity';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** UTF-8 text without NUL from base64; null for anything else. */
export function decodeBase64Text(text: string): string | null {
  const decoded = decodeBase64(text);
  return decoded === null || decoded.includes('\0') ? null : decoded;
}

function decodeBase64(text: string): string | null {
  if (!BASE64.test(text)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(text, 'base64'));
  } catch {
    return null;
  }
}

/** The message of PLAIN, base64: `authzid NUL authcid NUL passwd`; an authzid must be the authcid. */
export function parsePlain(text: string): Result<Credentials, SaslProblem> {
  const parts = decodeBase64(text)?.split('\0');
  const [identity, user, password] = parts ?? [];
  if (parts?.length !== 3 || identity === undefined || !user || !password) return failed('malformed');
  if (identity !== '' && identity.toLowerCase() !== user.toLowerCase()) return failed('other-identity');
  return ok({ user, password });
}
