import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import PostalMime from 'postal-mime';
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN, type NotifyWord, type RecipientDsn } from '../../src/mail/dsn.ts';
import type { NoticeRecipient, NoticeRequest } from '../../src/notices/contract.ts';
import { createNoticeMaker } from '../../src/notices/factory.ts';
import { ORIGINAL_HEADER_LIMIT_BYTES, readOriginalHeader } from '../../src/notices/original.ts';
import type { BodyReader, NewRecipient, NoticeInput, QueuedMessage } from '../../src/storage/contract.ts';

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);

function local(address: string, accountId: number): NewRecipient {
  return {
    address,
    original: address,
    rule: 'account',
    to: { type: 'local', delivery: { accountId, header: '' } },
  };
}

const POSTMASTER = local('postmaster@example.com', 1);
const ANN = local('ann@example.com', 2);

const MESSAGE: QueuedMessage = {
  id: 1234,
  sender: 'ann@example.com',
  sizeBytes: 100,
  receivedAt: NOW - 60_000,
  source: { kind: 'local', address: '127.0.0.1', helo: 'pc', user: null, protocol: 'ESMTP' },
  smtputf8: false,
  eightBit: false,
  header: 'Received: from pc by mail.test\r\n',
  noticeFor: null,
  dsn: NO_MESSAGE_DSN,
  requireTls: false,
  recipients: [],
};

function body(...chunks: (string | Uint8Array)[]): BodyReader & { read: number } {
  const reader = {
    sizeBytes: 0,
    read: 0,
    async *chunks() {
      for (const chunk of chunks) {
        reader.read += 1;
        yield Buffer.from(chunk);
      }
    },
  };
  return reader;
}

function request(change: Partial<NoticeRequest> = {}, message: Partial<QueuedMessage> = {}): NoticeRequest {
  const recipient = {
    address: 'bob@example.net',
    original: 'bob@example.net',
    dsn: NO_RECIPIENT_DSN,
    status: '5.1.1',
    remoteMta: null,
    diagnostic: '550 no',
    explanation: 'No.',
  };
  return { kind: 'failure', message: { ...MESSAGE, ...message }, recipients: [recipient], ...change };
}

function setUp(more: Partial<Parameters<typeof createNoticeMaker>[0]> = {}) {
  const errors: string[] = [];
  let nextId = 5000;
  const make = createNoticeMaker({
    store: {
      openBody: async () => body('Subject: hello\r\nMessage-ID: <m@example.com>\r\n\r\nText\r\n'),
      nextMessageId: () => nextId++,
    },
    hostname: 'mail.test',
    decide: async (address) => (address === 'ann@example.com' ? [ANN] : null),
    postmaster: async () => [POSTMASTER],
    now: () => NOW,
    log: (level, message) => {
      if (level !== 'info') errors.push(`${level}: ${message}`);
    },
    ...more,
  });
  return { make, errors };
}

/** The message a notice becomes once it is queued. */
function queued(notice: NoticeInput): Partial<QueuedMessage> {
  return { id: notice.id, sender: notice.sender, source: notice.source, noticeFor: notice.noticeFor ?? null };
}

function only(notices: readonly NoticeInput[]): NoticeInput {
  assert.equal(notices.length, 1);
  return notices[0] as NoticeInput;
}

describe('notice maker', () => {
  it('tells the sender, from the null sender', async () => {
    const { make, errors } = setUp();
    const notice = only(await make(request()));
    const { content, ...rest } = notice;
    assert.deepEqual(rest, {
      id: 5000,
      sender: '',
      source: { kind: 'internal', address: null, helo: null, user: null, protocol: 'notice' },
      smtputf8: false,
      eightBit: false,
      header: '',
      receivedAt: NOW,
      recipients: [ANN],
      noticeFor: 1234,
    });
    const email = await PostalMime.parse(content);
    assert.equal(email.inReplyTo, '<m@example.com>');
    assert.match(Buffer.from(content).toString(), /Received: from pc by mail\.test\r\nSubject: hello\r\n/);
    assert.deepEqual(errors, []);
  });

  it('tells postmaster when the sender cannot be told', async () => {
    const { make } = setUp();
    const notice = only(await make(request({}, { sender: 'gone@example.com' })));
    assert.deepEqual(notice.recipients, [POSTMASTER]);
    assert.equal(notice.sender, '');
    assert.match((await PostalMime.parse(notice.content)).text ?? '', /its\s+sender\s+cannot\s+be\s+told/);
  });

  it('tells postmaster of a failed notice, once, and never in a circle', async () => {
    const { make, errors } = setUp();
    const first = only(await make(request()));
    const second = only(await make(request({}, queued(first))));
    assert.deepEqual(second.recipients, [POSTMASTER]);
    assert.equal(second.noticeFor, first.id);
    assert.deepEqual(errors, []);
    assert.deepEqual(await make(request({}, queued(second))), []);
    assert.match(errors.join(), /^error: a notice to postmaster could not be delivered/);
  });

  it('makes no notice of a notice that went to postmaster in the sender’s place', async () => {
    const { make, errors } = setUp();
    const notice = only(await make(request({}, { sender: 'gone@example.com' })));
    assert.deepEqual(await make(request({}, queued(notice))), []);
    assert.equal(errors.length, 1);
  });

  it('is not silenced by a message from outside that claims to be a notice', async () => {
    const { make } = setUp();
    const source = { ...MESSAGE.source, kind: 'external' as const, protocol: 'postmaster-notice' };
    assert.equal((await make(request({}, { sender: '', source }))).length, 1);
  });

  it('tells of a delay only a sender who can be told', async () => {
    const { make } = setUp();
    const delay = { kind: 'delay' as const };
    const notice = only(await make(request(delay)));
    assert.match(Buffer.from(notice.content).toString(), /\r\nAction: delayed\r\n/);
    assert.deepEqual(await make(request(delay, { sender: '' })), []);
    assert.deepEqual(await make(request(delay, { sender: 'gone@example.com' })), []);
  });

  it('records that there is nobody to tell before a postmaster exists', async () => {
    const { make, errors } = setUp({ postmaster: async () => [] });
    assert.deepEqual(await make(request({}, { sender: '' })), []);
    assert.deepEqual(await make(request({}, { sender: 'gone@example.com' })), []);
    assert.equal(
      errors.filter((line) => line.startsWith('error: a failure could be told to nobody')).length,
      2,
    );
  });

  it('goes without the original’s header when it cannot be read', async () => {
    const broken: BodyReader = {
      sizeBytes: 1,
      chunks: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('disk')) }) }),
    };
    const ways: (() => Promise<BodyReader | null>)[] = [
      async () => null,
      async () => broken,
      () => Promise.reject(new Error('disk')),
    ];
    for (const openBody of ways) {
      const { make } = setUp({ store: { openBody, nextMessageId: () => 7 } });
      const notice = only(await make(request()));
      assert.match(Buffer.from(notice.content).toString(), /rfc822-headers[\s\S]*Received: from pc/);
    }
  });

  it('passes trouble with the directory on, so that the failure is not recorded without its notice', async () => {
    const { make } = setUp({ decide: () => Promise.reject(new Error('directory')) });
    await assert.rejects(make(request()), /directory/);
  });

  it('asks for SMTPUTF8 only where the address needs it', async () => {
    const address = 'jürgen@example.org';
    const to = { type: 'queue', destination: 'example.org' } as const;
    const { make } = setUp({ decide: async () => [{ address, original: address, rule: 'external', to }] });
    assert.equal(only(await make(request({}, { sender: address }))).smtputf8, true);
  });
});

describe('what the sender asked for', () => {
  const asked = (dsn: RecipientDsn, change: Partial<NoticeRequest> = {}): NoticeRequest => {
    const [recipient] = request().recipients;
    return request({ recipients: [{ ...(recipient as NoticeRecipient), dsn }], ...change });
  };
  const notify = (...words: NotifyWord[]): RecipientDsn => ({ notify: words, orcpt: null });

  it('decides which notices are made', async () => {
    const rows = [
      ['failure', NO_RECIPIENT_DSN, 1],
      ['failure', notify('FAILURE'), 1],
      ['failure', notify('NEVER'), 0],
      ['failure', notify('SUCCESS', 'DELAY'), 0],
      ['delay', NO_RECIPIENT_DSN, 1],
      ['delay', notify('DELAY'), 1],
      ['delay', notify('FAILURE'), 0],
      ['success', NO_RECIPIENT_DSN, 0],
      ['success', notify('SUCCESS'), 1],
      ['success', notify('NEVER'), 0],
    ] as const;
    for (const [kind, dsn, count] of rows) {
      const { make } = setUp();
      const made = await make(asked(dsn, { kind }));
      assert.equal(made.length, count, `${kind} with ${dsn.notify}`);
    }
    const { make } = setUp();
    assert.deepEqual(await make(asked(notify('NEVER'), { message: { ...MESSAGE, sender: '' } })), []);
    assert.deepEqual(
      await make(
        asked(notify('SUCCESS'), { kind: 'success', message: { ...MESSAGE, sender: 'gone@example.com' } }),
      ),
      [],
    );
  });

  const partOf = async (made: readonly NoticeInput[]) => Buffer.from(only(made).content).toString('latin1');
  const full = { dsn: { ret: 'FULL', envid: null } } as const;

  it('brings the whole message back with a failure, and no other notice', async () => {
    const { make } = setUp();
    const text = await partOf(await make(request({}, full)));
    assert.match(text, /Content-Type: message\/rfc822\r\n.*\r\n\r\nReceived: from pc.*\r\n\r\nText\r\n/s);
    for (const [kind, dsn] of [
      ['delay', notify('DELAY')],
      ['success', notify('SUCCESS')],
    ] as const) {
      const other = await partOf(await make(asked(dsn, { kind, message: { ...MESSAGE, ...full } })));
      assert.match(other, /Content-Type: text\/rfc822-headers\r\n/);
      assert.doesNotMatch(other, /^Text/m);
    }
  });

  it('keeps to the header of what is too large, not in the form of mail, or not to leave without TLS', async () => {
    const large = { ...body('Subject: x\r\n\r\nText\r\n'), sizeBytes: 50_001 };
    const rows = [
      [large, {}, /larger than 50 KB/],
      [body(`Subject: x\r\n\r\nText ${'x'.repeat(1_000)}\r\n`), {}, /cannot be attached here/],
      [body('Subject: x\r\n\r\nText\0\r\n'), {}, /cannot be attached here/],
      [body('Subject: x\r\n\r\nText\n\r\n'), {}, /cannot be attached here/],
      [body('Subject: Grüße\r\n\r\nText\r\n'), {}, /cannot be attached here/],
      [body('Subject: x\r\n\r\nText\r\n'), { requireTls: true }, /encrypted connections only/],
    ] as const;
    for (const [original, change, words] of rows) {
      const { make } = setUp({ store: { openBody: async () => original, nextMessageId: () => 7 } });
      const text = await partOf(await make(request({}, { ...full, ...change })));
      assert.match(text.replace(/\s+/g, ' '), words);
      assert.match(text, /rfc822-headers|global-headers/);
      assert.doesNotMatch(text, /^Text/m);
    }
  });

  it('says that what it brings back is 8-bit', async () => {
    const openBody = async () => body('Subject: x\r\n\r\nText: Grüße\r\n');
    const { make } = setUp({ store: { openBody, nextMessageId: () => 7 } });
    assert.equal(only(await make(request({}, full))).eightBit, true);
    assert.equal(only(await make(request())).eightBit, false);
  });

  it('tells the programs that write by themselves of a delay only when they insist', async () => {
    const openBody = async () => body('Auto-Submitted: auto-generated\r\nSubject: x\r\n\r\n');
    const { make } = setUp({ store: { openBody, nextMessageId: () => 7 } });
    assert.deepEqual(await make(request({ kind: 'delay' })), []);
    assert.equal((await make(asked(notify('DELAY'), { kind: 'delay' }))).length, 1);
    assert.equal((await make(request())).length, 1);
    const person = async () => body('Auto-Submitted: no\r\nSubject: x\r\n\r\n');
    const other = setUp({ store: { openBody: person, nextMessageId: () => 7 } });
    assert.equal((await other.make(request({ kind: 'delay' }))).length, 1);
  });

  it('needs no store for a message that is not there yet', async () => {
    const openBody = () => Promise.reject(new Error('not there'));
    const { make, errors } = setUp({ store: { openBody, nextMessageId: () => 7 } });
    const change = { kind: 'success', originalHeader: 'Subject: new\r\n' } as const;
    const text = await partOf(await make(asked(notify('SUCCESS'), change)));
    assert.match(text, /rfc822-headers\r\n.*Received: from pc by mail\.test\r\nSubject: new\r\n/s);
    assert.deepEqual(errors, []);
  });
});

describe('reading the original’s header', () => {
  it('ends at the blank line, wherever the chunks are cut', async () => {
    const text = 'A: 1\r\nB: 2\r\n 3\r\n\r\nC: body\r\n';
    for (let cut = 0; cut <= text.length; cut += 1) {
      const header = await readOriginalHeader('R: 0\r\n', body(text.slice(0, cut), text.slice(cut)));
      assert.equal(header, 'R: 0\r\nA: 1\r\nB: 2\r\n 3\r\n');
    }
  });

  it('shows nothing of a body that has no header', async () => {
    assert.equal(await readOriginalHeader('R: 0\r\n', body('Dear Bob,\r\nsecret\r\n')), 'R: 0\r\n');
    assert.equal(await readOriginalHeader('', body('\r\nA: 1\r\n')), '');
  });

  it('is cut at a line end, and reads no further', async () => {
    const line = `X-Filler: ${'f'.repeat(88)}\r\n`;
    const chunks = Array.from({ length: 10 }, () => line.repeat(200));
    const reader = body(...chunks);
    const header = await readOriginalHeader('R: 0\r\n', reader);
    assert.ok(
      header.length <= ORIGINAL_HEADER_LIMIT_BYTES && header.length > ORIGINAL_HEADER_LIMIT_BYTES - 101,
    );
    assert.ok(header.endsWith(line));
    assert.equal(reader.read, 4);
    const ended = body('A: 1\r\n\r\n', 'text', 'text');
    await readOriginalHeader('', ended);
    assert.equal(ended.read, 1);
    assert.equal(await readOriginalHeader('', body('A: 1\r\n', `B: ${'b'.repeat(200_000)}`)), 'A: 1\r\n');
  });
});
