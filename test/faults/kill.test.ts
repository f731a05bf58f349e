/**
 * Yes means yes: a message that got its 250 is delivered, though the process is killed with SIGKILL while
 * mail flows. (A power cut is another matter: what the kernel holds survives a kill.)
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, type SmtpClient } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const ROUNDS = Number(process.env.CMAIL_KILL_ROUNDS ?? '3');
const MESSAGES = 2_000;
const SESSIONS = 20;
const USER = { address: 'user@local.example', password: 'long enough' };

interface Accepted {
  readonly marker: string;
  readonly queueId: string | undefined;
}

test(`kill -9 during ${MESSAGES} messages, ${ROUNDS} times: what got a 250 is delivered`, async (t) => {
  assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, 'CMAIL_KILL_ROUNDS is a number above 0');
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  t.after(() => peer.close());
  const cmail = await startServer(t, peer);
  const accepted: Accepted[] = [];
  const collected = new Set<string>();
  for (let round = 1; round <= ROUNDS; round += 1) {
    const killAt = randomInt(50, MESSAGES - 50);
    const before = accepted.length;
    await sendUntilKilled(cmail, round, killAt, accepted);
    await cmail.restart();
    for (const marker of await collect(cmail)) collected.add(marker);
    assertNoneMissing(accepted.filter(isLocal), collected, `local, killed after ${killAt}`);
    await cmail.run(['verify']);
    t.diagnostic(`round ${round}: killed at ${killAt}, ${accepted.length - before} had their 250`);
  }
  await waitForEmptyQueue(cmail);
  const arrived = new Set(peer.messages.map((message) => wholeMarker(message.data)));
  assertNoneMissing(
    accepted.filter((one) => !isLocal(one)),
    arrived,
    'external',
  );
  const ids = new Set(accepted.map((one) => one.queueId));
  assert.equal(ids.size, accepted.length, 'a queue ID was given twice');
});

async function startServer(
  t: { after(action: () => Promise<void> | void): void },
  peer: SmtpPeer,
): Promise<Cmail> {
  const zones = { 'far.example': ['MX 10 mx.example'], 'mx.example': [`A ${peer.address}`] };
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  return startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [USER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
}

/** Twenty sessions share the messages of a round; the server is killed when `killAt` of them have their 250. */
async function sendUntilKilled(
  cmail: Cmail,
  round: number,
  killAt: number,
  accepted: Accepted[],
): Promise<void> {
  let next = 1;
  let yes = 0;
  let killed: Promise<unknown> | undefined;
  const session = async () => {
    let client: SmtpClient | undefined;
    try {
      client = await greeted(cmail.listeners.smtp);
      while (next <= MESSAGES) {
        const marker = `${next % 5 === 0 ? 'far' : 'local'}-${round}-${next}`;
        next += 1;
        const to = isLocal({ marker }) ? USER.address : 'someone@far.example';
        const sent = await client.sendMessage({
          from: 'sender@other.example',
          to: [to],
          data: content(marker),
        });
        assert.equal(sent.end?.code, 250, `${marker}: ${sent.end?.text ?? sent.rcpt[0]?.text}`);
        accepted.push({ marker, queueId: sent.id });
        yes += 1;
        if (yes === killAt) killed = cmail.kill9();
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      if (killed === undefined) {
        throw new Error(`a session failed before the kill: ${cmail.logText().slice(-2000)}`, {
          cause: error,
        });
      }
    } finally {
      client?.destroy();
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, session));
  assert.ok(killed, 'the server was to be killed on the way');
  await killed;
}

function isLocal(one: { readonly marker: string }): boolean {
  return one.marker.startsWith('local-');
}

/** A message that can be told to be whole: mostly small, some of several reads, a few of several chunks. */
function content(marker: string): string {
  const number = Number(marker.slice(marker.lastIndexOf('-') + 1));
  const lines = number % 100 === 1 ? 10_000 : number % 10 === 2 ? 1_000 : 5;
  const head = `From: <sender@other.example>\r\nSubject: ${marker}\r\n\r\n`;
  return `${head}${`${marker} .............\r\n`.repeat(lines)}end of ${marker}\r\n`;
}

/** The marker of a collected message, after checking that every byte of it is there. */
function wholeMarker(message: Buffer): string {
  const text = message.toString('latin1');
  const marker = /^Subject: (.*)$/m.exec(text)?.[1] ?? '';
  assert.ok(text.endsWith(content(marker)), `${marker} is not whole`);
  return marker;
}

async function collect(cmail: Cmail): Promise<string[]> {
  const messages = await collectMail(cmail.listeners.pop3, USER.address, USER.password);
  return messages.map(wholeMarker);
}

function assertNoneMissing(
  accepted: readonly Accepted[],
  delivered: ReadonlySet<string>,
  what: string,
): void {
  const missing = accepted.filter((one) => !delivered.has(one.marker));
  const named = missing.slice(0, 10).map((one) => `${one.marker} (${one.queueId})`);
  assert.equal(missing.length, 0, `${what}: ${missing.length} accepted and not delivered: ${named}`);
}

/** Makes what waits due at once, claims of the killed process included, until nothing is left. */
async function waitForEmptyQueue(cmail: Cmail): Promise<void> {
  const empty = async () => {
    const queue = await cmail.json<unknown[]>(['queue', 'list']);
    if (queue.length > 0) await cmail.run(['queue', 'retry', '--all']);
    return queue.length === 0;
  };
  await cmail.waitFor('an empty outgoing queue', empty, 120_000);
}
