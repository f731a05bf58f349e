import { StorageError } from '../contract.ts';
import type { NodeDescription, NodeInfo } from '../nodes-contract.ts';
import { OperationStorage } from '../shared/operation-storage.ts';
import type { In, Out, ReadOps, WriteOps } from '../shared/operations.ts';
import { NO_PAYLOAD, type Payload } from '../shared/pages.ts';
import { StoreAlarm } from '../shared/store-alarm.ts';
import { Connection } from './connection.ts';
import { unavailable } from './errors.ts';
import { type Flags, Lane } from './lane.ts';
import { Nodes } from './nodes.ts';
import { makeReads, type Reads, verifyStore } from './reads.ts';
import { prepareSchema } from './schema.ts';
import { runGroup } from './write-group.ts';

const READERS = 3;
/** Verifying reads everything. */
const VERIFY_TIMEOUT_MS = 3_600_000;
/** Reads under way and waiting; more than that wait for nothing good. */
const READS_AT_ONCE = 5_000;
/** What brings mail in; everything else goes the other way, so that neither waits for the other's commit. */
const INCOMING: ReadonlySet<keyof WriteOps> = new Set(['putChunk', 'accept', 'dropBody', 'probeDisk']);
const LANES = ['in', 'out'] as const;

export interface PostgresEngineOptions {
  readonly url: string;
  readonly readOnly: boolean;
}

/**
 * The contract on PostgreSQL: two connections that write, each committing in groups, one for what nodes tell each
 * other, and a few that read. Everything runs asynchronously on the main thread.
 */
export class PostgresStorage extends OperationStorage {
  readonly #options: PostgresEngineOptions;
  readonly #readers: Connection;
  readonly #nodes: Nodes;
  readonly #lanes: Readonly<Record<(typeof LANES)[number], Lane>>;
  readonly #reads: Omit<Reads, 'verify'>;
  readonly #alarm: StoreAlarm;
  #reading = 0;
  #started = false;

  constructor(options: PostgresEngineOptions) {
    super();
    this.#options = options;
    this.#readers = this.#connect(READERS);
    this.#nodes = new Nodes({
      connection: this.#connect(1),
      readers: this.#readers,
      onCommit: (flags) => this.afterCommit(flags),
    });
    this.#lanes = { in: this.#lane('in'), out: this.#lane('out') };
    this.#reads = makeReads(this.#readers, this.#nodes.id);
    this.#alarm = new StoreAlarm(() => this.#probe());
  }

  /** Opens the store, makes or migrates its schema and joins the other nodes. */
  async start(atRest = false): Promise<void> {
    this.atRest = atRest;
    const first = this.#connect(1);
    try {
      await prepareSchema(first, this.#options.readOnly);
      await checkDurability(first);
      if (!this.#options.readOnly) {
        await this.#nodes.start(LANES);
        this.#started = true;
        await this.startIds();
        this.sweepSoon();
        this.indexSoon();
      }
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      await first.close();
    }
  }

  directoryVersion(): number {
    return this.#nodes.directoryVersion;
  }

  alarms(): readonly string[] {
    return this.#alarm.texts;
  }

  async verify(): Promise<readonly string[]> {
    // A connection of its own: it reads everything, and mail must not wait for that.
    const connection = new Connection({ ...this.#options, max: 1, callTimeoutMs: VERIFY_TIMEOUT_MS });
    try {
      return await connection.snapshot(verifyStore);
    } finally {
      await connection.close();
    }
  }

  get nodeId(): string {
    return this.#nodes.id;
  }

  announce(description: NodeDescription): Promise<void> {
    return this.#told(() => this.#nodes.announce(description));
  }

  nodes(): Promise<readonly NodeInfo[]> {
    return this.#told(() => this.#nodes.list());
  }

  onChanged(listener: (what: 'settings' | 'directory') => void): void {
    this.#nodes.onChanged(listener);
  }

  acquireMailbox(accountId: number): Promise<boolean> {
    return this.#told(() => this.#nodes.acquireMailbox(accountId));
  }

  releaseMailbox(accountId: number): Promise<void> {
    return this.#told(() => this.#nodes.releaseMailbox(accountId));
  }

  protected async write<K extends keyof WriteOps>(
    type: K,
    input: In<WriteOps, K>,
    payload: Payload = NO_PAYLOAD,
  ): Promise<Out<WriteOps, K>> {
    if (this.#options.readOnly) {
      payload.release();
      throw unavailable('the store is open for reading only');
    }
    const lane = this.#lanes[INCOMING.has(type) ? 'in' : 'out'];
    return (await lane.run(type, input, payload)) as Out<WriteOps, K>;
  }

  protected lookup<K extends keyof ReadOps>(type: K, input: In<ReadOps, K>): Promise<Out<ReadOps, K>> {
    return this.read(type, input);
  }

  protected async read<K extends keyof ReadOps>(type: K, input: In<ReadOps, K>): Promise<Out<ReadOps, K>> {
    if (this.#reading >= READS_AT_ONCE) throw unavailable('too many operations wait for the database');
    this.#reading++;
    try {
      const run = (this.#reads as Reads)[type] as (input: unknown) => Promise<unknown>;
      return (await this.#told(() => run(input))) as Out<ReadOps, K>;
    } finally {
      this.#reading--;
    }
  }

  protected async end(): Promise<void> {
    this.#alarm.close();
    if (this.#started && this.alarms().length === 0) {
      try {
        await this.#lanes.out.run('orphanBodies', null);
      } catch {
        // The others sweep what a node leaves that they hear of no more.
      }
    }
    await Promise.all(LANES.map((name) => this.#lanes[name].close()));
    await this.#nodes.close(this.alarms().length === 0);
    await this.#readers.close();
  }

  #connect(max: number): Connection {
    return new Connection({ ...this.#options, max });
  }

  #lane(name: (typeof LANES)[number]): Lane {
    const { id } = this.#nodes;
    return new Lane({
      name,
      nodeId: id,
      connection: this.#connect(1),
      runGroup: (tx, ops, flags) => runGroup(tx, id, ops, flags),
      onCommit: (flags) => this.#afterCommit(flags),
      onTrouble: (trouble) => this.#raiseAlarm(trouble),
    });
  }

  #afterCommit(flags: Readonly<Flags>): void {
    if (flags.directoryVersion !== null) this.#nodes.noteOwn('directory', flags.directoryVersion);
    if (flags.settingsVersion !== null) this.#nodes.noteOwn('settings', flags.settingsVersion);
    this.afterCommit(flags);
  }

  /** All ways to the database: mail in, its way out, and reading. */
  async #probe(): Promise<void> {
    await Promise.all([
      this.write('probeDisk', null),
      this.#lanes.out.run('renewClaims', { tokens: [], leaseMs: 0 }),
      this.#readers.run('SELECT 1'),
    ]);
  }

  async #told<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const told = error instanceof StorageError ? error : new StorageError('internal', String(error));
      if (told.kind === 'unavailable') this.#raiseAlarm(told);
      throw told;
    }
  }

  #raiseAlarm({ message }: StorageError): void {
    this.#alarm.raise(
      `The database cannot be used: ${message}. Mail is put off and nothing is lost; look at the database server and the network to it, CMail then goes on by itself.`,
    );
  }
}

/** A commit that the database may forget in a power cut is none. */
async function checkDurability(connection: Connection): Promise<void> {
  const [row] = await connection.run<{ setting: string }>(
    "SELECT current_setting('synchronous_commit') AS setting",
  );
  if (row?.setting !== 'off') return;
  throw unavailable(
    `${connection.place} has synchronous_commit = off, so accepted mail could be lost in a crash: set it to on for this database (ALTER DATABASE … SET synchronous_commit = on)`,
  );
}
