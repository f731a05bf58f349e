/** Settings seen to act while mail flows, on the real server with real sockets. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

interface Attempt {
  readonly kind: string;
  readonly durationMs: number;
}

async function world(
  t: TestContext,
  place: { address: string; port: number },
  settings: Record<string, string>,
) {
  const dns = await startDnsServer({
    'far.test': ['MX 10 mx.far.test'],
    'mx.far.test': [`A ${place.address}`],
  });
  t.after(() => dns.close());
  const server = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['here.test'],
    accounts: [{ address: 'anna@here.test' }],
    settings: {
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.outboundPort': String(place.port),
      ...settings,
    },
  });
  return { server, dns };
}

async function submit(server: Cmail, to: string): Promise<string> {
  const client = await greeted(server.listeners.smtp);
  const sent = await client.sendMessage({
    from: 'anna@here.test',
    to: [to],
    data: letter({ from: 'anna@here.test', to, subject: 'hello' }),
  });
  await client.quit();
  assert.ok(sent.id !== undefined, sent.end?.text);
  return sent.id;
}

async function firstAttempt(server: Cmail, id: string): Promise<Attempt> {
  return server.waitFor('the first attempt', async () => {
    const { events } = await server.json<{ events: Attempt[] }>(['message', id]);
    return events.find((event) => event.kind === 'attempt');
  });
}

describe('Socket Timeout', () => {
  it('ends a connection whose SYNs are dropped after 2 s, and after 5 s when set so', async (t) => {
    const dead = await startFullBacklog({ address: '127.0.50.1' });
    t.after(() => dead.close());
    const { server } = await world(t, dead, { 'smtp.socketTimeout': '2' });
    const at2 = await firstAttempt(server, await submit(server, 'x@far.test'));
    await server.set({ 'smtp.socketTimeout': '5' });
    await server.run(['queue', 'delete', '--destination', 'far.test']);
    await server.run(['queue', 'end-back-off', '--destination', 'far.test']);
    const at5 = await firstAttempt(server, await submit(server, 'y@far.test'));
    assert.ok(at2.durationMs >= 1900 && at2.durationMs < 4500, `at 2 s it took ${at2.durationMs} ms`);
    assert.ok(at5.durationMs >= 4900 && at5.durationMs < 9000, `at 5 s it took ${at5.durationMs} ms`);
  });
});

describe('a change is in force within a second', () => {
  it('for the next command of an open session', async (t) => {
    const server = await startCmail(t, { domains: ['here.test'], accounts: [{ address: 'anna@here.test' }] });
    const client = await greeted(server.listeners.smtp);
    const ask = async () => (await client.command('RCPT TO:<nobody@here.test>')).code;
    await client.command('MAIL FROM:<>');
    assert.equal(await ask(), 550);
    await server.set({ 'smtp.refuseUnknownUsers': 'off' });
    assert.equal(await ask(), 250);
    await server.run(['settings', 'revert', '1']);
    assert.equal(await ask(), 550);
    await client.quit();
  });

  it('for a waiting message: its next attempt leaves by the corrected port', async (t) => {
    const peer = await startSmtpPeer({}, { address: '127.0.50.2' });
    t.after(() => peer.close());
    // Nobody listens at port 9 of that address.
    const { server } = await world(t, { address: peer.address, port: 9 }, { 'smtp.retrySchedule': '1s,1h' });
    const id = await submit(server, 'x@far.test');
    await firstAttempt(server, id);
    await server.set({ 'smtp.outboundPort': String(peer.port) });
    const [message] = await peer.waitForMessages(1);
    assert.deepEqual(message?.to, ['x@far.test']);
  });
});

describe('Errors of one address in an hour', () => {
  it('add up over sessions: the log and status say once who is over, and when it may come back', async (t) => {
    const server = await startCmail(t, {
      domains: ['here.test'],
      accounts: [{ address: 'anna@here.test' }],
      settings: { 'smtp.errors.perAddress': '3' },
    });
    const stranger = { ...server.listeners.smtp, localAddress: '127.0.0.2' };
    for (let session = 0; session < 3; session += 1) {
      const client = await greeted(stranger);
      await client.expect(250, client.command('MAIL FROM:<>'));
      await client.expect(550, client.command('RCPT TO:<nobody@here.test>'));
      client.destroy();
    }
    for (let n = 0; n < 3; n += 1) {
      await assert.rejects(
        greeted(stranger),
        /421.*too many refused commands and recipients from 127\.0\.0\.2/,
      );
    }
    const told = server.logText().match(/a stranger is over its limit/g);
    assert.equal(told?.length, 1);
    const { strangersOverLimit: list } = await server.json<{
      strangersOverLimit: { client: string; errors: number; until: string }[];
    }>(['status']);
    assert.deepEqual(
      list.map(({ client, errors }) => [client, errors]),
      [['127.0.0.2', 3]],
    );
    const minutes = (Date.parse(list[0]?.until ?? '') - Date.now()) / 60_000;
    assert.ok(minutes > 55 && minutes <= 65, `${minutes} minutes`);
    await submit(server, 'anna@here.test');
    await server.set({ 'smtp.errors.perAddress': '1000' });
    (await greeted(stranger)).destroy();
  });
});
