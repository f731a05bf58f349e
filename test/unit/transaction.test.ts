import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Trace } from '../../src/receiving/trace.ts';
import { Transaction } from '../../src/receiving/transaction.ts';
import { buildSettings } from '../../src/settings/build.ts';
import { type BodyWriter, type Storage, StorageError } from '../../src/storage/contract.ts';

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
