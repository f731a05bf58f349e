import { randomBytes } from 'node:crypto';
import type { MessageId } from '../../mail/message-id.ts';
import type * as contract from '../contract.ts';
import { type AcceptWithNotices, type QueueSelector, StorageError } from '../contract.ts';
import type { AppPassword, CredentialStore, SignIn, SignInRecord } from '../credentials-contract.ts';
import type { NodeDescription, NodeInfo } from '../nodes-contract.ts';
import { BodyArea, PendingBody, type Tail } from './body-area.ts';
import { ContentReader } from './content-reader.ts';
import { ID_BLOCK, MessageIds } from './message-ids.ts';
import type { GroupFlags, In, StoredContent, WriteOps } from './operations.ts';
import { SearchStorage } from './search-storage.ts';
import { SLICE, slicesOf } from './slices.ts';

/** Operations after which what was read of the directory may be out of date. */
export const DIRECTORY_CHANGES: ReadonlySet<string> = new Set<keyof WriteOps>([
  'addDomain',
  'removeDomain',
  'setForward',
  'setCatchAll',
  'addAccount',
  'removeAccount',
  'setPassword',
  'setEnabled',
  'setQuota',
  'movePostmaster',
  'addAlias',
  'removeAlias',
  'setAccountForward',
]);

/**
 * The contract made of operations: what an engine adds is how an operation is carried out, what is wrong with its
 * store and which other nodes there are.
 */
export abstract class OperationStorage extends SearchStorage implements contract.Storage {
  readonly #ids: MessageIds;
  readonly #bodies: BodyArea;
  readonly #queuedListeners: (() => void)[] = [];
  readonly #trafficListeners: ((what: contract.Traffic, count: number) => void)[] = [];
  #sweeping: Promise<void> | null = null;
  #closed: Promise<void> | null = null;
  /** No sweep begins any more. */
  #closing = false;

  constructor() {
    super();
    this.#ids = new MessageIds(() => this.write('reserveIds', { count: ID_BLOCK }));
    this.#bodies = new BodyArea({
      nextId: () => this.#ids.take(),
      putChunk: (bodyId, n, payload) => this.write('putChunk', { bodyId, n }, payload),
      dropBody: (bodyId) => this.#dropBody(bodyId),
    });
  }

  /** Ends what the engine has open; nothing is swept any more. */
  protected abstract end(): Promise<void>;

  abstract directoryVersion(): number;
  abstract alarms(): readonly string[];
  abstract verify(): Promise<readonly string[]>;
  abstract get nodeId(): string;
  abstract announce(description: NodeDescription): Promise<void>;
  abstract nodes(): Promise<readonly NodeInfo[]>;
  abstract onChanged(listener: (what: 'settings' | 'directory') => void): void;
  abstract acquireMailbox(accountId: number): Promise<boolean>;
  abstract releaseMailbox(accountId: number): Promise<void>;

  protected startIds(): Promise<void> {
    return this.#ids.start();
  }

  // -------------------------------------------------------------- the whole

  nextMessageId(): MessageId {
    return this.#ids.take();
  }

  openWriter(): contract.BodyWriter {
    return this.#bodies.openWriter();
  }

  drained(): Promise<void> {
    return this.#bodies.drained();
  }

  handedOnBytes(): number {
    return this.#bodies.handedOnBytes;
  }

  async accept(input: AcceptWithNotices): Promise<void> {
    const { body, ...rest } = input;
    if (!(body instanceof PendingBody))
      throw new StorageError('internal', 'the body is not from openWriter()');
    const tail: Tail = body.finish();
    const { storedChunks, sizeBytes, payload } = tail;
    try {
      await this.write(
        'accept',
        { ...rest, bodyId: tail.bodyId ?? rest.id, storedChunks, sizeBytes },
        payload,
      );
      this.noteAccepted();
      this.#traffic('accepted', 1);
      this.#traffic('delivered', input.recipients.filter(({ to }) => to.type === 'local').length);
    } catch (error) {
      body.drop();
      throw error;
    } finally {
      this.#bodies.release(payload.sizeBytes);
    }
  }

  onQueued(listener: () => void): void {
    this.#queuedListeners.push(listener);
  }

  onTraffic(listener: (what: contract.Traffic, count: number) => void): void {
    this.#trafficListeners.push(listener);
  }

  #traffic(what: contract.Traffic, count: number): void {
    if (count > 0) for (const listener of this.#trafficListeners) listener(what, count);
  }

  newestTime(): Promise<number | null> {
    return this.read('newestTime', null);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    await Promise.all([this.#sweeping, this.endIndexing()]);
    await this.end();
  }

  // -------------------------------------------------------------- queue

  async dueDestinations(request: {
    now: number;
    after: string;
    limit: number;
  }): Promise<readonly contract.DueDestination[]> {
    return this.read('dueDestinations', request);
  }

  async nextDueAt(): Promise<number | null> {
    return this.read('nextDueAt', null);
  }

  async claimDue(request: contract.ClaimRequest): Promise<readonly contract.Claim[]> {
    return this.write('claimDue', request);
  }

  async renewClaims(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    return this.write('renewClaims', { tokens, leaseMs });
  }

  async settle(input: contract.SettleInput): Promise<void> {
    await this.write('settle', input);
    for (const { result } of input.outcomes) {
      if (result.type === 'delivered' || result.type === 'failed' || result.type === 'deferred') {
        this.#traffic(result.type, 1);
      }
    }
  }

  releaseExpired(): Promise<number> {
    return this.releaseClaims(false);
  }

  async list(request: { limit: number; after?: MessageId }): Promise<readonly contract.QueuedMessage[]> {
    return this.read('list', { limit: request.limit, after: request.after ?? 0 });
  }

  async message(id: MessageId): ReturnType<contract.QueueStore['message']> {
    return this.read('message', { id });
  }

  async openBody(id: MessageId): Promise<contract.BodyReader | null> {
    return this.#contentReader(await this.read('messageContent', { id }));
  }

  retry(selector: QueueSelector, by: string): Promise<number> {
    const now = Date.now();
    return this.#inSlices(selector, (slice) => this.write('retry', { selector: slice, by, now }));
  }

  async hold(selector: QueueSelector, by: string): Promise<number> {
    if ('all' in selector) await this.write('setHoldAll', { on: true, by });
    return this.#inSlices(selector, (slice) => this.write('hold', { selector: slice, by }));
  }

  async release(selector: QueueSelector, by: string): Promise<number> {
    if ('all' in selector) await this.write('setHoldAll', { on: false, by });
    return this.#inSlices(selector, (slice) => this.write('release', { selector: slice, by }));
  }

  delete(selector: QueueSelector, by: string): Promise<number> {
    return this.#inSlices(selector, (slice) => this.write('delete', { selector: slice, by }));
  }

  async claimForRemoval(selector: QueueSelector, leaseMs: number): Promise<readonly contract.Claim[]> {
    for (const slice of slicesOf(selector)) {
      const claims = await this.write('claimForRemoval', { selector: slice, leaseMs });
      if (claims.length > 0) return claims;
    }
    return [];
  }

  async counts(): ReturnType<contract.QueueStore['counts']> {
    return this.read('counts', null);
  }

  sweep(keepMs: number): Promise<number> {
    const before = Date.now() - keepMs;
    return this.#repeat(() => this.write('sweepMessages', { before }));
  }

  // -------------------------------------------------------------- directory

  async domain(name: string): Promise<contract.Domain | null> {
    return this.lookup('domain', { name });
  }

  async entry(address: string): Promise<contract.AddressEntry> {
    return this.lookup('entry', { address });
  }

  async account(address: string): Promise<contract.Account | null> {
    return this.lookup('account', { address });
  }

  async postmaster(): Promise<contract.Account | null> {
    return this.lookup('postmaster', null);
  }

  async passwordHash(accountId: number): Promise<string | null> {
    return this.lookup('passwordHash', { accountId });
  }

  async listDomains(): Promise<readonly contract.Domain[]> {
    return this.read('listDomains', null);
  }

  async listAccounts(domain?: string): Promise<readonly contract.Account[]> {
    return this.read('listAccounts', { domain: domain ?? null });
  }

  async listAliases(domain?: string): Promise<readonly contract.Alias[]> {
    return this.read('listAliases', { domain: domain ?? null });
  }

  async addDomain(name: string): Promise<void> {
    await this.write('addDomain', { name });
  }

  async removeDomain(name: string): Promise<void> {
    await this.write('removeDomain', { name });
  }

  async setForward(name: string, forward: contract.Domain['forward']): Promise<void> {
    await this.write('setForward', { name, forward });
  }

  async setCatchAll(name: string, address: string | null): Promise<void> {
    await this.write('setCatchAll', { name, address });
  }

  async addAccount(input: In<WriteOps, 'addAccount'>): Promise<contract.Account> {
    return this.write('addAccount', input);
  }

  async removeAccount(address: string): Promise<void> {
    await this.write('removeAccount', { address });
    while (await this.write('sweepMailboxes', null));
  }

  async setPassword(address: string, passwordHash: string, keepSession?: string): Promise<void> {
    await this.write('setPassword', { address, passwordHash, keepSession: keepSession ?? null });
  }

  async setEnabled(address: string, enabled: boolean): Promise<void> {
    await this.write('setEnabled', { address, enabled });
  }

  async setQuota(address: string, quotaBytes: number | null): Promise<void> {
    await this.write('setQuota', { address, quotaBytes });
  }

  async movePostmaster(address: string): Promise<void> {
    await this.write('movePostmaster', { address });
  }

  async addAlias(alias: contract.Alias): Promise<void> {
    await this.write('addAlias', alias);
  }

  async removeAlias(address: string): Promise<void> {
    await this.write('removeAlias', { address });
  }

  // -------------------------------------------------------------- credentials

  async appPasswords(accountId: number): Promise<readonly AppPassword[]> {
    return this.lookup('appPasswords', { accountId });
  }

  async findAppPassword(accountId: number, hash: string): Promise<AppPassword | null> {
    return this.lookup('findAppPassword', { accountId, hash });
  }

  async addAppPassword(input: Parameters<CredentialStore['addAppPassword']>[0]): Promise<void> {
    await this.write('addAppPassword', input);
  }

  async revokeAppPassword(address: string, name: string): Promise<void> {
    await this.write('revokeAppPassword', { address, name });
  }

  async recordSignIn(accountId: number, record: SignInRecord): Promise<void> {
    await this.write('recordSignIn', { accountId, record });
  }

  async signIns(accountId: number, limit: number, before?: number): Promise<readonly SignIn[]> {
    return this.lookup('signIns', { accountId, limit, before: before ?? null });
  }

  // -------------------------------------------------------------- mailboxes

  async inbox(
    accountId: number,
    request: { afterUid: number; limit: number },
  ): ReturnType<contract.MailboxStore['inbox']> {
    return this.read('inbox', { accountId, ...request });
  }

  async openEntry(accountId: number, uid: number): Promise<contract.BodyReader | null> {
    return this.#contentReader(await this.read('entryContent', { accountId, uid }));
  }

  async removeEntries(accountId: number, uids: readonly number[]): Promise<number> {
    return this.write('removeEntries', { accountId, uids });
  }

  // -------------------------------------------------------------- settings

  async readSettings(): ReturnType<contract.SettingsStore['readSettings']> {
    return this.lookup('readSettings', null);
  }

  async writeSettings(input: In<WriteOps, 'writeSettings'>): Promise<{ version: number }> {
    return this.write('writeSettings', input);
  }

  async settingsHistory(request: {
    limit: number;
    before?: number;
  }): Promise<readonly contract.SettingChange[]> {
    return this.read('settingsHistory', { limit: request.limit, before: request.before ?? null });
  }

  async settingChange(n: number): Promise<contract.SettingChange | null> {
    return this.lookup('settingChange', { n });
  }

  async serverSecret(name: string, bytes: number): Promise<Uint8Array> {
    return this.keepSecret(name, Uint8Array.from(randomBytes(bytes)));
  }

  async keepSecret(name: string, value: Uint8Array): Promise<Uint8Array> {
    return (await this.lookup('secret', { name })) ?? this.write('keepSecret', { name, value });
  }

  // -------------------------------------------------------------- within

  #contentReader(content: StoredContent | null): contract.BodyReader | null {
    return content === null ? null : new ContentReader((type, input) => this.read(type, input), content);
  }

  /** Runs a slice's operation until it finds less than a slice; resolves to the sum. */
  async #repeat(slice: () => Promise<number>): Promise<number> {
    let total = 0;
    for (;;) {
      const changed = await slice();
      total += changed;
      if (changed < SLICE) return total;
    }
  }

  async #inSlices(selector: QueueSelector, run: (slice: QueueSelector) => Promise<number>): Promise<number> {
    let total = 0;
    for (const slice of slicesOf(selector)) total += await this.#repeat(() => run(slice));
    return total;
  }

  protected releaseClaims(all: boolean): Promise<number> {
    return this.#repeat(() => this.write('releaseExpired', { all }));
  }

  /** To be called after each commit. */
  protected afterCommit(flags: GroupFlags): void {
    if (flags.deadBodies) this.sweepSoon();
    if (flags.unsearchable) this.indexSoon();
    if (flags.queued) for (const listener of this.#queuedListeners) listener();
  }

  /** One that cannot be swept now is swept at the next start; the alarm tells why. */
  #dropBody(bodyId: number): void {
    this.write('dropBody', { bodyId }).catch(() => undefined);
  }

  protected sweepSoon(): void {
    if (this.atRest) return;
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null;
    });
  }

  async #sweep(): Promise<void> {
    try {
      while (!this.#closing && (await this.write('sweepMailboxes', null)));
      while (!this.#closing && (await this.write('sweepBodies', null)));
    } catch {
      // The alarm tells why; what is left is swept after the next deletion or at the next start.
    }
  }
}
