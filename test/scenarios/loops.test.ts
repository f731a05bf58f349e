/** Two servers that send mail to each other, each believing that the other has it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const PASSWORD = 'secret-password';

interface Pair {
  readonly here: Cmail;
  readonly there: Cmail;
}

/** Both host ring.example; `here` also left.example, where anna is. Each has a DNS of its own. */
async function startPair(t: TestContext, settings: (other: string, port: number) => Record<string, string>) {
  const places = { here: '127.0.40.1', there: '127.0.40.2' };
  const dnsFor = async (ring: string) => {
    const dns = await startDnsServer({
      'ring.example': ['MX 10 mx.ring.example'],
      'mx.ring.example': [`A ${ring}`],
      'left.example': ['MX 10 mx.left.example'],
      'mx.left.example': [`A ${places.here}`],
    });
    t.after(() => dns.close());
    return { servers: [dns.address] };
  };
  const listen = (place: string, port: number) => ({ smtp: [`${place}:${port}`] });
  const here = await startCmail(t, {
    config: { hostname: 'here.example', listen: listen(places.here, 0), dns: await dnsFor(places.there) },
    domains: ['left.example', 'ring.example'],
    accounts: [{ address: 'anna@left.example', password: PASSWORD }],
  });
  const { port } = here.listeners.smtp;
  const there = await startCmail(t, {
    config: { hostname: 'there.example', listen: listen(places.there, port), dns: await dnsFor(places.here) },
    domains: ['ring.example'],
    accounts: [{ address: 'boss@ring.example' }],
    settings: settings(places.here, port),
  });
  await here.set(settings(places.there, port));
  return { here, there };
}

async function send({ here }: Pair, to: string): Promise<void> {
  const client = await greeted(here.listeners.smtp);
  const from = 'anna@left.example';
  const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'round' }) });
  assert.equal(sent.end?.code, 250, sent.end?.text);
  await client.quit();
}

function noticeAtAnna({ here }: Pair): Promise<string> {
  return here.waitFor('a failure notice for anna', async () => {
    const [message] = await collectMail(here.listeners.pop3, 'anna@left.example', PASSWORD);
    return message?.toString() ?? false;
  });
}

test('two servers that both assume an address to be external end the loop with 5.4.6', async (t) => {
  const pair = await startPair(t, (_other, port) => ({
    'smtp.assumeExternal': 'on',
    'smtp.mx.allowPrivateAddresses': 'on',
    'smtp.outboundPort': String(port),
  }));
  await send(pair, 'ghost@ring.example');
  const notice = await noticeAtAnna(pair);
  assert.match(notice, /^Content-Type: multipart\/report/im);
  assert.match(notice, /^Status: 5\.4\.6\r$/im);
  assert.match(notice, /^Final-Recipient: rfc822; ?ghost@ring\.example\r$/im);
});

test('two servers that are the SMTP host of each other end the loop at the hop limit', async (t) => {
  const pair = await startPair(t, (other, port) => ({
    'smtp.useMxResolution': 'off',
    'smtp.host.name': other,
    'smtp.host.port': String(port),
    'smtp.hopLimit': '6',
  }));
  await send(pair, 'x@nowhere.example');
  const notice = await noticeAtAnna(pair);
  assert.match(notice, /^Status: 5\.4\.6\r$/im);
});
