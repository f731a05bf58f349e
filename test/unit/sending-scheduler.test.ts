/** The scheduler on real sockets: limits by server, back-off of a whole destination, rates. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { it } from 'node:test';
import { destinationRulesType } from '../../src/settings/destination-rules.ts';
import { host, makeWorld, route } from './sending-world.ts';

interface Far {
  readonly address: string;
  port: number;
  now: number;
  most: number;
  refused: number;
  delivered: number;
  /** Connections taken since the start. */
  connections: number;
  /** 450 to the first so many RCPT. */
  putOff: number;
}

/** A server that takes `limit` connections at once and says 421 to more. */
async function startFar(
  t: { after(clean: () => void): void },
  limit = Number.POSITIVE_INFINITY,
): Promise<Far> {
  const far: Far = {
    address: '127.0.0.1',
    port: 0,
    now: 0,
    most: 0,
    refused: 0,
    delivered: 0,
    connections: 0,
    putOff: 0,
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (far.now >= limit) {
      far.refused += 1;
      socket.end('421 4.7.0 Too many connections\r\n');
      return;
    }
    far.now += 1;
    far.connections += 1;
    far.most = Math.max(far.most, far.now);
    // When the end is seen, not when all is closed: from then on the client may call again.
    socket.once('end', () => {
      far.now -= 1;
    });
    talk(socket, far);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  far.port = (server.address() as { port: number }).port;
  return far;
}

function talk(socket: Socket, far: Far): void {
  let text = '';
  let data = false;
  socket.write('220 far.test\r\n');
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (data) {
        if (line !== '.') continue;
        data = false;
        far.delivered += 1;
        setTimeout(() => socket.write('250 2.0.0 Taken\r\n'), 5);
      } else if (line === 'DATA') {
        data = true;
        socket.write('354 Go on\r\n');
      } else if (line.startsWith('RCPT') && far.putOff > 0) {
        far.putOff -= 1;
        socket.write('450 4.2.0 Later\r\n');
      } else if (line === 'QUIT') socket.end('221 Bye\r\n');
      else socket.write('250 Fine\r\n');
    }
  });
}

/** Of a domain such as `d12.test`. */
function numberIn(domain: string): number {
  return Number.parseInt(domain.slice(1), 10);
}

it('fifty domains at one server have the connections of one destination', async (t) => {
  const far = await startFar(t);
  const world = makeWorld(t, () => route([host(far)]), { destinationConcurrency: 6 });
  for (let n = 0; n < 200; n += 1) world.queue.add({ to: [`x@d${n % 50}.test`] });
  world.sender.start();
  while (far.delivered < 200) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  assert.ok(far.most <= 6, `${far.most} connections`);
  assert.ok(far.most > 1);
});

it('a server that takes one connection gets one, and nothing is put off', async (t) => {
  const far = await startFar(t, 1);
  const world = makeWorld(t, () => route([host(far)]));
  const ids = Array.from({ length: 40 }, (_, n) => world.queue.add({ to: [`x${n}@far.test`] }));
  world.sender.start();
  while (far.delivered < 40) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  await world.sender.stop(1_000);
  assert.equal(far.most, 1);
  assert.ok(ids.every((id) => world.queue.recipients(id)[0]?.attempts === 1));
  assert.equal(world.queue.events('deferred').length, 0);
});

it('a rule of concurrency holds', async (t) => {
  const far = await startFar(t);
  const rules = destinationRulesType.parse('far.test concurrency=2');
  assert.ok(rules.ok);
  const world = makeWorld(t, () => route([host(far)]), { destinationRules: rules.value });
  for (let n = 0; n < 40; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
  world.sender.start();
  while (far.delivered < 40) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  assert.equal(far.most, 2);
});

it('a rule of rate lets so many go and the rest wait', async (t) => {
  const far = await startFar(t);
  const rules = destinationRulesType.parse('far.test rate=24');
  assert.ok(rules.ok);
  const world = makeWorld(t, () => route([host(far)]), { destinationRules: rules.value });
  for (let n = 0; n < 10; n += 1) world.queue.add({ to: [`x${n}@far.test`] });
  const startedAt = performance.now();
  world.sender.start();
  while (far.delivered < 4) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  // Two at once, then one in 2.5 s.
  assert.ok(performance.now() - startedAt >= 4_500);
});

it('a back-off ends in the minute in which a sender is to be told of the delay', async (t) => {
  const dead = { address: '127.0.0.1', port: 1 };
  const world = makeWorld(t, () => route([host(dead, 10, 'mx.test')]));
  const [delayNoticeMs, noticeAt] = [4 * 3_600_000, Date.now() + 90_000];
  world.settings = { ...world.settings, delayNoticeMs, retryScheduleMs: [3_600_000] };
  await world.send({ to: ['x@far.test'], changes: { receivedAt: noticeAt - delayNoticeMs } });
  const until = Date.parse(world.sender.destinations()[0]?.backedOffUntil ?? '');
  assert.ok(until >= noticeAt && until < noticeAt + 60_000, String(until - noticeAt));
});

it('a dead destination is backed off whole; the button lets one message find out, and all go', async (t) => {
  const far = await startFar(t);
  const dead = { address: '127.0.0.1', port: 1 };
  const world = makeWorld(t, () => route([host(dead, 10, 'mx.test')]));
  await world.send({ to: ['x@far.test'] });
  const [state] = world.sender.destinations();
  assert.equal(state?.destination, 'far.test');
  assert.ok(Date.parse(state?.backedOffUntil ?? '') > Date.now());
  assert.match(state?.lastReply ?? '', /refused/);
  // Due after it failed, and not attempted: the destination is.
  await new Promise((done) => setTimeout(done, 20));
  const claims = world.queue.claimed.length;
  const later = world.queue.add({ to: ['y@far.test'], recipientChanges: { nextAttemptAt: Date.now() } });
  world.sender.wake();
  const near = await startFar(t);
  world.plan = ({ domain }) => route([domain === 'near.test' ? host(near) : host(dead, 10, 'mx.test')]);
  await world.send({ to: ['z@near.test'] });
  assert.equal(world.queue.recipients(later)[0]?.attempts, 0);
  assert.ok(
    world.queue.claimed
      .slice(claims)
      .every(({ destination, dueUntil }) => destination !== 'far.test' || dueUntil !== undefined),
  );
  world.plan = () => route([host(far, 10, 'mx.test')]);
  assert.equal(world.sender.endBackOff('far.test'), 1);
  while (far.delivered < 1) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  assert.equal(world.queue.recipients(later)[0]?.state, 'delivered');
});

it('with more destinations than sessions each has one connection at a time', async (t) => {
  const far = await Promise.all(Array.from({ length: 36 }, () => startFar(t)));
  const world = makeWorld(
    t,
    ({ domain }) => route([host(far[numberIn(domain)] as Far)]),
    {},
    { maxSessions: 12 },
  );
  for (let n = 0; n < 36 * 40; n += 1) world.queue.add({ to: [`x${n}@d${n % 36}.test`] });
  world.sender.start();
  const delivered = () => far.reduce((total, one) => total + one.delivered, 0);
  while (delivered() < 600) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  assert.equal(Math.max(...far.map((one) => one.most)), 1);
});

it('a connection is kept while what it delivered is recorded, however many wait for that', async (t) => {
  const far = await startFar(t);
  const plan = ({ domain }: { domain: string }) => route([host(far, 10, `mx.${domain}`)]);
  const world = makeWorld(t, plan, {}, { maxSessions: 80 });
  world.queue.settleTogether = 80;
  for (let n = 0; n < 80 * 8; n += 1) world.queue.add({ to: [`x${n}@d${n % 80}.test`] });
  world.sender.start();
  while (far.delivered < 640) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  assert.ok(far.connections <= 160, `${far.connections} connections`);
});

it('never has more connections than sessions, those that wait for mail included', async (t) => {
  const far = await Promise.all(Array.from({ length: 8 }, () => startFar(t)));
  const world = makeWorld(
    t,
    ({ domain }) => route([host(far[numberIn(domain)] as Far)]),
    {},
    { maxSessions: 3 },
  );
  let most = 0;
  for (let n = 0; n < 160; n += 1) world.queue.add({ to: [`x${n}@d${n % 8}.test`] });
  world.sender.start();
  const sum = (pick: (one: Far) => number) => far.reduce((total, one) => total + pick(one), 0);
  while (sum((one) => one.delivered) < 160) {
    await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
    most = Math.max(
      most,
      sum((one) => one.now),
    );
  }
  // One more while its QUIT is under way.
  assert.ok(most <= 4, `${most} connections`);
});

it('what can be delivered goes before what is only put off', async (t) => {
  const [healthy, grey] = [await startFar(t), await startFar(t)];
  grey.putOff = 1000;
  const places = [healthy, grey, { address: '127.0.0.1', port: 1 }];
  const plan = ({ domain }: { domain: string }) =>
    route([host(places[numberIn(domain) % 3] ?? grey, 10, `mx.${domain}`)]);
  const world = makeWorld(t, plan, {}, { maxSessions: 2 });
  for (let n = 0; n < 900; n += 1) world.queue.add({ to: [`x${n}@d${n % 9}.test`] });
  world.sender.start();
  // Not to the end: the last ones leave a session free.
  while (healthy.delivered < 240) await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
  const deferred = world.queue.events('deferred').length;
  assert.ok(deferred > 0 && deferred < 240, `${deferred} put off while 240 were delivered`);
  while (world.queue.events('deferred').length < 600)
    await once(world.queue, 'settled', { signal: AbortSignal.timeout(30_000) });
});

it('servers that do not answer have a part of the sessions, and keep no new destination waiting', async (t) => {
  const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const place = { address: '127.0.0.1', port: (silent.address() as { port: number }).port };
  const far = await startFar(t);
  const plan = ({ domain }: { domain: string }) =>
    route([host(domain.startsWith('s') ? place : far, 10, `mx.${domain}`)]);
  const world = makeWorld(t, plan, {}, { maxSessions: 20 });
  const sessions = () => world.sender.destinations().reduce((sum, one) => sum + one.sessions, 0);
  for (let n = 0; n < 10; n += 1) world.queue.add({ to: [`x@s${n}.test`] });
  world.sender.start();
  while (sessions() < 10) await new Promise((done) => setTimeout(done, 10));
  // By now they are known not to answer.
  await new Promise((done) => setTimeout(done, 1_200));
  for (let n = 0; n < 30; n += 1) world.queue.add({ to: [`x@n${n}.test`] });
  world.sender.wake();
  while (far.delivered < 30) await once(world.queue, 'settled', { signal: AbortSignal.timeout(3_000) });
  for (let n = 10; n < 40; n += 1) world.queue.add({ to: [`x@s${n}.test`] });
  world.sender.wake();
  await new Promise((done) => setTimeout(done, 1_000));
  assert.equal(sessions(), 15, 'a quarter is left to those that answer');
});
