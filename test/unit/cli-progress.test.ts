import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Progress } from '../../src/cli/progress.ts';

test('without a terminal, progress is a line each tenth', () => {
  const stream = new PassThrough();
  const progress = new Progress(stream);
  for (let done = 0; done <= 1_000; done += 1)
    progress.show(done < 500 ? 'copying a' : 'copying b', done, 1_000);
  progress.show('comparing a', 0, 0);
  progress.end();
  const lines = String(stream.read()).split('\n');
  assert.deepEqual(lines.slice(0, 2), ['  0 % copying a', ' 10 % copying a']);
  assert.deepEqual(lines.slice(-4), [' 90 % copying b', '100 % copying b', '100 % comparing a', '']);
  assert.equal(lines.length, 13);
});

test('on a terminal, progress is one bar that is drawn ten times a second at most', async () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true });
  const progress = new Progress(stream);
  for (let done = 0; done < 500; done += 1) progress.show('copying a', done, 1_000);
  await sleep(110);
  progress.show('copying b', 500, 1_000);
  progress.show('copying b', 1_000, 1_000);
  progress.end();
  const drawn = String(stream.read());
  assert.doesNotMatch(drawn.slice(0, -1), /\n/);
  const bars = drawn.split('\r').slice(1);
  assert.ok(bars.length <= 5, drawn);
  assert.equal(bars[0], `[${'.'.repeat(30)}]   0 % copying a\x1b[K`);
  assert.equal(bars.at(-2), `[${'#'.repeat(15)}${'.'.repeat(15)}]  50 % copying b\x1b[K`);
  assert.equal(bars.at(-1), `[${'#'.repeat(30)}] 100 % copying b\x1b[K\n`);
});
