import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Lanes, laneNameOf } from '../../src/sending/lanes.ts';
import { Pace } from '../../src/sending/pace.ts';
import { host, route } from './sending-world.ts';

const MINUTE = 60_000;
const LIMITS = { destinationConcurrency: 20, retryScheduleMs: [MINUTE, 5 * MINUTE, 4 * 60 * MINUTE] };

function makeLanes(queueLifetimeMs = 1e9, delayNoticeMs = 0) {
  const clock = { now: 1_000_000 };
  const lanes = new Lanes(
    () => ({ ...LIMITS, queueLifetimeMs, delayNoticeMs }),
    () => clock.now,
  );
  return { clock, lanes, lane: lanes.lane('mx.test:25', 'mx') };
}

describe('a lane', () => {
  it('is named by servers and ports, whatever their order, and shared by domains', () => {
    const place = { address: '127.0.0.1', port: 25 };
    const one = route([host(place, 1, 'B.test'), host(place, 2, 'a.test')]);
    const other = route([host(place, 1, 'a.test'), host(place, 1, 'b.test')]);
    assert.equal(laneNameOf(one), 'a.test:25 b.test:25');
    const { lanes } = makeLanes();
    assert.equal(lanes.learn('x.test', one), lanes.learn('y.test', other));
    assert.equal(lanes.laneOf('x.test'), lanes.laneOf('y.test'));
    assert.notEqual(lanes.laneOf('z.test'), lanes.laneOf('x.test'));
  });

  it('grows by one with success up to the setting or the rule, and halves when hampered', () => {
    const { lanes, lane } = makeLanes();
    assert.equal(lanes.limitOf(lane, null), 5);
    for (let n = 0; n < 40; n += 1) lanes.succeeded(lane);
    assert.equal(lanes.limitOf(lane, null), 20);
    assert.equal(lanes.limitOf(lane, 3), 3);
    lanes.hampered(lane);
    assert.equal(lanes.limitOf(lane, null), 10);
  });

  it('stays at what its servers took, and tries one more after a while', () => {
    const { lanes, lane, clock } = makeLanes();
    lanes.crowded(lane, 2);
    for (let n = 0; n < 9; n += 1) lanes.succeeded(lane);
    assert.equal(lanes.limitOf(lane, null), 2);
    clock.now += 5 * MINUTE;
    lanes.succeeded(lane);
    assert.equal(lanes.limitOf(lane, null), 3);
  });

  it('is backed off for longer each time, an hour at most; a delivery ends it', () => {
    const { lanes, lane, clock } = makeLanes();
    const waits = [1, 2, 3, 4].map(() => {
      lanes.unreachable(lane, 'refused');
      const wait = lane.backedOffUntil - clock.now;
      lanes.unreachable(lane, 'refused');
      clock.now = lane.backedOffUntil;
      return wait / MINUTE;
    });
    assert.deepEqual(waits, [1, 5, 60, 60]);
    assert.equal(lanes.isBackedOff(lane), false);
    assert.equal(lanes.limitOf(lane, null), 1, 'one message tries');
    lanes.succeeded(lane);
    assert.ok(lanes.limitOf(lane, null) > 0 && lane.failures === 0 && lane.failingSince === null);
  });

  it('is tried again in the minute in which a sender is to be told something', () => {
    const { lanes, lane, clock } = makeLanes();
    const minuteOf = (ms: number) => Math.ceil(ms / MINUTE) * MINUTE;
    const [soon, later] = [clock.now + 2.5 * MINUTE, clock.now + 30 * MINUTE];
    lanes.unreachable(lane, 'refused');
    clock.now = lane.backedOffUntil;
    lanes.noticeDue(lane, soon);
    lanes.unreachable(lane, 'refused');
    assert.equal(lane.backedOffUntil, minuteOf(soon), 'known before it failed: not five minutes');
    clock.now = lane.backedOffUntil;
    lanes.unreachable(lane, 'refused');
    assert.equal(lane.backedOffUntil, clock.now + 60 * MINUTE, 'what has passed counts no more');
    lanes.noticeDue(lane, later);
    assert.equal(lane.backedOffUntil, minuteOf(later), 'learnt while it is backed off');
    const early = makeLanes(1e9, 20_000);
    early.lanes.unreachable(early.lane, 'refused');
    assert.equal(early.lane.backedOffUntil, early.clock.now + 20_000, 'for mail that comes meanwhile');
  });

  it('remembers a thousand such minutes at most', () => {
    const { lanes, lane, clock } = makeLanes();
    for (let n = 1; n <= 3000; n += 1) lanes.noticeDue(lane, clock.now + n * MINUTE);
    assert.equal(lane.notices.size, 1000);
    clock.now += 500 * MINUTE;
    lanes.noticeDue(lane, clock.now + 5000 * MINUTE);
    assert.equal(lane.notices.size, 502, 'those that have passed make room');
  });

  it('is new at first, prompt when it answers, and tardy while it does not, fails or is slower than others', () => {
    const { lanes, lane, clock } = makeLanes();
    const slow = lanes.lane('slow.test:25', 'mx');
    for (const one of [lane, slow]) lanes.count(one, 1);
    clock.now += 900;
    assert.equal(lanes.standing(lane), 'new');
    clock.now += 200;
    assert.equal(lanes.standing(lane), 'tardy');
    for (const one of [lane, slow]) lanes.succeeded(one);
    assert.deepEqual([lanes.standing(lane), lanes.standing(slow)], ['prompt', 'prompt']);
    for (let n = 0; n < 20; n += 1) lanes.took(lane, 20);
    lanes.took(slow, 2000);
    assert.equal(lanes.standing(slow), 'prompt', 'once is not enough');
    for (let n = 0; n < 20; n += 1) lanes.took(slow, 2000);
    for (let n = 0; n < 5000; n += 1) lanes.took(lanes.lane('other.test:25', 'mx'), 20);
    assert.deepEqual([lanes.standing(lane), lanes.standing(slow)], ['prompt', 'tardy']);
    for (let n = 0; n < 3; n += 1) lanes.took(slow, 20);
    assert.equal(lanes.standing(slow), 'prompt', 'it recovers soon');
    for (let n = 0; n < 5000; n += 1) lanes.took(slow, 2000);
    assert.equal(lanes.standing(slow), 'prompt', 'where all are slow none is');
    lanes.unreachable(lane, 'refused');
    assert.equal(lanes.standing(lane), 'tardy');
  });

  it('is barren when five messages running were put off, until one is delivered', () => {
    const { lanes, lane } = makeLanes();
    for (let n = 0; n < 4; n += 1) lanes.putOff(lane);
    assert.ok(!lanes.isBarren(lane));
    lanes.putOff(lane);
    assert.ok(lanes.isBarren(lane));
    lanes.succeeded(lane);
    assert.ok(!lanes.isBarren(lane));
  });

  it('is not backed off while other connections work, nor where the first failure is final', () => {
    const { lanes, lane } = makeLanes();
    lane.open.set('here', 1);
    lanes.unreachable(lane, 'timed out');
    assert.equal(lanes.isBackedOff(lane), false);
    const final = makeLanes(0);
    final.lanes.unreachable(final.lane, 'refused');
    assert.equal(final.lanes.isBackedOff(final.lane), false);
  });
});

describe('the pace', () => {
  it('lets the rate of a minute go, evenly', () => {
    let now = 0;
    const pace = new Pace(() => now);
    let sent = pace.take('a.test', 60, 100);
    assert.equal(sent, 5);
    assert.equal(pace.waitMs('a.test', 60), 1000);
    for (let second = 0; second < 60; second += 1) {
      now += 1000;
      sent += pace.take('a.test', 60, 100);
    }
    assert.equal(sent, 65);
    pace.giveBack('a.test', 2);
    assert.equal(pace.take('a.test', 60, 100), 2);
  });
});
