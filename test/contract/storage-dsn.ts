import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NoticeInput, Storage } from '../../src/storage/contract.ts';
import {
  accept,
  claimOne,
  local,
  type MakePlace,
  makeAccount,
  NO_REPLY,
  queued,
  readAll,
  SOURCE,
  states,
  withStore,
} from './storage-fixture.ts';

const ASKED = { notify: ['SUCCESS', 'DELAY'], orcpt: 'rfc822;a+2Bb@x.example' } as const;
const NEVER = { notify: ['NEVER'], orcpt: null } as const;
const NOT_ASKED = { notify: null, orcpt: null } as const;

function notice(storage: Storage, to: NoticeInput['recipients'], noticeFor: number): NoticeInput {
  return {
    id: storage.nextMessageId(),
    content: Buffer.from('Subject: Delivered\r\n\r\ntold\r\n'),
    sender: '',
    source: { ...SOURCE, kind: 'internal', protocol: 'notice' },
    smtputf8: false,
    eightBit: false,
    header: '',
    receivedAt: Date.now(),
    recipients: to,
    noticeFor,
  };
}

export function dsnSuite(engine: string, makePlace: MakePlace): void {
  describe(`${engine}: what senders ask to be told of`, () => {
    it('keeps RET, ENVID, REQUIRETLS, NOTIFY and ORCPT, for the queue and for those who look', () =>
      withStore(makePlace, async (storage, reopen) => {
        const account = await makeAccount(storage);
        const to = [
          { ...queued('a@x.example'), dsn: ASKED },
          { ...local(account), dsn: NEVER },
          queued('b@x.example'),
        ];
        const dsn = { ret: 'HDRS', envid: 'QQ+2B1' } as const;
        const id = await accept(storage, to, undefined, { dsn, requireTls: true });
        const plain = await accept(storage, [queued('c@y.example')]);
        const again = await reopen();
        const { message } = await claimOne(again, 'x.example');
        assert.deepEqual([message.dsn, message.requireTls], [dsn, true]);
        assert.deepEqual(
          message.recipients.map((recipient) => recipient.dsn),
          [ASKED, NOT_ASKED],
        );
        const found = await again.message(id);
        assert.deepEqual(
          found?.message.recipients.map((recipient) => recipient.dsn),
          [ASKED, NEVER, NOT_ASKED],
        );
        const told = found?.events.map(({ detail }) => detail) ?? [];
        assert.deepEqual([told[0]?.ret, told[0]?.envid, told[0]?.requireTls], ['HDRS', 'QQ+1', true]);
        assert.deepEqual([told[1]?.notify, told[1]?.orcpt], [['SUCCESS', 'DELAY'], 'a+b@x.example']);
        const other = await again.message(plain);
        assert.deepEqual(
          [other?.message.dsn, other?.message.requireTls],
          [{ ret: null, envid: null }, false],
        );
        const listed = (await again.list({ limit: 10 })).find((one) => one.id === id);
        assert.deepEqual(listed?.dsn, dsn);
      }));

    it('hands the wishes on to those a recipient is replaced by', () =>
      withStore(makePlace, async (storage) => {
        const id = await accept(storage, [queued('a@x.example')]);
        const { token } = await claimOne(storage, 'x.example');
        const into = [{ ...queued('b@y.example'), dsn: ASKED }];
        const outcomes = [{ index: 0, result: { type: 'expanded', into }, ...NO_REPLY }] as const;
        await storage.settle({ token, outcomes, events: [], notices: [] });
        const found = await storage.message(id);
        assert.deepEqual(found?.message.recipients[1]?.dsn, ASKED);
      }));

    it('accepts a message, its events and its notices in one commit', () =>
      withStore(makePlace, async (storage, reopen) => {
        const account = await makeAccount(storage);
        let id = 0;
        const events = [{ kind: 'notice', recipient: null, detail: { what: 'success' } }] as const;
        const notices = [
          notice(storage, [local(account, '')], 1),
          notice(storage, [queued('s@z.example')], 1),
        ];
        id = await accept(storage, [local(account)], undefined, { notices, events });
        const again = await reopen();
        const { entries } = await again.inbox(account.id, { afterUid: 0, limit: 10 });
        assert.deepEqual(
          entries.map(({ messageId }) => messageId),
          [id, notices[0]?.id],
        );
        assert.match((await readAll(await again.openEntry(account.id, 2))).toString(), /told/);
        const { message } = await claimOne(again, 'z.example');
        assert.deepEqual([message.id, message.noticeFor, message.sender], [notices[1]?.id, 1, '']);
        assert.deepEqual(
          (await again.message(id))?.events
            .filter(({ kind }) => kind === 'notice')
            .map(({ detail }) => detail),
          [{ what: 'success' }],
        );
        assert.deepEqual(await again.verify(), []);
      }));

    it('accepts nothing when a notice cannot be stored', () =>
      withStore(makePlace, async (storage) => {
        const account = await makeAccount(storage);
        const gone = { ...account, id: 999 };
        const notices = [notice(storage, [local(gone, '')], 1)];
        await assert.rejects(accept(storage, [local(account)], undefined, { notices }), { kind: 'conflict' });
        const { entries } = await storage.inbox(account.id, { afterUid: 0, limit: 10 });
        assert.equal(entries.length, 0);
        assert.deepEqual(await states(storage, notices[0]?.id ?? 0), []);
        assert.deepEqual(await storage.verify(), []);
      }));
  });
}
