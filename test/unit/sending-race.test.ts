/** The addresses of one host: a dead one keeps nobody waiting, and the timeline tells of each that was dialled. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { raceAddresses } from '../../src/sending/race.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeWorld, route } from './sending-world.ts';

/** Far longer than a test may last: what waits for it fails. */
const PATIENCE_MS = 600_000;

async function peer(
  t: TestContext,
  script: PeerScript,
  place: { address: string; port?: number },
): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script, place);
  t.after(() => started.close());
  return started;
}

/** An address of its own on which nothing is answered, neither yes nor no. */
async function swallowing(t: TestContext, place: { address: string; port?: number }) {
  const full = await startFullBacklog(place);
  t.after(() => full.close());
  return full;
}

function race(addresses: readonly string[], port: number, timeoutMs = PATIENCE_MS) {
  const endpoints = addresses.map((address) => ({ address, port, host: 'mx.test', tls: 'none' }) as const);
  return raceAddresses(endpoints, { timeoutMs, signal: new AbortController().signal });
}

interface Shown {
  readonly address: string;
  readonly stage: string;
  readonly reply: string;
}

describe('raceAddresses', () => {
  it('goes on to IPv4 while IPv6 is silent, and gives up the silent one', async (t) => {
    const silent = await swallowing(t, { address: '::1' });
    await peer(t, {}, { address: '127.0.60.1', port: silent.port });
    const { winner, missed } = await race(['::1', '127.0.60.1'], silent.port);
    t.after(() => winner?.dialled.socket.destroy());
    assert.equal(winner?.endpoint.address, '127.0.60.1');
    assert.deepEqual(
      missed.map(({ endpoint, outrun }) => [endpoint.address, outrun]),
      [['::1', true]],
    );
  });

  it('goes on at once where the one before refuses', async (t) => {
    const good = await peer(t, {}, { address: '::1' });
    const { winner, missed } = await race(['127.0.60.2', '::1', '127.0.60.3'], good.port);
    t.after(() => winner?.dialled.socket.destroy());
    assert.equal(winner?.endpoint.address, '::1');
    assert.deepEqual(
      missed.map(({ endpoint, outrun, failed }) => [endpoint.address, outrun, failed.reason]),
      [['127.0.60.2', false, 'connection refused']],
    );
  });

  it('each has the whole timeout; without any connection all are told', async (t) => {
    const silent = await swallowing(t, { address: '127.0.60.4' });
    const { winner, missed } = await race(['127.0.60.4', '127.0.60.5'], silent.port, 600);
    assert.equal(winner, null);
    assert.deepEqual(
      missed.map(({ failed, outrun }) => [failed.reason, outrun]),
      [
        ['timed out after 0.6 s', false],
        ['connection refused', false],
      ],
    );
  });

  it('leaves no second connection open', async (t) => {
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    const silent = await swallowing(t, { address: '127.0.60.6', port });
    const { winner } = await race(['127.0.60.6', '127.0.0.1'], silent.port);
    assert.ok(winner !== null);
    winner.dialled.socket.destroy();
    // Closes only when nothing is connected any more.
    server.close();
    await once(server, 'close', { signal: AbortSignal.timeout(15_000) });
  });

  it('stops with the server', async (t) => {
    const silent = await swallowing(t, { address: '127.0.60.7' });
    const stop = new AbortController();
    const endpoints = ['127.0.60.7', '127.0.60.7'].map(
      (address) => ({ address, port: silent.port, host: 'mx.test', tls: 'none' }) as const,
    );
    const running = raceAddresses(endpoints, { timeoutMs: PATIENCE_MS, signal: stop.signal });
    stop.abort();
    assert.equal((await running).winner, null);
  });

  it('has nothing to say of no addresses', async () => {
    assert.deepEqual(await race([], 25), { winner: null, missed: [] });
  });
});

describe('an attempt', () => {
  it('is not delayed by a dead IPv6 address, and its timeline tells of both', async (t) => {
    const silent = await swallowing(t, { address: '::1' });
    const good = await peer(t, {}, { address: '127.0.60.8', port: silent.port });
    const world = makeWorld(t, () => route([{ ...host(good), addresses: ['::1', good.address] }]), {
      socketTimeoutMs: PATIENCE_MS,
    });
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    const trials = world.queue.events('attempt')[0]?.detail.hosts as Shown[];
    assert.deepEqual(
      trials.map(({ address, stage, reply }) => [address, stage, reply.replace(/^250.*/, '250')]),
      [
        ['::1', 'connect', 'given up: another address answered first'],
        ['127.0.60.8', 'data-end', '250'],
      ],
    );
  });

  it('goes to the other address where the first one refuses to talk', async (t) => {
    const busy = await peer(t, { at: { greeting: '421 4.3.2 Later' } }, { address: '127.0.60.9' });
    const good = await peer(t, {}, { address: '127.0.60.10', port: busy.port });
    const world = makeWorld(t, () => route([{ ...host(good), addresses: [busy.address, good.address] }]));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.equal(busy.sessions.length, 1);
    assert.equal(good.sessions.length, 1);
  });

  it('takes a better host that is slow to refuse before a worse one', async (t) => {
    const first = await peer(t, {}, { address: '::1' });
    const second = await peer(t, {}, { address: '127.0.60.11' });
    const better = { ...host(first, 10), addresses: ['127.0.60.12', '::1'] };
    const world = makeWorld(t, () => route([better, host(second, 20)]));
    await world.send({ to: ['x@far.test'] });
    assert.equal(first.messages.length, 1);
    assert.equal(second.sessions.length, 0);
  });
});
