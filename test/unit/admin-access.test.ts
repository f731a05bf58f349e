/** Sessions, tokens and the throttle with a clock of their own; strength, traffic, subjects. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { LiveStreams, MAX_STREAMS, MAX_UNSENT_BYTES } from '../../src/admin/http/live-stream.ts';
import { HttpProblem } from '../../src/admin/http/problem.ts';
import { SESSION_ABSOLUTE_MS, SESSION_IDLE_MS, Sessions } from '../../src/admin/http/sessions.ts';
import { LoginThrottle, MAX_THROTTLED } from '../../src/admin/http/throttle.ts';
import { runOperation } from '../../src/admin/operations.ts';
import { passwordStrength } from '../../src/admin/password-strength.ts';
import { administratorSubject, SecondFactors } from '../../src/admin/second-factor.ts';
import { TRAFFIC_MINUTES, TrafficCounter } from '../../src/admin/traffic.ts';
import { hashPassword } from '../../src/directory/password.ts';
import { decodeSubject, findSubject, subjectWords } from '../../src/mail/subject.ts';
import { openWorld } from './admin-support.ts';

const ORIGIN = { address: '192.0.2.1', userAgent: 'test', secure: false };

const ANNA = { kind: 'administrator', name: 'anna' } as const;

function secretOf(cookie: string): string {
  return /^cmail_session=([^;]+)/.exec(cookie)?.[1] ?? '';
}

describe('sessions', () => {
  it('end after a time without a call, and in any case after the longest', async (t) => {
    const { storage } = await openWorld(t);
    await storage.addAdministrator({ name: 'anna', passwordHash: 'x', onlyFirst: true });
    let now = 1_000_000;
    const sessions = new Sessions(
      storage,
      new SecondFactors(storage, new Uint8Array(32), () => now),
      () => true,
      () => now,
    );
    const idle = secretOf((await sessions.open(ANNA, ORIGIN)).cookie);
    now += SESSION_IDLE_MS - 1;
    assert.equal((await sessions.bySecret(idle))?.author, 'anna');
    now += SESSION_IDLE_MS;
    assert.equal(await sessions.bySecret(idle), null);
    assert.deepEqual(await storage.sessions(), []);

    const startedAt = now;
    const busy = secretOf((await sessions.open(ANNA, ORIGIN)).cookie);
    while (now + SESSION_IDLE_MS / 2 < startedAt + SESSION_ABSOLUTE_MS) {
      now += SESSION_IDLE_MS / 2;
      assert.notEqual(await sessions.bySecret(busy), null);
    }
    now = startedAt + SESSION_ABSOLUTE_MS;
    assert.equal(await sessions.bySecret(busy), null);
  });

  it('a token is refused once it has expired, and says so', async (t) => {
    const { storage, context } = await openWorld(t);
    let now = Date.now();
    const sessions = new Sessions(
      storage,
      new SecondFactors(storage, new Uint8Array(32), () => now),
      () => true,
      () => now,
    );
    const made = (await runOperation(context, 'token.add', { name: 'x', scopes: ['read'], days: 1 })) as {
      token: string;
    };
    assert.deepEqual((await sessions.byToken(made.token)).scopes, ['read']);
    now += 2 * 86_400_000;
    await assert.rejects(sessions.byToken(made.token), (error: unknown) => {
      assert.ok(error instanceof HttpProblem);
      assert.deepEqual([error.input.status, error.input.detail], [401, 'the token has expired']);
      return true;
    });
  });
});

describe('the second step of signing in', () => {
  const PASSWORD = 'correct horse battery';

  async function enrolled(t: TestContext) {
    const { storage } = await openWorld(t);
    const clock = { ms: 1_800_000_000_000 };
    const factors = new SecondFactors(storage, new Uint8Array(32), () => clock.ms);
    const sessions = new Sessions(
      storage,
      factors,
      () => true,
      () => clock.ms,
    );
    const passwordHash = await hashPassword(PASSWORD);
    await storage.addAdministrator({ name: 'anna', passwordHash, onlyFirst: true });
    const subject = administratorSubject('anna');
    const { secret } = (await factors.begin(subject, 'CMail')) ?? assert.fail();
    const code = (steps: number) => {
      const totp = new TOTP({ secret: Secret.fromBase32(secret) });
      return totp.generate({ timestamp: clock.ms + steps * 30_000 });
    };
    const recovery = (await factors.confirm(subject, code(-1))) ?? assert.fail();
    const first = async (password = PASSWORD) => {
      const answer = await sessions.signIn('Anna', password, ORIGIN);
      return 'pending' in answer ? answer.pending : assert.fail('no second step');
    };
    const second = (pending: string, given: string) => sessions.signInWithCode(pending, given, ORIGIN);
    return { ...{ storage, clock, factors, sessions, subject, code, recovery, first, second } };
  }

  const status = (wanted: number) => (error: unknown) =>
    error instanceof HttpProblem && error.input.status === wanted;
  const statusOf = (work: Promise<unknown>) =>
    work.then(
      () => 0,
      (error: unknown) => (error instanceof HttpProblem ? error.input.status : assert.fail(String(error))),
    );

  it('counts wrong codes like wrong passwords, many at once too, and half a sign-in clears nothing', async (t) => {
    const { clock, code, recovery, first, second } = await enrolled(t);
    const pending = await first();
    const wrong = Array.from({ length: 12 }, () => statusOf(second(pending, 'not-a-code')));
    const told = (await Promise.all(wrong)).sort();
    assert.deepEqual(told, [401, 401, 401, 401, ...Array.from({ length: 8 }, () => 429)]);
    // Throttled, right and wrong are the same, in either step.
    for (const one of [code(0), 'not-a-code']) await assert.rejects(second(pending, one), status(429));
    for (const one of [PASSWORD, 'wrong']) await assert.rejects(first(one), status(429));
    clock.ms += 1_000;
    const again = await first();
    await assert.rejects(second(again, 'not-a-code'), status(401));
    await assert.rejects(second(again, code(0)), status(429));
    clock.ms += 1_999;
    await assert.rejects(second(again, code(0)), status(429));
    clock.ms += 1;
    assert.equal((await second(again, recovery[0] ?? '')).caller.author, 'anna');
    await assert.rejects(second(again, 'not-a-code'), status(401));
    assert.equal((await second(again, code(0))).caller.author, 'anna');
  });

  it('is over after five minutes, and when password or factor are others', async (t) => {
    const { storage, clock, factors, subject, recovery, first, second } = await enrolled(t);
    const old = await first();
    clock.ms += 5 * 60_000 - 1;
    await second(old, recovery[0] ?? '');
    clock.ms += 1;
    await assert.rejects(second(old, recovery[1] ?? ''), status(401));
    const before = await first();
    await storage.setAdministratorPassword({
      name: 'anna',
      passwordHash: await hashPassword('another one'),
      keepSession: null,
    });
    await assert.rejects(second(before, recovery[1] ?? ''), status(401));
    const half = await first('another one');
    await factors.remove(subject);
    await assert.rejects(second(half, recovery[1] ?? ''), status(401));
    await assert.rejects(second('made up', recovery[1] ?? ''), status(401));
  });

  it('of an account opens no session of an administrator, and works on another node', async (t) => {
    const { storage, clock, factors, recovery, first, second } = await enrolled(t);
    const { token } = await factors.pend({ kind: 'account', name: 'anna' }, 'x');
    await assert.rejects(second(token, recovery[0] ?? ''), status(401));
    const node = new SecondFactors(storage, new Uint8Array(32), () => clock.ms);
    const other = new Sessions(
      storage,
      node,
      () => true,
      () => clock.ms,
    );
    const opened = await other.signInWithCode(await first(), recovery[0] ?? '', ORIGIN);
    assert.equal(opened.caller.author, 'anna');
    const [entry] = await storage.audit({ limit: 1 });
    assert.deepEqual(
      [entry?.who, entry?.action, entry?.details],
      ['anna', 'secondFactor.recoveryCode', 'signed in with a recovery code; 9 left'],
    );
  });
});

describe('the throttle of sign-ins', () => {
  it('doubles the wait for an account from an address, and a success clears it', () => {
    let now = 0;
    const throttle = new LoginThrottle(() => now);
    const waits: number[] = [];
    for (let n = 0; n < 6; n++) {
      throttle.failed('192.0.2.1', 'anna');
      waits.push(throttle.waitMs('192.0.2.1', 'anna'));
    }
    assert.deepEqual(waits, [0, 0, 0, 1000, 2000, 4000]);
    assert.equal(throttle.waitMs('192.0.2.2', 'anna'), 0);
    now = 4000;
    assert.equal(throttle.waitMs('192.0.2.1', 'anna'), 0);
    throttle.succeeded('192.0.2.1', 'anna');
    throttle.failed('192.0.2.1', 'anna');
    assert.equal(throttle.waitMs('192.0.2.1', 'anna'), 0);
  });

  it('slows an address that tries many accounts, and an account tried from many addresses, that one briefly', () => {
    const throttle = new LoginThrottle(() => 0);
    for (let n = 0; n < 14; n++) throttle.failed('192.0.2.1', `name${n}`);
    assert.equal(throttle.waitMs('192.0.2.1', 'another'), 8000);
    for (let n = 0; n < 60; n++) throttle.failed(`198.51.100.${n}`, 'anna');
    assert.equal(throttle.waitMs('203.0.113.1', 'anna'), 30_000);
  });

  it('remembers a bounded number', () => {
    const throttle = new LoginThrottle(() => 0);
    for (let n = 0; n < MAX_THROTTLED; n++) throttle.failed(`a${n}`, `b${n}`);
    assert.equal(throttle.size, MAX_THROTTLED);
  });
});

describe('live streams', () => {
  it('are bounded in number, and a reader too far behind is ended', async () => {
    let n = 0;
    const big = 'x'.repeat(MAX_UNSENT_BYTES / 4);
    const live = new LiveStreams({ read: async () => ({ n: n++, big }), everyMs: 5 });
    const responses = await Promise.all(
      Array.from({ length: MAX_STREAMS }, () => live.open(async () => true)),
    );
    await assert.rejects(
      live.open(async () => true),
      /live views open already/,
    );
    for (let waited = 0; live.size > 0 && waited < 200; waited++) {
      await new Promise((done) => setTimeout(done, 10));
    }
    assert.equal(live.size, 0);
    const text = await responses[0]?.text();
    assert.ok((text?.length ?? 0) <= MAX_UNSENT_BYTES);
    live.close();
  });

  it('end when the reader may not see them any more', async () => {
    let allowed = true;
    const live = new LiveStreams({ read: async () => ({ at: Math.random(), n: Math.random() }), everyMs: 5 });
    const response = await live.open(async () => allowed);
    allowed = false;
    const text = await response.text();
    assert.equal(text.match(/^data: /gm)?.length, 1);
    live.close();
  });
});

describe("an administrator's password", () => {
  it('is refused when it is short, common, a run or the name', () => {
    for (const weak of [
      'short',
      'password123',
      'Passwort!!',
      '1234567890',
      'abcdefghij',
      'aaaaabbbbb',
      'anna-anna-1',
    ]) {
      assert.equal(passwordStrength(weak, 'anna').acceptable, false, weak);
    }
    assert.ok(passwordStrength('correct horse battery', 'anna').score >= 3);
    assert.ok(passwordStrength('kX9!pq2Lw#', 'anna').score >= 2);
  });
});

describe('traffic', () => {
  it('counts by the minute and forgets after a day', () => {
    let now = 60_000 * 1000;
    const traffic = new TrafficCounter(() => now);
    traffic.count('accepted');
    traffic.count('refused', 3);
    now += 60_000;
    traffic.count('delivered');
    assert.deepEqual(
      traffic.last(2).map(({ accepted, refused, delivered }) => [accepted, refused, delivered]),
      [
        [1, 3, 0],
        [0, 0, 1],
      ],
    );
    now += TRAFFIC_MINUTES * 60_000;
    traffic.count('failed');
    const sum = traffic
      .last(TRAFFIC_MINUTES)
      .reduce((all, one) => all + one.accepted + one.delivered + one.failed, 0);
    assert.equal(sum, 1);
  });
});

describe('subjects', () => {
  it('are found in the header section, unfolded and readable', () => {
    const header =
      'Received: x\r\nX-Subject: no\r\nsubject :  =?utf-8?Q?caf=C3=A9?=\r\n\tau lait\r\nTo: y\r\n';
    const raw = findSubject(header);
    assert.equal(raw, '=?utf-8?Q?caf=C3=A9?=\tau lait');
    assert.equal(decodeSubject(raw), 'café au lait');
    assert.equal(decodeSubject(Buffer.from('Grüße', 'utf8').toString('latin1')), 'Grüße');
    assert.equal(findSubject('To: x\r\n'), '');
    assert.deepEqual(subjectWords('Re: CAFÉ re: No.17'), ['re', 'cafe', 'no', '17']);
  });
});
