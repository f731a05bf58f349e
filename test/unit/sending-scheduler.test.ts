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
}

/** A server that takes `limit` connections at once and says 421 to more. */
async function startFar(
  t: { after(clean: () => void): void },
  limit = Number.POSITIVE_INFINITY,
): Promise<Far> {
  const far: Far = { address: '127.0.0.1', port: 0, now: 0, most: 0, refused: 0, delivered: 0 };
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
      } else if (line === 'QUIT') socket.end('221 Bye\r\n');
      else socket.write('250 Fine\r\n');
    }
  });
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
