/**
 * One row after the other of BEHAVIOUR's two tables ("Who is refused" with the rules before it, "When MX
 * fails"): what `explain` says beforehand, what the timeline says afterwards and what the peers and mailboxes
 * saw must be the same story.
 */
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';
import { Comparison, PASSWORD, type World } from './explain-agrees-comparison.ts';
import {
  ACCOUNTS,
  ALIASES,
  CATCH_ALLS,
  DISABLED,
  DOMAINS,
  FORWARDS,
  FULL,
  ROWS_WITHOUT_ACCOUNTS,
} from './explain-agrees-numbered-rows.ts';
import { FAR, HOST, MIRROR, OUTSIDE, SECOND, SWALLOWS } from './explain-agrees-row.ts';
import { ROWS } from './explain-agrees-rows.ts';

async function startWorld(t: TestContext): Promise<World> {
  const far = await startSmtpPeer({}, { address: FAR });
  const { port } = far;
  const host = await startSmtpPeer({}, { address: HOST, port });
  const mirror = await startSmtpPeer({ hostname: 'mail.cmail.test' }, { address: MIRROR, port });
  const outside = await startSmtpPeer({}, { address: OUTSIDE, port });
  const second = await startSmtpPeer({}, { address: SECOND, port });
  const swallows = await startFullBacklog({ address: SWALLOWS, port });
  const dns = await startDnsServer({
    'outside.example': ['MX 10 mx.outside.example'],
    'mx.outside.example': [`A ${OUTSIDE}`],
    'relay.example': [`A ${HOST}`],
  });
  t.after(async () => {
    await Promise.all([far, host, mirror, outside, second, swallows, dns].map((one) => one.close()));
  });
  const usual = {
    'smtp.outboundPort': String(port),
    'smtp.mx.allowPrivateAddresses': 'on',
    'smtp.host.name': 'relay.example',
    'smtp.host.port': String(port),
    'smtp.host.tls': 'opportunistic',
    'smtp.useMxResolution': 'on',
    'smtp.fallbackToSmtpHost': 'off',
    'smtp.fallbackOn': 'no-answer, nxdomain, no-address, unreachable, self',
    'smtp.host2.name': '',
    'smtp.host2.port': '25',
    'smtp.destinationRules': '',
    'smtp.senderHosts': '',
    'smtp.refuseUnknownUsers': 'on',
    'smtp.assumeExternal': 'off',
    'smtp.unknownUserNotice': 'refuse',
    'smtp.queueLifetime': '5d',
    'smtp.socketTimeout': '30',
    'smtp.timeout.greeting': '5m',
    'smtp.timeout.ehlo': '5m',
  };
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: DOMAINS,
    settings: usual,
  });
  return { cmail, dns, peers: { far, host, mirror, outside, second }, usual };
}

/** Everybody the rows speak of. */
async function fillDirectory(cmail: Cmail, port: number): Promise<void> {
  for (const address of ACCOUNTS) {
    const quota = address === FULL ? ['--quota', '1KB'] : [];
    await cmail.run(['account', 'add', address, '--password-stdin', ...quota], { input: `${PASSWORD}\n` });
  }
  await cmail.run(['account', 'disable', DISABLED]);
  for (const [name, targets] of Object.entries(ALIASES)) await cmail.run(['alias', 'add', name, ...targets]);
  for (const [domain, address] of Object.entries(CATCH_ALLS))
    await cmail.run(['domain', 'catch-all', domain, address]);
  for (const [domain, to] of Object.entries(FORWARDS))
    await cmail.run(['domain', 'forward', domain, '--to', to.replace('{port}', String(port))]);
  const client = await greeted(cmail.listeners.smtp);
  const data = letter({
    from: FULL,
    to: FULL,
    subject: 'fills it',
    body: `${'x'.repeat(70)}\r\n`.repeat(20),
  });
  await client.sendMessage({ from: FULL, to: [FULL], data });
  await client.quit();
}

test('explain, timeline and peers tell the same story', { timeout: 240_000 }, async (t) => {
  const world = await startWorld(t);
  for (const row of ROWS_WITHOUT_ACCOUNTS) {
    await t.test(row.name, () => new Comparison(world, row).run());
  }
  await fillDirectory(world.cmail, world.peers.far.port);
  for (const row of ROWS) {
    await t.test(row.name, () => new Comparison(world, row).run());
  }
});
