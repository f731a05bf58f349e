/**
 * Writes the samples in docs/notices.md, as the server makes them; with --check only says whether they are up to
 * date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { NO_RECIPIENT_DSN, type RecipientDsn } from '../src/mail/dsn.ts';
import { formatMessageId } from '../src/mail/message-id.ts';
import type { NoticeMessage, NoticeRecipient, NoticeRequest } from '../src/notices/contract.ts';
import { createNoticeMaker } from '../src/notices/factory.ts';
import { retryOutlook, type Timing, whenNext } from '../src/sending/judge.ts';
import { buildSettings } from '../src/settings/build.ts';

const FILE = resolve(import.meta.dirname, '../docs/notices.md');
const BEGIN = '<!-- Written by scripts/write-notices.ts. -->\n';
const ARRIVED = Date.UTC(2026, 10, 23, 9, 12);
const MINUTE_MS = 60_000;
const ID = 346_561;
const HEADER =
  `Received: from pc12.example.org ([192.0.2.12])\r\n\tby mail.example.org with ESMTPSA id ${formatMessageId(ID)};\r\n` +
  '\tMon, 23 Nov 2026 09:12:00 +0000\r\nFrom: Petra Holm <petra@example.org>\r\nTo: Jan Berg <jan.berg@example.net>\r\n' +
  'Subject: Minutes of the meeting\r\nDate: Mon, 23 Nov 2026 10:11:58 +0100\r\nMessage-ID: <m-1@pc12.example.org>\r\n';

const MESSAGE: NoticeMessage = {
  id: ID,
  sender: 'petra@example.org',
  receivedAt: ARRIVED,
  source: {
    kind: 'local',
    address: '192.0.2.12',
    helo: 'pc12',
    user: 'petra@example.org',
    protocol: 'ESMTPSA',
  },
  smtputf8: false,
  header: '',
  noticeFor: null,
  dsn: { ret: null, envid: null },
  requireTls: false,
};

function recipient(change: Partial<NoticeRecipient>): NoticeRecipient {
  const address = 'jan.berg@example.net';
  return {
    ...{ address, original: address, dsn: NO_RECIPIENT_DSN, status: '5.1.1' },
    ...{ remoteMta: 'mx1.example.net', diagnostic: null, explanation: '' },
    ...change,
  };
}

/** The delay notice of the settings every server begins with: attempts until it is due, and what is to come. */
function delayed(): { recipient: NoticeRecipient; now: number } {
  const settings = buildSettings(new Map());
  const trouble = { kind: 'unreachable', status: '4.4.1', text: '', host: null, reply: null };
  let timing: Timing = {
    ...{ now: ARRIVED, receivedAt: ARRIVED, attempts: 1, settings },
    delayNoticeAt: ARRIVED + settings.delayNoticeMs,
  };
  for (;;) {
    const next = whenNext({ type: 'deferred', trouble }, timing);
    if (next === 'failed') throw new Error('the queue lifetime ends before the delay notice');
    if (timing.now >= ARRIVED + settings.delayNoticeMs) {
      const explanation =
        'No server could be reached: mx1.example.net [192.0.2.80]: no connection within 30 s.';
      const words = { status: '4.4.1', remoteMta: null, explanation };
      return { recipient: recipient({ ...words, outlook: retryOutlook(next, timing) }), now: timing.now };
    }
    timing = { ...timing, now: next, attempts: timing.attempts + 1 };
  }
}

async function notice(request: Omit<NoticeRequest, 'originalHeader'>, now: number): Promise<string> {
  const recipients = [{ address: MESSAGE.sender, original: MESSAGE.sender, rule: 'account' }];
  const make = createNoticeMaker({
    store: { openBody: async () => null, nextMessageId: () => 1 },
    hostname: 'mail.example.org',
    decide: async () =>
      recipients.map((one) => ({ ...one, to: { type: 'queue', destination: 'example.org' } })),
    postmaster: async () => [],
    now: () => now,
    log: (_level, message) => console.error(message),
  });
  const [made] = await make({ ...request, originalHeader: HEADER });
  if (made === undefined) throw new Error('no notice was made');
  const text = Buffer.from(made.content).toString('utf8').replaceAll('\r\n', '\n');
  const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? '';
  return text.replaceAll(boundary, '=_part').replace(/^Message-ID: <[\w-]+@mail/m, 'Message-ID: <5f0c…@mail');
}

async function samples(): Promise<string> {
  const asked: RecipientDsn = { notify: ['SUCCESS', 'FAILURE'], orcpt: 'rfc822;jan.berg@example.net' };
  const refused = '550 5.1.1 <jan.berg@example.net>: Recipient address rejected: User unknown';
  const explanation = `mx1.example.net refused the recipient: ${refused}`;
  const failure = await notice(
    { kind: 'failure', message: MESSAGE, recipients: [recipient({ diagnostic: refused, explanation })] },
    ARRIVED + 4_000,
  );
  const late = delayed();
  const delay = await notice({ kind: 'delay', message: MESSAGE, recipients: [late.recipient] }, late.now);
  const taken = {
    action: 'relayed',
    status: '2.0.0',
    diagnostic: '250 2.0.0 Ok: queued as 4F3C2A1',
  } as const;
  const handedOn = await notice(
    {
      kind: 'success',
      message: { ...MESSAGE, dsn: { ret: 'HDRS', envid: 'Minutes-2026-11' } },
      recipients: [recipient({ ...taken, dsn: asked })],
    },
    ARRIVED + MINUTE_MS / 20,
  );
  const section = (title: string, text: string) => `### ${title}\n\n\`\`\`\n${text.trimEnd()}\n\`\`\`\n`;
  return [
    section('It could not be delivered', failure),
    section('It takes longer', delay),
    section('It was handed on, and the sender had asked', handedOn),
  ].join('\n');
}

const before = readFileSync(FILE, 'utf8');
const start = before.indexOf(BEGIN);
if (start < 0) throw new Error(`${FILE} has no place for the samples: ${BEGIN}`);
const text = `${before.slice(0, start)}${BEGIN}\n${await samples()}`;
if (process.argv.includes('--check')) {
  if (before !== text) {
    console.error('The samples in docs/notices.md are out of date: run "npm run docs"');
    process.exitCode = 1;
  }
} else writeFileSync(FILE, text);
