import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatTime } from '../../src/cli/output.ts';
import { type EventView, type Timeline, timelineText } from '../../src/cli/timeline.ts';

const AT = '2026-11-22T12:00:00.000Z';
const LATER = '2026-11-22T12:15:00.000Z';

const MESSAGE: Timeline = {
  id: '001000',
  sender: 'anna@here.test',
  size: 2048,
  receivedAt: AT,
  noticeFor: null,
  recipients: [],
  events: [],
};

const SOURCE = {
  kind: 'local',
  address: '127.0.0.1',
  helo: 'client.test',
  user: null,
  protocol: 'ESMTP',
};

const TRIAL = {
  host: 'mx.far.test',
  port: 25,
  address: '192.0.2.1',
  stage: 'connect',
  tls: null,
  reply: 'connection refused',
  durationMs: 3,
};

const ROWS: readonly [string, string | null, Record<string, unknown>, readonly string[]][] = [
  [
    'received',
    null,
    { sender: 'anna@here.test', sizeBytes: 2048, source: SOURCE },
    [
      'received 2.0 KB from <anna@here.test>, from the local client [127.0.0.1], which calls itself client.test, by ESMTP, not signed in, without TLS',
    ],
  ],
  [
    'received',
    null,
    { sender: '', sizeBytes: 10, source: { ...SOURCE, user: 'anna@here.test', protocol: 'ESMTPSA' } },
    [
      'received 10 B from <>, from the local client [127.0.0.1], which calls itself client.test, by ESMTPSA, signed in as anna@here.test, with TLS',
    ],
  ],
  [
    'received',
    null,
    { sender: '', sizeBytes: 10, source: { ...SOURCE, kind: 'internal' } },
    ['made by CMail itself, 10 B from <>'],
  ],
  [
    'received',
    null,
    {
      ...{ sender: 'anna@here.test', sizeBytes: 10, source: { ...SOURCE, protocol: 'ESMTPS' } },
      ...{ ret: 'FULL', envid: 'Order+7', requireTls: true },
    },
    [
      'received 10 B from <anna@here.test>, from the local client [127.0.0.1], which calls itself client.test, by ESMTPS, not signed in, with TLS; a failure notice is to bring back the whole message, its sender knows it as Order+7, TLS is required all the way (REQUIRETLS)',
    ],
  ],
  [
    'decided',
    'x@far.test',
    { rule: 'not-hosted', original: 'x@far.test', destination: 'far.test', notify: ['SUCCESS', 'DELAY'] },
    [
      'x@far.test accepted, waits to be sent to far.test: its domain is not one of this server (rule not-hosted); its sender wants to be told of success, delay',
    ],
  ],
  [
    'failed',
    'x@far.test',
    { status: '5.1.1', reason: 'no', notify: ['NEVER'] },
    ['x@far.test failed for good, 5.1.1: no; nobody is told: its sender wants to be told nothing'],
  ],
  [
    'decided',
    'x@far.test',
    { rule: 'not-hosted', original: 'x@far.test', destination: 'far.test' },
    [
      'x@far.test accepted, waits to be sent to far.test: its domain is not one of this server (rule not-hosted)',
    ],
  ],
  [
    'decided',
    'anna@here.test',
    { rule: 'alias', original: 'info@here.test', destination: null },
    ['anna@here.test for info@here.test accepted, stays here: an alias leads there (rule alias)'],
  ],
  [
    'decided',
    'x@here.test',
    { rule: 'account', into: ['x@here.test'] },
    [
      'x@here.test decided again: now goes to x@here.test: there is an account of this address (rule account)',
    ],
  ],
  [
    'attempt',
    'x@far.test',
    {
      durationMs: 1234,
      recipients: 1,
      via: 'mx',
      fallback: null,
      mx: '10 mx.far.test',
      failure: 'unreachable: No server could be reached',
      hosts: [TRIAL, { ...TRIAL, stage: 'data-end', tls: 'TLSv1.3', possiblyDuplicate: true }],
    },
    [
      'attempt for x@far.test by MX resolution, took 1.2 s',
      '    MX: 10 mx.far.test',
      '    mx.far.test [192.0.2.1] port 25, not connected, 3 ms: connection refused',
      '    mx.far.test [192.0.2.1] port 25, TLSv1.3, at the end of the message, 3 ms: connection refused; the message may have arrived all the same',
      '    came to unreachable: No server could be reached',
    ],
  ],
  [
    'attempt',
    null,
    {
      durationMs: 5,
      recipients: 2,
      via: 'smtp-host',
      fallback: 'unreachable',
      mx: null,
      failure: null,
      hosts: [],
    },
    ['attempt for 2 recipients by the SMTP host, because MX failed: unreachable, took 5 ms'],
  ],
  [
    'fallback',
    null,
    { failure: 'unreachable', why: 'unreachable: No server', host: 'relay.test' },
    ['went over to the SMTP host relay.test: unreachable: No server'],
  ],
  [
    'deferred',
    'x@far.test',
    { nextAttemptAt: LATER, reason: 'busy', deferredKind: 'spoke' },
    [`x@far.test waits: busy; next attempt ${formatTime(LATER)}`],
  ],
  [
    'delivered',
    'x@far.test',
    { host: 'mx.far.test', address: '192.0.2.1', tls: null, reply: '250 ok' },
    ['x@far.test delivered to mx.far.test [192.0.2.1], without TLS: 250 ok'],
  ],
  ['delivered', 'anna@here.test', { via: 'mailbox' }, ['anna@here.test delivered into the mailbox']],
  [
    'failed',
    'x@far.test',
    { status: '5.1.1', reply: '550 no', reason: 'mx.far.test refused the recipient: 550 no' },
    ['x@far.test failed for good, 5.1.1: mx.far.test refused the recipient: 550 no'],
  ],
  [
    'notice',
    null,
    { id: '001002', to: ['anna@here.test'], notice: 'failure' },
    ['failure notice sent to anna@here.test as message 001002'],
  ],
  ['notice', 'x@far.test', { messages: ['001002'] }, ['failure notice about x@far.test sent as 001002']],
  ['held', 'x@far.test', {}, ['x@far.test held by an administrator']],
  ['held', 'x@far.test', { reason: 'queue on hold' }, ['x@far.test held: queue on hold']],
  [
    'held',
    'x@far.test',
    { by: 'admin', reason: 'queue on hold' },
    ['x@far.test held by admin: queue on hold'],
  ],
  ['retried', 'x@far.test', { by: 'root' }, ['x@far.test to be tried at once by root']],
  ['deleted', 'x@far.test', { by: 'root' }, ['x@far.test deleted by root']],
  ['later-kind', null, { a: 1 }, ['later-kind the message {"a":1}']],
];

for (const [kind, recipient, detail, lines] of ROWS) {
  it(`tells of ${kind} in a sentence: ${lines[0]}`, () => {
    const event: EventView = { ...detail, at: AT, kind, recipient };
    const printed = timelineText({ ...MESSAGE, events: [event] });
    const head = `Message 001000 from <anna@here.test>, 2.0 KB, received ${formatTime(AT)}\n\n`;
    assert.equal(printed, `${head}${formatTime(AT)}  ${lines.join('\n')}\n`);
  });
}

it('says of each recipient how it ended, or why it waits in local time', () => {
  const recipient = { address: 'x@far.test', state: 'queued', via: 'mx', attempts: 1, lastReply: null };
  const printed = timelineText({
    ...MESSAGE,
    noticeFor: '000999',
    recipients: [
      { ...recipient, why: `x@far.test waits since ${AT}.` },
      { ...recipient, state: 'delivered', lastReply: '250 ok', why: null },
    ],
  });
  assert.match(printed, /, a notice about message 000999$/m);
  assert.ok(printed.includes(`  x@far.test waits since ${formatTime(AT)}.\n`));
  assert.ok(printed.includes('  x@far.test: delivered by MX resolution, 1 attempt: 250 ok\n'));
});

it('lets no word of a peer steer the terminal', () => {
  const event = { at: AT, kind: 'deferred', recipient: 'x@far.test', reason: 'bad\x1b[2J\nwords' };
  assert.ok(
    timelineText({ ...MESSAGE, events: [event] }).includes('waits: bad?[2J?words; next attempt later'),
  );
});
