/** Connections to the database: bounded in time, and never trusted with half a transaction after a loss. */
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { StorageError } from '../contract.ts';
import { endsConnection, isLost, isRetryable, toStorageError, unavailable } from './errors.ts';

/** A call is given up after this time: the database does not answer, and the connection is thrown away. */
const CALL_TIMEOUT_MS = 25_000;
/** The database gives a statement up so much sooner, so that it does not go on for nobody. */
const STATEMENT_SOONER_MS = 5_000;
/** A node cut off in the middle of a transaction must not keep rows locked for the others. */
const IDLE_IN_TRANSACTION_MS = 10_000;
const CONNECT_TIMEOUT_S = 8;
/** The driver tries for ever to connect to what closes connections at once; a call does not wait for that. */
const CONNECT_WAIT_MS = 9_000;
const RECONNECT_WAIT_S = 0.1;
const RETRIES = 6;
const RETRY_WAIT_MS = 20;

type Sql = ReturnType<typeof makeClient>;
/** What the driver takes; strings are cleaned of what PostgreSQL cannot keep. */
export type Value = string | number | Uint8Array | null | readonly JsonRow[];
export type JsonRow = Readonly<Record<string, string | number | null>>;

export interface ConnectionOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** Connections at most; transactions want exactly one. */
  readonly max: number;
  readonly readOnly: boolean;
  /** For calls that read everything; `CALL_TIMEOUT_MS` otherwise. */
  readonly callTimeoutMs?: number;
}

function makeClient(options: ConnectionOptions, onclose: () => void) {
  const { url, max, readOnly, callTimeoutMs = CALL_TIMEOUT_MS } = options;
  return postgres(url, {
    max,
    onclose,
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: () => RECONNECT_WAIT_S,
    keep_alive: 5,
    // Types are named in the statements, so none need to be asked for.
    fetch_types: false,
    onnotice: () => undefined,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    connection: {
      application_name: 'cmail',
      statement_timeout: callTimeoutMs - STATEMENT_SOONER_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      ...(readOnly ? { default_transaction_read_only: true } : {}),
    },
  });
}

/** PostgreSQL keeps neither NUL nor half a surrogate pair in text. */
export function clean(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\0') ? whole.replaceAll('\0', '\ufffd') : whole;
}

function cleanRow(row: JsonRow): JsonRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'string' ? clean(value) : value]),
  );
}

function parameter(value: Value): unknown {
  if (typeof value === 'string') return clean(value);
  return Array.isArray(value) ? value.map(cleanRow) : value;
}

/** An array of numbers as a parameter of type `bigint[]`. */
export function numbers(values: Iterable<number>): string {
  return `{${[...values].join(',')}}`;
}

export interface Runner {
  run<Row>(sql: string, values?: readonly Value[]): Promise<Row[]>;
}

type Send = (sql: string, values: readonly Value[]) => Promise<unknown[]>;

/**
 * One transaction, a statement after the other: what the driver still had waiting when a connection ended it would
 * send over the next one, outside of the transaction.
 */
class Transaction implements Runner {
  readonly #send: Send;
  readonly #isCurrent: () => boolean;
  #last: Promise<unknown> = Promise.resolve();

  constructor(send: Send, isCurrent: () => boolean) {
    this.#send = send;
    this.#isCurrent = isCurrent;
  }

  run<Row>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    const answer = this.#last.then(() => {
      if (!this.#isCurrent()) throw connectionLost();
      return this.#send(sql, values);
    });
    this.#last = answer;
    // One that nobody waits for any more fails with its transaction.
    answer.catch(() => undefined);
    return answer as Promise<Row[]>;
  }
}

function connectionLost(): Error {
  return Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' });
}

/** The connection ended after the COMMIT was sent: the transaction may have been committed or not. */
export class LostCommit extends StorageError {}

export class Connection {
  /** The place as people know it, without a password. */
  readonly place: string;
  readonly #options: ConnectionOptions;
  #client: Sql | null = null;
  /** Grows with every connection that ended. */
  #generation = 0;
  /** Something was answered since the last connection ended. */
  #answered = false;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.place = options.url.replace(/:\/\/([^:@/]*):.*@/s, '://$1@').replace(/\?.*$/, '');
  }

  /** One statement by itself. Rejects with `StorageError` within `CALL_TIMEOUT_MS`. */
  async run<Row>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    return this.#bounded(() => this.#send(this.#current(), sql, values) as Promise<Row[]>);
  }

  /** Reads that see one state of the store. */
  snapshot<T>(work: (tx: Runner) => Promise<T>): Promise<T> {
    return this.#bounded((commit) =>
      this.#transact('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', work, commit),
    );
  }

  /**
   * Runs `work` in a transaction, again when it ran into another one. Only for a connection of its own (`max` 1).
   * Rejects with `StorageError`, or with `LostCommit`.
   */
  async transaction<T>(work: (tx: Runner) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#bounded((commit) => this.#transact('BEGIN', work, commit));
      } catch (error) {
        if (!isRetryable(error) || attempt === RETRIES) throw error;
        await sleep(Math.random() * RETRY_WAIT_MS * 2 ** attempt);
      }
    }
  }

  /** Ends all connections at once; the next call opens new ones. */
  drop(): void {
    const client = this.#client;
    this.#client = null;
    this.#ended();
    // Rejects what is under way; what its own end says is of no use to anybody.
    client?.end({ timeout: 0 }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = null;
    await client?.end({ timeout: 1 });
  }

  #current(): Sql {
    if (this.#closed) throw unavailable('the store is closed');
    this.#client ??= makeClient(this.#options, () => this.#ended());
    return this.#client;
  }

  #ended(): void {
    this.#generation++;
    this.#answered = false;
  }

  async #send(client: Sql, sql: string, values: readonly Value[]): Promise<unknown[]> {
    const simple = values.length === 0;
    const query = client.unsafe(sql, values.map(parameter) as never[], simple ? {} : { prepare: true });
    const rows = await (query.execute() as unknown as Promise<unknown[]>);
    this.#answered = true;
    return rows;
  }

  async #transact<T>(begin: string, work: (tx: Runner) => Promise<T>, commit: CommitState): Promise<T> {
    const client = this.#current();
    await this.#send(client, begin, []);
    const generation = this.#generation;
    const isCurrent = () => this.#generation === generation;
    let result: T;
    try {
      result = await work(new Transaction((sql, values) => this.#send(client, sql, values), isCurrent));
    } catch (error) {
      // The driver tells of a reset before it tells of the end; what is sent in between is answered by nobody.
      if (isLost(error)) this.drop();
      else if (isCurrent()) await this.#rollBack(client);
      throw error;
    }
    if (!isCurrent()) throw connectionLost();
    commit.sent = true;
    await this.#send(client, 'COMMIT', []);
    return result;
  }

  /** Where that cannot be done the connection goes, and the transaction with it. */
  async #rollBack(client: Sql): Promise<void> {
    try {
      await this.#send(client, 'ROLLBACK', []);
    } catch {
      this.drop();
    }
  }

  /** Bounds a call in time and names the trouble. */
  async #bounded<T>(call: (commit: CommitState) => Promise<T>): Promise<T> {
    const commit: CommitState = { sent: false };
    const { promise: late, reject } = Promise.withResolvers<never>();
    const giveUp = (afterMs: number) => {
      this.drop();
      reject(unavailable(`${this.place}: no answer within ${afterMs / 1000} s`, connectionLost()));
    };
    const connecting = setTimeout(() => {
      if (!this.#answered) giveUp(CONNECT_WAIT_MS);
    }, CONNECT_WAIT_MS);
    const { callTimeoutMs = CALL_TIMEOUT_MS } = this.#options;
    const timer = setTimeout(() => giveUp(callTimeoutMs), callTimeoutMs);
    try {
      return await Promise.race([call(commit), late]);
    } catch (error) {
      if (endsConnection(error)) this.drop();
      const told = toStorageError(error, this.place);
      if (commit.sent && isLost(error))
        throw new LostCommit('unavailable', told.message, { cause: told, place: 'database' });
      throw told;
    } finally {
      clearTimeout(connecting);
      clearTimeout(timer);
    }
  }
}

interface CommitState {
  sent: boolean;
}
