/** Who calls: browsers by a session cookie, programs by an API token. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { verifyPassword } from '../../directory/password.ts';
import { parseAddress } from '../../mail/address.ts';
import type { AdminSession } from '../../storage/access-contract.ts';
import type { Storage } from '../../storage/contract.ts';
import type { FactorSubject } from '../../storage/second-factor-contract.ts';
import { secretHash, TOKEN_PREFIX } from '../access-operations.ts';
import { WrongCredentialError } from '../factor-operations.ts';
import { accountSubject, administratorSubject, type SecondFactors } from '../second-factor.ts';
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

/** Begins the secret of an account's session, which is looked for elsewhere than an administrator's. */
const ACCOUNT_PREFIX = 'account.';
/** Longer ones are nobody's. */
const MAX_NAME = 320;

export const COOKIE = 'cmail_session';
/** RFC 6265bis §4.1.3.2: only over TLS, for this host, for the whole of it. */
export const SECURE_COOKIE = `__Host-${COOKIE}`;

/** Compared with when there is nobody of the name, so that the answer takes as long. */
const NOBODY_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

/** Somebody who has a password for the page. An account's name is its address. */
export type SignInSubject =
  | { readonly kind: 'administrator'; readonly name: string }
  | { readonly kind: 'account'; readonly name: string; readonly accountId: number };

/** Somebody who may sign in, and the PHC string of the password that has to be shown first. */
interface Candidate {
  readonly subject: SignInSubject;
  readonly passwordHash: string;
}

const UNREADABLE = {
  status: 503,
  detail:
    'codes cannot be checked: secret.key of this server is not the one that the second factor was set up with',
};
/** What somebody of either kind does who cannot show a code. */
const WITHOUT_CODES = {
  administrator: 'Use a recovery code, or on the server "cmail access reset-factor NAME".',
  account: 'Use a recovery code, or ask the administrator.',
};

export interface Caller {
  readonly kind: 'administrator' | 'account' | 'token';
  /** For the history and the audit. */
  readonly author: string;
  /** Address of the account; null for administrators and tokens. */
  readonly owner: string | null;
  /** Empty for the owner of an account. */
  readonly scopes: readonly string[];
  /** null for a token. */
  readonly session: PageSession | null;
  /** What a changing call of this session must send back; null for a token. */
  readonly csrf: string | null;
}

/** What sessions of both kinds are. */
export type PageSession = Omit<AdminSession, 'administrator'>;

/** What a request says of where it comes from. */
export interface Origin {
  readonly address: string;
  readonly userAgent: string;
  readonly secure: boolean;
}

interface Found {
  readonly subject: SignInSubject;
  readonly session: PageSession;
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
  readonly #ownersPage: () => boolean;

  /** `ownersPage`: whether owners of accounts may sign in now. */
  constructor(
    storage: Storage,
    factors: SecondFactors,
    ownersPage: () => boolean,
    nowMs: () => number = Date.now,
  ) {
    this.#storage = storage;
    this.#factors = factors;
    this.#ownersPage = ownersPage;
    this.#nowMs = nowMs;
    this.#throttle = new LoginThrottle(nowMs);
  }

  /** Rejects with an `HttpProblem` 401 or 429. */
  async signIn(name: string, password: string, origin: Origin): Promise<Opened | HalfSignedIn> {
    const who = name.trim().toLowerCase().slice(0, MAX_NAME);
    this.#refuseThrottled(who, origin);
    const candidate = await this.#candidateOf(who, password, origin);
    if (candidate === null) {
      this.#throttle.failed(origin.address, who);
      throw new HttpProblem({ status: 401, detail: 'name or password is wrong', mend: 'Enter them again.' });
    }
    const { subject, passwordHash } = candidate;
    const factor = factorSubject(subject);
    if ((await this.#factors.state(factor)).on) {
      // Half a sign-in clears nothing, or whoever has the password could guess codes without end.
      const { token, expiresAtMs } = await this.#factors.pend(factor, passwordHash);
      return { pending: token, expiresAtMs };
    }
    return this.#signedIn(subject, who, origin);
  }

  /** Every step is made. */
  async #signedIn(subject: SignInSubject, who: string, origin: Origin): Promise<Opened> {
    this.#throttle.succeeded(origin.address, who);
    if (subject.kind === 'account') await this.#record(subject.accountId, origin, null);
    return this.open(subject, origin);
  }

  /** Whose password it is; null when it is nobody's. An account's counts where it is not an administrator's. */
  async #candidateOf(who: string, password: string, origin: Origin): Promise<Candidate | null> {
    const hash = await this.#storage.administratorHash(who);
    const right = await verifyPassword(password, hash ?? NOBODY_HASH);
    if (hash !== null && right) {
      return { subject: { kind: 'administrator', name: who }, passwordHash: hash };
    }
    if (!who.includes('@')) return null;
    const address = parseAddress(who);
    const account = address.ok ? await this.#storage.account(address.value.text) : null;
    // Checked also for an account that does not exist, so that the answer takes as long.
    const accountHash = account === null ? null : await this.#storage.passwordHash(account.id);
    const matches = await verifyPassword(password, accountHash ?? NOBODY_HASH);
    if (account === null) return null;
    const reason =
      accountHash === null || !matches
        ? 'wrong password'
        : !account.enabled
          ? 'the account is disabled'
          : this.#ownersPage()
            ? null
            : 'the page for owners of accounts is turned off';
    if (reason !== null) await this.#record(account.id, origin, reason);
    if (accountHash === null || !matches) return null;
    if (reason !== null)
      throw new HttpProblem({ status: 401, detail: reason, mend: 'Ask the administrator.' });
    return {
      subject: { kind: 'account', name: account.address, accountId: account.id },
      passwordHash: accountHash,
    };
  }

  #record(accountId: number, { address, secure }: Origin, reason: string | null): Promise<void> {
    return this.#storage.recordSignIn(accountId, {
      outcome: reason === null ? 'ok' : 'refused',
      address,
      service: 'page',
      appPassword: null,
      tls: secure ? 'TLS' : null,
      reason,
    });
  }

  /** The second step: a code of the app or a recovery code. Rejects with an `HttpProblem` 401 or 429. */
  async signInWithCode(pending: string, code: string, origin: Origin): Promise<Opened> {
    const subject = await this.#halfSignedIn(pending);
    const who = factorSubject(subject).name;
    const checked = await this.counted(who, origin, async () => {
      const answer = await this.#factors.check(factorSubject(subject), code);
      if (answer.ok) return answer;
      if (answer.why === 'unreadable') {
        throw new HttpProblem({ ...UNREADABLE, mend: WITHOUT_CODES[subject.kind] });
      }
      if (subject.kind === 'account') await this.#record(subject.accountId, origin, 'wrong code');
      throw new WrongCredentialError('code');
    }).catch((error: unknown) => {
      if (!(error instanceof WrongCredentialError)) throw error;
      throw new HttpProblem({ status: 401, detail: error.message, mend: error.mend ?? '' });
    });
    if (checked.with === 'recovery code') {
      await this.#storage.recordAudit({
        ...{ who: authorOf(subject), address: origin.address, action: 'secondFactor.recoveryCode' },
        details: `signed in with a recovery code; ${checked.left} left`,
      });
    }
    return this.#signedIn(subject, who, origin);
  }

  /** Who made the first step, and may still make the second. */
  async #halfSignedIn(pending: string): Promise<SignInSubject> {
    let candidate: Candidate | null = null;
    const passwordHashOf = async (factor: FactorSubject): Promise<string | null> => {
      candidate = await this.#candidateBehind(factor);
      return candidate?.passwordHash ?? null;
    };
    const factor = await this.#factors.pending(pending, passwordHashOf);
    if (factor !== null && candidate !== null) return (candidate as Candidate).subject;
    throw new HttpProblem({
      status: 401,
      detail: 'too much time has passed since the password, or something was changed meanwhile',
      mend: 'Enter name and password again.',
      more: { startAgain: true },
    });
  }

  /** null for whoever is gone, is disabled or may not sign in any more. */
  async #candidateBehind({ kind, name }: FactorSubject): Promise<Candidate | null> {
    if (kind === 'administrator') {
      const passwordHash = await this.#storage.administratorHash(name);
      return passwordHash === null ? null : { subject: { kind, name }, passwordHash };
    }
    const account = this.#ownersPage() ? await this.#storage.account(name) : null;
    if (account === null || !account.enabled) return null;
    const passwordHash = await this.#storage.passwordHash(account.id);
    if (passwordHash === null) return null;
    return { subject: { kind, name: account.address, accountId: account.id }, passwordHash };
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
  async open(subject: SignInSubject, origin: Origin): Promise<Opened> {
    const random = randomBytes(SECRET_BYTES).toString('base64url');
    const secret = subject.kind === 'account' ? ACCOUNT_PREFIX + random : random;
    const now = this.#nowMs();
    const session: PageSession = {
      id: randomUUID(),
      createdAt: now,
      lastSeenAt: now,
      expiresAt: now + SESSION_ABSOLUTE_MS,
      address: origin.address,
      userAgent: origin.userAgent.slice(0, MAX_USER_AGENT),
    };
    const tokenHash = secretHash(secret);
    if (subject.kind === 'account') {
      await this.#storage.addAccountSession({ ...session, accountId: subject.accountId, tokenHash });
    } else {
      await this.#storage.addSession({ ...session, administrator: subject.name, tokenHash });
    }
    return { caller: callerOf(subject, session, secret), cookie: cookieOf(secret, origin.secure) };
  }

  /** Ends the session of a caller; a token has none. */
  async end({ kind, session }: Caller): Promise<void> {
    if (session === null) return;
    if (kind === 'account') await this.#storage.removeAccountSession(session.id);
    else await this.#storage.removeSession(session.id);
  }

  /** The caller behind a cookie; null when it is nobody's, or the session ended. */
  async bySecret(secret: string): Promise<Caller | null> {
    const found = secret.startsWith(ACCOUNT_PREFIX)
      ? await this.#accountSession(secret)
      : await this.#administratorSession(secret);
    if (found === null) return null;
    const { subject, session } = found;
    const now = this.#nowMs();
    const caller = callerOf(subject, session, secret);
    if (session.expiresAt <= now || session.lastSeenAt + SESSION_IDLE_MS <= now) {
      await this.end(caller);
      return null;
    }
    if (now - session.lastSeenAt < TOUCH_EVERY_MS) return caller;
    if (subject.kind === 'account') await this.#storage.touchAccountSession(session.id, now);
    else await this.#storage.touchSession(session.id, now);
    return callerOf(subject, { ...session, lastSeenAt: now }, secret);
  }

  async #administratorSession(secret: string): Promise<Found | null> {
    const session = await this.#storage.session(secretHash(secret));
    return session && { subject: { kind: 'administrator', name: session.administrator }, session };
  }

  async #accountSession(secret: string): Promise<Found | null> {
    const found = this.#ownersPage() ? await this.#storage.accountSession(secretHash(secret)) : null;
    if (found === null) return null;
    const { account, ...session } = found;
    return { subject: { kind: 'account', name: account, accountId: session.accountId }, session };
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
    const author = `token ${found.name}`;
    return { kind: 'token', author, owner: null, scopes: found.scopes, session: null, csrf: null };
  }
}

function callerOf(subject: SignInSubject, session: PageSession, secret: string): Caller {
  const { kind, name } = subject;
  const shared = { kind, author: authorOf(subject), session, csrf: csrfOf(secret) };
  if (kind === 'administrator') return { ...shared, owner: null, scopes: SCOPES };
  return { ...shared, owner: name, scopes: [] };
}

function authorOf({ kind, name }: SignInSubject): string {
  return kind === 'administrator' ? name : `account ${name}`;
}

function factorSubject({ kind, name }: SignInSubject): FactorSubject {
  return kind === 'administrator' ? administratorSubject(name) : accountSubject(name);
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
