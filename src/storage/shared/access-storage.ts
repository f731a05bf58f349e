import type * as access from '../access-contract.ts';
import { TrustStorage } from './trust-storage.ts';

/** The access contract made of operations. */
export abstract class AccessStorage extends TrustStorage implements access.AccessStore {
  administrators(): Promise<readonly access.Administrator[]> {
    return this.read('administrators', null);
  }

  administratorHash(name: string): Promise<string | null> {
    return this.lookup('administratorHash', { name });
  }

  addAdministrator(input: {
    name: string;
    passwordHash: string;
    onlyFirst: boolean;
  }): Promise<access.Administrator> {
    return this.write('addAdministrator', input);
  }

  async setAdministratorPassword(input: {
    name: string;
    passwordHash: string;
    keepSession: string | null;
  }): Promise<void> {
    await this.write('setAdministratorPassword', input);
  }

  async removeAdministrator(name: string): Promise<void> {
    await this.write('removeAdministrator', { name });
  }

  async addSession(session: access.AdminSession & { tokenHash: string }): Promise<void> {
    await this.write('addSession', session);
  }

  session(tokenHash: string): Promise<access.AdminSession | null> {
    return this.lookup('adminSession', { tokenHash });
  }

  async touchSession(id: string, lastSeenAt: number): Promise<void> {
    await this.write('touchSession', { id, lastSeenAt });
  }

  sessions(): Promise<readonly access.AdminSession[]> {
    return this.read('adminSessions', null);
  }

  removeSession(id: string): Promise<boolean> {
    return this.write('removeSession', { id });
  }

  removeSessions(administrator: string): Promise<number> {
    return this.write('removeSessions', { administrator });
  }

  async addToken(
    token: Omit<access.ApiToken, 'lastUsedAt' | 'revokedAt'> & { tokenHash: string },
  ): Promise<void> {
    await this.write('addToken', token);
  }

  token(tokenHash: string): Promise<access.ApiToken | null> {
    return this.lookup('apiToken', { tokenHash });
  }

  async touchToken(id: string, lastUsedAt: number): Promise<void> {
    await this.write('touchToken', { id, lastUsedAt });
  }

  tokens(): Promise<readonly access.ApiToken[]> {
    return this.read('apiTokens', null);
  }

  revokeToken(id: string): Promise<boolean> {
    return this.write('revokeToken', { id });
  }

  async recordAudit(entry: access.NewAuditEntry): Promise<void> {
    await this.write('recordAudit', entry);
  }

  audit({ limit, before }: { limit: number; before?: number }): Promise<readonly access.AuditEntry[]> {
    return this.read('audit', { limit, before: before ?? null });
  }

  async sweepAccess(request: { now: number; idleBefore: number; keepMs: number }): Promise<void> {
    await this.write('sweepAccess', request);
  }
}
