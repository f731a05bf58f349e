/**
 * Signing in, for every service: the account's own password or an app password, with guessing made slow and then
 * impossible, whoever else wants to get in meanwhile. What happened is kept with the account; passwords go nowhere.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { networkOf } from '../listening/network.ts';
import { parseAddress } from '../mail/address.ts';
import { describeError } from '../mail/failure.ts';
import type { DirectoryStore } from '../storage/contract.ts';
import type { AppPasswordScope, CredentialStore, SignInRecord } from '../storage/credentials-contract.ts';
import { PasswordBusyError, verifyPassword } from './password.ts';
import { SignInThrottle } from './sign-in-throttle.ts';

export interface SignInRequest {
  /** As the client wrote it; an account's address. */
  readonly user: string;
  readonly password: string;
  /** The client's. */
  readonly address: string;
  readonly service: 'smtp' | 'submission' | 'pop3';
  /** What the client wants to do, which an app password must allow. */
  readonly scope: AppPasswordScope;
  /** Version of TLS; null in clear. */
  readonly tls: string | null;
}

export type SignInAnswer =
  | { readonly ok: true; readonly accountId: number; readonly address: string }
  /** `refused`: the same again will be refused again; `later`: it may not. */
  | { readonly ok: false; readonly kind: 'refused' | 'later'; readonly text: string };

type Store = DirectoryStore & CredentialStore;
type Log = (level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>) => void;

/** Compared with when the account does not exist, so that the answer takes as long as for one that does. */
const NO_ACCOUNT_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
/** The history of so many sign-ins may wait for the store; further ones are only in the log. */
const MAX_RECORDS_WAITING = 100;
/** A text of the client as far as the log repeats it. */
const SHOWN_USER = 100;

const WRONG = 'User name or password is wrong';
const REFUSED: SignInAnswer = { ok: false, kind: 'refused', text: WRONG };

/** How app passwords are kept: they are long and random, so a plain hash tells nothing of them. */
export function appPasswordHash(plain: string): string {
  return createHash('sha256')
    .update(`cmail app password ${normalised(plain)}`)
    .digest('hex');
}

/** Six groups of four letters; people and phones change case and put blanks for hyphens. */
const APP_PASSWORD = /^(?:[a-z2-7]{4}-){5}[a-z2-7]{4}$/;

function normalised(plain: string): string {
  return plain.trim().toLowerCase().replace(/\s+/g, '-');
}

export class SignIn {
  readonly throttle: SignInThrottle;
  readonly #store: Store;
  readonly #log: Log;
  #recording = 0;

  constructor(store: Store, log: Log, throttle = new SignInThrottle()) {
    this.#store = store;
    this.#log = log;
    this.throttle = throttle;
  }

  /** Never rejects. */
  async check(request: SignInRequest): Promise<SignInAnswer> {
    const { user, address, service } = request;
    const parsed = parseAddress(user);
    const account = parsed.ok ? parsed.value.text.toLowerCase() : null;
    const who = { user: user.slice(0, SHOWN_USER), client: address, service };
    const admitted = this.throttle.admit(networkOf(address), account);
    if (!admitted.ok) {
      this.#log('warn', 'sign-in not tried', { ...who, why: admitted.text });
      return { ok: false, kind: 'later', text: admitted.text };
    }
    try {
      if (admitted.delayMs > 0) await delay(admitted.delayMs);
      return await this.#tried(request, account, who);
    } catch (error) {
      const busy = error instanceof PasswordBusyError;
      this.#log(busy ? 'warn' : 'error', 'sign-in could not be checked', {
        ...who,
        why: describeError(error),
      });
      const text = busy ? 'Too many sign-ins at once' : 'Sign-in cannot be checked now';
      return { ok: false, kind: 'later', text: `${text}; please try again later` };
    } finally {
      admitted.done();
    }
  }

  async #tried(
    request: SignInRequest,
    account: string | null,
    who: Record<string, unknown>,
  ): Promise<SignInAnswer> {
    const found = account === null ? null : await this.#store.account(account);
    const match = await this.#match(found?.id ?? null, request);
    const refusal =
      match.kind === 'wrong' || found === null
        ? 'wrong password'
        : !found.enabled
          ? 'the account is disabled'
          : match.kind === 'scope'
            ? `app password ${match.name} is not for this`
            : null;
    if (found !== null) {
      this.#record(found.id, {
        outcome: refusal === null ? 'ok' : 'refused',
        address: request.address,
        service: request.service,
        appPassword: match.name,
        tls: request.tls,
        reason: refusal,
      });
    }
    if (refusal !== null || found === null) {
      // Only what does not know the password is guessing.
      if (match.kind === 'wrong') this.throttle.failed(networkOf(request.address), account);
      this.#log('warn', 'sign-in refused', { ...who, reason: refusal });
      return match.kind === 'wrong' ? REFUSED : { ok: false, kind: 'refused', text: capital(refusal ?? '') };
    }
    this.throttle.succeeded(account);
    this.#log('info', 'signed in', { ...who, appPassword: match.name });
    return { ok: true, accountId: found.id, address: found.address };
  }

  async #match(
    accountId: number | null,
    { password, scope }: SignInRequest,
  ): Promise<{ readonly kind: 'ok' | 'wrong' | 'scope'; readonly name: string | null }> {
    if (accountId !== null && APP_PASSWORD.test(normalised(password))) {
      const found = await this.#store.findAppPassword(accountId, appPasswordHash(password));
      if (found !== null) return { kind: found.scopes.includes(scope) ? 'ok' : 'scope', name: found.name };
    }
    const hash = accountId === null ? null : await this.#store.passwordHash(accountId);
    const matches = await verifyPassword(password, hash ?? NO_ACCOUNT_HASH);
    return { kind: matches && hash !== null ? 'ok' : 'wrong', name: null };
  }

  /** Nobody waits for the history. */
  #record(accountId: number, record: SignInRecord): void {
    if (this.#recording >= MAX_RECORDS_WAITING) return;
    this.#recording += 1;
    this.#store
      .recordSignIn(accountId, record)
      .catch((error: unknown) =>
        this.#log('warn', 'a sign-in could not be kept', { why: describeError(error) }),
      )
      .finally(() => {
        this.#recording -= 1;
      });
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
