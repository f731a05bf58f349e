/** The operations of the access contract, carried out by each engine. */
import type {
  AccessStore,
  Administrator,
  AdminSession,
  ApiToken,
  AuditEntry,
  NewAuditEntry,
} from '../access-contract.ts';
import type { Op } from './operations.ts';

type First<K extends keyof AccessStore> = AccessStore[K] extends (input: infer I) => unknown ? I : never;

export interface AccessWriteOps {
  addAdministrator: Op<First<'addAdministrator'>, Administrator>;
  setAdministratorPassword: Op<First<'setAdministratorPassword'>, void>;
  removeAdministrator: Op<{ name: string }, void>;
  addSession: Op<First<'addSession'>, void>;
  touchSession: Op<{ id: string; lastSeenAt: number }, void>;
  removeSession: Op<{ id: string }, boolean>;
  removeSessions: Op<{ administrator: string }, number>;
  addToken: Op<First<'addToken'>, void>;
  touchToken: Op<{ id: string; lastUsedAt: number }, void>;
  revokeToken: Op<{ id: string }, boolean>;
  recordAudit: Op<NewAuditEntry, void>;
  sweepAccess: Op<First<'sweepAccess'>, void>;
}

export interface AccessReadOps {
  administrators: Op<null, Administrator[]>;
  administratorHash: Op<{ name: string }, string | null>;
  adminSession: Op<{ tokenHash: string }, AdminSession | null>;
  adminSessions: Op<null, AdminSession[]>;
  apiToken: Op<{ tokenHash: string }, ApiToken | null>;
  apiTokens: Op<null, ApiToken[]>;
  audit: Op<{ limit: number; before: number | null }, AuditEntry[]>;
}
