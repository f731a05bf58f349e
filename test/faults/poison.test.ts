/**
 * A message whose sending crashes, in code or with the whole process, is set aside after the third time: held,
 * with its reason, in nobody's way, and given its tries again by a release.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const HOOK = pathToFileURL(resolve(import.meta.dirname, 'poison-hook.ts')).href;

interface Listed {
  readonly id: string;
  readonly recipients: readonly { readonly state: string; readonly lastReply: string | null }[];
}

type Test = Parameters<typeof startCmail>[0];

async function start(t: Test): Promise<{ cmail: Cmail; peer: SmtpPeer }> {
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  t.after(() => peer.close());
  const dns = await startDnsServer({
    'far.example': ['MX 10 mx.example'],
    'mx.example': [`A ${peer.address}`],
  });
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [{ address: 'user@local.example' }],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
    env: { NODE_OPTIONS: `--import=${HOOK}` },
  });
  return { cmail, peer };
}

/** Sends one message to far.example; resolves to its queue ID. */
async function send(cmail: Cmail, from: string): Promise<string> {
  const client = await greeted(cmail.listeners.smtp);
  try {
    const sent = await client.sendMessage({
      from,
      to: ['a@far.example'],
      data: `Subject: ${from}\r\n\r\nx\r\n`,
    });
    assert.equal(sent.end?.code, 250);
    return sent.id ?? '';
  } finally {
    client.destroy();
  }
}

async function recipient(cmail: Cmail, id: string): Promise<Listed['recipients'][number]> {
  const shown = await cmail.json<Listed>(['queue', 'show', id]);
  const [only] = shown.recipients;
  assert.ok(only, `${id} has a recipient`);
  return only;
}

async function crashEvents(cmail: Cmail, id: string): Promise<number> {
  const { events } = await cmail.json<{ events: { kind: string }[] }>(['message', id]);
  return events.filter(({ kind }) => kind === 'deferred' || kind === 'held').length;
}

function crashAlarms({ alarms }: { readonly alarms: readonly string[] }): readonly string[] {
  return alarms.filter((alarm) => alarm.includes('set aside'));
}

/** Lets the message crash until it is set aside; `done` attempts that crashed were made before. */
async function crashUntilHeld(cmail: Cmail, id: string, done: number): Promise<void> {
  for (let crashes = done + 1; crashes <= done + 3; crashes++) {
    await cmail.waitFor(`crash ${crashes}`, async () => (await crashEvents(cmail, id)) >= crashes);
    if (crashes === done + 3) break;
    assert.equal((await recipient(cmail, id)).state, 'queued');
    await cmail.run(['queue', 'retry', id]);
  }
  const held = await recipient(cmail, id);
  assert.equal(held.state, 'held');
  assert.match(held.lastReply ?? '', /Set aside after 3 crashes running\. .*the poison acts/);
}

test('a message whose sending throws is set aside after the third time and blocks nobody', async (t) => {
  const { cmail, peer } = await start(t);
  const poison = await send(cmail, 'poison@other.example');
  await crashUntilHeld(cmail, poison, 0);
  await send(cmail, 'good@other.example');
  await cmail.waitFor('the good message', async () => peer.messages.length === 1);

  const status = await cmail.json<{ alarms: string[]; queue: { crashed: number } }>(['status']);
  assert.equal(status.queue.crashed, 1);
  assert.match(crashAlarms(status)[0] ?? '', /1 queued recipient was set aside.*queue release/);
  // What the peer has got is recorded a moment later.
  await cmail.waitFor('nothing but the held message in the queue', async () => {
    const listed = await cmail.json<Listed[]>(['queue', 'list']);
    return isDeepStrictEqual(
      listed.map(({ id, recipients }) => [id, recipients[0]?.state]),
      [[poison, 'held']],
    );
  });

  await cmail.run(['queue', 'release', poison]);
  // Its next attempt is due by the schedule.
  await cmail.run(['queue', 'retry', poison]);
  // Two deferrals and one "held" were the first three.
  await crashUntilHeld(cmail, poison, 3);
  const left = await cmail.json<Listed[]>(['queue', 'list']);
  assert.equal(left.length, 1);
  assert.equal(peer.messages.length, 1);
});

/**
 * The recipient when it is no longer in the hands of the process that died, which another one on a shared store
 * knows after 15 s; null when the process died again before.
 */
async function afterDeath(cmail: Cmail, id: string): Promise<Listed['recipients'][number] | null> {
  let gone = false;
  void cmail.ended.then(() => {
    gone = true;
  });
  const rests = async () => {
    if (gone) return 'gone';
    const found = await recipient(cmail, id).catch(() => null);
    return found !== null && found.state !== 'sending' && found;
  };
  const found = await cmail.waitFor('the claim of the dead process to end', rests, 40_000);
  return found === 'gone' ? null : found;
}

test('a message that ends the process three times is set aside at the next start', async (t) => {
  const { cmail, peer } = await start(t);
  const killer = await send(cmail, 'killer@other.example');
  for (let deaths = 1; deaths <= 3; deaths++) {
    assert.equal((await cmail.ended).signal, 'SIGKILL');
    await cmail.restart();
    const rests = await afterDeath(cmail, killer);
    // On a shared store the first death is nobody's fault, and the message was tried again at once.
    if (rests === null && deaths === 1) continue;
    assert.equal(rests?.state, deaths < 3 ? 'queued' : 'held');
    assert.match(rests?.lastReply ?? '', /server ended during the attempt/);
    // The server may be gone before it answers.
    if (deaths < 3) await cmail.run(['queue', 'retry', killer]).catch(() => undefined);
  }
  assert.equal(crashAlarms(await cmail.json<{ alarms: string[] }>(['status'])).length, 1);
  await send(cmail, 'good@other.example');
  await cmail.waitFor('the good message', async () => peer.messages.length === 1);
});
