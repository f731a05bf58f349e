/** A store with a row of every kind, and all that the contract tells about a store. */
import { createHash } from 'node:crypto';
import type { BodyReader, Storage } from '../../src/storage/contract.ts';
import {
  accept,
  claim,
  claimOne,
  HEADER,
  local,
  makeAccount,
  NO_REPLY,
  queued,
  SOURCE,
} from './storage-fixture.ts';

const LATER_MS = 60 * 60_000;
/** Three chunks, all byte values. */
const LARGE = Buffer.alloc(700 * 1024, Buffer.from(Array.from({ length: 251 }, (_, n) => n)));

/** Every table, every state of a recipient, numbers with gaps, and what must not be copied. */
export async function fillStore(storage: Storage): Promise<void> {
  await fillDirectory(storage);
  const [ann, bob] = [await makeAccount(storage), await makeAccount(storage, 'bob@example.com')];
  await storage.setPassword(bob.address, '$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA');
  await storage.setQuota(bob.address, 5_000_000);
  await storage.setEnabled(bob.address, false);
  await storage.addAppPassword({
    address: bob.address,
    name: 'phone',
    hash: 'h',
    scopes: ['send', 'collect'],
  });
  const signIn = {
    outcome: 'ok',
    address: '::1',
    service: 'pop3',
    appPassword: 'phone',
    tls: null,
    reason: null,
  };
  await storage.setAccountForward(bob.address, { targets: ['bob@example.net'], keep: false });
  const session = {
    id: 's1',
    accountId: ann.id,
    createdAt: 1,
    lastSeenAt: 2,
    expiresAt: 3,
    address: '::1',
    userAgent: '\u00e9',
  };
  await storage.addAccountSession({ ...session, tokenHash: 't1' });
  await storage.recordSignIn(bob.id, { ...signIn, outcome: 'ok' });
  const subject = { kind: 'account', name: bob.address } as const;
  await storage.beginSecondFactor({ subject, secret: 's' });
  await storage.confirmSecondFactor({ subject, secret: 's', step: 5, recoveryHashes: ['h1', 'h2'] });
  await makeAccount(storage, 'gone@example.com');
  await storage.removeAccount('gone@example.com');
  await accept(storage, [local(ann), local(bob, 'Return-Path: <s\u00e9@example.org>\r\n')], LARGE);
  await accept(storage, [local(ann), queued('x@mixed.test', Date.now() + LATER_MS)], '');
  await accept(storage, [local(ann)]);
  const { entries } = await storage.inbox(ann.id, { afterUid: 0, limit: 10 });
  await storage.removeEntries(ann.id, [entries[0]?.uid ?? 0, entries[2]?.uid ?? 0]);
  await fillQueue(storage);
  await fillSettings(storage);
  // Never accepted: large enough that its first chunks are stored.
  const lost = storage.openWriter();
  for (let at = 0; at < LARGE.byteLength; at += 65_536) lost.append(LARGE.subarray(at, at + 65_536));
  await claim(storage, 'sending.test');
}

async function fillDirectory(storage: Storage): Promise<void> {
  for (const name of ['example.com', 'host.test', 'address.test']) await storage.addDomain(name);
  await storage.setForward('host.test', { host: 'inside.test', port: 2525 });
  await storage.setForward('address.test', { address: 'all@example.net' });
  await storage.setCatchAll('example.com', 'ann@example.com');
  await storage.addAlias({ address: 'team@example.com', targets: ['ann@example.com', 'x@example.net'] });
}

async function fillQueue(storage: Storage): Promise<void> {
  await accept(storage, [queued('waiting@later.test', Date.now() + LATER_MS)]);
  await accept(storage, [queued('due@sending.test'), queued('also@sending.test')]);
  const held = await accept(storage, [queued('held@held.test')]);
  await storage.hold({ ids: [held] }, 'root');
  const deleted = await accept(storage, [queued('deleted@deleted.test')]);
  await storage.delete({ ids: [deleted] }, 'root');
  for (const address of ['a', 'b', 'c', 'd']) await accept(storage, [queued(`${address}@settled.test`)]);
  const [delivered, failed, deferred, expanded] = await claim(storage, 'settled.test');
  const said = { via: 'mx', lastReply: '250 2.0.0 Ok', lastKind: null };
  await settleOne(storage, delivered?.token, { index: 0, result: { type: 'delivered' }, ...said });
  await storage.settle({
    token: failed?.token ?? '',
    outcomes: [{ index: 0, result: { type: 'failed' }, ...said, lastReply: '550 5.1.1 No such user' }],
    events: [{ kind: 'failed', recipient: 'b@settled.test', detail: { text: 'n\u00f6', list: [1, null] } }],
    notices: [
      {
        id: storage.nextMessageId(),
        sender: '',
        source: { ...SOURCE, kind: 'internal' },
        smtputf8: true,
        eightBit: true,
        header: HEADER,
        receivedAt: Date.now(),
        recipients: [queued('s@notice.test')],
        noticeFor: failed?.message.id ?? 0,
        content: Buffer.from('Subject: sorry\r\n\r\n'),
      },
    ],
  });
  const later = Date.now() + LATER_MS;
  const again = { type: 'deferred' as const, nextAttemptAt: later, delayNoticeSent: true };
  await settleOne(storage, deferred?.token, { index: 0, result: again, ...said, lastKind: 'unreachable' });
  const into = { type: 'expanded' as const, into: [queued('other@later.test', later)] };
  await settleOne(storage, expanded?.token, { index: 0, result: into, ...NO_REPLY });
  await accept(storage, [queued('bad@crashing.test')]);
  for (let times = 0; times < 3; times += 1) {
    const { token } = await claimOne(storage, 'crashing.test');
    const result = { type: 'crashed' as const, nextAttemptAt: Date.now() };
    await settleOne(storage, token, { index: 0, result, ...NO_REPLY });
  }
}

type Outcome = Parameters<Storage['settle']>[0]['outcomes'][number];

async function settleOne(storage: Storage, token: string | undefined, outcome: Outcome): Promise<void> {
  await storage.settle({ token: token ?? '', outcomes: [outcome], events: [], notices: [] });
}

async function fillSettings(storage: Storage): Promise<void> {
  const change = (key: string, value: string | null, old: string | null) => ({
    key,
    value,
    historyOld: old,
    historyNew: value,
  });
  let { version } = await storage.readSettings();
  for (const changes of [
    [change('smtp.bufferSize', '8', null), change('smtp.hopLimit', '50', null)],
    [change('smtp.bufferSize', null, '8'), change('smtp.ownNames', 'm\u00fcnchen.test', null)],
  ]) {
    ({ version } = await storage.writeSettings({ expectedVersion: version, author: 'root', changes }));
  }
  await storage.keepSecret(
    'bytes',
    Uint8Array.from({ length: 256 }, (_, n) => n),
  );
}

async function digest(reader: BodyReader | null): Promise<string | null> {
  if (reader === null) return null;
  const hash = createHash('sha256');
  for await (const chunk of reader.chunks()) hash.update(chunk);
  return `${reader.sizeBytes} ${hash.digest('hex')}`;
}

/** What the contract tells, in a form that can be compared; claims count as waiting. */
export async function describeStore(storage: Storage): Promise<object> {
  const accounts = await storage.listAccounts();
  const mailboxes: object[] = [];
  for (const { id, address } of accounts) {
    const { uidValidity, entries } = await storage.inbox(id, { afterUid: 0, limit: 1_000 });
    const contents: (string | null)[] = [];
    for (const { uid } of entries) contents.push(await digest(await storage.openEntry(id, uid)));
    mailboxes.push({ address, uidValidity, entries, contents, hash: await storage.passwordHash(id) });
    const [appPasswords, signIns] = [await storage.appPasswords(id), await storage.signIns(id, 10)];
    const sessions = await storage.accountSessions(id);
    const factor = await storage.secondFactor({ kind: 'account', name: address });
    mailboxes.push({ appPasswords, signIns, sessions, factor });
  }
  const messages: object[] = [];
  for (let id = 1; id < 200; id += 1) {
    const found = await storage.message(id);
    if (found !== null) messages.push({ ...found, body: await digest(await storage.openBody(id)) });
  }
  return {
    domains: await storage.listDomains(),
    accounts,
    aliases: await storage.listAliases(),
    postmaster: (await storage.postmaster())?.address,
    mailboxes,
    messages,
    list: (await storage.list({ limit: 1_000 })).map(({ id }) => id),
    counts: await storage.counts(),
    nextDueAt: await storage.nextDueAt(),
    settings: [...(await storage.readSettings()).values],
    version: (await storage.readSettings()).version,
    history: await storage.settingsHistory({ limit: 100 }),
    secret: Buffer.from(await storage.keepSecret('bytes', new Uint8Array())).toString('hex'),
    verify: await storage.verify(),
  };
}
