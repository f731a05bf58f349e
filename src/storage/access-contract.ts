/**
 * Who may administer the server: administrators, their sessions and API tokens, and what they did. Secrets are
 * kept as hashes only; the caller hashes. Times are ms since 1970.
 */

export interface Administrator {
  /** Lower case; unique. */
  readonly name: string;
  readonly createdAt: number;
  readonly lastSignInAt: number | null;
}

export interface AdminSession {
  /** Public name of the session, for lists. */
  readonly id: string;
  readonly administrator: string;
  readonly createdAt: number;
  readonly lastSeenAt: number;
  /** Ends then whatever happens. */
  readonly expiresAt: number;
  readonly address: string;
  readonly userAgent: string;
}

export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** The administrator who made it. */
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | null;
  readonly revokedAt: number | null;
}

export interface NewAuditEntry {
  readonly who: string;
  /** Of the browser or program; null at the command line. */
  readonly address: string | null;
  /** Name of the operation. */
  readonly action: string;
  /** What it was done to, for people; never a secret. */
  readonly details: string;
}

export interface AuditEntry extends NewAuditEntry {
  /** Grows. */
  readonly n: number;
  readonly at: number;
}

/** Administrators, live sessions and tokens there may be; one more is refused with `limit`. */
export const MAX_ADMINISTRATORS = 1_000;
export const MAX_SESSIONS = 10_000;
export const MAX_TOKENS = 10_000;

export interface AccessStore {
  /** All, by name. */
  administrators(): Promise<readonly Administrator[]>;
  /** PHC string; null when there is nobody of this name. */
  administratorHash(name: string): Promise<string | null>;
  /** `conflict` when the name is taken or, with `onlyFirst`, when there is anybody. */
  addAdministrator(input: { name: string; passwordHash: string; onlyFirst: boolean }): Promise<Administrator>;
  /** Also ends all sessions of the name but `keepSession`. `not-found`. */
  setAdministratorPassword(input: {
    name: string;
    passwordHash: string;
    keepSession: string | null;
  }): Promise<void>;
  /** With sessions, and tokens revoked. `not-found`; `conflict` when it is the last one. */
  removeAdministrator(name: string): Promise<void>;

  /** Also notes the sign-in. `not-found` when the administrator is gone. */
  addSession(session: AdminSession & { tokenHash: string }): Promise<void>;
  /** The session of a token, expired or not; null when it was ended. */
  session(tokenHash: string): Promise<AdminSession | null>;
  touchSession(id: string, lastSeenAt: number): Promise<void>;
  /** Newest first. */
  sessions(): Promise<readonly AdminSession[]>;
  /** Resolves to whether there was one. */
  removeSession(id: string): Promise<boolean>;
  /** Every session of an administrator; resolves to how many there were. */
  removeSessions(administrator: string): Promise<number>;

  addToken(token: Omit<ApiToken, 'lastUsedAt' | 'revokedAt'> & { tokenHash: string }): Promise<void>;
  token(tokenHash: string): Promise<ApiToken | null>;
  touchToken(id: string, lastUsedAt: number): Promise<void>;
  /** Newest first, revoked and expired ones too. */
  tokens(): Promise<readonly ApiToken[]>;
  /** Resolves to whether it was there and not revoked. */
  revokeToken(id: string): Promise<boolean>;

  recordAudit(entry: NewAuditEntry): Promise<void>;
  /** Newest first, `limit` at most, older than entry `before`. */
  audit(request: { limit: number; before?: number }): Promise<readonly AuditEntry[]>;
  /** Drops sessions seen last before `idleBefore` or expired, and tokens and audit entries older than `keepMs`. */
  sweepAccess(request: { now: number; idleBefore: number; keepMs: number }): Promise<void>;
}
