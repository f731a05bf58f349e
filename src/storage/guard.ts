/**
 * A store of which no call stays without an answer: each is bounded in time, and so is the number of those that
 * wait. A disk or a database that hangs is then like one that fails, which all callers know how to take.
 */
import {
  type AcceptInput,
  type BodyReader,
  type Storage,
  StorageError,
  type TroublePlace,
} from './contract.ts';

/** Look-ups, and the short writes that nobody outside waits for. */
const SHORT_MS = 10_000;
/** Commits a client or an administrator waits for. A late one may still succeed: then a message comes twice. */
const LONG_MS = 40_000;
/** Calls without an answer; more than all sessions together ask at once. */
const MAX_WAITING = 10_000;

/** How long each call may take. What is not here goes in slices, or waits for something else than the store. */
const LIMITS_MS: Readonly<Partial<Record<keyof Storage, number>>> = {
  dueDestinations: SHORT_MS,
  nextDueAt: SHORT_MS,
  claimDue: SHORT_MS,
  renewClaims: SHORT_MS,
  settle: LONG_MS,
  releaseExpired: LONG_MS,
  list: LONG_MS,
  message: SHORT_MS,
  openBody: SHORT_MS,
  counts: SHORT_MS,
  claimForRemoval: LONG_MS,
  domain: SHORT_MS,
  entry: SHORT_MS,
  account: SHORT_MS,
  postmaster: SHORT_MS,
  passwordHash: SHORT_MS,
  listDomains: LONG_MS,
  listAccounts: LONG_MS,
  listAliases: LONG_MS,
  addDomain: LONG_MS,
  removeDomain: LONG_MS,
  setForward: LONG_MS,
  setCatchAll: LONG_MS,
  addAccount: LONG_MS,
  setPassword: LONG_MS,
  setEnabled: LONG_MS,
  setQuota: LONG_MS,
  movePostmaster: LONG_MS,
  addAlias: LONG_MS,
  removeAlias: LONG_MS,
  appPasswords: SHORT_MS,
  findAppPassword: SHORT_MS,
  addAppPassword: LONG_MS,
  revokeAppPassword: LONG_MS,
  recordSignIn: SHORT_MS,
  signIns: SHORT_MS,
  addAccountSession: LONG_MS,
  accountSession: SHORT_MS,
  accountSessions: SHORT_MS,
  touchAccountSession: SHORT_MS,
  removeAccountSession: LONG_MS,
  removeAccountSessions: LONG_MS,
  setAccountForward: LONG_MS,
  ownMessages: LONG_MS,
  secondFactor: SHORT_MS,
  secondFactorNames: SHORT_MS,
  beginSecondFactor: LONG_MS,
  confirmSecondFactor: LONG_MS,
  takeSecondFactorStep: LONG_MS,
  takeRecoveryCode: LONG_MS,
  removeSecondFactor: LONG_MS,
  inbox: SHORT_MS,
  openEntry: SHORT_MS,
  removeEntries: LONG_MS,
  readSettings: SHORT_MS,
  writeSettings: LONG_MS,
  settingsHistory: SHORT_MS,
  settingChange: SHORT_MS,
  serverSecret: LONG_MS,
  keepSecret: LONG_MS,
  accept: LONG_MS,
  newestTime: LONG_MS,
  announce: SHORT_MS,
  nodes: SHORT_MS,
  acquireMailbox: SHORT_MS,
  releaseMailbox: SHORT_MS,
  administrators: SHORT_MS,
  administratorHash: SHORT_MS,
  addAdministrator: LONG_MS,
  setAdministratorPassword: LONG_MS,
  removeAdministrator: LONG_MS,
  addSession: LONG_MS,
  session: SHORT_MS,
  touchSession: SHORT_MS,
  sessions: LONG_MS,
  removeSession: LONG_MS,
  removeSessions: LONG_MS,
  addToken: LONG_MS,
  token: SHORT_MS,
  touchToken: SHORT_MS,
  tokens: LONG_MS,
  revokeToken: LONG_MS,
  recordAudit: LONG_MS,
  audit: LONG_MS,
  sweepAccess: LONG_MS,
  stsPolicy: SHORT_MS,
  keepStsPolicy: LONG_MS,
  addTlsSessions: LONG_MS,
  claimTlsReport: LONG_MS,
  endTlsReport: LONG_MS,
  putOffTlsReport: LONG_MS,
  search: LONG_MS,
  queueDestinations: LONG_MS,
  queueOf: LONG_MS,
  countSelected: LONG_MS,
  topReasons: LONG_MS,
  rawSubjects: SHORT_MS,
  messageSource: SHORT_MS,
};

export interface GuardOptions {
  readonly place: TroublePlace;
  /** Replaces every limit, for tests. */
  readonly limitMs?: number;
  readonly maxWaiting?: number;
}

export interface GuardedStore {
  readonly storage: Storage;
  /** For how long no call has succeeded, ms; 0 when the last one did. One that fails alone does not make it away. */
  awayMs(): number;
}

type Call = (...args: readonly unknown[]) => unknown;

/** Wraps a store; calls go on to it unchanged. */
export function guardStore(inner: Storage, options: GuardOptions): GuardedStore {
  const guard = new Guard(options);
  const wrapped = new Map<PropertyKey, unknown>();
  const wrap = (name: PropertyKey): unknown => {
    const member: unknown = Reflect.get(inner, name, inner);
    if (typeof member !== 'function') return member;
    const known = wrapped.get(name);
    if (known !== undefined) return known;
    const call: Call = member.bind(inner);
    const limitMs = LIMITS_MS[name as keyof Storage];
    const guarded: Call =
      limitMs === undefined
        ? (...args) => guard.pass(() => call(...args))
        : (...args) => {
            const made = () => call(...args) as Promise<unknown>;
            return guard.run(String(name), made, limitMs, () => {
              if (name === 'accept') (args[0] as AcceptInput).body.abort();
            });
          };
    wrapped.set(name, guarded);
    return guarded;
  };
  const storage = new Proxy(inner, { get: (_, name) => wrap(name) });
  return { storage, awayMs: () => guard.awayMs() };
}

class Guard {
  readonly #place: TroublePlace;
  readonly #limitMs: number | undefined;
  readonly #maxWaiting: number;
  #waiting = 0;
  /** Since when every call has failed, ms of `performance.now()`; null when the last one went well. */
  #failingSince: number | null = null;
  #answeredAt = 0;

  constructor({ place, limitMs, maxWaiting = MAX_WAITING }: GuardOptions) {
    this.#place = place;
    this.#limitMs = limitMs;
    this.#maxWaiting = maxWaiting;
  }

  awayMs(): number {
    return this.#failingSince === null ? 0 : performance.now() - this.#failingSince;
  }

  /** A call without a limit: only its failure gets the place. */
  pass(call: () => unknown): unknown {
    try {
      const result = call();
      if (!(result instanceof Promise)) return result;
      return result.catch((error: unknown) => {
        throw this.#placed(error);
      });
    } catch (error) {
      throw this.#placed(error);
    }
  }

  /** `refused` is called when the call is not made at all. */
  async run(
    name: string,
    call: () => Promise<unknown>,
    limitMs: number,
    refused: () => void = () => undefined,
  ): Promise<unknown> {
    if (this.#waiting >= this.#maxWaiting) {
      refused();
      throw this.#error('too many calls wait for an answer');
    }
    const startedAt = performance.now();
    try {
      const result = await this.#bounded(call, this.#limitMs ?? limitMs);
      this.#answered();
      return isReader(name, result) ? this.#reader(result, limitMs) : result;
    } catch (error) {
      if (error instanceof StorageError && error.kind !== 'unavailable') this.#answered();
      else this.#failingSince ??= Math.max(startedAt, this.#answeredAt);
      throw this.#placed(error);
    }
  }

  #answered(): void {
    this.#failingSince = null;
    this.#answeredAt = performance.now();
  }

  async #bounded<T>(call: () => Promise<T>, limitMs: number): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const why = `it did not answer within ${limitMs / 1000} s`;
    const timer = setTimeout(() => reject(this.#error(why)), limitMs);
    this.#waiting += 1;
    // Counted until it really ends, however long that takes.
    const answer = (async () => call())().finally(() => {
      this.#waiting -= 1;
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #reader(reader: BodyReader, limitMs: number): BodyReader {
    const chunks = (fromByte?: number) => this.#chunks(reader, fromByte, limitMs);
    return { sizeBytes: reader.sizeBytes, chunks };
  }

  async *#chunks(
    reader: BodyReader,
    fromByte: number | undefined,
    limitMs: number,
  ): AsyncGenerator<Uint8Array> {
    const chunks = reader.chunks(fromByte)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = (await this.run('chunk', () => chunks.next(), limitMs)) as IteratorResult<Uint8Array>;
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // Not waited for: it comes after a read that may hang. What that read failed of is told already.
      chunks.return?.().catch(() => undefined);
    }
  }

  #error(message: string): StorageError {
    return new StorageError('unavailable', message, { place: this.#place });
  }

  #placed(error: unknown): unknown {
    if (!(error instanceof StorageError) || error.kind !== 'unavailable' || error.place === this.#place)
      return error;
    return new StorageError('unavailable', error.message, { cause: error, place: this.#place });
  }
}

function isReader(name: string, result: unknown): result is BodyReader {
  return (name === 'openBody' || name === 'openEntry') && result !== null;
}
