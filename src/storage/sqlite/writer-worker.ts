/** The one thread that writes: each group posted to it is one transaction, each operation one savepoint. */
import type { DatabaseSync } from 'node:sqlite';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Handlers, NO_FLAGS, type WriteOps } from '../shared/operations.ts';
import { type ErrorForm, errorForm } from './errors.ts';
import type { PostedGroup, PostedOp, ThreadData, ThreadMessage } from './protocol.ts';
import { openConnection } from './schema.ts';
import { SecondFactorTable, secondFactorHandlers } from './second-factor.ts';
import { trustHandlers } from './trust.ts';
import { AccessTables, accessHandlers } from './write-access.ts';
import { BodyTable } from './write-bodies.ts';
import { BulkActions } from './write-bulk.ts';
import { CredentialTables } from './write-credentials.ts';
import { DirectoryTables } from './write-directory.ts';
import { MessageTables } from './write-messages.ts';
import { AccountSessionTables, accountSessionHandlers } from './write-owner.ts';
import { ClaimTables } from './write-queue.ts';
import { SearchTables } from './write-search.ts';
import { SettingTables } from './write-settings.ts';
import type { WriterContext } from './writer-context.ts';

function makeHandlers(context: WriterContext): Handlers<WriteOps> {
  const bodies = new BodyTable(context);
  const messages = new MessageTables(context, bodies);
  const claims = new ClaimTables(context, messages, bodies);
  const search = new SearchTables(context);
  const bulk = new BulkActions(context, messages, claims, search);
  const credentials = new CredentialTables(context);
  const accountSessions = new AccountSessionTables(context);
  const factors = new SecondFactorTable(context);
  const directory = new DirectoryTables(context, bodies, (accountId, name) => {
    credentials.forget(accountId);
    accountSessions.removeAll(accountId);
    factors.remove('account', name);
  });
  const settings = new SettingTables(context);
  return {
    reserveIds: ({ count }) => settings.reserveIds(count),
    putChunk: ({ bodyId, n }, bytes) => bodies.putChunk(bodyId, n, bytes),
    dropBody: ({ bodyId }) => bodies.drop(bodyId),
    probeDisk: () => bodies.probe(),
    orphanBodies: () => bodies.orphanPending(),
    sweepBodies: () => bodies.sweep(),
    sweepMailboxes: () => directory.sweepMailboxes(),
    accept: (input, bytes) => messages.accept(input, bytes),
    claimDue: (request) => claims.claimDue(request),
    renewClaims: ({ tokens, leaseMs }) => claims.renew(tokens, leaseMs),
    settle: (input) => claims.settle(input),
    releaseExpired: ({ all }) => claims.releaseExpired(all),
    setHoldAll: ({ on, by }) => bulk.setHoldAll(on, by),
    retry: ({ selector, by, now }) => bulk.retry(selector, by, now),
    hold: ({ selector, by }) => bulk.hold(selector, by),
    release: ({ selector, by }) => bulk.release(selector, by),
    delete: ({ selector, by }) => bulk.delete(selector, by),
    claimForRemoval: ({ selector, leaseMs }) => bulk.claimForRemoval(selector, leaseMs),
    sweepMessages: ({ before }) => bulk.sweepMessages(before),
    addDomain: ({ name }) => directory.addDomain(name),
    removeDomain: ({ name }) => directory.removeDomain(name),
    setForward: ({ name, forward }) => directory.setForward(name, forward),
    setCatchAll: ({ name, address }) => directory.setCatchAll(name, address),
    addAccount: (input) => directory.addAccount(input),
    removeAccount: ({ address }) => directory.removeAccount(address),
    setPassword: ({ address, passwordHash, keepSession }) =>
      directory.setPassword(address, passwordHash, keepSession),
    setEnabled: ({ address, enabled }) => directory.setEnabled(address, enabled),
    setQuota: ({ address, quotaBytes }) => directory.setQuota(address, quotaBytes),
    movePostmaster: ({ address }) => directory.movePostmaster(address),
    setAccountForward: ({ address, forward }) => directory.setAccountForward(address, forward),
    addAlias: (alias) => directory.addAlias(alias),
    removeAlias: ({ address }) => directory.removeAlias(address),
    addAppPassword: (input) => credentials.add(input),
    revokeAppPassword: (input) => credentials.revoke(input),
    recordSignIn: (input) => credentials.record(input),
    removeEntries: ({ accountId, uids }) => directory.removeEntries(accountId, uids),
    writeSettings: (input) => settings.write(input),
    ...trustHandlers(context),
    ...accessHandlers(new AccessTables(context, (name) => factors.remove('administrator', name))),
    ...accountSessionHandlers(accountSessions),
    ...secondFactorHandlers(factors),
    indexMessages: ({ limit }) => search.index(limit),
    relistMessages: ({ after }) => search.relist(after),
    keepSecret: ({ name, value }) => settings.keepSecret(name, value),
  };
}

class Writer {
  readonly #db: DatabaseSync;
  readonly #context: WriterContext;
  readonly #handlers: ReadonlyMap<string, (input: never, bytes: Uint8Array) => unknown>;
  readonly #begin;
  readonly #commit;
  readonly #rollback;
  readonly #savepoint;
  readonly #release;
  readonly #undo;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#context = { db, flags: { ...NO_FLAGS } };
    this.#handlers = new Map(Object.entries(makeHandlers(this.#context)));
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
    this.#savepoint = db.prepare('SAVEPOINT op');
    this.#release = db.prepare('RELEASE op');
    this.#undo = db.prepare('ROLLBACK TO op');
  }

  run(group: PostedGroup): ThreadMessage {
    const { flags } = this.#context;
    flags.queued = false;
    flags.deadBodies = false;
    flags.unsearchable = false;
    const values: unknown[] = [];
    const errors: { index: number; error: ErrorForm }[] = [];
    try {
      this.#begin.run();
      group.ops.forEach((op, index) => {
        try {
          values[index] = this.#runOne(op, group.slab);
        } catch (error) {
          // Some failures (disk full) end the whole transaction, and with it the group.
          if (!this.#db.isTransaction) throw error;
          values[index] = null;
          errors.push({ index, error: errorForm(error) });
        }
      });
      this.#commit.run();
      return { type: 'group', values, errors, slab: group.slab, flags: { ...flags } };
    } catch (error) {
      if (this.#db.isTransaction) this.#rollback.run();
      const form = errorForm(error);
      const all = group.ops.map((_, index) => ({ index, error: form }));
      return { type: 'group', values: [], errors: all, slab: group.slab, flags: NO_FLAGS };
    }
  }

  #runOne(op: PostedOp, slab: ArrayBuffer | null): unknown {
    const handler = this.#handlers.get(op.type);
    if (handler === undefined) throw new Error(`no operation ${op.type}`);
    this.#savepoint.run();
    try {
      const bytes = new Uint8Array(slab ?? new ArrayBuffer(0), op.offset, op.length);
      const value = handler(op.input as never, bytes);
      this.#release.run();
      return value;
    } catch (error) {
      if (this.#db.isTransaction) {
        this.#undo.run();
        this.#release.run();
      }
      throw error;
    }
  }
}

function serve(port: MessagePort, { connection }: ThreadData): void {
  const post = (message: ThreadMessage, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  let db: DatabaseSync;
  let writer: Writer;
  try {
    db = openConnection(connection);
    writer = new Writer(db);
  } catch (error) {
    post({ type: 'failed', error: errorForm(error) });
    return;
  }
  port.on('message', (group: PostedGroup | null) => {
    if (group === null) {
      db.close();
      port.close();
      return;
    }
    const answer = writer.run(group);
    post(answer, group.slab === null ? [] : [group.slab]);
  });
  post({ type: 'ready' });
}

if (parentPort !== null) serve(parentPort, workerData as ThreadData);
