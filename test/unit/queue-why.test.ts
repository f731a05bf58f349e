import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { type WhyContext, whyWaiting } from '../../src/queue/why.ts';
import type { QueuedRecipient } from '../../src/storage/contract.ts';

const HOUR_MS = 3_600_000;
const RECEIVED = Date.UTC(2026, 10, 22, 10);

const RECIPIENT: QueuedRecipient = {
  index: 0,
  address: 'x@far.test',
  original: 'x@far.test',
  rule: 'not-hosted',
  state: 'queued',
  destination: 'far.test',
  via: 'mx',
  attempts: 2,
  nextAttemptAt: RECEIVED + 2 * HOUR_MS,
  lastReply: null,
  lastKind: 'unreachable',
  delayNoticeSent: false,
  crashes: 0,
  dsn: NO_RECIPIENT_DSN,
};

const CONTEXT: WhyContext = {
  message: { sender: 'anna@here.test', receivedAt: RECEIVED },
  reason: 'No server could be reached: mx.far.test [192.0.2.1]: connection refused',
  now: RECEIVED + HOUR_MS,
  settings: { queueLifetimeMs: 120 * HOUR_MS, delayNoticeMs: 4 * HOUR_MS },
  serverRunning: true,
  holdingRule: () => null,
  backedOff: () => null,
};

const SINCE = 'x@far.test waits since 2026-11-22T10:00:00.000Z';
const REFUSED = 'No server could be reached: mx.far.test [192.0.2.1]: connection refused';
const GIVES_UP =
  ', the last one is at 2026-11-27T10:00:00.000Z, and if it fails CMail gives up and tells the sender';
const NOT_TOLD = '; the sender is not told yet: a delay notice is due at 2026-11-22T14:00:00.000Z.';

const ROWS: readonly [string, Partial<QueuedRecipient>, Partial<WhyContext>, string | null][] = [
  [
    'waits for its next attempt',
    {},
    {},
    `${SINCE}: ${REFUSED}; attempt 3 is at 2026-11-22T12:00:00.000Z${GIVES_UP}${NOT_TOLD}`,
  ],
  [
    'a rule holds its destination',
    { attempts: 0, destination: 'far.test' },
    { holdingRule: (destination) => (destination === 'far.test' ? '*.test' : null) },
    'x@far.test is held: the rule for *.test holds it (smtp.destinationRules), and it is neither tried nor given up, nor its sender told, until the rule holds it no more.',
  ],
  [
    'its destination is backed off',
    { attempts: 0, nextAttemptAt: RECEIVED, destination: 'far.test' },
    {
      reason: null,
      backedOff: (name) =>
        name === 'far.test' ? { until: '2026-11-22T11:30:00.000Z', reply: 'connection refused' } : null,
    },
    `${SINCE}; attempt 1 is due, but the destination is backed off until 2026-11-22T11:30:00.000Z because none of its servers could be reached (connection refused)${GIVES_UP}${NOT_TOLD}`,
  ],
  [
    'not tried yet',
    { attempts: 0, nextAttemptAt: RECEIVED },
    { reason: null },
    `${SINCE}; attempt 1 is due now and waits for a free session to far.test${GIVES_UP}${NOT_TOLD}`,
  ],
  [
    'no server runs',
    { nextAttemptAt: RECEIVED },
    { serverRunning: false },
    `${SINCE}: ${REFUSED}; attempt 3 is due and waits for the server, which is not running${GIVES_UP}${NOT_TOLD}`,
  ],
  [
    'the last attempt, the sender told of the delay',
    { nextAttemptAt: RECEIVED + 121 * HOUR_MS, delayNoticeSent: true },
    {},
    `${SINCE}: ${REFUSED}; attempt 3 is at 2026-11-27T11:00:00.000Z and is the last one: if it fails, CMail gives up and tells the sender; the sender was told of the delay.`,
  ],
  [
    'a notice, whose sender nobody is',
    { lastReply: '450 4.2.1 Later.' },
    { message: { sender: '', receivedAt: RECEIVED }, reason: null },
    `${SINCE}: 450 4.2.1 Later; attempt 3 is at 2026-11-22T12:00:00.000Z${GIVES_UP.replace('the sender', 'postmaster')}; nobody is told of the delay.`,
  ],
  [
    'delay notices off',
    {},
    { settings: { queueLifetimeMs: 120 * HOUR_MS, delayNoticeMs: 0 } },
    `${SINCE}: ${REFUSED}; attempt 3 is at 2026-11-22T12:00:00.000Z${GIVES_UP}; nobody is told of the delay.`,
  ],
  [
    'trouble of our own',
    { lastKind: 'local', lastReply: '451 4.3.0 The directory of users cannot be read now' },
    { reason: null },
    `${SINCE}: 451 4.3.0 The directory of users cannot be read now; attempt 3 is at 2026-11-22T12:00:00.000Z and CMail does not give up, for the trouble is its own${NOT_TOLD}`,
  ],
  [
    'a full mailbox here is no trouble of our own',
    { lastKind: 'local', lastReply: '452 4.2.2 Full' },
    { reason: null },
    `${SINCE}: 452 4.2.2 Full; attempt 3 is at 2026-11-22T12:00:00.000Z${GIVES_UP}${NOT_TOLD}`,
  ],
  [
    'under way',
    { state: 'sending' },
    {},
    'x@far.test is being sent now: attempt 2 is under way; should it be cut off, the next one is at 2026-11-22T12:00:00.000Z.',
  ],
  [
    'held',
    { state: 'held' },
    {},
    `x@far.test is held: an administrator holds it, and it is neither tried nor given up, nor its sender told, until it is released; the last attempt came to: ${REFUSED}.`,
  ],
  [
    'a sender who wants to hear nothing',
    { dsn: { notify: ['NEVER'], orcpt: null } },
    {},
    `${SINCE}: ${REFUSED}; attempt 3 is at 2026-11-22T12:00:00.000Z${GIVES_UP.replace('the sender', 'nobody, as its sender asked')}; nobody is told of the delay.`,
  ],
  ['delivered', { state: 'delivered' }, {}, null],
  ['failed', { state: 'failed' }, {}, null],
];

for (const [title, recipient, context, sentence] of ROWS) {
  it(`says why: ${title}`, () => {
    assert.equal(whyWaiting({ ...RECIPIENT, ...recipient }, { ...CONTEXT, ...context }), sentence);
  });
}
