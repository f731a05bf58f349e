/** A backlog and new mail for one destination with one connection: neither waits behind the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

const EACH = 60;
const FROM = 'boss@our.example';

test('mail tried before and mail never tried go in turns', { timeout: 120_000 }, async (t) => {
  const peer = await startSmtpPeer({ at: { rcpt: '450 4.2.2 Later' } }, { address: '127.0.63.1' });
  t.after(() => peer.close());
  const dns = await startDnsServer({
    'far.example': ['MX 10 mx.far.example'],
    'mx.far.example': ['A 127.0.63.1'],
  });
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example'],
    accounts: [{ address: FROM }],
    settings: {
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.outboundPort': String(peer.port),
      'smtp.retrySchedule': '1h',
    },
  });
  const submit = async (kind: string) => {
    const client = await greeted(cmail.listeners.smtp);
    for (let n = 0; n < EACH; n += 1) {
      const to = `${kind}${n}@far.example`;
      const sent = await client.sendMessage({
        ...{ from: FROM, to: [to], data: letter({ from: FROM, to, subject: to }) },
      });
      assert.equal(sent.end?.code, 250, sent.end?.text);
    }
    await client.quit();
  };
  await submit('old');
  await cmail.waitFor(
    'the backlog',
    async () => {
      const queue = await cmail.json<{ recipients: { attempts: number; state: string }[] }[]>([
        'queue',
        'list',
      ]);
      const tried = queue.filter(({ recipients: [one] }) => one?.attempts === 1 && one.state === 'queued');
      return tried.length === EACH;
    },
    60_000,
  );
  // Held, both become due at the same moment.
  await cmail.set({ 'smtp.destinationRules': 'far.example hold' });
  await submit('new');
  await cmail.run(['queue', 'retry', '--all']);
  peer.script({});
  await cmail.set({ 'smtp.destinationRules': 'far.example concurrency=1' });
  await peer.waitForMessages(2 * EACH, 60_000);
  const kinds = peer.messages.map(({ to }) => to[0]?.slice(0, 3));
  // In any half of them about as many of each; one behind the other it would be all or nothing.
  for (const half of [kinds.slice(0, EACH), kinds.slice(EACH)]) {
    const fresh = half.filter((kind) => kind === 'new').length;
    assert.ok(fresh > EACH / 4 && fresh < (EACH * 3) / 4, `${fresh} of ${EACH} are new: ${kinds.join(' ')}`);
  }
});
