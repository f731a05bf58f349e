import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { messageJson, queueListJson } from '../../src/queue/view.ts';
import type { MessageEvent, QueuedMessage } from '../../src/storage/contract.ts';

const AT_MS = Date.UTC(2026, 10, 22, 12);
const AT = '2026-11-22T12:00:00.000Z';

const MESSAGE: QueuedMessage = {
  id: 46656,
  sender: '',
  sizeBytes: 1234,
  receivedAt: AT_MS,
  source: { kind: 'local', address: '127.0.0.1', helo: 'x', user: null, protocol: 'ESMTP' },
  smtputf8: false,
  eightBit: false,
  header: '',
  noticeFor: null,
  dsn: NO_MESSAGE_DSN,
  requireTls: false,
  recipients: [
    {
      index: 0,
      address: 'a@x.example',
      original: 'b@example.com',
      rule: 'alias',
      state: 'queued',
      destination: 'x.example',
      via: 'mx',
      attempts: 2,
      nextAttemptAt: AT_MS,
      lastReply: '451 later',
      lastKind: null,
      delayNoticeSent: false,
      crashes: 0,
      dsn: NO_RECIPIENT_DSN,
    },
  ],
};

const LISTED = {
  id: '001000',
  sender: '',
  size: 1234,
  receivedAt: AT,
  recipients: [
    {
      address: 'a@x.example',
      original: 'b@example.com',
      state: 'queued',
      destination: 'x.example',
      via: 'mx',
      attempts: 2,
      nextAttemptAt: AT,
      lastReply: '451 later',
    },
  ],
};

it('lists queued messages in the promised shape', () => {
  assert.deepEqual(queueListJson([MESSAGE]), [LISTED]);
});

it('puts what an event needs beside its kind, never over it', () => {
  const events: MessageEvent[] = [
    {
      at: AT_MS,
      kind: 'attempt',
      recipient: null,
      detail: { host: 'mx.x.example', kind: 'unreachable', at: 1 },
    },
  ];
  const context = {
    first: 0,
    end: 10,
    now: AT_MS - 1000,
    settings: { queueLifetimeMs: 86_400_000, delayNoticeMs: 0 },
    serverRunning: true,
    holdingRule: () => null,
    backedOff: () => null,
  };
  const shown = messageJson(MESSAGE, events, context);
  assert.match(shown.recipients[0]?.why ?? '', /waits since .*: 451 later; attempt 3 is at 2026/);
  assert.deepEqual(shown, {
    ...LISTED,
    recipients: LISTED.recipients.map((one) => ({ ...one, why: shown.recipients[0]?.why })),
    noticeFor: null,
    events: [{ at: AT, kind: 'attempt', recipient: null, host: 'mx.x.example', attemptKind: 'unreachable' }],
  });
});

it('takes the reason from the last deferral, also when that event is on another page', () => {
  const deferred = (reason: string): MessageEvent => ({
    at: AT_MS,
    kind: 'deferred',
    recipient: 'a@x.example',
    detail: { reason },
  });
  const { recipients, events } = messageJson(MESSAGE, [deferred('busy'), deferred('full')], {
    first: 0,
    end: 1,
    now: AT_MS - 1000,
    settings: { queueLifetimeMs: 86_400_000, delayNoticeMs: 0 },
    serverRunning: true,
    holdingRule: () => null,
    backedOff: () => null,
  });
  assert.equal(events.length, 1);
  assert.match(recipients[0]?.why ?? '', /: full; attempt 3/);
});
