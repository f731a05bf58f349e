import type * as owner from '../owner-contract.ts';
import { AccessStorage } from './access-storage.ts';

/** The owner's contract made of operations. */
export abstract class OwnerStorage extends AccessStorage implements owner.OwnerStore {
  async addAccountSession(session: owner.AccountSession & { tokenHash: string }): Promise<void> {
    await this.write('addAccountSession', session);
  }

  accountSession(tokenHash: string): ReturnType<owner.OwnerStore['accountSession']> {
    return this.lookup('accountSession', { tokenHash });
  }

  accountSessions(accountId: number): Promise<readonly owner.AccountSession[]> {
    return this.lookup('accountSessions', { accountId });
  }

  async touchAccountSession(id: string, lastSeenAt: number): Promise<void> {
    await this.write('touchAccountSession', { id, lastSeenAt });
  }

  removeAccountSession(id: string): Promise<boolean> {
    return this.write('removeAccountSession', { id });
  }

  removeAccountSessions(accountId: number): Promise<number> {
    return this.write('removeAccountSessions', { accountId });
  }

  async setAccountForward(address: string, forward: owner.AccountForward | null): Promise<void> {
    await this.write('setAccountForward', { address, forward });
  }

  ownMessages(request: owner.OwnMessagesRequest): Promise<readonly owner.OwnMessage[]> {
    return this.read('ownMessages', request);
  }
}
