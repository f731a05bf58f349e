/** A destination whose servers are out of reach, as the API and the command line show it, and trying it now. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { shaped, signIn } from '../support/api.ts';
import { startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

interface Row {
  readonly destination: string;
  readonly backedOffUntil: string | null;
  readonly backOffReply: string | null;
}

const FAR = '127.0.0.23';

describe('a destination that is backed off', async () => {
  const port = await freePort(FAR);
  const dns = await startDnsServer({ 'far.test': ['MX 10 mx.far.test'], 'mx.far.test': [`A ${FAR}`] });
  after(() => dns.close());
  const server = await startCmail(
    { after },
    {
      config: { dns: { servers: [dns.address] } },
      settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(port) },
      domains: ['example.test'],
      accounts: [{ address: 'bob@example.test' }],
    },
  );
  const anna = await signIn(server);
  const rows = async () =>
    (shaped('destinations', await anna.get('/queue/destinations')) as unknown as { rows: Row[] }).rows;
  const end = async (selector: object) =>
    shaped('endBackOff', await anna.send('POST', '/queue/end-back-off', { selector }));

  it('is shown with the time and the last reply, and its mail leaves when it is tried now', async () => {
    assert.equal(await server.run(['queue', 'destinations']), 'Nothing is waiting.\n');
    shaped('testMessage', await anna.send('POST', '/test-message', { to: 'x@far.test' }));
    const row = await server.waitFor(
      'the back-off',
      async () => (await rows()).find(({ backedOffUntil }) => backedOffUntil !== null),
      15_000,
    );
    assert.equal(row.destination, 'far.test');
    assert.ok(Date.parse(row.backedOffUntil ?? '') > Date.now());
    assert.match(row.backOffReply ?? '', /refused/i);
    const [shown] = await server.json<Row[]>(['queue', 'destinations']);
    assert.deepEqual([shown?.destination, shown?.backedOffUntil], ['far.test', row.backedOffUntil]);
    const table = await server.run(['queue', 'destinations']);
    assert.match(table, /^DESTINATION .*BACKED OFF UNTIL +LAST REPLY\nfar\.test +1 .*refused/i);

    assert.deepEqual(await end({ destination: 'other.test' }), { destinations: 0 });
    const ids = await anna.send('POST', '/queue/end-back-off', { selector: { ids: ['ABC'] } });
    assert.equal(ids.status, 422, 'messages are not backed off');
    const peer = await startSmtpPeer({}, { address: FAR, port });
    after(() => peer.close());
    // Its only message has had its attempt and would wait a minute for the next.
    assert.deepEqual(await end({ destination: 'far.test' }), { destinations: 1 });
    await peer.waitForMessages(1, 30_000);
    await server.waitFor('an empty queue', async () => (await rows()).length === 0, 15_000);
  });
});
