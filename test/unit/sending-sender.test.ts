/** The scheduler: claims, sessions, leases, settling, and what happens to a claim beside sending. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { StorageError } from '../../src/storage/contract.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { HOUR_MS, host, MINUTE_MS, makeWorld, route } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

/** A server that greets nobody until it is told to, and counts who waits. */
async function startGate(t: TestContext) {
  const waiting: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    waiting.push(socket);
    server.emit('waiting');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of waiting) socket.destroy();
    server.close();
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    ...{ address: '127.0.0.1', port, waiting },
    waitFor: async (count: number) => {
      while (waiting.length < count) await once(server, 'waiting', { signal: AbortSignal.timeout(10_000) });
    },
  };
}

describe('sessions', () => {
  it('messages to one destination share connections, without RSET between', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    for (let n = 0; n < 80; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
    world.sender.start();
    await world.queue.waitForSettled(80);
    assert.equal(far.messages.length, 80);
    assert.ok(far.sessions.length <= 20, `${far.sessions.length} connections`);
    assert.ok(!far.sessions.some(({ commands }) => commands.includes('RSET')));
  });

  it('a connection takes 100 messages at most', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), {}, { maxSessions: 1 });
    for (let n = 0; n < 101; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
    world.sender.start();
    await world.queue.waitForSettled(101);
    assert.equal(far.messages.length, 101);
    assert.equal(far.sessions.length, 2);
  });

  it('a connection the server closed while it waited is opened anew, not counted as trouble', async (t) => {
    const far = await peer(t, { at: { mail: ['ok', 'close', 'ok'] } });
    const world = makeWorld(t, () => route([host(far)]));
    await world.send({ to: ['x@far.test'] });
    const id = await world.send({ to: ['y@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.equal(far.sessions.length, 2);
  });

  it('five at first to one destination, and the others have theirs meanwhile', async (t) => {
    const gate = await startGate(t);
    const far = await peer(t);
    const world = makeWorld(t, ({ domain }) => route([host(domain === 'slow.test' ? gate : far)]));
    for (let n = 0; n < 50; n += 1) world.queue.add({ to: [`x${n}@slow.test`] });
    world.sender.start();
    await gate.waitFor(5);
    await world.send({ to: ['x@far.test'] });
    assert.equal(far.messages.length, 1);
    assert.equal(gate.waiting.length, 5);
    assert.deepEqual(
      world.sender.destinations().map(({ destination, sessions }) => [destination, sessions])[0],
      ['slow.test', 5],
    );
  });

  it('leaves no claim behind when all its sessions end in the same turn', async (t) => {
    const far = await peer(t);
    // Ended after the greeting, so that each session fails by itself and all are told to end at once.
    far.script({ at: { ehlo: 'close', helo: 'close' } });
    const world = makeWorld(t, () => route([host(far)]));
    world.queue.settleTogether = 5;
    for (let n = 0; n < 30; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
    world.sender.start();
    await world.queue.waitForSettled(30);
    assert.equal(world.queue.settled.length, 30);
  });

  it('never more in all than allowed', async (t) => {
    const gate = await startGate(t);
    const far = ({ domain }: { domain: string }) => route([host(gate, 10, `mx.${domain}`)]);
    const world = makeWorld(t, far, {}, { maxSessions: 7 });
    for (let n = 0; n < 30; n += 1) world.queue.add({ to: [`x@d${n}.test`] });
    world.sender.start();
    await gate.waitFor(7);
    world.sender.wake();
    await world.queue.asStore().nextDueAt();
    assert.equal(gate.waiting.length, 7);
    assert.equal(world.queue.claimed.length, 7);
  });

  it('more with success: up to twenty', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    for (let n = 0; n < 40; n += 1) await world.send({ to: [`x${n}@far.test`] });
    far.script({ at: { mail: 'close', greeting: 'close' } });
    await world.send({ to: ['y@far.test'] });
    const [state] = world.sender.destinations();
    assert.equal(state?.limit, 10, 'twenty, halved by one failure');
    assert.notEqual(state?.failingSince, null);
  });

  it('one failed attempt speaks for all work taken before; work taken later dials again', async (t) => {
    const gone = await startSmtpPeer({ at: { greeting: 'close' } });
    t.after(() => gone.close());
    const world = makeWorld(t, () => route([host(gone)]), {}, { maxSessions: 1 });
    for (let n = 0; n < 10; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
    world.sender.start();
    await world.queue.waitForSettled(10);
    assert.equal(gone.sessions.length, 1);
    gone.script({});
    world.queue.retry();
    assert.equal(world.sender.endBackOff('far.test'), 1);
    await world.queue.waitForSettled(20);
    assert.equal(gone.messages.length, 10);
  });

  it('recipients of one message go in transactions of 100', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    await world.send({ to: Array.from({ length: 250 }, (_, n) => `x${n}@far.test`) });
    assert.deepEqual(
      far.messages.map(({ to }) => to.length),
      [100, 100, 50],
    );
    assert.equal(far.sessions.length, 1);
  });

  it('recipients that were too many are sent at once in another transaction', async (t) => {
    const far = await peer(t, { at: { rcpt: ['ok', 'ok', '452 4.5.3 Too many', 'ok'] } });
    const world = makeWorld(t, () => route([host(far)]));
    const id = await world.send({ to: ['a@far.test', 'b@far.test', 'c@far.test'] });
    assert.ok(world.queue.recipients(id).every(({ state }) => state === 'delivered'));
    assert.deepEqual(
      far.messages.map(({ to }) => to.length),
      [2, 1],
    );
  });
});

describe('a claim', () => {
  it('is renewed while its session lives', async (t) => {
    const gate = await startGate(t);
    const world = makeWorld(t, () => route([host(gate)]), {}, { leaseMs: 1_000, renewMs: 20 });
    world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    await gate.waitFor(1);
    await once(world.queue, 'renewed');
    assert.equal(world.queue.renewed[0], 't1-1');
  });

  it('that lapsed is not sent, and its settling is only logged', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), {}, { leaseMs: 0 });
    world.queue.settleErrors.push(new StorageError('stale-claim', 'lapsed'));
    const warned = Promise.withResolvers<void>();
    world.onLog = (line) => (line.startsWith('warn the claim had lapsed') ? warned.resolve() : undefined);
    world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    await warned.promise;
    assert.equal(far.messages.length, 0);
  });

  it('that lapses while its message is on the way is not brought to an end', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), {}, { leaseMs: 500 });
    let stops = 0;
    world.queue.onChunk = () => {
      // As a process that is stopped for a while: no timer runs, nothing is renewed.
      if (stops++ === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    };
    const id = world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    await world.queue.waitForSettled(2);
    const results = world.queue.settled.map(({ outcomes }) => outcomes[0]?.result.type);
    assert.deepEqual(results, ['returned', 'delivered']);
    assert.equal(far.sessions.length, 2, 'the first connection was closed in mid-message');
    assert.deepEqual([far.messages.length, far.refused.length], [1, 0]);
    assert.equal(world.queue.recipients(id)[0]?.attempts, 1);
  });

  it('that is not renewed any more is given up before somebody else may have it', async (t) => {
    const far = await peer(t);
    const gate = await startGate(t);
    const world = makeWorld(
      t,
      () => route([host(gate, 10), host(far, 20)]),
      {},
      { leaseMs: 400, renewMs: 40 },
    );
    world.queue.renewing = false;
    world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    await gate.waitFor(1);
    await once(world.queue, 'renewed');
    // The second server would take it.
    for (const socket of gate.waiting) socket.destroy();
    await world.queue.waitForSettled(1);
    assert.equal(world.queue.settled[0]?.outcomes[0]?.result.type, 'returned');
    assert.equal(far.messages.length, 0);
    await world.sender.stop(200);
  });

  it('of another node is left alone for a while after the store was away for long', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), {}, { leaseMs: 400, renewMs: 100, pollMs: 20 });
    world.queue.settleErrors.push(
      ...Array.from({ length: 3 }, () => new StorageError('unavailable', 'gone')),
      new StorageError('stale-claim', 'lapsed'),
    );
    const mine = world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    await far.waitForMessages(1);
    world.queue.away = true;
    const others = world.queue.add({ to: ['y@other.test'] });
    // The fourth try to record is refused: its claim is another one's by now.
    while (world.queue.settleErrors.length > 0) await new Promise((done) => setTimeout(done, 20));
    world.queue.lapse();
    world.queue.away = false;
    await world.queue.waitForSettled(1);
    assert.equal(world.queue.recipients(mine)[0]?.state, 'delivered');
    await new Promise((done) => setTimeout(done, 300));
    assert.equal(world.queue.recipients(others)[0]?.state, 'queued');
    assert.equal(far.messages.length, 1);
  });

  it('that lapsed before its delivery could be recorded is not sent again to who has it', async (t) => {
    const far = await peer(t, { recipients: { 'later@far.test': '450 4.2.1 Not now' } });
    const world = makeWorld(t, () => route([host(far)]));
    world.queue.settleErrors.push(
      new StorageError('unavailable', 'disk full'),
      new StorageError('stale-claim', 'lapsed'),
    );
    world.onLog = (line) => {
      if (!line.startsWith('warn the claim had lapsed')) return;
      far.script({});
      world.queue.lapse();
      world.sender.wake();
    };
    const id = world.queue.add({ to: ['x@far.test', 'later@far.test'] });
    world.sender.start();
    await world.queue.waitForSettled(2);
    assert.deepEqual(
      world.queue.recipients(id).map(({ state }) => state),
      ['delivered', 'delivered'],
    );
    assert.deepEqual(
      far.messages.map(({ to }) => to),
      [['x@far.test'], ['later@far.test']],
    );
    assert.equal(world.queue.events('delivered').length, 2);
  });

  it('is settled again and again while the store cannot, and sent once', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    world.queue.settleErrors.push(
      new StorageError('unavailable', 'disk full'),
      new StorageError('unavailable', 'disk full'),
    );
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.equal(far.messages.length, 1);
  });

  it('keeps its deliveries when the store refuses the rest', async (t) => {
    const far = await peer(t, { recipients: { 'no@far.test': '550 5.1.1 Unknown' } });
    const world = makeWorld(t, () => route([host(far)]));
    world.queue.settleErrors.push(new StorageError('conflict', 'account gone'));
    const id = await world.send({ to: ['x@far.test', 'no@far.test'] });
    assert.deepEqual(
      world.queue.recipients(id).map(({ state }) => state),
      ['delivered', 'queued'],
    );
  });

  it('an exception in it defers it and is logged', async (t) => {
    const world = makeWorld(t, () => {
      throw new Error('bang');
    });
    world.settings = { ...world.settings, queueLifetimeMs: 0 };
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.ok(world.logged.some((line) => line.startsWith('error an attempt went wrong')));
  });

  it('a failure whose notice cannot be made waits; deliveries stand', async (t) => {
    const far = await peer(t, { recipients: { 'no@far.test': '550 5.1.1 Unknown' } });
    const world = makeWorld(t, () => route([host(far)]));
    world.makeNoticesFails = true;
    const id = await world.send({ to: ['x@far.test', 'no@far.test'] });
    assert.deepEqual(
      world.queue.recipients(id).map(({ state }) => state),
      ['delivered', 'queued'],
    );
  });

  it('follows each recipient’s decision of today', async (t) => {
    const far = await peer(t);
    const other = await peer(t);
    const world = makeWorld(t, ({ domain }) => route([host(domain === 'other.test' ? other : far)]));
    const failure = { code: 550, enhanced: '5.1.1', text: 'gone', temporary: false };
    const local = { type: 'local', delivery: { accountId: 1, header: '' } } as const;
    const into = [{ address: 'now@here.test', original: 'here@far.test', rule: 'account', to: local }];
    const later = { code: 451, enhanced: '4.3.0', text: 'no directory', temporary: true };
    const domain = 'other.test';
    const usual = world.redecide;
    world.redecide = (recipient) => {
      const { address } = recipient;
      if (address.startsWith('gone')) return { type: 'failed', failure };
      if (address.startsWith('here')) return { type: 'expanded', into };
      if (address.startsWith('wait')) return { type: 'deferred', failure: later };
      if (address.startsWith('bad')) throw new Error('bang');
      if (address.startsWith('else'))
        return { type: 'send', target: { type: 'external', domain }, assumedExternal: true };
      return usual(recipient);
    };
    const names = ['gone', 'here', 'wait', 'bad', 'else', 'x'];
    const id = await world.send({ to: names.map((name) => `${name}@far.test`) });
    assert.deepEqual(
      world.queue.recipients(id).map(({ state }) => state),
      ['failed', 'expanded', 'queued', 'queued', 'delivered', 'delivered'],
    );
    assert.deepEqual(other.messages[0]?.to, ['else@far.test']);
    assert.equal(world.plans.find(({ target }) => target.domain === domain)?.options.assumedExternal, true);
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.1.1');
  });

  it('asks the settings and the route anew at each attempt', async (t) => {
    const far = await peer(t);
    const failure = { kind: 'no-answer', status: '4.4.3', action: 'retry', text: 'no' } as const;
    const world = makeWorld(t, () => route([], { failure }));
    const id = await world.send({ to: ['x@far.test'] });
    world.settings = { ...world.settings, outboundPort: 26 };
    world.plan = () => route([host(far)]);
    world.queue.retry();
    world.sender.wake();
    await world.queue.waitForSettled(2);
    assert.equal(world.plans[1]?.options.settings.outboundPort, 26);
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
  });

  it('a delay notice goes with the settling, once', async (t) => {
    const failure = { kind: 'no-answer', status: '4.4.3', action: 'retry', text: 'no' } as const;
    const world = makeWorld(t, () => route([], { failure }), { delayNoticeMs: HOUR_MS });
    const receivedAt = Date.now() - 2 * HOUR_MS;
    const id = await world.send({ to: ['x@far.test'], changes: { receivedAt } });
    assert.equal(world.notices[0]?.kind, 'delay');
    const outlook = world.notices[0]?.recipients[0]?.outlook;
    assert.equal(outlook?.giveUpAt, receivedAt + world.settings.queueLifetimeMs);
    assert.ok(Math.abs((outlook?.nextAttemptAt ?? 0) - Date.now() - MINUTE_MS) < 5_000);
    assert.equal(world.queue.recipients(id)[0]?.delayNoticeSent, true);
    world.queue.retry();
    world.sender.wake();
    await world.queue.waitForSettled(2);
    assert.equal(world.notices.length, 1);
  });
});

describe('stopping', () => {
  it('lets sessions finish, then ends them; what is unfinished is due again and not counted', async (t) => {
    const gate = await startGate(t);
    const world = makeWorld(t, () => route([host(gate)]));
    const ids = Array.from({ length: 10 }, (_, n) => world.queue.add({ to: [`x${n}@far.test`] }));
    world.sender.start();
    await gate.waitFor(5);
    await world.sender.stop(50);
    for (const id of ids) {
      const [recipient] = world.queue.recipients(id);
      assert.deepEqual([recipient?.state, recipient?.attempts], ['queued', 0]);
    }
    assert.equal(gate.waiting.length, 5);
  });

  it('a message under way within the grace is delivered', async (t) => {
    const far = await peer(t, { dripMs: 1 });
    const world = makeWorld(t, () => route([host(far)]));
    const id = world.queue.add({ to: ['x@far.test'] });
    world.sender.start();
    while (far.sessions.length === 0) await new Promise((done) => setImmediate(done));
    await world.sender.stop(5_000);
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
  });
});

describe('the clock', () => {
  it('claims that ran out are looked for at the start and then now and again', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), {}, { renewMs: 1_500, pollMs: 10 });
    await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.released, 1);
    const nextAttemptAt = Date.now() + 1_600;
    await world.send({ to: ['y@far.test'], recipientChanges: { nextAttemptAt } });
    assert.ok(world.queue.released >= 2);
  });

  it('looks when the next attempt is due, without being woken', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    const nextAttemptAt = Date.now() + 150;
    const id = await world.send({ to: ['x@far.test'], recipientChanges: { nextAttemptAt } });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.ok(Date.now() >= nextAttemptAt && Date.now() < nextAttemptAt + 700);
  });
});
