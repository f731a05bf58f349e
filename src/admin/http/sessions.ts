/** Who calls: browsers by a session cookie, programs by an API token. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { verifyPassword } from '../../directory/password.ts';
import type { AdminSession } from '../../storage/access-contract.ts';
import type { Storage } from '../../storage/contract.ts';
import { secretHash, TOKEN_PREFIX } from '../access-operations.ts';
import { WrongCredentialError } from '../factor-operations.ts';
import { administratorSubject, type SecondFactors } from '../second-factor.ts';
import { HttpProblem } from './problem.ts';
import { SCOPES } from './shapes/access.ts';
import { LoginThrottle } from './throttle.ts';

/** A session ends after so long without a call, and in any case after so long. */
export const SESSION_IDLE_MS = 30 * 60_000;
export const SESSION_ABSOLUTE_MS = 12 * 60 * 60_000;
/** The time of the last call is written so often at most. */
const TOUCH_EVERY_MS = 30_000;
const SECRET_BYTES = 32;
const MAX_USER_AGENT = 300;

export const COOKIE = 'cmail_session';
/** RFC 6265bis §4.1.3.2: only over TLS, for this host, for the whole of it. */
export const SECURE_COOKIE = `__Host-${COOKIE}`;

/** Compared with when there is nobody of the name, so that the answer takes as long. */
const NOBODY_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

const UNREADABLE = {
  status: 503,
  detail:
    'codes cannot be checked: secret.key of this server is not the one that the second factor was set up with',
  mend: 'Use a recovery code, or on the server "cmail access reset-factor NAME".',
};

export interface Caller {
  /** For the history and the audit. */
  readonly author: string;
  readonly scopes: readonly string[];
  /** null for a token. */
  readonly session: AdminSession | null;
  /** What a changing call of this session must send back; null for a token. */
  readonly csrf: string | null;
}

/** What a request says of where it comes from. */
export interface Origin {
  readonly address: string;
  readonly userAgent: string;
  readonly secure: boolean;
}

export interface Opened {
  readonly caller: Caller;
  readonly cookie: string;
}

/** A right password that is not enough: the second step sends `pending` back with a code. */
export interface HalfSignedIn {
  readonly pending: string;
  readonly expiresAtMs: number;
}

export class Sessions {
  readonly #storage: Storage;
  readonly #factors: SecondFactors;
  readonly #nowMs: () => number;
  readonly #throttle: LoginThrottle;

  constructor(storage: Storage, factors: SecondFactors, nowMs: () => number = Date.now) {
    this.#storage = storage;
    this.#factors = factors;
    this.#nowMs = nowMs;
    this.#throttle = new LoginThrottle(nowMs);
  }

  /** Rejects with an `HttpProblem` 401 or 429. */
  async signIn(name: string, password: string, origin: Origin): Promise<Opened | HalfSignedIn> {
    const who = name.trim().toLowerCase().slice(0, 100);
    this.#refuseThrottled(who, origin);
    const hash = await this.#storage.administratorHash(who);
    const right = await verifyPassword(password, hash ?? NOBODY_HASH);
    if (hash === null || !right) {
      this.#throttle.failed(origin.address, who);
      throw new HttpProblem({ status: 401, detail: 'name or password is wrong', mend: 'Enter them again.' });
    }
    const subject = administratorSubject(who);
    if ((await this.#factors.state(subject)).on) {
      // Half a sign-in clears nothing, or whoever has the password could guess codes without end.
      const { token, expiresAtMs } = await this.#factors.pend(subject, hash);
      return { pending: token, expiresAtMs };
    }
    this.#throttle.succeeded(origin.address, who);
    return this.open(who, origin);
  }

  /** The second step: a code of the app or a recovery code. Rejects with an `HttpProblem` 401 or 429. */
  async signInWithCode(pending: string, code: string, origin: Origin): Promise<Opened> {
    const subject = await this.#factors.pending(pending, async ({ kind, name }) =>
      kind === 'administrator' ? this.#storage.administratorHash(name) : null,
    );
    if (subject === null) {
      throw new HttpProblem({
        status: 401,
        detail: 'too much time has passed since the password, or something was changed meanwhile',
        mend: 'Enter name and password again.',
        more: { startAgain: true },
      });
    }
    const who = subject.name;
    const checked = await this.counted(who, origin, async () => {
      const answer = await this.#factors.check(subject, code);
      if (answer.ok) return answer;
      if (answer.why === 'unreadable') throw new HttpProblem(UNREADABLE);
      throw new WrongCredentialError('code');
    }).catch((error: unknown) => {
      if (!(error instanceof WrongCredentialError)) throw error;
      throw new HttpProblem({ status: 401, detail: error.message, mend: error.mend ?? '' });
    });
    this.#throttle.succeeded(origin.address, who);
    if (checked.with === 'recovery code') {
      await this.#storage.recordAudit({
        ...{ who, address: origin.address, action: 'secondFactor.recoveryCode' },
        details: `signed in with a recovery code; ${checked.left} left`,
      });
    }
    return this.open(who, origin);
  }

  /**
   * Does what a wrong password or code refuses, and counts that like a failed sign-in. It is counted before it is
   * tried: many tries at the same moment are not one.
   */
  async counted<T>(who: string, origin: Origin, work: () => Promise<T>): Promise<T> {
    this.#refuseThrottled(who, origin);
    this.#throttle.failed(origin.address, who);
    try {
      const result = await work();
      this.#throttle.takeBack(origin.address, who);
      return result;
    } catch (error) {
      if (!(error instanceof WrongCredentialError)) this.#throttle.takeBack(origin.address, who);
      throw error;
    }
  }

  #refuseThrottled(who: string, origin: Origin): void {
    const waitMs = this.#throttle.waitMs(origin.address, who);
    if (waitMs <= 0) return;
    const seconds = Math.ceil(waitMs / 1000);
    throw new HttpProblem({
      status: 429,
      detail: `too many wrong passwords or codes; try again in ${seconds} s`,
      headers: { 'retry-after': String(seconds) },
    });
  }

  /** A session for somebody who has shown who he is. */
  async open(administrator: string, origin: Origin): Promise<Opened> {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const now = this.#nowMs();
    const session: AdminSession = {
      id: randomUUID(),
      administrator,
      createdAt: now,
      lastSeenAt: now,
      expiresAt: now + SESSION_ABSOLUTE_MS,
      address: origin.address,
      userAgent: origin.userAgent.slice(0, MAX_USER_AGENT),
    };
    await this.#storage.addSession({ ...session, tokenHash: secretHash(secret) });
    return { caller: callerOf(session, secret), cookie: cookieOf(secret, origin.secure) };
  }

  /** The caller behind a cookie; null when it is nobody's, or the session ended. */
  async bySecret(secret: string): Promise<Caller | null> {
    const session = await this.#storage.session(secretHash(secret));
    const now = this.#nowMs();
    if (session === null) return null;
    if (session.expiresAt <= now || session.lastSeenAt + SESSION_IDLE_MS <= now) {
      await this.#storage.removeSession(session.id);
      return null;
    }
    if (now - session.lastSeenAt < TOUCH_EVERY_MS) return callerOf(session, secret);
    await this.#storage.touchSession(session.id, now);
    return callerOf({ ...session, lastSeenAt: now }, secret);
  }

  /** The caller behind a token. Rejects with an `HttpProblem` 401 that says what is wrong with it. */
  async byToken(token: string): Promise<Caller> {
    const found = token.startsWith(TOKEN_PREFIX) ? await this.#storage.token(secretHash(token)) : null;
    const now = this.#nowMs();
    const wrong =
      found === null
        ? 'there is no such token'
        : found.revokedAt !== null
          ? 'the token was revoked'
          : found.expiresAt <= now
            ? 'the token has expired'
            : null;
    if (found === null || wrong !== null) {
      throw new HttpProblem({
        status: 401,
        detail: wrong ?? 'there is no such token',
        mend: 'Make a new one on the page under Access.',
        headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
      });
    }
    if (now - (found.lastUsedAt ?? 0) >= TOUCH_EVERY_MS) await this.#storage.touchToken(found.id, now);
    return { author: `token ${found.name}`, scopes: found.scopes, session: null, csrf: null };
  }
}

function callerOf(session: AdminSession, secret: string): Caller {
  return { author: session.administrator, scopes: SCOPES, session, csrf: csrfOf(secret) };
}

/** Bound to the session and of no use as its secret. */
function csrfOf(secret: string): string {
  return createHash('sha256').update(`csrf ${secret}`).digest('base64url');
}

export function sameSecret(given: string, wanted: string): boolean {
  const [a, b] = [given, wanted].map((text) => createHash('sha256').update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

function cookieOf(secret: string, secure: boolean): string {
  const attributes = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${SESSION_ABSOLUTE_MS / 1000}`;
  return secure ? `${SECURE_COOKIE}=${secret}; ${attributes}; Secure` : `${COOKIE}=${secret}; ${attributes}`;
}

export function removedCookie(secure: boolean): string {
  const attributes = 'Path=/; HttpOnly; SameSite=Strict; Max-Age=0';
  return secure ? `${SECURE_COOKIE}=; ${attributes}; Secure` : `${COOKIE}=; ${attributes}`;
}

/** The secret in a Cookie header; the secure one only over TLS. */
export function cookieSecret(header: string | null, secure: boolean): string | null {
  const wanted = secure ? SECURE_COOKIE : COOKIE;
  for (const part of (header ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === wanted) return part.slice(at + 1).trim();
  }
  return null;
}
