import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashPassword } from '../../src/directory/password.ts';
import { appPasswordHash, SignIn, type SignInRequest } from '../../src/directory/sign-in.ts';
import { FAILURES_UNTIL_BAN, SignInThrottle, TRIES_AT_ONCE } from '../../src/directory/sign-in-throttle.ts';
import type { Account } from '../../src/storage/contract.ts';
import type { AppPassword, SignInRecord } from '../../src/storage/credentials-contract.ts';

const ANN: Account = {
  ...{ id: 1, address: 'ann@here.test', enabled: true, quotaBytes: null, usedBytes: 0, createdAt: 0 },
  isPostmaster: true,
  forward: null,
};
const APP = 'abcd-efgh-ijkl-mnop-qrst-uvwx';

async function world(more: { enabled?: boolean; throttle?: SignInThrottle } = {}) {
  const hash = await hashPassword('right one');
  const records: SignInRecord[] = [];
  const logged: string[] = [];
  const phone: AppPassword = { name: 'phone', scopes: ['send'], createdAt: 0, lastUsedAt: null };
  const store = {
    account: async (address: string) =>
      address.toLowerCase() === ANN.address ? { ...ANN, enabled: more.enabled ?? true } : null,
    passwordHash: async () => hash,
    findAppPassword: async (_: number, found: string) => (found === appPasswordHash(APP) ? phone : null),
    recordSignIn: async (_: number, record: SignInRecord) => void records.push(record),
  };
  const signIn = new SignIn(
    store as unknown as ConstructorParameters<typeof SignIn>[0],
    (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    more.throttle,
  );
  return { signIn, records, logged };
}

const request = (password: string, more: Partial<SignInRequest> = {}): SignInRequest => ({
  ...{ user: 'Ann@Here.test', password, address: '192.0.2.1', service: 'submission', scope: 'send' },
  ...{ tls: 'TLSv1.3' },
  ...more,
});

describe('sign-in', () => {
  it('takes the password and an app password for what it is for, and keeps who came', async () => {
    const { signIn, records, logged } = await world();
    const good = { ok: true, accountId: 1, address: 'ann@here.test' };
    assert.deepEqual(await signIn.check(request('right one')), good);
    assert.deepEqual(await signIn.check(request(` ${APP.toUpperCase().replaceAll('-', ' ')}`)), good);
    const collect = await signIn.check(request(APP, { scope: 'collect' }));
    assert.deepEqual(collect, { ok: false, kind: 'refused', text: 'App password phone is not for this' });
    assert.deepEqual(await signIn.check(request('wrong')), {
      ok: false,
      kind: 'refused',
      text: 'User name or password is wrong',
    });
    assert.deepEqual(
      records.map(({ outcome, appPassword, reason }) => [outcome, appPassword, reason]),
      [
        ['ok', null, null],
        ['ok', 'phone', null],
        ['refused', 'phone', 'app password phone is not for this'],
        ['refused', null, 'wrong password'],
      ],
    );
    for (const secret of ['right one', APP, 'wrong"']) assert.ok(!logged.join().includes(secret), secret);
  });

  it('says the same of an unknown name and of no address at all', async () => {
    const { signIn, records } = await world();
    for (const user of ['nobody@here.test', 'ann', '', 'x'.repeat(5000)]) {
      const answer = await signIn.check(request('right one', { user }));
      assert.ok(!answer.ok);
      assert.equal(answer.text, 'User name or password is wrong');
    }
    assert.deepEqual(records, []);
  });

  it('refuses a disabled account', async () => {
    const { signIn } = await world({ enabled: false });
    assert.deepEqual(await signIn.check(request('right one')), {
      ok: false,
      kind: 'refused',
      text: 'The account is disabled',
    });
  });

  it('10,000 wrong passwords from one network: banned soon, and others still get in', async () => {
    const { signIn } = await world();
    const started = performance.now();
    const throttle = signIn.throttle;
    // So many were checked, each later than the one before.
    for (let n = 0; n < FAILURES_UNTIL_BAN; n += 1) throttle.failed('192.0.2.0/24', null);
    for (let n = FAILURES_UNTIL_BAN; n < 10_000; n += 1) {
      const answer = await signIn.check(request(`guess ${n}`, { address: `192.0.2.${n % 250}` }));
      assert.ok(!answer.ok && answer.kind === 'later');
    }
    assert.ok((await signIn.check(request('right one', { address: '198.51.100.7' }))).ok);
    assert.ok(performance.now() - started < 20_000);
  });
});

describe('the throttle', () => {
  const admitted = (throttle: SignInThrottle, network: string, account: string | null = null) => {
    const admission = throttle.admit(network, account);
    assert.ok(admission.ok);
    return admission;
  };

  it('waits longer with each failure, to a bound, for a network and for an account', () => {
    const throttle = new SignInThrottle(() => 1_000_000);
    const delays: number[] = [];
    for (let n = 0; n < 12; n += 1) {
      const one = admitted(throttle, 'net');
      delays.push(one.delayMs);
      one.done();
      throttle.failed('net', 'ann@here.test');
    }
    assert.deepEqual(delays, [0, 0, 0, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000, 10000]);
    assert.equal(admitted(throttle, 'elsewhere', 'ann@here.test').delayMs, 4000);
    assert.equal(admitted(throttle, 'elsewhere', 'bob@here.test').delayMs, 0);
    throttle.succeeded('ann@here.test');
    assert.equal(admitted(throttle, 'elsewhere', 'ann@here.test').delayMs, 0);
  });

  it('bans for longer each time, lets in again afterwards or when told to', () => {
    let now = 1_000_000;
    const throttle = new SignInThrottle(() => now);
    const fail = () => {
      for (let n = 0; n < FAILURES_UNTIL_BAN; n += 1) throttle.failed('net', null);
    };
    fail();
    assert.deepEqual(throttle.bans(), [{ network: 'net', until: now + 600_000, times: 1, failures: 20 }]);
    const refused = throttle.admit('net', null);
    assert.match(
      refused.ok ? '' : refused.text,
      /Too many failed sign-ins from net; try again in 10 minutes/,
    );
    now += 600_001;
    assert.deepEqual(throttle.bans(), []);
    admitted(throttle, 'net').done();
    fail();
    assert.equal(throttle.bans()[0]?.until, now + 1_200_000);
    assert.equal(throttle.unban('other'), false);
    assert.equal(throttle.unban('net'), true);
    assert.equal(throttle.unban('net'), false);
    assert.equal(admitted(throttle, 'net').delayMs, 0);
    for (let times = 0; times < 12; times += 1) {
      fail();
      assert.ok((throttle.bans()[0]?.until ?? 0) <= now + 86_400_000);
      now += 86_400_001;
    }
  });

  it('lets so many of one network try at once', () => {
    const throttle = new SignInThrottle();
    const open = Array.from({ length: TRIES_AT_ONCE }, () => admitted(throttle, 'net'));
    const refused = throttle.admit('net', null);
    assert.match(refused.ok ? '' : refused.text, /Too many sign-ins at once from net/);
    admitted(throttle, 'other').done();
    open[0]?.done();
    admitted(throttle, 'net');
  });

  it('remembers a bounded number of networks, the banned ones longest', () => {
    let now = 1_000_000;
    const throttle = new SignInThrottle(() => now);
    for (let n = 0; n < FAILURES_UNTIL_BAN; n += 1) throttle.failed('banned', null);
    for (let n = 0; n < 20_000; n += 1) throttle.failed(`net ${n}`, `account ${n}`);
    assert.equal(throttle.bans().length, 1);
    assert.equal(admitted(throttle, 'net 1').delayMs, 0);
    now += 1;
  });
});
