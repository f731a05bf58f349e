/**
 * Forwarded mail leaves with a sender of the forwarding domain (SRS), and a notice about it finds the way back to who
 * sent it: three mail servers, two of them CMail.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const ANNA = 'anna@origin.example';
const LIST = 'list@fwd.example';
const PASSWORD = 'secret-password';

interface World {
  /** Forwards list@fwd.example to bob@far.example and gone@far.example. */
  readonly forwarder: Cmail;
  /** Has bob@far.example, and finds out only later that gone@far.example leads nowhere. */
  readonly far: Cmail;
  /** Where Anna writes from. */
  readonly origin: SmtpPeer;
}

async function startWorld(t: TestContext): Promise<World> {
  const place = { forwarder: '127.0.41.1', far: '127.0.41.2', origin: '127.0.41.3' };
  const dns = await startDnsServer({
    'fwd.example': ['MX 10 mx.fwd.example'],
    'mx.fwd.example': [`A ${place.forwarder}`],
    'far.example': ['MX 10 mx.far.example'],
    'mx.far.example': [`A ${place.far}`],
    'origin.example': ['MX 10 mx.origin.example'],
    'mx.origin.example': [`A ${place.origin}`],
  });
  t.after(() => dns.close());
  const at = (address: string, port: number) => ({
    listen: { smtp: [`${address}:${port}`] },
    dns: { servers: [dns.address] },
  });
  const forwarder = await startCmail(t, {
    config: { hostname: 'mail.fwd.example', ...at(place.forwarder, 0) },
    domains: ['fwd.example'],
    accounts: [{ address: 'boss@fwd.example', password: PASSWORD }],
    aliases: { [LIST]: ['bob@far.example', 'gone@far.example'] },
  });
  const { port } = forwarder.listeners.smtp;
  const settings = { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(port) };
  await forwarder.set(settings);
  const far = await startCmail(t, {
    config: { hostname: 'mail.far.example', ...at(place.far, port) },
    domains: ['far.example'],
    accounts: [{ address: 'bob@far.example', password: PASSWORD }],
    aliases: { 'gone@far.example': ['x@nowhere.example'] },
    settings: { ...settings, 'smtp.queueLifetime': '0' },
  });
  const origin = await startSmtpPeer({}, { address: place.origin, port });
  t.after(() => origin.close());
  return { forwarder, far, origin };
}

async function send({ forwarder }: World, from: string, to: string): Promise<string> {
  const client = await greeted({ ...forwarder.listeners.smtp, localAddress: '127.0.0.2' });
  const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'news' }) });
  await client.quit();
  const reply = sent.end ?? sent.rcpt[0];
  return `${reply?.code} ${reply?.text}`;
}

function senderOf(message: string): string {
  return /^Return-Path: <(.*)>\r$/m.exec(message)?.[1] ?? assert.fail('no Return-Path');
}

function atBob({ far }: World): Promise<string> {
  return far.waitFor('the message at Bob', async () => {
    const [message] = await collectMail(far.listeners.pop3, 'bob@far.example', PASSWORD);
    return message?.toString() ?? false;
  });
}

test('what is forwarded has a sender of the forwarding domain, and its notice finds who sent it', async (t) => {
  const world = await startWorld(t);
  const { forwarder, origin } = world;
  assert.match(await send(world, ANNA, LIST), /^250 /);

  const message = await atBob(world);
  const rewritten = senderOf(message);
  assert.match(rewritten, /^SRS0=[a-z2-7]{6}=[a-z2-7]{2}=origin\.example=anna@fwd\.example$/);
  assert.match(message, /^From: .*anna@origin\.example/m, 'what Bob reads is as Anna wrote it');
  assert.match(message, /^Delivered-To: bob@far\.example\r$/m);

  // The far server tells the sender it was given, which is ours, and we tell Anna.
  const [notice] = await origin.waitForMessages(1, 30_000);
  assert.equal(notice?.from, '');
  assert.deepEqual(notice?.to, [ANNA]);
  assert.match(notice?.data.toString() ?? '', /^Final-Recipient: rfc822; ?x@nowhere\.example\r$/im);

  const [first] = await forwarder.json<{ id: string }[]>(['queue', 'list']);
  assert.equal(first, undefined, 'nothing is left');
  const steps = await forwarder.run(['explain', LIST, '--from', ANNA]);
  assert.match(steps, /its envelope sender becomes SRS0=/);
  const back = await forwarder.run(['explain', rewritten]);
  assert.match(back, /stands for anna@origin\.example/);

  assert.match(await send(world, ANNA, rewritten), /^550 5\.7\.1 .*notices of delivery only/);
  const forged = rewritten.replace('anna', 'eva');
  assert.match(await send(world, '', forged), /^550 5\.1\.1 .*did not make it/);

  await forwarder.set({ 'smtp.rewriteForwardedSender': 'off' });
  assert.doesNotMatch(await forwarder.run(['explain', LIST, '--from', ANNA]), /SRS0=/);
});
