/** What explain foretells of each failure kind, against the columns of "When MX fails". */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeRouteFailure, whenNext } from '../../src/sending/judge.ts';
import { outlookOf } from '../../src/sending/outlook.ts';
import type { Settings } from '../../src/settings/values.ts';
import { HOUR_MS, MINUTE_MS, makeSettings } from './sending-world.ts';

const KINDS = ['no-answer', 'nxdomain', 'no-address', 'unreachable', 'self'];
/** The same whether fallback is on or off. */
const SERVER_SPOKE = [
  ['spoke', null, 'retry', 'mx'],
  ['refused', null, 'notice', null],
];
const MX = { via: 'mx', fallback: null } as const;
const smtpHost = {
  which: 1,
  name: 'relay.test',
  port: 2525,
  tls: 'none',
  username: '',
  password: '',
} as const;

function told(changes: Partial<Settings>, route: Parameters<typeof outlookOf>[0] = MX) {
  const schedule = { retryScheduleMs: [10 * MINUTE_MS, HOUR_MS], queueLifetimeMs: 3 * HOUR_MS };
  return outlookOf(route, makeSettings({ smtpHost, ...schedule, ...changes }));
}

test('fallback off: each kind retried by its rule, then the notice of its row', () => {
  const outlook = told({ fallbackToSmtpHost: false });
  assert.deepEqual(
    outlook.map(({ kind, status, action, via, retryAfterSeconds }) => [
      ...[kind, status, action, via],
      retryAfterSeconds.join(' '),
    ]),
    [
      ['no-answer', '4.4.3', 'retry', 'mx', '600 4200 7800 10800'],
      ['nxdomain', '5.1.2', 'retry', 'mx', '300'],
      ['no-address', '5.4.4', 'retry', 'mx', '300'],
      ['unreachable', '4.4.1', 'retry', 'mx', '600 4200 7800 10800'],
      ['self', '5.4.6', 'notice', null, ''],
      ['spoke', null, 'retry', 'mx', '600 4200 7800 10800'],
      ['refused', null, 'notice', null, ''],
    ],
  );
  assert.equal(
    outlook[0]?.text,
    'tried again after 10m, 1h, 1h, 50m, then failure notice 4.4.3 ' +
      '(no fallback to the SMTP host: it is off)',
  );
  assert.match(outlook[4]?.text ?? '', /^failure notice 5\.4\.6 at once/);
});

test('fallback on: the SMTP host for the kinds chosen, in the same attempt', () => {
  const all = told({ fallbackToSmtpHost: true });
  assert.deepEqual(
    all.map(({ kind, status, action, via }) => [kind, status, action, via]),
    [...KINDS.map((kind) => [kind, null, 'smtp-host', 'smtp-host']), ...SERVER_SPOKE],
  );
  assert.match(all[0]?.text ?? '', /SMTP host relay\.test port 2525 .* same attempt/);
  const some = told({ fallbackToSmtpHost: true, fallbackOn: ['unreachable'] });
  assert.deepEqual(
    some.map(({ action }) => action),
    ['retry', 'retry', 'retry', 'smtp-host', 'notice', 'retry', 'notice'],
  );
  assert.match(some[0]?.text ?? '', /not chosen for no-answer/);
});

test('a route that is at the SMTP host by fallback is still one of MX resolution', () => {
  const route = { via: 'smtp-host', fallback: 'nxdomain' } as const;
  assert.deepEqual(told({ fallbackToSmtpHost: true }, route), told({ fallbackToSmtpHost: true }));
});

test('a host that was entered is out of reach or, but for a forward host, ourselves', () => {
  const withoutMx = told({ useMxResolution: false }, { via: 'smtp-host', fallback: null });
  assert.deepEqual(
    withoutMx.map(({ kind, status, action, via }) => [kind, status, action, via]),
    [
      ['unreachable', '4.4.1', 'retry', 'smtp-host'],
      ['self', '5.4.6', 'notice', null],
      ['spoke', null, 'retry', 'smtp-host'],
      ['refused', null, 'notice', null],
    ],
  );
  const forward = told({}, { via: 'forward', fallback: null });
  assert.deepEqual(
    forward.map(({ kind, via }) => [kind, via]),
    [
      ['unreachable', 'forward'],
      ['spoke', 'forward'],
      ['refused', null],
    ],
  );
});

test('a server that spoke: the next one, then again, never the SMTP host; one that refuses has the last word', () => {
  const [spoke, refused] = told({ fallbackToSmtpHost: true }).slice(-2);
  assert.equal(
    spoke?.text,
    'the next server first; when none takes it, tried again after 10m, 1h, 1h, 50m, then failure notice with ' +
      "the server's own status, 4.4.2 when it was lost (no fallback to the SMTP host: the server spoke)",
  );
  assert.equal(refused?.text, "failure notice with the server's own words and status at once");
});

test('the SMTP host: what TLS and credentials that fail lead to, where they are asked for', () => {
  const secured = { ...smtpHost, tls: 'required', username: 'u' } as const;
  for (const route of [
    { via: 'smtp-host', fallback: null },
    { via: 'smtp-host', fallback: 'nxdomain' },
  ] as const) {
    const outlook = told({ smtpHost: secured, fallbackToSmtpHost: true }, route).slice(-2);
    assert.deepEqual(
      outlook.map(({ kind, status, action, via }) => [kind, status, action, via]),
      [
        ['tls', '4.7.4', 'retry', 'smtp-host'],
        ['credentials', '4.7.8', 'retry', 'smtp-host'],
      ],
    );
  }
  const byMx = told({ smtpHost: secured }).map(({ kind }) => kind);
  assert.ok(!byMx.includes('tls') && !byMx.includes('credentials'));
});

test('queue lifetime 0: the first failure is final', () => {
  const outlook = told({ queueLifetimeMs: 0 });
  assert.deepEqual(
    outlook.map(({ action, status }) => [action, status]),
    [
      ['notice', '4.4.3'],
      ['notice', '5.1.2'],
      ['notice', '5.4.4'],
      ['notice', '4.4.1'],
      ['notice', '5.4.6'],
      ['notice', null],
      ['notice', null],
    ],
  );
});

test('a long life is told by its first attempts', () => {
  const [noAnswer] = told({ retryScheduleMs: [1000], queueLifetimeMs: 60 * 24 * HOUR_MS });
  assert.deepEqual(noAnswer?.retryAfterSeconds, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.match(noAnswer?.text ?? '', /1s, and so on for 60d, then failure notice 4\.4\.3/);
});

test('the times foretold are those the judge gives a message that waits', () => {
  const settings = makeSettings({ retryScheduleMs: [MINUTE_MS, HOUR_MS], queueLifetimeMs: HOUR_MS });
  const failure = { kind: 'no-answer', status: '4.4.3', action: 'retry', text: '' } as const;
  const receivedAt = 1_000_000;
  const second = { now: receivedAt + MINUTE_MS, receivedAt, attempts: 2, settings, delayNoticeAt: null };
  const [foretold] = outlookOf(MX, settings);
  const next = whenNext(judgeRouteFailure(failure, 'no-answer'), second);
  assert.equal(next, receivedAt + (foretold?.retryAfterSeconds[1] ?? 0) * 1000);
});
