/** What the store keeps about signing in: passwords beside an account's own, and who signed in from where. */

/** `send`: submission; `collect`: POP3. */
export type AppPasswordScope = 'send' | 'collect';

export interface AppPassword {
  /** Unique in its account. */
  readonly name: string;
  readonly scopes: readonly AppPasswordScope[];
  readonly createdAt: number;
  /** The last sign-in with it; null before the first. */
  readonly lastUsedAt: number | null;
}

/** App passwords an account may have. */
export const MAX_APP_PASSWORDS = 50;
/** Sign-ins of an account that are kept; older ones go. */
export const SIGN_INS_KEPT = 200;

export interface SignInRecord {
  readonly outcome: 'ok' | 'refused';
  /** The client's address. */
  readonly address: string;
  /** `smtp`, `submission`, `pop3` or `page`. */
  readonly service: string;
  /** Name of the app password used; null for the account's own, or when refused. */
  readonly appPassword: string | null;
  /** Version of TLS; null in clear. */
  readonly tls: string | null;
  /** Why it was refused; null when it was not. */
  readonly reason: string | null;
}

export interface SignIn extends SignInRecord {
  /** Grows in its account. */
  readonly n: number;
  readonly at: number;
}

export interface CredentialStore {
  /** In the order of their names. */
  appPasswords(accountId: number): Promise<readonly AppPassword[]>;
  /** By the hash it was added with; null when the account has none such. */
  findAppPassword(accountId: number, hash: string): Promise<AppPassword | null>;
  /** `not-found` without the account, `conflict` when it has one of this name, `limit` beyond `MAX_APP_PASSWORDS`. */
  addAppPassword(input: {
    address: string;
    name: string;
    hash: string;
    scopes: readonly AppPasswordScope[];
  }): Promise<void>;
  /** `not-found` without the account or the name. */
  revokeAppPassword(address: string, name: string): Promise<void>;
  /** Keeps the newest `SIGN_INS_KEPT`; one that succeeded marks its app password as used. */
  recordSignIn(accountId: number, record: SignInRecord): Promise<void>;
  /** Newest first, older than sign-in `before`. */
  signIns(accountId: number, limit: number, before?: number): Promise<readonly SignIn[]>;
}
