/** Asking a forward host whether it knows a recipient. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ForwardProbe } from '../../src/sending/probe.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeSettings, route } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

function makeProbe(): ForwardProbe {
  return new ForwardProbe({ hostname: 'me.test', settings: () => makeSettings({ socketTimeoutMs: 500 }) });
}

describe('ForwardProbe', () => {
  const cases: [string, PeerScript, string][] = [
    ['knows', {}, 'known'],
    ['does not know', { at: { rcpt: '550 5.1.1 Unknown' } }, 'unknown'],
    ['is not sure', { at: { rcpt: '450 4.2.1 Later' } }, 'unreachable'],
    ['refuses the null sender', { at: { mail: '550 5.7.1 No' } }, 'unreachable'],
    ['refuses to talk', { at: { greeting: '554 No' } }, 'unreachable'],
    ['hangs up', { at: { ehlo: 'close' } }, 'unreachable'],
  ];
  for (const [what, script, answer] of cases) {
    it(`${what}: ${answer}`, async (t) => {
      const far = await peer(t, script);
      assert.equal(await makeProbe().ask(far.address, far.port, 'x@far.test'), answer);
      assert.equal(far.messages.length, 0);
      assert.ok(!far.sessions[0]?.commands.includes('DATA'));
    });
  }

  it('asks with the null sender and leaves politely', async (t) => {
    const far = await peer(t);
    await makeProbe().ask(far.address, far.port, 'x@far.test');
    while (far.sessions[0]?.endedAt === undefined) await new Promise((done) => setImmediate(done));
    const commands = far.sessions[0].commands.map((line) => line.split(' SIZE')[0]);
    assert.deepEqual(commands, ['EHLO me.test', 'MAIL FROM:<>', 'RCPT TO:<x@far.test>', 'QUIT']);
  });

  it('keeps clear answers, and asks the same question under way once', async (t) => {
    const far = await peer(t, { recipients: { 'no@far.test': '550 5.1.1 Unknown' } });
    const probe = makeProbe();
    const twice = () => Promise.all([1, 2].map(() => probe.ask(far.address, far.port, 'no@far.test')));
    assert.deepEqual(await twice(), ['unknown', 'unknown']);
    assert.deepEqual(await twice(), ['unknown', 'unknown']);
    assert.equal(far.sessions.length, 1);
  });

  it('does not keep an unclear answer', async (t) => {
    const far = await peer(t, { at: { rcpt: ['450 4.2.1 Later', 'ok'] } });
    const probe = makeProbe();
    assert.equal(await probe.ask(far.address, far.port, 'x@far.test'), 'unreachable');
    assert.equal(await probe.ask(far.address, far.port, 'x@far.test'), 'known');
  });

  it('asks twenty at a time; more are accepted unasked', async (t) => {
    const far = await peer(t);
    const probe = makeProbe();
    const asked = Array.from({ length: 25 }, (_, n) => probe.ask(far.address, far.port, `x${n}@far.test`));
    const answers = await Promise.all(asked);
    assert.equal(answers.filter((answer) => answer === 'unreachable').length, 5);
    assert.equal(far.sessions.length, 20);
  });

  it('finds a named host by the routes', async (t) => {
    const far = await peer(t);
    const probe = new ForwardProbe({
      ...{ hostname: 'me.test', settings: () => makeSettings() },
      routes: { plan: async () => route([host(far, null)], { via: 'forward' }) },
    });
    assert.equal(await probe.ask('inside.test', far.port, 'x@far.test'), 'known');
  });
});
