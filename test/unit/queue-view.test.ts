import assert from 'node:assert/strict';
import { it } from 'node:test';
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
  assert.deepEqual(messageJson(MESSAGE, events), {
    ...LISTED,
    events: [{ at: AT, kind: 'attempt', recipient: null, host: 'mx.x.example', attemptKind: 'unreachable' }],
  });
});
