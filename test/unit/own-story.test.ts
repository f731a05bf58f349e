import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { accountForwardRule } from '../../src/mail/forward-rule.ts';
import { ownStory, stateOfShown } from '../../src/queue/own-story.ts';
import type { MessageEvent, QueuedMessage, QueuedRecipient } from '../../src/storage/contract.ts';

function recipient(index: number, address: string, rest: Partial<QueuedRecipient> = {}): QueuedRecipient {
  return {
    index,
    address,
    original: address,
    rule: 'account',
    state: 'delivered',
    destination: null,
    via: 'mailbox',
    attempts: 0,
    nextAttemptAt: null,
    lastReply: null,
    lastKind: null,
    delayNoticeSent: false,
    crashes: 0,
    dsn: NO_RECIPIENT_DSN,
    ...rest,
  };
}

const SENDER_SOURCE = {
  kind: 'local',
  address: '192.0.2.7',
  helo: 'laptop',
  user: 'anna@here.test',
  protocol: 'ESMTPSA',
} as const;

const MESSAGE: QueuedMessage = {
  id: 1,
  sender: 'anna@here.test',
  sizeBytes: 100,
  receivedAt: 1,
  source: SENDER_SOURCE,
  smtputf8: false,
  eightBit: false,
  header: '',
  noticeFor: null,
  dsn: NO_MESSAGE_DSN,
  requireTls: false,
  recipients: [
    recipient(0, 'bob@here.test'),
    recipient(1, 'secret@here.test'),
    recipient(2, 'carol@here.test', { original: 'list@here.test', rule: 'alias' }),
    recipient(3, 'dora@here.test', { original: 'list@here.test', rule: 'alias' }),
    recipient(4, 'bob@home.test', {
      original: 'bob@here.test',
      rule: accountForwardRule('bob@here.test'),
      state: 'failed',
      lastReply: '550 no bob@home.test',
    }),
  ],
};

const EVENTS: readonly MessageEvent[] = [
  {
    at: 1,
    kind: 'received',
    recipient: null,
    detail: { sender: MESSAGE.sender, sizeBytes: 100, source: SENDER_SOURCE },
  },
  ...MESSAGE.recipients.map(
    ({ address, original }): MessageEvent => ({
      at: 2,
      kind: 'decided',
      recipient: address,
      detail: { rule: 'x', original, into: ['carol@here.test'] },
    }),
  ),
  { at: 3, kind: 'attempt', recipient: null, detail: { hosts: [{ reply: '550 secret@here.test' }] } },
  { at: 4, kind: 'held', recipient: 'bob@here.test', detail: { by: 'root' } },
];

describe("the owner's view of a message", () => {
  it('is none for somebody it does not concern', () => {
    assert.equal(ownStory(MESSAGE, EVENTS, 'erna@here.test'), null);
    // In the name of an account by a stranger, or by another account, is not by its owner.
    const forged = { ...MESSAGE, source: { ...SENDER_SOURCE, kind: 'external' as const, user: null } };
    assert.equal(ownStory(forged, EVENTS, 'anna@here.test'), null);
    const others = { ...MESSAGE, source: { ...SENDER_SOURCE, user: 'erna@here.test' } };
    assert.equal(ownStory(others, EVENTS, 'anna@here.test'), null);
  });

  it('shows a recipient the own delivery: no other recipient anywhere, and not who brought it', () => {
    const story = ownStory(MESSAGE, EVENTS, 'carol@here.test');
    assert.deepEqual([story?.sent, story?.received], [false, true]);
    assert.deepEqual(
      story?.recipients.map(({ address, state }) => [address, state]),
      [['carol@here.test', 'delivered']],
    );
    assert.doesNotMatch(JSON.stringify(story), /secret|dora|bob@|laptop|192\.0\.2\.7|root/);
  });

  it('shows the sender what was addressed, and nothing of what that leads to here', () => {
    const story = ownStory(MESSAGE, EVENTS, 'anna@here.test');
    assert.deepEqual([story?.sent, story?.received], [true, false]);
    assert.deepEqual(
      story?.recipients.map(({ address, state }) => [address, state]),
      [
        ['bob@here.test', 'delivered'],
        ['secret@here.test', 'delivered'],
        ['list@here.test', 'delivered'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(story), /carol|dora|home\.test|root/);
    assert.match(JSON.stringify(story), /laptop/);
    // Bob's forward failed, which is not the sender's to know.
    assert.equal(stateOfShown(story?.recipients ?? []), 'delivered');
  });

  it('shows whoever forwards the own forward', () => {
    const story = ownStory(MESSAGE, EVENTS, 'bob@here.test');
    assert.deepEqual(
      story?.recipients.map(({ address, state, forwarded }) => [address, state, forwarded]),
      [
        ['bob@here.test', 'delivered', false],
        ['bob@home.test', 'failed', true],
      ],
    );
    assert.doesNotMatch(JSON.stringify(story), /secret|carol|dora|laptop/);
  });
});
