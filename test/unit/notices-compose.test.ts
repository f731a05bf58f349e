import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import PostalMime from 'postal-mime';
import { NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { composeNotice, type NoticeContent } from '../../src/notices/compose.ts';
import type { NoticeRecipient } from '../../src/notices/contract.ts';
import { decodeWords, type Original, originalField } from '../../src/notices/original.ts';

const BOB: NoticeRecipient = {
  address: 'bob@example.net',
  original: 'bob@example.net',
  dsn: NO_RECIPIENT_DSN,
  status: '5.1.1',
  remoteMta: 'mx1.example.net',
  diagnostic: '550 5.1.1 No such user here',
  explanation: 'The other server knows no such user.',
};

const HEADER =
  'Received: from client.example.com by mail.test; Sun, 22 Nov 2026 12:00:00 +0000\r\n' +
  'From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Lunch =?utf-8?Q?caf=C3=A9?=\r\n' +
  'Message-ID: <original-1@example.com>\r\n';

function headerOnly(header: string): Original {
  return { header, whole: null, omitted: null };
}

const CONTENT: NoticeContent = {
  kind: 'failure',
  audience: 'sender',
  hostname: 'mail.test',
  sender: 'ann@example.com',
  queueId: '0000A1',
  recipients: [BOB],
  arrivedAt: Date.UTC(2026, 10, 22, 12, 0, 0),
  now: Date.UTC(2026, 10, 22, 12, 5, 0),
  envid: null,
  original: { header: HEADER, whole: null, omitted: null },
};

/** Composes, checks what holds for every notice, and takes it apart. */
async function compose(change: Partial<NoticeContent>) {
  const { content: bytes, eightBit } = await composeNotice({ ...CONTENT, ...change });
  const utf8 = /[^\x00-\x7f]/.test({ ...CONTENT, ...change }.sender);
  const raw = bytes.toString('latin1');
  assert.doesNotMatch(raw, /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/, 'no control characters');
  assert.equal(eightBit, utf8, '7-bit, except to an address beyond ASCII');
  assert.equal(/[\x80-\xff]/.test(raw), eightBit);
  assert.doesNotMatch(raw, /[^\r]\n|\r[^\n]/, 'CRLF only');
  assert.ok(raw.endsWith('\r\n'));
  for (const line of raw.split('\r\n')) assert.ok(line.length <= 998, `a line of ${line.length}`);
  const header = raw.slice(0, raw.indexOf('\r\n\r\n'));
  const email = await PostalMime.parse(bytes);
  const field = (name: string): string | undefined =>
    email.headers.find((entry) => entry.key === name.toLowerCase())?.value;
  const part = (type: string): string => {
    const found = email.attachments.filter((attachment) => attachment.mimeType === type);
    assert.equal(found.length, 1, `one ${type}`);
    const content = found[0]?.content ?? '';
    const text = typeof content === 'string' ? content : Buffer.from(content as Uint8Array).toString('utf8');
    // The parser hands text parts out with LF.
    return text.replaceAll('\n', '\r\n');
  };
  return { raw, header, email, field, part, text: email.text ?? '' };
}

/** The field groups of a delivery-status part, unfolded. */
function groups(status: string): Map<string, string>[] {
  return status
    .trimEnd()
    .split('\r\n\r\n')
    .map((group) => {
      const fields = group.replace(/\r\n(?=[ \t])/g, '').split('\r\n');
      return new Map(
        fields.map((line): [string, string] => [
          line.slice(0, line.indexOf(':')),
          line.slice(line.indexOf(':') + 2),
        ]),
      );
    });
}

describe('failure notice', () => {
  it('is a delivery status report of three parts', async () => {
    const { email, field, part, raw } = await compose({});
    assert.match(field('Content-Type') ?? '', /^multipart\/report; report-type=delivery-status; boundary=/);
    const types = [...raw.matchAll(/^Content-Type: ([\w/-]+)/gm)].map((match) => match[1]);
    assert.deepEqual(types, [
      'multipart/report',
      'text/plain',
      'message/delivery-status',
      'text/rfc822-headers',
    ]);
    assert.deepEqual(email.from, { name: 'Mail Delivery System', address: 'postmaster@mail.test' });
    assert.deepEqual(email.to, [{ name: '', address: 'ann@example.com' }]);
    assert.equal(email.subject, 'Undelivered: message to bob@example.net');
    assert.equal(field('Auto-Submitted'), 'auto-replied');
    assert.equal(field('MIME-Version'), '1.0');
    assert.equal(field('Date'), 'Sun, 22 Nov 2026 12:05:00 +0000');
    assert.match(email.messageId ?? '', /^<[\w-]+@mail\.test>$/);
    assert.equal(email.inReplyTo, '<original-1@example.com>');
    assert.equal(email.references, '<original-1@example.com>');
    assert.equal(part('text/rfc822-headers').trimEnd(), HEADER.trimEnd());
  });

  it('states the facts of RFC 3464 for each recipient', async () => {
    const carol: NoticeRecipient = {
      address: 'carol@example.org',
      original: 'team@example.com',
      dsn: NO_RECIPIENT_DSN,
      status: '4.4.1',
      remoteMta: null,
      diagnostic: null,
      explanation: 'No server of example.org could be reached.',
    };
    const { part } = await compose({ recipients: [BOB, carol] });
    const [message, bob, second] = groups(part('message/delivery-status'));
    assert.deepEqual(Object.fromEntries(message ?? []), {
      'Reporting-MTA': 'dns; mail.test',
      'Arrival-Date': 'Sun, 22 Nov 2026 12:00:00 +0000',
    });
    // Without ORCPT there is no Original-Recipient (RFC 3461 §6.3), unless the address led elsewhere.
    assert.deepEqual(Object.fromEntries(bob ?? []), {
      'Final-Recipient': 'rfc822; bob@example.net',
      Action: 'failed',
      Status: '5.1.1',
      'Remote-MTA': 'dns; mx1.example.net',
      'Diagnostic-Code': 'smtp; 550 5.1.1 No such user here',
      'Last-Attempt-Date': 'Sun, 22 Nov 2026 12:05:00 +0000',
    });
    assert.deepEqual(Object.fromEntries(second ?? []), {
      'Original-Recipient': 'rfc822; team@example.com',
      'Final-Recipient': 'rfc822; carol@example.org',
      Action: 'failed',
      Status: '4.4.1',
      'Last-Attempt-Date': 'Sun, 22 Nov 2026 12:05:00 +0000',
    });
  });

  it('tells people what happened and what to do', async () => {
    const { text } = await compose({});
    const words = text.replace(/\s+/g, ' ');
    assert.match(
      words,
      /Your message could not be delivered to the address below\. That person has not received it/,
    );
    assert.match(words, /bob@example\.net What happened: The other server knows no such user\./);
    assert.match(words, /mx1\.example\.net answered: 550 5\.1\.1 No such user here/);
    assert.match(words, /What to do: Compare the address letter by letter/);
    assert.match(words, /Subject: Lunch café Received here: Sun, 22 Nov 2026 12:00 UTC Number: 0000A1/);
  });

  it('gives advice that fits the status', async () => {
    const said = new Set<string>();
    for (const status of [
      '5.1.1',
      '5.1.2',
      '5.1.10',
      '5.2.1',
      '5.2.2',
      '5.3.4',
      '5.4.1',
      '5.6.7',
      '5.7.1',
      '5.0.0',
    ]) {
      const { text } = await compose({ recipients: [{ ...BOB, status }] });
      said.add(/What to do:[\s\S]*?\n\n/.exec(text.replaceAll('\r', ''))?.[0] ?? '');
    }
    assert.equal(said.size, 10);
    assert.ok(!said.has(''));
  });

  it('names an alias as it was written and where it leads', async () => {
    const { text, email } = await compose({ recipients: [{ ...BOB, original: 'info@example.com' }] });
    assert.match(text, /^ {2}info@example\.com\r?\n {4}Passed on to: bob@example\.net/m);
    assert.equal(email.subject, 'Undelivered: message to info@example.com');
  });

  it('falls back to a general status where the given one is none', async () => {
    const { part } = await compose({ recipients: [{ ...BOB, status: '550\r\nX: y' }] });
    assert.equal(groups(part('message/delivery-status'))[1]?.get('Status'), '5.0.0');
  });

  it('stays readable for a thousand recipients', async () => {
    const recipients = Array.from({ length: 1000 }, (_, index) => ({
      ...BOB,
      original: `r${index}@example.net`,
    }));
    const { text, part, email } = await compose({ recipients });
    assert.equal(groups(part('message/delivery-status')).length, 1001);
    assert.match(text, /The same for 950 more addresses/);
    assert.ok(text.includes('r49@') && !text.includes('r50@'));
    assert.equal(email.subject, 'Undelivered: message to r0@example.net and 999 more');
  });

  it('tells postmaster why it comes to them', async () => {
    const unreachable = await compose({ audience: 'sender-unreachable' });
    assert.deepEqual(unreachable.email.to, [{ name: '', address: 'postmaster@mail.test' }]);
    assert.match(
      unreachable.text.replace(/\s+/g, ' '),
      /its sender cannot be told: mail to ann@example\.com is not/,
    );
    const nullSender = await compose({ audience: 'null-sender', sender: '' });
    assert.deepEqual(nullSender.email.to, [{ name: '', address: 'postmaster@mail.test' }]);
    assert.equal(nullSender.email.subject, 'Undelivered: notice to bob@example.net');
    assert.match(nullSender.text.replace(/\s+/g, ' '), /Nobody else can be told .* From: no return address/);
  });
});

const OUTLOOK = {
  nextAttemptAt: Date.UTC(2026, 10, 22, 14, 0, 0),
  attempts: 29,
  giveUpAt: Date.UTC(2026, 10, 27, 12, 0, 0),
};

describe('delay notice', () => {
  it('says that nothing need be done, and until when', async () => {
    const { email, text, part } = await compose({
      kind: 'delay',
      recipients: [{ ...BOB, status: '4.4.1', outlook: OUTLOOK }],
    });
    assert.equal(email.subject, 'Delayed: message to bob@example.net');
    const words = text.replace(/\s+/g, ' ');
    assert.match(
      words,
      /You need not do anything: this server goes on trying, and you will be told if it does not succeed\./,
    );
    assert.match(
      words,
      /The next attempt is at Sun, 22 Nov 2026 14:00 UTC\. The server tries 29 more times in all, the last time at Fri, 27 Nov 2026 12:00 UTC, and gives up if that fails too\./,
    );
    assert.ok(!words.includes('What to do'));
    const fields = groups(part('message/delivery-status'))[1];
    assert.equal(fields?.get('Action'), 'delayed');
    assert.equal(fields?.get('Will-Retry-Until'), 'Fri, 27 Nov 2026 12:00:00 +0000');
  });
});

describe('hostile input', () => {
  const injection =
    '\r\nX-Injected: yes\r\n\r\n--boundary\r\nContent-Type: text/html\r\n\r\n\n.\r\nX-Injected: yes';

  it('cannot add fields, parts or lines', async () => {
    const { header, email, part, text } = await compose({
      sender: `ann@example.com${injection}`,
      recipients: [
        {
          address: `bob@example.net${injection}`,
          original: `bob@example.net${injection}`,
          dsn: NO_RECIPIENT_DSN,
          status: `5.1.1${injection}`,
          remoteMta: `mx${injection}`,
          diagnostic: `550 no\x00\x07\x1b[31m${injection}\u2028X-Injected: yes\u202e`,
          explanation: `No.${injection}`,
        },
      ],
      original: headerOnly(`Subject: x\r\nMessage-ID: <a@b>${' <c@d>'.repeat(3)}\r\n`),
    });
    assert.doesNotMatch(header, /^X-Injected/m);
    assert.doesNotMatch(text, /^(X-Injected|Content-Type|--)/m);
    assert.doesNotMatch(text, /[\u2028\u202e\x1b]/);
    assert.equal(email.html, undefined);
    assert.equal(email.inReplyTo, undefined);
    assert.equal(email.attachments.length, 2);
    assert.equal(groups(part('message/delivery-status')).length, 2);
    assert.deepEqual(
      [...(groups(part('message/delivery-status'))[1]?.keys() ?? [])],
      ['Final-Recipient', 'Action', 'Status', 'Remote-MTA', 'Diagnostic-Code', 'Last-Attempt-Date'],
    );
  });

  it('cuts long words and replaces other letters where only ASCII may stand', async () => {
    const long = await compose({ recipients: [{ ...BOB, diagnostic: `550 ${'x'.repeat(10_240)}` }] });
    assert.ok((groups(long.part('message/delivery-status'))[1]?.get('Diagnostic-Code') ?? '').length < 920);
    assert.ok(long.raw.length < 8_000, `${long.raw.length} bytes`);
    const words = await compose({ recipients: [{ ...BOB, diagnostic: `550 ${'word '.repeat(2_048)}` }] });
    assert.match(words.part('message/delivery-status'), /Diagnostic-Code: smtp; 550 word .*\r\n word/);
    const letters = await compose({
      recipients: [{ ...BOB, diagnostic: '550 Benutzer gibt’s nicht – ünbekannt 🙁' }],
    });
    assert.equal(
      groups(letters.part('message/delivery-status'))[1]?.get('Diagnostic-Code'),
      'smtp; 550 Benutzer gibt?s nicht ? ?nbekannt ?',
    );
    assert.match(letters.text.replace(/\s+/g, ' '), /answered: 550 Benutzer gibt’s nicht – ünbekannt 🙁/);
  });

  it('writes internationalised addresses in their 7-bit forms', async () => {
    const { part, email } = await compose({
      recipients: [{ ...BOB, original: 'josé+x@example.net' }],
    });
    const fields = groups(part('message/delivery-status'))[1];
    assert.equal(fields?.get('Original-Recipient'), 'utf-8; jos\\x{E9}\\x{2B}x@example.net');
    assert.equal(fields?.get('Final-Recipient'), 'rfc822; bob@example.net');
    assert.equal(email.subject, 'Undelivered: message to josé+x@example.net');
  });

  it('keeps quoted local parts', async () => {
    const { email } = await compose({ sender: '"ann, the <one>"@example.com' });
    assert.equal(email.to?.length, 1);
    assert.match(email.to?.[0]?.address ?? '', /@example\.com$/);
  });

  it('encodes an original header that is not plain', async () => {
    const utf8 = Buffer.from('Subject: grüße\r\nX-Long: a\r\n', 'utf8').toString('latin1');
    const encoded = await compose({ original: headerOnly(utf8) });
    assert.equal(encoded.part('message/global-headers').trimEnd(), 'Subject: grüße\r\nX-Long: a');
    assert.match(encoded.text, /Subject: grüße/);
    const long = `X-Long: ${'a'.repeat(5_000)}\r\n`;
    assert.equal(
      (await compose({ original: headerOnly(long) })).part('message/global-headers').trimEnd(),
      long.trimEnd(),
    );
    const broken = await compose({ original: headerOnly('Subject: \xff\x00\x80\r\n') });
    assert.match(broken.raw, /Subject: =FF=00=80/);
    const none = await compose({ original: headerOnly('') });
    assert.equal(none.email.attachments.length, 1);
  });

  it('holds for anything a peer may say', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(text, text, text, text, async (sender, address, diagnostic, explanation) => {
        const recipient = {
          ...BOB,
          address,
          original: address,
          diagnostic,
          remoteMta: explanation,
          explanation,
        };
        const { part, email } = await compose({ sender, recipients: [recipient] });
        const type = /[^\x00-\x7f]/.test(sender) ? 'global-delivery-status' : 'delivery-status';
        assert.equal(groups(part(`message/${type}`)).length, 2);
        assert.equal(email.attachments.length, 2);
      }),
      { numRuns: 100 },
    );
  });
});

describe('original header', () => {
  it('finds fields, folded and in any case', () => {
    const header = 'A: 1\r\nsubject : one\r\n two\r\n\tthree\r\nB: 2\r\n';
    assert.equal(originalField(header, 'Subject'), 'one two\tthree');
    assert.equal(originalField(header, 'Message-ID'), undefined);
  });

  it('decodes encoded-words, and leaves what it cannot', () => {
    assert.equal(decodeWords('=?iso-8859-1?Q?gr=FC=DFe_an?= alle =?UTF-8?B?8J+YgA==?='), 'grüße an alle 😀');
    assert.equal(decodeWords('=?utf-8?q?one?= =?utf-8?q?two?='), 'onetwo');
    assert.equal(decodeWords('=?x-nobody?q?a?='), '=?x-nobody?q?a?=');
  });
});
