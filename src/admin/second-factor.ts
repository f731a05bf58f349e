/**
 * The second factor of signing in to the page, of administrators and accounts alike: time-based codes (RFC 6238:
 * SHA-1, six digits, 30 s, as every authenticator app knows them) and one-time recovery codes.
 */
import { createHash, randomInt } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { decryptSecret, encryptSecret } from '../settings/secrets.ts';
import { StorageError } from '../storage/contract.ts';
import type { FactorSubject, SecondFactorStore } from '../storage/second-factor-contract.ts';

const PERIOD_S = 30;
const DIGITS = 6;
/** Steps by which the clock of a phone may be off, either way (RFC 6238 §5.2). */
const WINDOW = 1;
/** RFC 4226 §4: the length of the hash. */
const SECRET_BYTES = 20;
export const RECOVERY_CODES = 10;
/** Base 32: 16 of them are 80 bits. */
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const GROUPS = 4;
const GROUP_LETTERS = 4;

/** How long the second step may take. */
const PENDING_MS = 5 * 60_000;
const PENDING_KEY = 'half a sign-in';

/** What its owner and administrators may see of it. */
export interface FactorState {
  readonly on: boolean;
  /** ms since 1970; null while it is off. */
  readonly since: number | null;
  readonly recoveryCodesLeft: number;
}

/** What an authenticator app needs; shown while it is set up. */
export interface Enrolment {
  /** Base 32. */
  readonly secret: string;
  /** `otpauth://totp/…`, for a QR code. */
  readonly uri: string;
}

export type FactorCheck =
  | { readonly ok: true; readonly with: 'code' }
  | { readonly ok: true; readonly with: 'recovery code'; readonly left: number }
  /** `unreadable`: the secret was encrypted with another `secret.key`; only recovery codes and a reset help. */
  | { readonly ok: false; readonly why: 'wrong' | 'off' | 'unreadable' };

export class SecondFactors {
  readonly #store: SecondFactorStore;
  readonly #secretKey: Uint8Array;
  readonly #nowMs: () => number;

  constructor(store: SecondFactorStore, secretKey: Uint8Array, nowMs: () => number = Date.now) {
    this.#store = store;
    this.#secretKey = secretKey;
    this.#nowMs = nowMs;
  }

  async state(subject: FactorSubject): Promise<FactorState> {
    const found = await this.#store.secondFactor(subject);
    if (found === null || found.confirmedAt === null) return { on: false, since: null, recoveryCodesLeft: 0 };
    return { on: true, since: found.confirmedAt, recoveryCodesLeft: found.recoveryCodesLeft };
  }

  /** `issuer` is what the app lists it under. null when it is on already. */
  async begin(subject: FactorSubject, issuer: string): Promise<Enrolment | null> {
    const totp = totpOf(new Secret({ size: SECRET_BYTES }), subject.name, issuer);
    const secret = totp.secret.base32;
    try {
      await this.#store.beginSecondFactor({
        subject,
        secret: encryptSecret(this.#secretKey, keyOf(subject), secret),
      });
    } catch (error) {
      if (error instanceof StorageError && error.kind === 'conflict') return null;
      throw error;
    }
    return { secret, uri: totp.toString() };
  }

  /** Turns it on with a first code; resolves to the recovery codes, which are kept nowhere in clear. null: wrong. */
  async confirm(subject: FactorSubject, code: string): Promise<readonly string[] | null> {
    const found = await this.#store.secondFactor(subject);
    if (found === null || found.confirmedAt !== null) return null;
    const step = this.#stepOf(subject, found.secret, code);
    if (typeof step !== 'number') return null;
    const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
    const recoveryHashes = codes.map((one) => recoveryHash(subject, one));
    const done = await this.#store.confirmSecondFactor({
      ...{ subject, secret: found.secret, step, recoveryHashes },
    });
    return done ? codes : null;
  }

  /** Takes a code or a recovery code: what was right once is wrong afterwards, on every node. */
  async check(subject: FactorSubject, given: string): Promise<FactorCheck> {
    const found = await this.#store.secondFactor(subject);
    if (found === null || found.confirmedAt === null) return { ok: false, why: 'off' };
    if (!isCode(given)) {
      const left = await this.#store.takeRecoveryCode({ subject, hash: recoveryHash(subject, given) });
      return left === null ? { ok: false, why: 'wrong' } : { ok: true, with: 'recovery code', left };
    }
    const { secret } = found;
    const step = this.#stepOf(subject, secret, given);
    if (typeof step !== 'number') return { ok: false, why: step };
    const taken = await this.#store.takeSecondFactorStep({ subject, secret, step });
    return taken ? { ok: true, with: 'code' } : { ok: false, why: 'wrong' };
  }

  /**
   * A text for whoever showed the right password and has to show a code: good for five minutes and on every node, and
   * only while password and factor stay what they are. Nothing of it is kept here.
   */
  async pend(subject: FactorSubject, passwordHash: string): Promise<{ token: string; expiresAtMs: number }> {
    const expiresAtMs = this.#nowMs() + PENDING_MS;
    const proof = await this.#proof(subject, passwordHash);
    const text = JSON.stringify({ subject, expiresAtMs, proof });
    return { token: encryptSecret(this.#secretKey, PENDING_KEY, text), expiresAtMs };
  }

  /** Who made the first step; null when it is over. */
  async pending(
    token: string,
    passwordHashOf: (subject: FactorSubject) => Promise<string | null>,
  ): Promise<FactorSubject | null> {
    const text = decryptSecret(this.#secretKey, PENDING_KEY, token);
    if (text === undefined) return null;
    const { subject, expiresAtMs, proof } = JSON.parse(text) as {
      subject: FactorSubject;
      expiresAtMs: number;
      proof: string;
    };
    if (expiresAtMs <= this.#nowMs()) return null;
    const passwordHash = await passwordHashOf(subject);
    if (passwordHash === null) return null;
    return proof === (await this.#proof(subject, passwordHash)) ? subject : null;
  }

  /** Resolves to whether it was on. */
  remove(subject: FactorSubject): Promise<boolean> {
    return this.#store.removeSecondFactor(subject);
  }

  async #proof(subject: FactorSubject, passwordHash: string): Promise<string> {
    const factor = await this.#store.secondFactor(subject);
    return createHash('sha256')
      .update(`${passwordHash} ${factor?.secret ?? ''}`)
      .digest('base64url');
  }

  /** The time step that a code is of. */
  #stepOf(subject: FactorSubject, sealed: string, code: string): number | 'wrong' | 'unreadable' {
    if (!isCode(code)) return 'wrong';
    const secret = decryptSecret(this.#secretKey, keyOf(subject), sealed);
    if (secret === undefined) return 'unreadable';
    const timestamp = this.#nowMs();
    const totp = totpOf(Secret.fromBase32(secret), subject.name, '');
    const delta = totp.validate({ token: withoutBlanks(code), timestamp, window: WINDOW });
    return delta === null ? 'wrong' : totp.counter({ timestamp }) + delta;
  }
}

/** An administrator. */
export function administratorSubject(name: string): FactorSubject {
  return { kind: 'administrator', name: name.trim().toLowerCase() };
}

/** The owner of an account. */
export function accountSubject(address: string): FactorSubject {
  return { kind: 'account', name: address.trim().toLowerCase() };
}

function totpOf(secret: Secret, label: string, issuer: string): TOTP {
  return new TOTP({ issuer, label, secret, algorithm: 'SHA1', digits: DIGITS, period: PERIOD_S });
}

/** Bound into the encrypted secret, so that one cannot be put in another's place. */
function keyOf({ kind, name }: FactorSubject): string {
  return `second factor ${kind} ${name}`;
}

/** Apps show `123 456`. */
function withoutBlanks(code: string): string {
  return code.replace(/\s+/g, '');
}

function isCode(given: string): boolean {
  return /^\d{6}$/.test(withoutBlanks(given));
}

function newRecoveryCode(): string {
  const group = (): string =>
    Array.from({ length: GROUP_LETTERS }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

/** They are long and random, so a plain hash tells nothing of them. People change case, blanks and hyphens. */
function recoveryHash(subject: FactorSubject, code: string): string {
  const plain = code.toLowerCase().replace(/[\s-]+/g, '');
  return createHash('sha256')
    .update(`cmail recovery code ${keyOf(subject)} ${plain}`)
    .digest('hex');
}
