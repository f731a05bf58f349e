import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_COUNTED, StrangerLimits } from '../../src/receiving/stranger-limits.ts';

const MINUTE_MS = 60_000;
const START_MS = Date.parse('2026-11-25T12:00:00Z');

function world(perAddress: number, perNetwork: number) {
  const state = { now: START_MS, limits: { perAddress, perNetwork } };
  const log: Record<string, unknown>[] = [];
  const limits = new StrangerLimits(
    () => state.limits,
    (_level, _message, fields) => log.push(fields),
    () => state.now,
  );
  const errors = (address: string, count: number) =>
    limits.count(address, { errors: count, idleCommands: 0 });
  const later = (minutes: number) => {
    state.now += minutes * MINUTE_MS;
  };
  return { limits, log, errors, later, state };
}

test('errors of an address add up until it is over its limit, and it is told when to come back', () => {
  const { limits, errors, later } = world(10, 100);
  errors('192.0.2.7', 6);
  later(30);
  errors('192.0.2.7', 3);
  assert.equal(limits.refusal('192.0.2.7'), null);
  errors('192.0.2.7', 1);
  const text = (wait: string) =>
    `too many refused commands and recipients from 192.0.2.7 within an hour; try again in ${wait}`;
  assert.equal(limits.refusal('192.0.2.7'), text('35 minutes'), 'when the first six count no more');
  assert.equal(limits.refusal('192.0.2.8'), null, 'a neighbour is not');
  later(34.5);
  assert.equal(limits.refusal('192.0.2.7'), text('a minute'));
  later(1);
  assert.equal(limits.refusal('192.0.2.7'), null);
  errors('192.0.2.7', 6);
  assert.notEqual(limits.refusal('192.0.2.7'), null, 'the four of half an hour ago still count');
});

test('the addresses of a network add up, IPv4 by /24 and IPv6 by /64', () => {
  const { limits, errors } = world(10, 25);
  for (const last of [1, 2, 3]) errors(`192.0.2.${last}`, 9);
  assert.match(limits.refusal('192.0.2.200') ?? '', /from 192\.0\.2\.0\/24 within/);
  assert.equal(limits.refusal('192.0.3.1'), null);
  for (const last of [':1', ':a:b', 'ffff:ffff:ffff:ffff']) errors(`2001:db8:0:1:${last}`, 9);
  assert.match(limits.refusal('2001:db8:0:1::99') ?? '', /from 2001:db8:0:1::\/64 within/);
  assert.equal(limits.refusal('2001:db8:0:2::1'), null);
});

test('ten commands without mail are as much as one error; an accepted message takes ten errors back', () => {
  const { limits, errors } = world(10, 100);
  limits.count('192.0.2.7', { errors: 0, idleCommands: 99 });
  assert.equal(limits.refusal('192.0.2.7'), null);
  limits.count('192.0.2.7', { errors: 0, idleCommands: 1 });
  assert.notEqual(limits.refusal('192.0.2.7'), null);
  limits.accepted('192.0.2.7');
  assert.equal(limits.refusal('192.0.2.7'), null);
  errors('192.0.2.7', 9);
  assert.equal(limits.refusal('192.0.2.7'), null, 'nothing was left of the hundred');
  for (let message = 0; message < 50; message += 1) limits.accepted('192.0.2.7');
  errors('192.0.2.7', 10);
  assert.notEqual(limits.refusal('192.0.2.7'), null, 'mail is no credit for later');
});

test('a sender of much mail with a fifth of unknown recipients is never refused', () => {
  const { limits, errors, later } = world(1000, 4000);
  for (let message = 0; message < 50_000; message += 1) {
    if (message % 5 === 0) errors('192.0.2.7', 1);
    else limits.accepted('192.0.2.7');
    if (message % 100 === 0) later(1);
    assert.equal(limits.refusal('192.0.2.7'), null);
  }
});

test('the log says it once an hour, and the list shows who is over a limit now', () => {
  const { limits, log, errors, later, state } = world(10, 15);
  for (let n = 0; n < 50; n += 1) errors('192.0.2.7', 10);
  const until = new Date(START_MS + 65 * MINUTE_MS).toISOString();
  assert.deepEqual(log, [
    { client: '192.0.2.7', errors: 10, until },
    { client: '192.0.2.0/24', errors: 20, until },
  ]);
  assert.deepEqual(
    limits.list().map(({ client, errors: count }) => `${client} ${count}`),
    ['192.0.2.7 500', '192.0.2.0/24 500'],
  );
  state.limits = { perAddress: 501, perNetwork: 0 };
  assert.deepEqual(
    [limits.list(), limits.refusal('192.0.2.7')],
    [[], null],
    'a change of the limit acts at once',
  );
  state.limits = { perAddress: 10, perNetwork: 15 };
  later(66);
  assert.deepEqual(limits.list(), []);
  errors('192.0.2.7', 10);
  assert.equal(log.length, 3);
  for (let n = 0; n < 150; n += 1) errors(`198.51.${n}.1`, 10);
  assert.equal(limits.list().length, 100);
});

test('so many addresses and networks are counted; the one that did nothing for longest is forgotten', () => {
  const { limits, errors } = world(2, 2);
  const address = (n: number) => `10.${n >> 8}.${n & 255}.1`;
  errors(address(0), 1);
  errors(address(1), 1);
  errors(address(0), 1);
  for (let n = 2; n <= MAX_COUNTED; n += 1) errors(address(n), 1);
  assert.notEqual(limits.refusal(address(0)), null, 'the second was older');
  errors(address(1), 1);
  assert.equal(limits.refusal(address(1)), null, 'its first error was forgotten');
  assert.equal(limits.refusal(address(0)), null, 'and now the first as a whole');
  errors(address(MAX_COUNTED), 1);
  assert.notEqual(limits.refusal(address(MAX_COUNTED)), null, 'nothing newer was');
});
