/** The rules of "When MX fails" as tables. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import { type Reply, replyText } from '../../src/mail/reply.ts';
import type { RouteFailure } from '../../src/routing/contract.ts';
import {
  delayNoticeTime,
  emptyTally,
  isCredentialRefusal,
  isDelayNoticeDue,
  isTooManyRecipients,
  judgeProblem,
  judgeRedecision,
  judgeRefusal,
  judgeRoute,
  judgeRouteFailure,
  type RouteTally,
  retryOutlook,
  type Trouble,
  type Verdict,
  whenNext,
} from '../../src/sending/judge.ts';
import { SmtpHostWatch } from '../../src/sending/smtp-host-watch.ts';
import type { RecipientResult, SessionProblem } from '../../src/smtp/sender-contract.ts';
import { HOUR_MS, MINUTE_MS, makeSettings } from './sending-world.ts';

const TROUBLE: Trouble = { kind: 'spoke', status: '4.4.2', text: 'lost', host: 'mx', reply: null };

describe('judgeRoute: all servers tried', () => {
  const cases: [
    string,
    'mx' | 'smtp-host' | 'forward',
    Partial<RouteTally>,
    string | null,
    Verdict['type'],
    string,
  ][] = [
    ['unreachable', 'mx', { unreachable: 'refused' }, 'unreachable', 'deferred', '4.4.1'],
    ['self', 'mx', { self: true }, 'self', 'failed', '5.4.6'],
    [
      'self, and a better one down',
      'mx',
      { self: true, unreachable: 'x' },
      'unreachable',
      'deferred',
      '4.4.1',
    ],
    [
      'one spoke, the others unreachable',
      'mx',
      { spoke: TROUBLE, unreachable: 'x' },
      null,
      'deferred',
      '4.4.2',
    ],
    ['one spoke, then ourselves', 'mx', { spoke: TROUBLE, self: true }, null, 'deferred', '4.4.2'],
    [
      'TLS policy',
      'mx',
      { held: { ...TROUBLE, status: '4.7.4' }, unreachable: 'x' },
      null,
      'deferred',
      '4.7.4',
    ],
    ['SMTP host unreachable', 'smtp-host', { unreachable: 'x' }, null, 'deferred', '4.4.1'],
    ['SMTP host is ourselves', 'smtp-host', { self: true }, null, 'failed', '5.4.6'],
    ['forward host unreachable', 'forward', { unreachable: 'x' }, null, 'deferred', '4.4.1'],
  ];
  for (const [what, via, changes, fallback, type, status] of cases) {
    it(`${via}, ${what}`, () => {
      const judged = judgeRoute(via, { ...emptyTally(), ...changes });
      assert.equal(judged.fallback, fallback);
      assert.equal(judged.otherwise.type, type);
      assert.equal(judged.otherwise.trouble.status, status);
    });
  }
});

describe('judgeProblem: a connection that came to nothing', () => {
  const cases: [SessionProblem['kind'], string, string | null][] = [
    ['not-greeted', 'unreachable', null],
    ['self', 'self', null],
    ['lost', 'spoke', '4.4.2'],
    ['hello-refused', 'spoke', '4.4.2'],
    ['auth-deferred', 'spoke', '4.7.0'],
    ['tls-failed', 'held', '4.7.4'],
    ['tls-unavailable', 'held', '4.7.4'],
    ['credentials', 'held', '4.7.8'],
  ];
  for (const [kind, type, status] of cases) {
    it(kind, () => {
      const judged = judgeProblem({ kind, phase: 'ehlo', reply: null, text: 'x' }, 'mx');
      assert.equal(judged.type, type);
      assert.equal('trouble' in judged ? judged.trouble.status : null, status);
    });
  }
});

describe('judgeRouteFailure: no server to dial', () => {
  const cases: [RouteFailure['kind'], string, RouteFailure['action'], string | null, Verdict['type']][] = [
    ['no-answer', '4.4.3', 'retry', null, 'deferred'],
    ['no-answer', '4.4.3', 'retry', 'no-answer', 'deferred'],
    ['nxdomain', '5.1.2', 'confirm', null, 'confirm'],
    ['nxdomain', '5.1.2', 'confirm', 'no-answer', 'confirm'],
    ['nxdomain', '5.1.2', 'confirm', 'nxdomain', 'failed'],
    ['no-address', '5.4.4', 'confirm', 'nxdomain', 'confirm'],
    ['no-address', '5.4.4', 'confirm', 'no-address', 'failed'],
    ['unreachable', '4.4.1', 'retry', 'unreachable', 'deferred'],
    ['self', '5.4.6', 'notice', null, 'failed'],
    ['null-mx', '5.1.10', 'notice', null, 'failed'],
    ['smtp-host-unresolved', '4.4.1', 'retry', 'smtp-host-unresolved', 'deferred'],
  ];
  for (const [kind, status, action, lastKind, type] of cases) {
    it(`${kind} after ${lastKind}: ${type}`, () => {
      const verdict = judgeRouteFailure({ kind, status, action, text: 'x' }, lastKind);
      assert.equal(verdict.type, type);
      assert.equal(verdict.trouble.status, status);
    });
  }
});

describe('whenNext', () => {
  const settings = makeSettings({
    retryScheduleMs: [1, 2, 3].map((n) => n * 10 * MINUTE_MS),
    queueLifetimeMs: 5 * HOUR_MS,
  });
  const timing = {
    now: 10 * HOUR_MS,
    receivedAt: 10 * HOUR_MS,
    attempts: 1,
    settings,
    delayNoticeAt: null as number | null,
  };
  const verdict = (type: Verdict['type']): Verdict => ({ type, trouble: TROUBLE });
  const cases: [string, Verdict['type'], Partial<typeof timing>, 'failed' | number][] = [
    ['failed', 'failed', {}, 'failed'],
    ['first wait', 'deferred', {}, 10 * MINUTE_MS],
    ['third wait', 'deferred', { attempts: 3 }, 30 * MINUTE_MS],
    ['the last wait repeats', 'deferred', { attempts: 9 }, 30 * MINUTE_MS],
    ['five minutes to confirm', 'confirm', { attempts: 2 }, 5 * MINUTE_MS],
    ['never later than the lifetime ends', 'deferred', { receivedAt: 5 * HOUR_MS + 1 }, 1],
    ['never later than the delay notice is due', 'deferred', { delayNoticeAt: 10 * HOUR_MS + 7 }, 7],
    [
      'a delay notice that is due makes nothing sooner',
      'deferred',
      { delayNoticeAt: 10 * HOUR_MS },
      10 * MINUTE_MS,
    ],
    ['lifetime over', 'deferred', { receivedAt: 5 * HOUR_MS }, 'failed'],
    ['lifetime over while confirming', 'confirm', { receivedAt: 0 }, 'failed'],
    ['own trouble never ends it, and is soon looked at again', 'own', { receivedAt: 0 }, 10_000],
    ['then less and less often', 'own', { attempts: 4 }, 80_000],
    ['but no less often than the schedule says', 'own', { attempts: 9 }, 30 * MINUTE_MS],
    ['however often', 'own', { attempts: 9_999 }, 30 * MINUTE_MS],
    ['lifetime 0', 'deferred', { settings: { ...settings, queueLifetimeMs: 0 } }, 'failed'],
    ['lifetime 0, to confirm', 'confirm', { settings: { ...settings, queueLifetimeMs: 0 } }, 'failed'],
  ];
  for (const [what, type, changes, expected] of cases) {
    it(what, () => {
      const next = whenNext(verdict(type), { ...timing, ...changes });
      assert.equal(next === 'failed' ? next : next - timing.now, expected);
    });
  }

  it('a delay notice is due once, when old enough, never to the null sender, and only to who wants it', () => {
    const message = { sender: 'a@b', receivedAt: 6 * HOUR_MS };
    const recipient = { dsn: NO_RECIPIENT_DSN, delayNoticeSent: false };
    const rules = { delayNoticeMs: 4 * HOUR_MS };
    const at = delayNoticeTime(message, recipient, rules);
    assert.equal(at, 10 * HOUR_MS);
    assert.equal(isDelayNoticeDue({ ...timing, delayNoticeAt: at }), true);
    assert.equal(isDelayNoticeDue({ ...timing, delayNoticeAt: at, now: timing.now - 1 }), false);
    assert.equal(isDelayNoticeDue(timing), false);
    assert.equal(delayNoticeTime(message, { ...recipient, delayNoticeSent: true }, rules), null);
    assert.equal(delayNoticeTime({ ...message, sender: '' }, recipient, rules), null);
    assert.equal(delayNoticeTime(message, recipient, { delayNoticeMs: 0 }), null);
    for (const [notify, expected] of [
      [['NEVER'], null],
      [['SUCCESS', 'FAILURE'], null],
      [['DELAY'], at],
    ] as const) {
      assert.equal(delayNoticeTime(message, { ...recipient, dsn: { notify, orcpt: null } }, rules), expected);
    }
  });

  it('foretells the attempts the schedule will make, to the last', () => {
    for (const attempts of [1, 2, 5]) {
      const start = { ...timing, attempts, receivedAt: 9 * HOUR_MS };
      const made: number[] = [];
      const first = whenNext(verdict('deferred'), start);
      for (let next = first; next !== 'failed'; ) {
        made.push(next);
        next = whenNext(verdict('deferred'), { ...start, now: next, attempts: attempts + made.length });
      }
      assert.deepEqual(retryOutlook(first as number, start), {
        nextAttemptAt: made[0],
        attempts: made.length,
        giveUpAt: made.at(-1),
      });
      assert.equal(made.at(-1), start.receivedAt + settings.queueLifetimeMs);
    }
    const endless = { ...timing, settings: { retryScheduleMs: [1000], queueLifetimeMs: 30 * 24 * HOUR_MS } };
    assert.equal(retryOutlook(endless.now + 1000, endless).attempts, 1001);
  });
});

function refused(code: number, enhanced?: string, stage: RecipientResult['stage'] = 'rcpt'): RecipientResult {
  const reply: Reply = { code, lines: ['words'], ...(enhanced === undefined ? {} : { enhanced }) };
  return { accepted: false, stage, reply };
}

describe('replies', () => {
  it('4yz waits and 5yz is final, with the true status', () => {
    for (const [result, type, status] of [
      [refused(450, '4.2.0'), 'deferred', '4.2.0'],
      [refused(450), 'deferred', '4.0.0'],
      [refused(550, '5.1.1'), 'failed', '5.1.1'],
      [refused(550), 'failed', '5.0.0'],
    ] as const) {
      const verdict = judgeRefusal(result, 'mx.test');
      assert.deepEqual([verdict.type, verdict.trouble.status], [type, status]);
      assert.equal(verdict.trouble.reply, replyText(result.reply));
    }
  });

  const tooMany: [RecipientResult, boolean, boolean][] = [
    [refused(452), true, true],
    [refused(452, '4.5.3'), true, true],
    [refused(552), true, true],
    [refused(452), false, false],
    [refused(452, '4.2.2'), true, false],
    [refused(552, '5.2.2'), true, false],
    [refused(450), true, false],
    [refused(452, undefined, 'data-end'), true, false],
  ];
  for (const [result, others, expected] of tooMany) {
    const { code, enhanced } = result.reply;
    it(`${code} ${enhanced ?? ''} at ${result.stage}, others ${others}: too many recipients ${expected}`, () => {
      assert.equal(isTooManyRecipients(result, others), expected);
    });
  }

  it('credential refusals are 530, 534, 535 and 454 4.7.x', () => {
    const yes = [refused(530), refused(534), refused(535, '5.7.8'), refused(454, '4.7.0'), refused(454)];
    const no = [refused(550, '5.7.1'), refused(454, '4.3.0'), refused(451, '4.7.1')];
    assert.deepEqual(
      [...yes, ...no].map(({ reply }) => isCredentialRefusal(reply)),
      [...yes.map(() => true), ...no.map(() => false)],
    );
  });

  it('a decision made again: own trouble waits for ever, other temporary waits, permanent fails', () => {
    const judge = (code: number, enhanced: string) =>
      judgeRedecision({ code, enhanced, text: 'x', temporary: code < 500 }).type;
    assert.equal(judge(451, '4.3.0'), 'own');
    assert.equal(judge(452, '4.2.2'), 'deferred');
    assert.equal(judge(550, '5.1.1'), 'failed');
  });
});

describe('SmtpHostWatch', () => {
  const HOST = { which: 1, name: 'h', port: 25, username: '' } as const;
  const SECOND = { ...HOST, which: 2, name: 'second' } as const;

  it('tells two hosts apart by their user names, and rests one that failed until it takes a message', () => {
    const watch = new SmtpHostWatch();
    const other = { ...HOST, username: 'other' };
    watch.unreachable(HOST, 'connection refused', true);
    assert.equal(watch.resting(HOST), 'connection refused');
    assert.equal(watch.resting(other), null);
    assert.match(watch.alarms([HOST, SECOND])[0] ?? '', /by the others.*h:25 is out of reach/);
    watch.succeeded(HOST);
    assert.equal(watch.resting(HOST), null);
    assert.deepEqual(watch.alarms([HOST, SECOND]), []);
  });

  it('raises no alarm for a single host out of reach, whose mail says so itself', () => {
    const watch = new SmtpHostWatch();
    watch.unreachable(HOST, 'connection refused', false);
    assert.deepEqual(watch.alarms([HOST]), []);
  });

  it('holds from the fifth different message refused running, until one gets through', () => {
    const watch = new SmtpHostWatch();
    for (const id of [1, 1, 2, 2, 3, 4]) assert.equal(watch.policyRefused(HOST, id, '550'), false);
    assert.deepEqual(watch.alarms([HOST]), []);
    assert.equal(watch.policyRefused(HOST, 5, '550'), true);
    assert.equal(watch.policyRefused(HOST, 1, '550'), true);
    assert.equal(watch.alarms([HOST]).length, 1);
    watch.succeeded(HOST);
    assert.deepEqual(watch.alarms([HOST]), []);
    assert.equal(watch.policyRefused(HOST, 6, '550'), false);
  });

  it('remembers twenty hosts', () => {
    const watch = new SmtpHostWatch();
    for (let n = 0; n < 21; n += 1) watch.credentialsRefused({ ...HOST, name: `h${n}` }, 'no');
    assert.deepEqual(watch.alarms([{ ...HOST, name: 'h0' }]), []);
    assert.equal(watch.alarms([{ ...HOST, name: 'h20' }]).length, 1);
  });
});
