import type { MailboxLockStore } from '../../src/mailbox/lock.ts';
import type { BodyReader, MailboxEntry, MailboxStore } from '../../src/storage/contract.ts';
import { StorageError } from '../../src/storage/contract.ts';

/** A MailboxStore in memory, for tests of what stands above it. */
export class FakeMailboxes implements MailboxStore, MailboxLockStore {
  readonly messages = new Map<number, Map<number, Uint8Array>>();
  readonly uidValidity = 77;
  /** Bytes of one chunk, to see pieces joined. */
  chunkBytes = 256 * 1024;
  /** Set to make every call fail. */
  broken = false;
  /** Chunks read so far, all messages. */
  chunksRead = 0;
  /** Every removal asked for. */
  readonly removals: { accountId: number; uids: readonly number[] }[] = [];
  /** Awaited before each removal. */
  beforeRemoval: () => Promise<void> = async () => {};
  /** Read fails after so many chunks of a message. */
  failAfterChunks = Number.POSITIVE_INFINITY;

  /** Mailboxes with a session, of whatever node. */
  readonly locked = new Set<number>();
  /** Set to make every attempt to give a mailbox back fail. */
  keepsLocks = false;

  async acquireMailbox(accountId: number): Promise<boolean> {
    this.#check();
    if (this.locked.has(accountId)) return false;
    this.locked.add(accountId);
    return true;
  }

  async releaseMailbox(accountId: number): Promise<void> {
    if (this.keepsLocks) throw new StorageError('unavailable', 'made to fail');
    this.#check();
    this.locked.delete(accountId);
  }

  add(accountId: number, uid: number, content: string | Uint8Array): void {
    const box = this.messages.get(accountId) ?? new Map<number, Uint8Array>();
    box.set(uid, Buffer.from(content));
    this.messages.set(accountId, box);
  }

  async inbox(accountId: number, request: { afterUid: number; limit: number }) {
    this.#check();
    const entries: MailboxEntry[] = [];
    for (const [uid, content] of this.messages.get(accountId) ?? []) {
      if (uid <= request.afterUid) continue;
      if (entries.length >= request.limit) break;
      entries.push({ uid, sizeBytes: content.length, receivedAt: 0, flags: 0, messageId: uid, sender: '' });
    }
    return { uidValidity: this.uidValidity, entries };
  }

  async openEntry(accountId: number, uid: number): Promise<BodyReader | null> {
    this.#check();
    const content = this.messages.get(accountId)?.get(uid);
    if (content === undefined) return null;
    return { sizeBytes: content.length, chunks: () => this.#chunks(content) };
  }

  async removeEntries(accountId: number, uids: readonly number[]): Promise<number> {
    await this.beforeRemoval();
    this.#check();
    this.removals.push({ accountId, uids });
    let removed = 0;
    for (const uid of uids) if (this.messages.get(accountId)?.delete(uid)) removed += 1;
    return removed;
  }

  async *#chunks(content: Uint8Array): AsyncIterable<Uint8Array> {
    let given = 0;
    for (let at = 0; at < content.length; at += this.chunkBytes) {
      if (given >= this.failAfterChunks) throw new StorageError('unavailable', 'made to fail');
      given += 1;
      this.chunksRead += 1;
      yield content.subarray(at, at + this.chunkBytes);
    }
  }

  #check(): void {
    if (this.broken) throw new StorageError('unavailable', 'made to fail');
  }
}
