/** The address to send from: used where it is ours; where it is not, mail waits with an alarm and nobody gets a notice. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { missingSources } from '../../src/sending/source-address.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeWorld, route } from './sending-world.ts';

/** RFC 5737 and RFC 3849: no machine has these. */
const NOT_OURS_4 = '192.0.2.77';
const NOT_OURS_6 = '2001:db8::77';

async function peer(t: TestContext, place: { address: string; port?: number }): Promise<SmtpPeer> {
  const started = await startSmtpPeer({}, place);
  t.after(() => started.close());
  return started;
}

describe('the address to send from', () => {
  it('is seen by the server, each family by its own', async (t) => {
    const four = await peer(t, { address: '127.0.61.1' });
    const six = await peer(t, { address: '::1' });
    const world = makeWorld(t, ({ domain }) => route([host(domain === 'six.test' ? six : four)]), {
      sourceAddress4: '127.0.61.9',
    });
    await world.send({ to: ['x@four.test'] });
    await world.send({ to: ['x@six.test'] });
    assert.equal(four.sessions[0]?.remoteAddress, '127.0.61.9');
    assert.equal(six.sessions[0]?.remoteAddress, '::1');
    assert.deepEqual(world.sender.alarms(), []);
  });

  it('acts from the next connection on', async (t) => {
    const far = await peer(t, { address: '127.0.61.2' });
    const world = makeWorld(t, ({ domain }) => route([host(far, 10, `mx.${domain}`)]));
    await world.send({ to: ['x@one.test'] });
    world.settings = { ...world.settings, sourceAddress4: '127.0.61.10' };
    await world.send({ to: ['x@two.test'] });
    assert.notEqual(far.sessions[0]?.remoteAddress, '127.0.61.10');
    assert.equal(far.sessions[1]?.remoteAddress, '127.0.61.10');
  });

  it('is not used towards this machine itself unless it is one of loopback', async (t) => {
    const far = await peer(t, { address: '127.0.61.3' });
    const world = makeWorld(t, () => route([host(far)]), { sourceAddress4: NOT_OURS_4 });
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
  });
});

describe('an address to send from that is not ours', () => {
  // Never called: the socket is not even bound.
  const elsewhere = { address: '198.51.100.1', port: 25 };

  it('makes mail wait past its lifetime, with an alarm and without fallback', async (t) => {
    const world = makeWorld(t, () => route([host(elsewhere)]), {
      ...{ sourceAddress4: NOT_OURS_4, queueLifetimeMs: 0 },
    });
    world.fallback = () => assert.fail('fallback must not be asked');
    const id = await world.send({ to: ['x@far.test'] });
    const [recipient] = world.queue.recipients(id);
    assert.equal(recipient?.state, 'queued');
    assert.equal(recipient?.lastKind, 'local');
    assert.match(recipient?.lastReply ?? '', /192\.0\.2\.77 is not an address of this machine/);
    assert.equal(world.notices.length, 0);
    assert.match(world.sender.alarms()[0] ?? '', /192\.0\.2\.77.*smtp\.sourceAddress4/);
  });

  it('is no hindrance where the other family gets through', async (t) => {
    const good = await peer(t, { address: '127.0.61.4' });
    const addresses = ['2001:db8::25', good.address];
    const world = makeWorld(t, () => route([{ ...host(good), addresses }]), { sourceAddress6: NOT_OURS_6 });
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
  });

  it('is named by its setting', () => {
    assert.deepEqual(missingSources({ sourceAddress4: NOT_OURS_4, sourceAddress6: NOT_OURS_6 }), [
      { key: 'smtp.sourceAddress4', address: NOT_OURS_4 },
      { key: 'smtp.sourceAddress6', address: NOT_OURS_6 },
    ]);
    assert.deepEqual(missingSources({ sourceAddress4: '127.0.0.7', sourceAddress6: '::1' }), []);
    assert.deepEqual(missingSources({ sourceAddress4: '', sourceAddress6: '' }), []);
  });
});
