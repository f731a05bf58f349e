/** Notices in the hands of others: a library that is not ours takes them apart, a mail program shows them. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { composeNotice, type NoticeContent } from '../../src/notices/compose.ts';
import type { NoticeRecipient } from '../../src/notices/contract.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { runChecked } from '../support/command.ts';
import { requireTool } from '../support/require.ts';

const HEADER =
  'From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Minutes\r\nMessage-ID: <m@example.com>\r\n' +
  'Date: Mon, 23 Nov 2026 10:11:58 +0100\r\n';
const WHOLE = `${HEADER}\r\nThe minutes of the meeting.\r\n`;
const AT = Date.UTC(2026, 10, 23, 9, 12);

const BOB: NoticeRecipient = {
  address: 'bob@example.net',
  original: 'bob@example.net',
  dsn: { notify: ['SUCCESS', 'FAILURE', 'DELAY'], orcpt: 'rfc822;Bob+2B1@example.net' },
  status: '5.1.1',
  remoteMta: 'mx1.example.net',
  diagnostic: '550 5.1.1 No such user here',
  explanation: 'mx1.example.net refused the recipient: 550 5.1.1 No such user here',
};
const CONTENT: NoticeContent = {
  kind: 'failure',
  audience: 'sender',
  hostname: 'mail.test',
  sender: 'ann@example.com',
  queueId: '0000A1',
  envid: 'order+7',
  recipients: [BOB],
  arrivedAt: AT,
  now: AT + 4_000,
  original: { header: HEADER, whole: null, omitted: null },
};
const success = (action: NonNullable<NoticeRecipient['action']>): NoticeRecipient => {
  return { ...BOB, action, status: '2.0.0', diagnostic: null, remoteMta: null, explanation: '' };
};
const JOSE = {
  ...BOB,
  address: 'josé@example.net',
  dsn: { ...NO_RECIPIENT_DSN, orcpt: 'utf-8;Jos\\x{E9}@example.net' },
  diagnostic: '550 5.1.1 José',
};
const outlook = { nextAttemptAt: AT + 3_600_000, attempts: 3, giveUpAt: AT + 10_000_000 };

/** Of each kind: its content, the types of its parts, the fields of its first recipient, words a person reads. */
const KINDS: readonly [string, Partial<NoticeContent>, string, Record<string, string>, RegExp][] = [
  [
    'failure',
    {},
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'failed', Status: '5.1.1', 'Diagnostic-Code': 'smtp; 550 5.1.1 No such user here' },
    /could not be delivered/,
  ],
  [
    'failure, the whole message',
    { original: { header: HEADER, whole: WHOLE, omitted: null } },
    'text/plain message/delivery-status message/rfc822',
    { Action: 'failed' },
    /could not be delivered/,
  ],
  [
    'failure, too large to come back',
    { original: { header: HEADER, whole: null, omitted: 'size' } },
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'failed' },
    /larger than 50 KB/,
  ],
  [
    'delay',
    { kind: 'delay', recipients: [{ ...BOB, status: '4.4.1', outlook }] },
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'delayed', Status: '4.4.1', 'Will-Retry-Until': 'Mon, 23 Nov 2026 11:58:40 +0000' },
    /tries 3 more times/,
  ],
  [
    'delivered',
    { kind: 'success', recipients: [success('delivered')] },
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'delivered', Status: '2.0.0' },
    /arrived in the mailbox/,
  ],
  [
    'relayed',
    { kind: 'success', recipients: [{ ...success('relayed'), remoteMta: 'mx1.example.net' }] },
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'relayed', 'Remote-MTA': 'dns; mx1.example.net' },
    /handed on to the mail server/,
  ],
  [
    'expanded',
    { kind: 'success', recipients: [success('expanded')] },
    'text/plain message/delivery-status text/rfc822-headers',
    { Action: 'expanded' },
    /everybody on the list/,
  ],
  [
    'UTF-8 addresses, to an ASCII sender',
    { recipients: [JOSE] },
    'text/plain message/delivery-status text/rfc822-headers',
    {
      'Original-Recipient': 'utf-8; Jos\\x{E9}@example.net',
      'Final-Recipient': 'utf-8; jos\\x{E9}@example.net',
      'Diagnostic-Code': 'smtp; 550 5.1.1 Jos?',
    },
    /josé@example\.net/,
  ],
  [
    'UTF-8 addresses, to a UTF-8 sender',
    { sender: 'jürgen@example.com', recipients: [JOSE] },
    'text/plain message/global-delivery-status text/rfc822-headers',
    {
      'Original-Recipient': 'utf-8; José@example.net',
      'Final-Recipient': 'utf-8; josé@example.net',
      'Diagnostic-Code': 'smtp; 550 5.1.1 José',
    },
    /josé@example\.net/,
  ],
];

/** Prints what Python makes of the file named: header fields, types of the parts, the report's blocks, the text. */
const PYTHON = `
import email, email.policy, json, sys
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.SMTPUTF8)
parts = list(message.iter_parts())
raw = parts[1].as_bytes().decode('utf-8').replace('\\r\\n', '\\n').split('\\n\\n', 1)[1]
blocks = [dict(email.message_from_string(block, policy=email.policy.SMTPUTF8).items()) for block in raw.strip().split('\\n\\n')]
defects = [str(defect) for part in message.walk() for defect in part.defects]
returned = parts[2]
print(json.dumps({
  'header': dict(message.items()), 'report': message.get_param('report-type'),
  'types': [part.get_content_type() for part in parts], 'blocks': blocks, 'defects': defects,
  'text': parts[0].get_content(),
  'returned': (returned.get_content().as_string() if returned.get_content_type() == 'message/rfc822' else str(returned)),
}))
`;

interface Parsed {
  readonly header: Readonly<Record<string, string>>;
  readonly report: string;
  readonly types: readonly string[];
  readonly blocks: readonly Readonly<Record<string, string>>[];
  readonly defects: readonly string[];
  readonly text: string;
  readonly returned: string;
}

test("each kind of notice is for Python's email what it is for us", async (t) => {
  if (!requireTool(t, 'python3')) return;
  const folder = await temporaryFolder(t);
  for (const [kind, change, types, fields, words] of KINDS) {
    const file = join(folder, 'notice.eml');
    await writeFile(file, (await composeNotice({ ...CONTENT, ...change })).content);
    const { stdout } = await runChecked('python3', ['-c', PYTHON, file], { env: process.env });
    const parsed = JSON.parse(stdout.toString()) as Parsed;
    assert.deepEqual(parsed.defects, [], kind);
    assert.equal(parsed.report, 'delivery-status', kind);
    assert.equal(parsed.types.join(' '), types, kind);
    assert.equal(parsed.header['Auto-Submitted'], 'auto-replied', kind);
    assert.equal(parsed.header['In-Reply-To'], '<m@example.com>', kind);
    assert.match(parsed.header.To ?? '', /^<?(ann|jürgen)@example\.com>?$/, kind);
    const [message, recipient, ...more] = parsed.blocks;
    assert.deepEqual(more, [], kind);
    assert.deepEqual(
      message,
      {
        'Original-Envelope-Id': 'order+7',
        'Reporting-MTA': 'dns; mail.test',
        'Arrival-Date': 'Mon, 23 Nov 2026 09:12:00 +0000',
      },
      kind,
    );
    const wanted = {
      'Original-Recipient': 'rfc822; Bob+1@example.net',
      'Final-Recipient': 'rfc822; bob@example.net',
      'Last-Attempt-Date': 'Mon, 23 Nov 2026 09:12:04 +0000',
      ...fields,
    };
    for (const [name, value] of Object.entries(wanted))
      assert.equal(recipient?.[name], value, `${kind}: ${name}`);
    assert.match(parsed.text.replace(/\s+/g, ' '), words, kind);
    assert.match(parsed.returned, /Subject: Minutes/, kind);
    assert.equal(/The minutes of the meeting/.test(parsed.returned), kind.includes('whole'), kind);
  }
});

test('mutt shows each kind of notice: what happened, and the report', async (t) => {
  if (!requireTool(t, 'mutt') || !requireTool(t, 'script')) return;
  const folder = await temporaryFolder(t);
  for (const [kind, change, , fields, words] of KINDS) {
    const box = join(folder, 'box');
    const shown = join(folder, 'shown');
    const { content } = await composeNotice({ ...CONTENT, ...change });
    const text = content
      .toString('utf8')
      .replaceAll('\r\n', '\n')
      .replace(/^From /gm, '>From ');
    await writeFile(box, `From MAILER-DAEMON Mon Nov 23 09:12:04 2026\n${text}\n`);
    const muttrc = join(folder, 'muttrc');
    await writeFile(
      muttrc,
      `set folder=${folder} header_cache="" sleep_time=0 charset=utf-8 pipe_decode=yes wait_key=no
set move=no read_inc=0 quit=yes
push "<pipe-message>cat > ${shown}<enter><exit>"
`,
    );
    const env = { ...process.env, HOME: folder, TERM: 'xterm', LC_ALL: 'C.UTF-8' };
    await runChecked('script', ['-qec', `mutt -n -F ${muttrc} -f ${box}`, '/dev/null'], { env });
    const { stdout } = await runChecked('cat', [shown]);
    const read = stdout.toString().replace(/\s+/g, ' ');
    assert.match(read, words, kind);
    if (fields.Action) assert.ok(read.includes(`Action: ${fields.Action}`), `${kind}: ${read}`);
  }
});
