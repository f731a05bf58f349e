import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstLoad } from '../../scripts/check-page-size.ts';
import { chapterOf } from '../../web/src/pages/messages/story.ts';
import { bytes, duration, localTimes, relativeTime } from '../../web/src/parts/format.ts';

const NOW = Date.parse('2026-11-25T12:00:00Z');

test('times are told relative to now, to the minute, hour or day', () => {
  const told = (ms: number) => relativeTime(new Date(NOW + ms).toISOString(), NOW);
  assert.equal(told(0), 'just now');
  assert.equal(told(-42_000), '42 seconds ago');
  assert.equal(told(-119_000), '1 minute ago');
  assert.equal(told(2 * 3_600_000), 'in 2 hours');
  assert.equal(told(-3 * 86_400_000), '3 days ago');
  assert.equal(relativeTime('nonsense', NOW), '–');
});

test('sizes count 1,024, durations in the unit that reads best', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 50 * 1024 ** 2].map(bytes), [
    '0 bytes',
    '1023 bytes',
    '1 KB',
    '1.5 KB',
    '50 MB',
  ]);
  assert.deepEqual([12, 30_120, 900_000].map(duration), ['12 ms', '30.1 s', '15 min']);
  assert.doesNotMatch(localTimes('it waits until 2026-11-25T12:00:00.000Z.'), /T12:00/);
});

test('a connection lost after the final dot: the story says that the message may have arrived', () => {
  const hosts = [
    { host: 'mx.test', port: 25, address: '192.0.2.1', stage: 'data-end', possiblyDuplicate: true },
  ];
  const detail = { via: 'mx', fallback: null, durationMs: 1, mx: null, hosts };
  const told = chapterOf({
    at: new Date(NOW).toISOString(),
    kind: 'attempt',
    recipient: 'x@far.test',
    ...detail,
  });
  assert.deepEqual(
    told.trials.map(({ note }) => note),
    ['The message may have arrived all the same.'],
  );
});

test('an attempt is told with way, servers and replies; an unknown kind as it is', () => {
  const at = new Date(NOW).toISOString();
  const attempt = chapterOf({
    at,
    kind: 'attempt',
    recipient: 'bob@far.test',
    via: 'smtp-host',
    fallback: 'unreachable',
    durationMs: 1200,
    mx: '10 mx.far.test',
    hosts: [
      {
        host: 'smtp.test',
        port: 25,
        address: '192.0.2.1',
        stage: 'data-end',
        tls: 'TLSv1.3',
        reply: '250 Ok',
        durationMs: 9,
      },
    ],
  });
  assert.equal(
    attempt.text,
    'For bob@far.test by the SMTP host, because MX failed (unreachable), took 1.2 s.',
  );
  assert.deepEqual(attempt.trials, [
    {
      where: 'smtp.test [192.0.2.1]:25',
      stage: 'at the end of the message',
      tls: 'TLSv1.3',
      took: '9 ms',
      reply: '250 Ok',
      note: '',
    },
  ]);
  assert.equal(chapterOf({ at, kind: 'new', recipient: null, more: 1 }).text, 'the message {"more":1}');
});

test('the first load counts what index.html names, the first page, and what these import at once', () => {
  const files: Record<string, string> = {
    'index-1.js': 'import"./part-1.js";import("./later-1.js")',
    'part-1.js': 'import{a}from"./deep-1.js"',
    'deep-1.js': '',
    'later-1.js': '',
    'Dashboard-1.js': '',
    'Dashboard-1.js.gz': '',
  };
  const found = firstLoad(
    '<script src="/assets/index-1.js">',
    Object.keys(files),
    (name) => files[name] ?? '',
  );
  assert.deepEqual(found, ['Dashboard-1.js', 'deep-1.js', 'index-1.js', 'part-1.js']);
});
