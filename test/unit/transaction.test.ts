import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NO_RECIPIENT_DSN, type RecipientDsn } from '../../src/mail/dsn.ts';
import { reply } from '../../src/mail/reply.ts';
import type { MakeNotices, NoticeRequest } from '../../src/notices/contract.ts';
import type { Decision } from '../../src/receiving/decision.ts';
import { Trace } from '../../src/receiving/trace.ts';
import { Transaction } from '../../src/receiving/transaction.ts';
import { buildSettings } from '../../src/settings/build.ts';
import {
  type AcceptWithNotices,
  type BodyWriter,
  type NewRecipient,
  type NoticeInput,
  type Storage,
  StorageError,
} from '../../src/storage/contract.ts';

it('a store that gives no more message numbers puts the message off and frees its bytes', async () => {
  let aborted = 0;
  const body: BodyWriter = { sizeBytes: 0, append: () => true, abort: () => void aborted++ };
  const storage: Partial<Storage> = {
    openWriter: () => body,
    nextMessageId: () => {
      throw new StorageError('unavailable', 'no more numbers');
    },
  };
  const dsn = { ret: null, envid: null };
  const parameters = { sizeBytes: null, body: null, smtputf8: false, dsn, requireTls: false };
  const deps = {
    storage: storage as Storage,
    trace: new Trace(Buffer.alloc(32)),
    makeNotices: async () => [],
  };
  const transaction = new Transaction(deps, null, parameters);
  transaction.openBody();
  const client = { kind: 'external', address: '192.0.2.1', user: null } as const;
  const facts = {
    client,
    helo: 'client.test',
    extended: true,
    hostname: 'mail.test',
    tls: null,
    completes: false,
  };
  const answer = await transaction.finish(facts, buildSettings(new Map()), false);
  assert.deepEqual([answer.code, answer.enhanced, aborted], [452, '4.3.1', 1]);
});

const FACTS = {
  client: { kind: 'external', address: '192.0.2.1', user: null },
  helo: 'client.test',
  extended: true,
  hostname: 'mail.test',
  tls: null,
  completes: false,
} as const;

/** A transaction of a@far.test, with what was stored and what was made of notices. */
function begin(makeNotices: MakeNotices) {
  const stored: AcceptWithNotices[] = [];
  let aborted = 0;
  const body: BodyWriter = { sizeBytes: 0, append: () => true, abort: () => void aborted++ };
  const storage: Partial<Storage> = {
    openWriter: () => body,
    nextMessageId: () => 7,
    accept: async (input) => void stored.push(input),
  };
  const deps = { storage: storage as Storage, trace: new Trace(Buffer.alloc(32)), makeNotices };
  const sender = { text: 'a@far.test', localPart: 'a', domain: 'far.test', utf8: false };
  const dsn = { ret: 'HDRS', envid: 'e' } as const;
  const parameters = { sizeBytes: null, body: null, smtputf8: false, dsn, requireTls: false };
  const transaction = new Transaction(deps, sender, parameters);
  transaction.openBody();
  transaction.append(Buffer.from('Subject: hello\r\n\r\nText\r\n'));
  const finish = () => transaction.finish(FACTS, buildSettings(new Map()), false);
  return { transaction, stored, aborted: () => aborted, finish };
}

function accepted(...recipients: NewRecipient[]): Decision {
  const yes = reply(250, '2.1.5', 'ok');
  return {
    decision: 'local',
    rule: 'account',
    reply: yes,
    recipients,
    target: null,
    assumedExternal: false,
    steps: [],
  };
}

function here(accountId: number): NewRecipient {
  const address = `u${accountId}@here.test`;
  return {
    address,
    original: address,
    rule: 'account',
    to: { type: 'local', delivery: { accountId, header: '' } },
  };
}

const SUCCESS: RecipientDsn = { notify: ['SUCCESS'], orcpt: null };

it('accepts a message with the notices of what is done by that', async () => {
  const asked: NoticeRequest[] = [];
  const notice = { id: 8, recipients: [here(9)] } as unknown as NoticeInput;
  const world = begin(async (request) => {
    asked.push(request);
    return [notice];
  });
  world.transaction.add('one@here.test', SUCCESS, accepted(here(1)));
  world.transaction.add('list@here.test', SUCCESS, accepted(here(2), here(3)));
  world.transaction.add('silent@here.test', NO_RECIPIENT_DSN, accepted(here(4)));
  assert.equal((await world.finish()).code, 250);
  assert.deepEqual(
    asked.map(({ kind, recipients }) => [kind, recipients.map(({ address, action }) => [address, action])]),
    [
      [
        'success',
        [
          ['one@here.test', 'delivered'],
          ['list@here.test', 'expanded'],
        ],
      ],
    ],
  );
  assert.equal(asked[0]?.originalHeader, 'Subject: hello\r\n');
  const [input] = world.stored;
  assert.deepEqual(input?.notices, [notice]);
  assert.deepEqual(input?.events?.[0]?.detail, { id: '000008', to: ['u9@here.test'], notice: 'success' });
  assert.deepEqual(input?.dsn, { ret: 'HDRS', envid: 'e' });
  assert.deepEqual(
    input?.recipients.map(({ dsn }) => dsn?.notify),
    [['SUCCESS'], ['NEVER'], ['NEVER'], null],
  );
});

it('puts the message off when a notice cannot be made, and keeps nothing of it', async () => {
  const world = begin(() => Promise.reject(new StorageError('unavailable', 'no directory')));
  world.transaction.add('one@here.test', SUCCESS, accepted(here(1)));
  assert.deepEqual([(await world.finish()).code, world.stored.length, world.aborted()], [452, 0, 1]);
});

it('asks for all that was asked when two recipients are one', async () => {
  const world = begin(async () => []);
  const never: RecipientDsn = { notify: ['NEVER'], orcpt: 'rfc822;x@y' };
  world.transaction.add('a@here.test', never, accepted(here(1)));
  world.transaction.add('b@here.test', { notify: ['DELAY'], orcpt: null }, accepted(here(1)));
  await world.finish();
  assert.deepEqual(
    world.stored[0]?.recipients.map(({ dsn }) => dsn),
    [{ notify: ['DELAY'], orcpt: 'rfc822;x@y' }],
  );
});
