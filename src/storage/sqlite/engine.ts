import { StorageError } from '../contract.ts';
import type { NodeDescription, NodeInfo } from '../nodes-contract.ts';
import { DIRECTORY_CHANGES, OperationStorage } from '../shared/operation-storage.ts';
import type { In, Out, ReadOps, WriteOps } from '../shared/operations.ts';
import type { Payload } from '../shared/pages.ts';
import { StoreAlarm } from '../shared/store-alarm.ts';
import { LocalNode } from './local-node.ts';
import type { ConnectionOptions } from './schema.ts';
import { ThreadClient } from './thread-client.ts';

const READER_CACHE_BYTES = 4 * 1024 * 1024;
/** Each answer can be a chunk of 256 KB. */
const BULK_GROUP_OPS = 16;

/**
 * The contract on SQLite: one writer thread that commits in groups, one reader thread for short look-ups and
 * one for bodies, lists and mailboxes.
 */
export class SqliteStorage extends OperationStorage {
  readonly #connection: ConnectionOptions;
  readonly #writer: ThreadClient<WriteOps> | null;
  readonly #lookups: ThreadClient<ReadOps>;
  readonly #bulk: ThreadClient<ReadOps>;
  readonly #node = new LocalNode();
  readonly #alarm = new StoreAlarm(() => this.write('probeDisk', null));
  #directoryVersion = 1;

  constructor(connection: ConnectionOptions) {
    super();
    this.#connection = connection;
    const reader: ConnectionOptions = { ...connection, readOnly: true, cacheBytes: READER_CACHE_BYTES };
    this.#writer = connection.readOnly
      ? null
      : new ThreadClient({
          file: 'writer-worker',
          data: { connection },
          onGroup: (flags, trouble) => {
            if (trouble !== null) this.#raiseAlarm(trouble);
            this.afterCommit(flags);
          },
        });
    this.#lookups = new ThreadClient({ file: 'reader-worker', data: { connection: reader } });
    this.#bulk = new ThreadClient({
      file: 'reader-worker',
      data: { connection: reader },
      groupOps: BULK_GROUP_OPS,
    });
  }

  /** Opens the threads and puts right what a crash left; with `takeOver` every claim counts as a dead process's. */
  async start({ takeOver, atRest }: { takeOver: boolean; atRest: boolean }): Promise<void> {
    this.atRest = atRest;
    try {
      // Other readers start when they are first asked for something.
      await (this.#writer ?? this.#lookups).start();
      if (this.#writer === null) return;
      await Promise.all([this.startIds(), this.write('orphanBodies', null)]);
      if (takeOver) await this.releaseClaims(true);
      this.sweepSoon();
      this.indexSoon();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The threads, for tests that end one. */
  get threads(): { writer: ThreadClient<WriteOps> | null; lookups: ThreadClient<ReadOps> } {
    return { writer: this.#writer, lookups: this.#lookups };
  }

  directoryVersion(): number {
    return this.#directoryVersion;
  }

  alarms(): readonly string[] {
    return this.#alarm.texts;
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

  get nodeId(): string {
    return this.#node.id;
  }

  async announce(description: NodeDescription): Promise<void> {
    this.#node.announce(description);
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return this.#node.list(await this.read('destinationsAtWork', null));
  }

  /** Never calls: one process has the store, and what it changes itself it knows. */
  onChanged(): void {}

  async acquireMailbox(accountId: number): Promise<boolean> {
    return this.#node.acquireMailbox(accountId);
  }

  async releaseMailbox(accountId: number): Promise<void> {
    this.#node.releaseMailbox(accountId);
  }

  protected async write<K extends keyof WriteOps>(
    type: K,
    input: In<WriteOps, K>,
    payload?: Payload,
  ): Promise<Out<WriteOps, K>> {
    if (this.#writer === null) throw new StorageError('unavailable', 'the store is open for reading only');
    const value = await this.#writer.run(type, input, payload);
    if (DIRECTORY_CHANGES.has(type)) this.#directoryVersion++;
    return value;
  }

  protected lookup<K extends keyof ReadOps>(type: K, input: In<ReadOps, K>): Promise<Out<ReadOps, K>> {
    return this.#lookups.run(type, input);
  }

  protected read<K extends keyof ReadOps>(type: K, input: In<ReadOps, K>): Promise<Out<ReadOps, K>> {
    return this.#bulk.run(type, input);
  }

  protected async end(): Promise<void> {
    this.#alarm.close();
    await Promise.all([this.#lookups.close(), this.#bulk.close()]);
    // Last, so that its end folds the write-ahead log into the file.
    await this.#writer?.close();
  }

  #raiseAlarm({ message }: StorageError): void {
    const { path } = this.#connection;
    this.#alarm.raise(
      `The store ${path} cannot be written: ${message}. Mail is put off and nothing is lost; look at its disk (space, read-only, errors), CMail then goes on by itself.`,
    );
  }
}
