/** Who calls: browsers by a session cookie, programs by an API token. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { verifyPassword } from '../../directory/password.ts';
import { parseAddress } from '../../mail/address.ts';
import type { AdminSession } from '../../storage/access-contract.ts';
import type { Storage } from '../../storage/contract.ts';
import { secretHash, TOKEN_PREFIX } from '../access-operations.ts';
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

export class Sessions {
  readonly #storage: Storage;
  readonly #nowMs: () => number;
  readonly #throttle: LoginThrottle;
  readonly #ownersPage: () => boolean;

  /** `ownersPage`: whether owners of accounts may sign in now. */
  constructor(storage: Storage, ownersPage: () => boolean, nowMs: () => number = Date.now) {
    this.#storage = storage;
    this.#ownersPage = ownersPage;
    this.#nowMs = nowMs;
    this.#throttle = new LoginThrottle(nowMs);
  }

  /** Rejects with an `HttpProblem` 401 or 429. */
  async signIn(name: string, password: string, origin: Origin): Promise<{ caller: Caller; cookie: string }> {
    const who = name.trim().toLowerCase().slice(0, MAX_NAME);
    const waitMs = this.#throttle.waitMs(origin.address, who);
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1000);
      throw new HttpProblem({
        status: 429,
        detail: `too many wrong passwords; try again in ${seconds} s`,
        headers: { 'retry-after': String(seconds) },
      });
    }
    const subject = await this.#subjectOf(who, password, origin);
    if (subject === null) {
      this.#throttle.failed(origin.address, who);
      throw new HttpProblem({ status: 401, detail: 'name or password is wrong', mend: 'Enter them again.' });
    }
    // The password is right: what else a subject of either kind has to show is asked for here, and nowhere else.
    this.#throttle.succeeded(origin.address, who);
    return this.open(subject, origin);
  }

  /** Whose password it is; null when it is nobody's. An account's counts where it is not an administrator's. */
  async #subjectOf(who: string, password: string, origin: Origin): Promise<SignInSubject | null> {
    const hash = await this.#storage.administratorHash(who);
    const right = await verifyPassword(password, hash ?? NOBODY_HASH);
    if (hash !== null && right) return { kind: 'administrator', name: who };
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
    await this.#record(account.id, origin, reason);
    if (reason === 'wrong password') return null;
    if (reason !== null)
      throw new HttpProblem({ status: 401, detail: reason, mend: 'Ask the administrator.' });
    return { kind: 'account', name: account.address, accountId: account.id };
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

  /** A session for somebody who has shown who he is. */
  async open(subject: SignInSubject, origin: Origin): Promise<{ caller: Caller; cookie: string }> {
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

function callerOf({ kind, name }: SignInSubject, session: PageSession, secret: string): Caller {
  const csrf = csrfOf(secret);
  if (kind === 'administrator') return { kind, author: name, owner: null, scopes: SCOPES, session, csrf };
  return { kind, author: `account ${name}`, owner: name, scopes: [], session, csrf };
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
