/** A thread that reads: it sees every commit made before the read was posted. */
import type { DatabaseSync } from 'node:sqlite';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Handlers, NO_FLAGS, type ReadOps } from '../shared/operations.ts';
import { type ErrorForm, errorForm } from './errors.ts';
import type { PostedGroup, ThreadData, ThreadMessage } from './protocol.ts';
import { AccessReads, accessReadHandlers } from './read-access.ts';
import { CredentialReads } from './read-credentials.ts';
import { DirectoryReads } from './read-directory.ts';
import { MailboxReads } from './read-mailbox.ts';
import { newestTime } from './read-newest.ts';
import { OwnerReads, ownerReadHandlers } from './read-owner.ts';
import { QueueReads } from './read-queue.ts';
import { SearchReads, searchReadHandlers } from './read-search.ts';
import { SettingReads } from './read-settings.ts';
import { verifyStore } from './read-verify.ts';
import { openConnection } from './schema.ts';
import { secondFactorReadHandlers } from './second-factor.ts';
import { trustReadHandlers } from './trust.ts';

const NO_BYTES = new Uint8Array(0);

function makeHandlers(db: DatabaseSync): Handlers<ReadOps> {
  const queue = new QueueReads(db);
  const directory = new DirectoryReads(db);
  const credentials = new CredentialReads(db);
  const mailboxes = new MailboxReads(db);
  const settings = new SettingReads(db);
  return {
    dueDestinations: (request) => queue.dueDestinations(request),
    nextDueAt: () => queue.nextDueAt(),
    list: (request) => queue.list(request),
    message: (request) => queue.message(request),
    messageContent: (request) => queue.content(request),
    entryContent: ({ accountId, uid }) => mailboxes.content(accountId, uid),
    chunk: ({ bodyId, n }) => mailboxes.chunk(bodyId, n),
    findChunk: ({ bodyId, at }) => mailboxes.findChunk(bodyId, at),
    counts: () => queue.counts(),
    destinationsAtWork: () => queue.destinationsAtWork(),
    domain: ({ name }) => directory.domain(name),
    entry: ({ address }) => directory.entry(address),
    account: ({ address }) => directory.account(address),
    postmaster: () => directory.postmaster(),
    passwordHash: ({ accountId }) => directory.passwordHash(accountId),
    appPasswords: ({ accountId }) => credentials.all(accountId),
    findAppPassword: ({ accountId, hash }) => credentials.byHash(accountId, hash),
    signIns: ({ accountId, limit, before }) => credentials.signIns(accountId, limit, before),
    listDomains: () => directory.listDomains(),
    listAccounts: ({ domain }) => directory.listAccounts(domain),
    listAliases: ({ domain }) => directory.listAliases(domain),
    inbox: ({ accountId, afterUid, limit }) => mailboxes.inbox(accountId, afterUid, limit),
    readSettings: () => settings.read(),
    settingsHistory: ({ limit, before }) => settings.history(limit, before),
    settingChange: ({ n }) => settings.change(n),
    secret: ({ name }) => settings.secret(name),
    ...accessReadHandlers(new AccessReads(db)),
    ...ownerReadHandlers(new OwnerReads(db)),
    ...trustReadHandlers(db),
    ...secondFactorReadHandlers(db),
    ...searchReadHandlers(new SearchReads(db)),
    newestTime: () => newestTime(db),
    verify: () => verifyStore(db),
  };
}

function serve(port: MessagePort, { connection }: ThreadData): void {
  let db: DatabaseSync;
  let handlers: ReadonlyMap<string, (input: never, bytes: Uint8Array) => unknown>;
  try {
    db = openConnection(connection);
    handlers = new Map(Object.entries(makeHandlers(db)));
  } catch (error) {
    port.postMessage({ type: 'failed', error: errorForm(error) } satisfies ThreadMessage);
    return;
  }
  port.on('message', (group: PostedGroup | null) => {
    if (group === null) {
      db.close();
      port.close();
      return;
    }
    const values: unknown[] = [];
    const errors: { index: number; error: ErrorForm }[] = [];
    const transfer: ArrayBuffer[] = [];
    group.ops.forEach((op, index) => {
      try {
        const handler = handlers.get(op.type);
        if (handler === undefined) throw new Error(`no operation ${op.type}`);
        const value = handler(op.input as never, NO_BYTES);
        values[index] = value;
        if (value instanceof Uint8Array && value.buffer instanceof ArrayBuffer) transfer.push(value.buffer);
      } catch (error) {
        values[index] = null;
        errors.push({ index, error: errorForm(error) });
      }
    });
    const answer: ThreadMessage = { type: 'group', values, errors, slab: group.slab, flags: NO_FLAGS };
    port.postMessage(answer, transfer);
  });
  port.postMessage({ type: 'ready' } satisfies ThreadMessage);
}

if (parentPort !== null) serve(parentPort, workerData as ThreadData);
