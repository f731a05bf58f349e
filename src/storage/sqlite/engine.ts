import { randomBytes } from 'node:crypto';
import type { MessageId } from '../../mail/message-id.ts';
import type * as contract from '../contract.ts';
import { type AcceptInput, type QueueSelector, StorageError } from '../contract.ts';
import type { NodeDescription, NodeInfo } from '../nodes-contract.ts';
import { BodyArea, PendingBody, type Tail } from './body-area.ts';
import { ContentReader } from './content-reader.ts';
import { LocalNode } from './local-node.ts';
import { ID_BLOCK, MessageIds } from './message-ids.ts';
import type { Payload } from './pages.ts';
import type { GroupFlags, In, Out, ReadOps, StoredContent, WriteOps } from './protocol.ts';
import type { ConnectionOptions } from './schema.ts';
import { ThreadClient } from './thread-client.ts';
import { SLICE } from './writer-context.ts';

const READER_CACHE_BYTES = 4 * 1024 * 1024;
/** Each answer can be a chunk of 256 KB. */
const BULK_GROUP_OPS = 16;
/** While there is an alarm the store is asked this often whether it takes mail again. */
const PROBE_EVERY_MS = 1000;
const DIRECTORY_CHANGES: ReadonlySet<string> = new Set<keyof WriteOps>([
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
]);

/** Cuts a selector of many messages into selectors of at most `SLICE`. */
function slicesOf(selector: QueueSelector): QueueSelector[] {
  if (!('ids' in selector)) return [selector];
  const slices: QueueSelector[] = [];
  for (let from = 0; from < selector.ids.length; from += SLICE) {
    slices.push({ ids: selector.ids.slice(from, from + SLICE) });
  }
  return slices;
}

/**
 * The contract on SQLite: one writer thread that commits in groups, one reader thread for short look-ups and
 * one for bodies, lists and mailboxes.
 */
export class SqliteStorage implements contract.Storage {
  readonly #connection: ConnectionOptions;
  readonly #writer: ThreadClient<WriteOps> | null;
  readonly #lookups: ThreadClient<ReadOps>;
  readonly #bulk: ThreadClient<ReadOps>;
  readonly #ids: MessageIds;
  readonly #node = new LocalNode();
  readonly #bodies: BodyArea;
  readonly #queuedListeners: (() => void)[] = [];
  #directoryVersion = 1;
  #alarm: string | null = null;
  #probeTimer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | null = null;
  #closing = false;
  #closed: Promise<void> | null = null;

  constructor(connection: ConnectionOptions) {
    this.#connection = connection;
    const reader: ConnectionOptions = { ...connection, readOnly: true, cacheBytes: READER_CACHE_BYTES };
    this.#writer = connection.readOnly
      ? null
      : new ThreadClient({
          file: 'writer-worker',
          data: { connection },
          onGroup: (flags, trouble) => this.#afterGroup(flags, trouble),
        });
    this.#lookups = new ThreadClient({ file: 'reader-worker', data: { connection: reader } });
    this.#bulk = new ThreadClient({
      file: 'reader-worker',
      data: { connection: reader },
      groupOps: BULK_GROUP_OPS,
    });
    this.#ids = new MessageIds(() => this.#write('reserveIds', { count: ID_BLOCK }));
    this.#bodies = new BodyArea({
      nextId: () => this.#ids.take(),
      putChunk: (bodyId, n, payload) => this.#write('putChunk', { bodyId, n }, payload),
      dropBody: (bodyId) => this.#dropBody(bodyId),
    });
  }

  /** Opens the threads and puts right what a crash left; with `takeOver` every claim counts as a dead process's. */
  async start(takeOver: boolean): Promise<void> {
    try {
      // Other readers start when they are first asked for something.
      await (this.#writer ?? this.#lookups).start();
      if (this.#writer === null) return;
      await Promise.all([this.#ids.start(), this.#write('orphanBodies', null)]);
      if (takeOver) await this.#releaseClaims(true);
      this.#sweepSoon();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The threads, for tests that end one. */
  get threads(): { writer: ThreadClient<WriteOps> | null; lookups: ThreadClient<ReadOps> } {
    return { writer: this.#writer, lookups: this.#lookups };
  }

  // -------------------------------------------------------------- the whole

  nextMessageId(): MessageId {
    if (this.#writer === null) throw new StorageError('unavailable', 'the store is open for reading only');
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

  async accept(input: AcceptInput): Promise<void> {
    const { body, ...rest } = input;
    if (!(body instanceof PendingBody))
      throw new StorageError('internal', 'the body is not from openWriter()');
    const tail: Tail = body.finish();
    const { storedChunks, sizeBytes, payload } = tail;
    try {
      await this.#write(
        'accept',
        { ...rest, bodyId: tail.bodyId ?? rest.id, storedChunks, sizeBytes },
        payload,
      );
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

  alarms(): readonly string[] {
    return this.#alarm === null ? [] : [this.#alarm];
  }

  newestTime(): Promise<number | null> {
    return this.#bulk.run('newestTime', null);
  }

  async verify(): Promise<readonly string[]> {
    // A thread of its own: it reads everything, and mail must not wait for that.
    const connection = { ...this.#connection, readOnly: true, cacheBytes: READER_CACHE_BYTES };
    const reader = new ThreadClient<ReadOps>({ file: 'reader-worker', data: { connection } });
    try {
      await reader.start();
      return await reader.run('verify', null);
    } finally {
      await reader.close();
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#probeTimer);
    await this.#sweeping;
    await Promise.all([this.#lookups.close(), this.#bulk.close()]);
    // Last, so that its end folds the write-ahead log into the file.
    await this.#writer?.close();
  }

  // -------------------------------------------------------------- queue

  async dueDestinations(request: {
    now: number;
    after: string;
    limit: number;
  }): Promise<readonly contract.DueDestination[]> {
    return this.#bulk.run('dueDestinations', request);
  }

  async nextDueAt(): Promise<number | null> {
    return this.#bulk.run('nextDueAt', null);
  }

  async claimDue(request: contract.ClaimRequest): Promise<readonly contract.Claim[]> {
    return this.#write('claimDue', request);
  }

  async renewClaims(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    return this.#write('renewClaims', { tokens, leaseMs });
  }

  async settle(input: contract.SettleInput): Promise<void> {
    await this.#write('settle', input);
  }

  releaseExpired(): Promise<number> {
    return this.#releaseClaims(false);
  }

  async list(request: { limit: number; after?: MessageId }): Promise<readonly contract.QueuedMessage[]> {
    return this.#bulk.run('list', { limit: request.limit, after: request.after ?? 0 });
  }

  async message(id: MessageId): ReturnType<contract.QueueStore['message']> {
    return this.#bulk.run('message', { id });
  }

  async openBody(id: MessageId): Promise<contract.BodyReader | null> {
    return this.#contentReader(await this.#bulk.run('messageContent', { id }));
  }

  retry(selector: QueueSelector): Promise<number> {
    const now = Date.now();
    return this.#inSlices(selector, (slice) => this.#write('retry', { selector: slice, now }));
  }

  async hold(selector: QueueSelector): Promise<number> {
    if ('all' in selector) await this.#write('setHoldAll', { on: true });
    return this.#inSlices(selector, (slice) => this.#write('hold', { selector: slice }));
  }

  async release(selector: QueueSelector): Promise<number> {
    if ('all' in selector) await this.#write('setHoldAll', { on: false });
    return this.#inSlices(selector, (slice) => this.#write('release', { selector: slice }));
  }

  delete(selector: QueueSelector): Promise<number> {
    return this.#inSlices(selector, (slice) => this.#write('delete', { selector: slice }));
  }

  async claimForRemoval(selector: QueueSelector, leaseMs: number): Promise<readonly contract.Claim[]> {
    for (const slice of slicesOf(selector)) {
      const claims = await this.#write('claimForRemoval', { selector: slice, leaseMs });
      if (claims.length > 0) return claims;
    }
    return [];
  }

  async counts(): ReturnType<contract.QueueStore['counts']> {
    return this.#bulk.run('counts', null);
  }

  sweep(keepMs: number): Promise<number> {
    const before = Date.now() - keepMs;
    return this.#repeat(() => this.#write('sweepMessages', { before }));
  }

  // -------------------------------------------------------------- directory

  directoryVersion(): number {
    return this.#directoryVersion;
  }

  async domain(name: string): Promise<contract.Domain | null> {
    return this.#lookups.run('domain', { name });
  }

  async entry(address: string): Promise<contract.AddressEntry> {
    return this.#lookups.run('entry', { address });
  }

  async account(address: string): Promise<contract.Account | null> {
    return this.#lookups.run('account', { address });
  }

  async postmaster(): Promise<contract.Account | null> {
    return this.#lookups.run('postmaster', null);
  }

  async passwordHash(accountId: number): Promise<string | null> {
    return this.#lookups.run('passwordHash', { accountId });
  }

  async listDomains(): Promise<readonly contract.Domain[]> {
    return this.#bulk.run('listDomains', null);
  }

  async listAccounts(domain?: string): Promise<readonly contract.Account[]> {
    return this.#bulk.run('listAccounts', { domain: domain ?? null });
  }

  async listAliases(domain?: string): Promise<readonly contract.Alias[]> {
    return this.#bulk.run('listAliases', { domain: domain ?? null });
  }

  async addDomain(name: string): Promise<void> {
    await this.#write('addDomain', { name });
  }

  async removeDomain(name: string): Promise<void> {
    await this.#write('removeDomain', { name });
  }

  async setForward(name: string, forward: contract.Domain['forward']): Promise<void> {
    await this.#write('setForward', { name, forward });
  }

  async setCatchAll(name: string, address: string | null): Promise<void> {
    await this.#write('setCatchAll', { name, address });
  }

  async addAccount(input: In<WriteOps, 'addAccount'>): Promise<contract.Account> {
    return this.#write('addAccount', input);
  }

  async removeAccount(address: string): Promise<void> {
    await this.#write('removeAccount', { address });
    while (await this.#write('sweepMailboxes', null));
  }

  async setPassword(address: string, passwordHash: string): Promise<void> {
    await this.#write('setPassword', { address, passwordHash });
  }

  async setEnabled(address: string, enabled: boolean): Promise<void> {
    await this.#write('setEnabled', { address, enabled });
  }

  async setQuota(address: string, quotaBytes: number | null): Promise<void> {
    await this.#write('setQuota', { address, quotaBytes });
  }

  async movePostmaster(address: string): Promise<void> {
    await this.#write('movePostmaster', { address });
  }

  async addAlias(alias: contract.Alias): Promise<void> {
    await this.#write('addAlias', alias);
  }

  async removeAlias(address: string): Promise<void> {
    await this.#write('removeAlias', { address });
  }

  // -------------------------------------------------------------- mailboxes

  async inbox(
    accountId: number,
    request: { afterUid: number; limit: number },
  ): ReturnType<contract.MailboxStore['inbox']> {
    return this.#bulk.run('inbox', { accountId, ...request });
  }

  async openEntry(accountId: number, uid: number): Promise<contract.BodyReader | null> {
    return this.#contentReader(await this.#bulk.run('entryContent', { accountId, uid }));
  }

  async removeEntries(accountId: number, uids: readonly number[]): Promise<number> {
    return this.#write('removeEntries', { accountId, uids });
  }

  // -------------------------------------------------------------- settings

  async readSettings(): ReturnType<contract.SettingsStore['readSettings']> {
    return this.#lookups.run('readSettings', null);
  }

  async writeSettings(input: In<WriteOps, 'writeSettings'>): Promise<{ version: number }> {
    return this.#write('writeSettings', input);
  }

  async settingsHistory(request: {
    limit: number;
    before?: number;
  }): Promise<readonly contract.SettingChange[]> {
    return this.#bulk.run('settingsHistory', { limit: request.limit, before: request.before ?? null });
  }

  async settingChange(n: number): Promise<contract.SettingChange | null> {
    return this.#lookups.run('settingChange', { n });
  }

  async serverSecret(name: string, bytes: number): Promise<Uint8Array> {
    return this.keepSecret(name, Uint8Array.from(randomBytes(bytes)));
  }

  async keepSecret(name: string, value: Uint8Array): Promise<Uint8Array> {
    return (await this.#lookups.run('secret', { name })) ?? this.#write('keepSecret', { name, value });
  }

  // -------------------------------------------------------------- nodes

  get nodeId(): string {
    return this.#node.id;
  }

  async announce(description: NodeDescription): Promise<void> {
    this.#node.announce(description);
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return this.#node.list(await this.#bulk.run('destinationsAtWork', null));
  }

  /** Never calls: one process has the store, and what it changes itself it knows. */
  onChanged(): void {}

  async acquireMailbox(accountId: number): Promise<boolean> {
    return this.#node.acquireMailbox(accountId);
  }

  async releaseMailbox(accountId: number): Promise<void> {
    this.#node.releaseMailbox(accountId);
  }

  // -------------------------------------------------------------- within

  async #write<K extends keyof WriteOps>(
    type: K,
    input: In<WriteOps, K>,
    payload?: Payload,
  ): Promise<Out<WriteOps, K>> {
    if (this.#writer === null) throw new StorageError('unavailable', 'the store is open for reading only');
    const value = await this.#writer.run(type, input, payload);
    if (DIRECTORY_CHANGES.has(type)) this.#directoryVersion++;
    return value;
  }

  #contentReader(content: StoredContent | null): contract.BodyReader | null {
    return content === null ? null : new ContentReader(this.#bulk, content);
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

  #releaseClaims(all: boolean): Promise<number> {
    return this.#repeat(() => this.#write('releaseExpired', { all }));
  }

  #afterGroup(flags: GroupFlags, trouble: StorageError | null): void {
    if (trouble !== null) this.#raiseAlarm(trouble);
    if (flags.deadBodies) this.#sweepSoon();
    if (flags.queued) for (const listener of this.#queuedListeners) listener();
  }

  /**
   * Stays until the store has taken a whole chunk: on a full disk small writes go on succeeding for a while, and
   * without mail nobody else would find out that there is room again.
   */
  #raiseAlarm({ message }: StorageError): void {
    const { path } = this.#connection;
    this.#alarm = `The store ${path} cannot be written: ${message}. Mail is put off and nothing is lost; look at its disk (space, read-only, errors), CMail then goes on by itself.`;
    if (this.#probeTimer === undefined && !this.#closing) this.#probeSoon();
  }

  #probeSoon(): void {
    const timer = setTimeout(() => {
      this.#write('probeDisk', null).then(
        () => {
          this.#alarm = null;
          this.#probeTimer = undefined;
        },
        () => {
          if (!this.#closing) this.#probeSoon();
        },
      );
    }, PROBE_EVERY_MS);
    this.#probeTimer = timer.unref();
  }

  /** One that cannot be swept now is swept at the next start; the alarm tells why. */
  #dropBody(bodyId: number): void {
    this.#write('dropBody', { bodyId }).catch(() => undefined);
  }

  #sweepSoon(): void {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null;
    });
  }

  async #sweep(): Promise<void> {
    try {
      while (!this.#closing && (await this.#write('sweepMailboxes', null)));
      while (!this.#closing && (await this.#write('sweepBodies', null)));
    } catch {
      // The alarm tells why; what is left is swept after the next deletion or at the next start.
    }
  }
}
