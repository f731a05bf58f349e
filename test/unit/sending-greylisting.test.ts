/** Greylisting: known by its words, told in the story, and no attempt before the time the server named. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { greylistingOf } from '../../src/sending/greylisting.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';
import { HOUR_MS, host, MINUTE_MS, makeWorld, route } from './sending-world.ts';

const REPLIES: readonly [number, string, { waitMs: number | null } | null][] = [
  [450, 'Recipient address rejected: Greylisted, see http://postgrey.test/help.html', { waitMs: null }],
  [451, 'Greylisting in action, please come back in 00:05:00', { waitMs: 5 * MINUTE_MS }],
  [450, 'Greylisted, please try again in 180 seconds', { waitMs: 3 * MINUTE_MS }],
  [451, 'temporarily greylisted, try again after 5 minutes', { waitMs: 5 * MINUTE_MS }],
  [451, 'You have been graylisted for 1 hour', { waitMs: HOUR_MS }],
  [451, 'Grey-listed for at least 10 min', { waitMs: 10 * MINUTE_MS }],
  [450, 'Grey listing: come again', { waitMs: null }],
  [451, 'Greylisted, come back in 300 days', { waitMs: null }],
  [451, 'Greylisted, come back in 99:00:00', { waitMs: null }],
  [451, 'Greylisted, come back in 0 seconds', { waitMs: null }],
  [451, 'Try again later', null],
  [450, 'Mailbox busy, try again in 300 seconds', null],
  [452, 'Greylisted', null],
  [550, 'Greylisted for ever', null],
];

describe('greylistingOf', () => {
  for (const [code, words, expected] of REPLIES) {
    it(`${code} ${words}`, () => assert.deepEqual(greylistingOf({ code, lines: [words] }), expected));
  }
});

/** How long after now the next attempt is, after one answered at RCPT in this way. */
async function afterReplies(
  t: { after(clean: () => Promise<void>): void },
  replies: readonly string[],
  changes: Parameters<typeof makeWorld>[2] = {},
) {
  const peers = await Promise.all(replies.map((rcpt) => startSmtpPeer({ at: { rcpt } })));
  t.after(async () => {
    for (const peer of peers) await peer.close();
  });
  const world = makeWorld(t, () => route(peers.map((peer, n) => host(peer, n))), changes);
  const startedAt = Date.now();
  const id = await world.send({ to: ['x@far.test'], changes: { receivedAt: startedAt } });
  const nextAt = world.queue.recipients(id)[0]?.nextAttemptAt ?? 0;
  const reason = String(world.queue.events('deferred')[0]?.detail.reason);
  return { startedAt, endedAt: Date.now(), nextAt, reason };
}

function assertAfter(
  { startedAt, endedAt, nextAt }: Record<'startedAt' | 'endedAt' | 'nextAt', number>,
  waitMs: number,
) {
  assert.ok(nextAt >= startedAt + waitMs, `${nextAt - startedAt} ms`);
  assert.ok(nextAt <= endedAt + waitMs, `${nextAt - endedAt} ms`);
}

describe('the next attempt', () => {
  it('is by the schedule where no time is named, and the story says greylisting', async (t) => {
    const outcome = await afterReplies(t, ['450 4.2.0 Greylisted, see the help']);
    assertAfter(outcome, MINUTE_MS);
    assert.match(
      outcome.reason,
      /^mx\d+\.test lets senders that it does not know yet come again later \(greylisting\): 450 4\.2\.0 Greylisted/,
    );
  });

  it('is not before the time that is named', async (t) => {
    const outcome = await afterReplies(t, ['451 4.7.1 Greylisted, come back in 00:05:00']);
    assertAfter(outcome, 5 * MINUTE_MS);
    assert.match(outcome.reason, /\(greylisting, here after 5m\): 451/);
  });

  it('is by the schedule where that is later', async (t) => {
    assertAfter(await afterReplies(t, ['451 4.7.1 Greylisted for 10 seconds']), MINUTE_MS);
  });

  it('waits as long as any of several servers asked for', async (t) => {
    const replies = ['451 4.7.1 Greylisted for 10 minutes', '451 4.7.1 Greylisted for 5 minutes'];
    assertAfter(await afterReplies(t, replies), 10 * MINUTE_MS);
  });

  it('is not brought forward by a delay notice, and is at the end of the lifetime at the latest', async (t) => {
    const replies = ['451 4.7.1 Greylisted for 10 minutes'];
    assertAfter(await afterReplies(t, replies, { delayNoticeMs: 2 * MINUTE_MS }), 10 * MINUTE_MS);
    const short = await afterReplies(t, replies, { queueLifetimeMs: 3 * MINUTE_MS });
    assert.equal(short.nextAt, short.startedAt + 3 * MINUTE_MS);
  });
});
