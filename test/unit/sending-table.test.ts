/** BEHAVIOUR.md, "When MX fails", row by row, against scripted servers on loopback. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { failedRoute, host, MINUTE_MS, makeWorld, route, smtpHostRoute } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

/** A port on loopback nobody listens at. */
async function closedPort(): Promise<{ address: string; port: number }> {
  const gone = await startSmtpPeer();
  await gone.close();
  return { address: gone.address, port: gone.port };
}

const UNREACHABLE: [string, PeerScript][] = [
  ['closed before the greeting', { at: { greeting: 'close' } }],
  ['reset before the greeting', { at: { greeting: 'reset' } }],
  ['4xx greeting', { at: { greeting: '421 4.3.2 Later' } }],
  ['5xx greeting', { at: { greeting: '554 5.7.1 Not you' } }],
  ['silent', { at: { greeting: 'silent' } }],
];

const SPOKE: [string, PeerScript, string][] = [
  ['lost after EHLO and HELO', { at: { ehlo: 'close', helo: 'close' } }, '4.4.2'],
  ['421 to EHLO', { at: { ehlo: '421 4.3.2 Later' } }, '4.4.2'],
  ['421 to HELO', { at: { ehlo: '500 what', helo: '421 4.3.2 Later' } }, '4.4.2'],
  ['421 to MAIL', { at: { mail: '421 4.3.2 Later' } }, '4.4.2'],
  ['421 to DATA', { at: { data: '421 4.3.2 Later' } }, '4.4.2'],
  ['421 to the final dot', { at: { end: '421 4.3.2 Later' } }, '4.4.2'],
  ['EHLO and HELO refused', { at: { ehlo: '550 no', helo: '550 no' } }, '4.4.2'],
  ['lost at MAIL', { at: { mail: 'close' } }, '4.4.2'],
  ['timed out after the final dot', { at: { end: 'silent' } }, '4.4.2'],
  ['421 at RCPT', { at: { rcpt: '421 4.3.2 Later' } }, '4.4.2'],
  ['lost in data', { at: { data: 'close' } }, '4.4.2'],
  ['lost after the final dot', { at: { end: 'close' } }, '4.4.2'],
  ['4xx to MAIL', { at: { mail: '451 4.3.1 Later' } }, '4.3.1'],
  ['4xx to RCPT', { at: { rcpt: '450 4.2.0 Greylisted' } }, '4.2.0'],
  ['4xx to DATA', { at: { data: '451 4.3.0 Later' } }, '4.3.0'],
  ['4xx to the final dot', { at: { end: '452 4.3.1 Full' } }, '4.3.1'],
];

const FINAL: [string, PeerScript][] = [
  ['5xx to MAIL', { at: { mail: '550 5.7.1 No' } }],
  ['5xx to RCPT', { at: { rcpt: '550 5.7.1 No' } }],
  ['5xx to DATA', { at: { data: '550 5.7.1 No' } }],
  ['5xx to the final dot', { at: { end: '550 5.7.1 No' } }],
];

const QUICK = { greetingMs: 150, mailMs: 150, rcptMs: 150, dataMs: 150, dataEndMs: 150 };

function quick(world: ReturnType<typeof makeWorld>): void {
  world.settings = { ...world.settings, timeouts: { ...world.settings.timeouts, ...QUICK } };
}

describe('every MX host unreachable', () => {
  for (const [what, script] of UNREACHABLE) {
    it(`${what}: retried, 4.4.1 in the end; the SMTP host with fallback on`, async (t) => {
      const dead = await peer(t, script);
      const relay = await peer(t);
      const world = makeWorld(t, () => route([host(dead)]));
      quick(world);
      const id = await world.send({ to: ['x@far.test'] });
      const [recipient] = world.queue.recipients(id);
      assert.equal(recipient?.state, 'queued');
      assert.equal(recipient?.lastKind, 'unreachable');
      const waitMs = (recipient?.nextAttemptAt ?? 0) - Date.now();
      assert.ok(waitMs > 50_000 && waitMs <= MINUTE_MS, String(waitMs));

      world.settings = { ...world.settings, queueLifetimeMs: 0 };
      await world.send({ to: ['y@far.test'] });
      assert.equal(world.notices[0]?.recipients[0]?.status, '4.4.1');

      world.fallback = (kind) => (kind === 'unreachable' ? smtpHostRoute(relay, {}, kind) : null);
      await world.send({ to: ['z@far.test'] });
      assert.deepEqual(relay.messages[0]?.to, ['z@far.test']);
      assert.equal(world.queue.events('fallback')[0]?.detail.failure, 'unreachable');
    });
  }

  it('refused by the first, the second takes it', async (t) => {
    const good = await peer(t);
    const world = makeWorld(t, async () => route([host(await closedPort(), 10), host(good, 20)]));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    const hosts = world.queue.events('attempt')[0]?.detail.hosts as { stage: string }[];
    assert.deepEqual(
      hosts.map(({ stage }) => stage),
      ['connect', 'data-end'],
    );
  });

  it('tries 5 hosts and 10 addresses at most', async (t) => {
    const dead = await closedPort();
    const many = Array.from({ length: 8 }, (_, n) => ({
      ...host(dead, n, `mx${n}.test`),
      addresses: Array(3).fill(dead.address),
    }));
    const world = makeWorld(t, () => route(many));
    await world.send({ to: ['x@far.test'] });
    const hosts = world.queue.events('attempt')[0]?.detail.hosts as { host: string }[];
    assert.equal(hosts.length, 10);
    const few = many.map((one) => ({ ...one, addresses: [dead.address] }));
    world.plan = () => route(few);
    world.sender.endBackOff(null);
    await world.send({ to: ['y@other.test'] });
    assert.equal((world.queue.events('attempt')[1]?.detail.hosts as unknown[] | undefined)?.length, 5);
  });
});

describe('the server spoke', () => {
  for (const [what, script, status] of SPOKE) {
    it(`${what}: next host, then retried, ${status} in the end, no fallback`, async (t) => {
      const first = await peer(t, script);
      const second = await peer(t, script);
      const dead = await closedPort();
      const world = makeWorld(t, () => route([host(first, 1), host(second, 2), host(dead, 3)]));
      quick(world);
      world.fallback = () => assert.fail('fallback must not be asked');
      const id = await world.send({ to: ['x@far.test'] });
      assert.ok(second.sessions.length > 0);
      assert.equal(world.queue.recipients(id)[0]?.lastKind, 'spoke');
      assert.equal(world.notices.length, 0);

      world.settings = { ...world.settings, queueLifetimeMs: 0 };
      await world.send({ to: ['y@far.test'] });
      assert.equal(world.notices[0]?.recipients[0]?.status, status);
    });

    it(`${what}: the next host takes it`, async (t) => {
      const first = await peer(t, script);
      const second = await peer(t);
      const world = makeWorld(t, () => route([host(first, 1), host(second, 2)]));
      quick(world);
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
      assert.equal(second.messages.length, 1);
    });
  }

  it('a host that spoke is not tried at its other addresses', async (t) => {
    const spoke = await peer(t, { at: { mail: '451 4.3.1 Later' } });
    const addresses = [spoke.address, spoke.address];
    const world = makeWorld(t, () => route([{ ...host(spoke), addresses }]));
    await world.send({ to: ['x@far.test'] });
    assert.equal(spoke.sessions.length, 1);
  });

  it('a connection lost after the final dot is noted as possibly a duplicate', async (t) => {
    const lost = await peer(t, { at: { end: 'close' } });
    const world = makeWorld(t, () => route([host(lost)]));
    await world.send({ to: ['x@far.test'] });
    const hosts = world.queue.events('attempt')[0]?.detail.hosts as { possiblyDuplicate?: boolean }[];
    assert.equal(hosts[0]?.possiblyDuplicate, true);
    assert.match(String(world.queue.events('deferred')[0]?.detail.reason), /may have arrived all the same/);
  });

  it('a 421 to the final dot is no such doubt', async (t) => {
    const closing = await peer(t, { at: { end: '421 4.3.2 Later' } });
    const world = makeWorld(t, () => route([host(closing)]));
    await world.send({ to: ['x@far.test'] });
    const hosts = world.queue.events('attempt')[0]?.detail.hosts as { possiblyDuplicate?: boolean }[];
    assert.equal(hosts[0]?.possiblyDuplicate, undefined);
    assert.doesNotMatch(String(world.queue.events('deferred')[0]?.detail.reason), /arrived/);
  });

  it('421 in the middle of the recipients: who was refused is, the others wait', async (t) => {
    for (const extensions of [['PIPELINING'], []]) {
      const far = await peer(t, {
        extensions,
        recipients: { 'no@far.test': '550 5.1.1 Unknown', 'last@far.test': '421 4.7.0 Too many' },
      });
      const world = makeWorld(t, () => route([host(far)]));
      const id = await world.send({ to: ['a@far.test', 'no@far.test', 'last@far.test', 'b@far.test'] });
      const states = world.queue.recipients(id).map(({ state }) => state);
      assert.deepEqual(states, ['queued', 'failed', 'queued', 'queued']);
      assert.equal(far.messages.length, 0);
    }
  });
});

describe('5xx is final', () => {
  for (const [what, script] of FINAL) {
    it(`${what}: notice at once with its words and code, no other host, no fallback`, async (t) => {
      const refusing = await peer(t, script);
      const second = await peer(t);
      const world = makeWorld(t, () => route([host(refusing, 1), host(second, 2)]));
      world.fallback = () => assert.fail('fallback must not be asked');
      const id = await world.send({ to: ['x@far.test', 'y@far.test'] });
      assert.deepEqual(
        world.queue.recipients(id).map(({ state }) => state),
        ['failed', 'failed'],
      );
      assert.equal(second.sessions.length, 0);
      assert.equal(world.notices.length, 1);
      assert.deepEqual(
        world.notices[0]?.recipients.map(({ status, diagnostic }) => [status, diagnostic]),
        Array(2).fill(['5.7.1', '550 5.7.1 No']),
      );
    });
  }

  it('RCPT is judged recipient by recipient, in one transaction and one notice', async (t) => {
    const good = await peer(t, {
      recipients: { 'no@far.test': '550 5.1.1 Unknown', 'later@far.test': '450 4.2.0 Later' },
    });
    const world = makeWorld(t, () => route([host(good)]));
    const id = await world.send({ to: ['a@far.test', 'no@far.test', 'later@far.test', 'b@far.test'] });
    const states = world.queue.recipients(id).map(({ state }) => state);
    assert.deepEqual(states, ['delivered', 'failed', 'queued', 'delivered']);
    assert.equal(good.messages.length, 1);
    assert.equal(world.notices.length, 1);
    assert.equal(world.notices[0]?.recipients[0]?.address, 'no@far.test');
  });
});

describe('a server that drops EHLO', () => {
  it('is called once more with HELO', async (t) => {
    for (const drop of ['close', 'reset']) {
      const old = await peer(t, { at: { ehlo: drop } });
      const world = makeWorld(t, () => route([host(old)]));
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
      assert.deepEqual(old.sessions[1]?.commands.slice(0, 2), ['HELO me.test', 'MAIL FROM:<a@sender.test>']);
      const hosts = world.queue.events('attempt')[0]?.detail.hosts as { stage: string }[];
      assert.deepEqual(
        hosts.map(({ stage }) => stage),
        ['ehlo', 'data-end'],
      );
    }
  });

  it('is not called with HELO where TLS or signing in is needed', async (t) => {
    const old = await peer(t, { at: { ehlo: 'close' } });
    for (const changes of [{ tls: 'required' }, { username: 'u', password: 'p' }] as const) {
      const world = makeWorld(t, () => smtpHostRoute(old, changes));
      await world.send({ to: ['x@far.test'] });
    }
    assert.ok(old.sessions.every(({ commands }) => !commands.some((line) => line.startsWith('HELO'))));
    assert.equal(old.messages.length, 0);
  });

  it('is not taken to be unable to take 8-bit content', async (t) => {
    const old = await peer(t, { at: { ehlo: 'close' } });
    const world = makeWorld(t, () => route([host(old)]));
    const id = await world.send({ to: ['x@far.test'], changes: { eightBit: true } });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(world.notices.length, 0);
  });
});

describe('a message too large for a server', () => {
  const SMALL: PeerScript = { extensions: ['SIZE 10'] };

  it('goes by another MX that takes it, and the timeline says why', async (t) => {
    const small = await peer(t, SMALL);
    const large = await peer(t);
    const world = makeWorld(t, () => route([host(small, 1), host(large, 2)]));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.ok(!small.sessions[0]?.commands.some((line) => line.startsWith('MAIL')));
    const hosts = world.queue.events('attempt')[0]?.detail.hosts as { reply: string }[];
    assert.match(hosts[0]?.reply ?? '', /^The message has \d+ bytes and the server takes at most 10$/);
  });

  it('fails at once with 5.3.4 where no other takes it, reachable or not', async (t) => {
    const small = await peer(t, SMALL);
    for (const other of [small, await closedPort()]) {
      const world = makeWorld(t, () => route([host(small, 1), host(other, 2)]));
      world.fallback = () => assert.fail('fallback must not be asked');
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
      assert.equal(world.notices[0]?.recipients[0]?.status, '5.3.4');
    }
  });

  it('waits where another one only put it off', async (t) => {
    const small = await peer(t, SMALL);
    const later = await peer(t, { at: { mail: '451 4.3.1 Later' } });
    for (const order of [
      [small, later],
      [later, small],
    ]) {
      const world = makeWorld(t, () => route(order.map((one, n) => host(one, n))));
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    }
  });
});

describe('what DNS says', () => {
  it('no-answer: retried, then 4.4.3', async (t) => {
    const failure = { kind: 'no-answer', status: '4.4.3', action: 'retry', text: 'SERVFAIL' } as const;
    const world = makeWorld(t, () => failedRoute(failure));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    world.settings = { ...world.settings, queueLifetimeMs: 0 };
    await world.send({ to: ['y@far.test'] });
    assert.equal(world.notices[0]?.recipients[0]?.status, '4.4.3');
  });

  for (const [kind, status] of [
    ['nxdomain', '5.1.2'],
    ['no-address', '5.4.4'],
  ] as const) {
    it(`${kind}: confirmed past the cache within five minutes, then ${status}`, async (t) => {
      const world = makeWorld(
        t,
        () => failedRoute({ kind, status, action: 'confirm', text: 'no such name' }),
        {
          retryScheduleMs: [60 * MINUTE_MS],
        },
      );
      const id = await world.send({ to: ['x@far.test'] });
      const [first] = world.queue.recipients(id);
      assert.equal(first?.state, 'queued');
      assert.ok((first?.nextAttemptAt ?? Number.POSITIVE_INFINITY) <= Date.now() + 5 * MINUTE_MS);
      assert.equal(world.plans[0]?.options.fresh, false);
      world.queue.retry();
      world.sender.wake();
      await world.queue.waitForSettled(2);
      assert.equal(world.plans[1]?.options.fresh, true);
      assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
      assert.equal(world.notices[0]?.recipients[0]?.status, status);
    });

    it(`${kind}: final at once with queue lifetime 0`, async (t) => {
      const world = makeWorld(t, () => failedRoute({ kind, status, action: 'confirm', text: 'no' }), {
        queueLifetimeMs: 0,
      });
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
      assert.equal(world.notices[0]?.recipients[0]?.status, status);
    });
  }

  it('null MX: notice 5.1.10 at once', async (t) => {
    const failure = { kind: 'null-mx', status: '5.1.10', action: 'notice', text: 'takes no mail' } as const;
    const world = makeWorld(t, () => failedRoute(failure));
    world.fallback = () => assert.fail('fallback must not be asked');
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.1.10');
  });
});

describe('ourselves', () => {
  const me: PeerScript = { hostname: 'me.test' };

  it('a greeting with our name: 5.4.6; the SMTP host with fallback on', async (t) => {
    const self = await peer(t, me);
    const relay = await peer(t);
    const world = makeWorld(t, () => route([host(self)]));
    await world.send({ to: ['x@far.test'] });
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.4.6');
    assert.equal(self.messages.length, 0);
    world.fallback = (kind) => (kind === 'self' ? smtpHostRoute(relay, {}, kind) : null);
    await world.send({ to: ['y@far.test'] });
    assert.equal(relay.messages.length, 1);
  });

  it('drops every server no better, and waits for a better one that is down', async (t) => {
    const self = await peer(t, me);
    const worse = await peer(t);
    const dead = await closedPort();
    const world = makeWorld(t, () => route([host(dead, 5), host(self, 10), host(worse, 20)]));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(worse.sessions.length, 0);
    assert.equal(world.queue.recipients(id)[0]?.lastKind, 'unreachable');
  });

  it('an SMTP host that is ourselves is a loop as well', async (t) => {
    const self = await peer(t, me);
    const world = makeWorld(t, () => smtpHostRoute(self));
    await world.send({ to: ['x@far.test'] });
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.4.6');
  });
});
