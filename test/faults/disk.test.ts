/**
 * The disk is full, or takes no writes: mail is put off with 452, an alarm says why, reading goes on, and when
 * the disk is well again everything goes on by itself. Nothing that got its 250 is lost, nothing is returned.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { type ClientReply, greeted, type SmtpClient } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const USER = { address: 'user@local.example', password: 'long enough' };
/** Where a notice would go. */
const SENDER = { address: 'sender@local.example', password: 'long enough' };
const SESSIONS = 8;
const PUT_OFF_RUNNING = 5;
/** A client waits on a busy machine; a probe and the settling have waits of seconds. */
const RECOVERY_LIMIT_MS = 30_000;

interface World {
  readonly disk: SmallDisk;
  readonly cmail: Cmail;
  readonly peer: SmtpPeer;
  /** Subjects of what got a 250. */
  readonly accepted: string[];
}

async function start(t: TestContext, megabytes: number): Promise<World | null> {
  const disk = await mountSmallDisk(t, megabytes);
  if (disk === null) return null;
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  disk.after(() => peer.close());
  const dns = await startDnsServer({
    'far.example': ['MX 10 mx.example'],
    'mx.example': [`A ${peer.address}`],
  });
  disk.after(() => dns.close());
  const cmail = await startCmail(disk, {
    dataDir: join(disk.path, 'data'),
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [USER, SENDER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  return { disk, cmail, peer, accepted: [] };
}

/** Sends one message; a 250 is entered, 452 4.3.1 is the only other answer there may be. */
async function send(
  { accepted }: World,
  client: SmtpClient,
  subject: string,
  lines = 2_000,
): Promise<boolean> {
  const to = subject.startsWith('far') ? 'someone@far.example' : USER.address;
  const data = `Subject: ${subject}\r\n\r\n${`${subject} ${'x'.repeat(50)}\r\n`.repeat(lines)}`;
  const sent = await client.sendMessage({ from: SENDER.address, to: [to], data });
  const answer: ClientReply | undefined = sent.end ?? sent.data ?? sent.rcpt[0] ?? sent.mail;
  if (sent.id !== undefined) {
    accepted.push(subject);
    return true;
  }
  assert.equal(`${answer.code} ${answer.enhanced}`, '452 4.3.1', answer.text);
  return false;
}

/** Sends until the server has put off several messages running; every third goes to far.example. */
async function sendUntilPutOff(world: World, client: SmtpClient, name: string): Promise<void> {
  for (let number = 1, putOff = 0; putOff < PUT_OFF_RUNNING; number++) {
    const taken = await send(world, client, `${number % 3 === 0 ? 'far' : 'local'}-${name}-${number}`);
    putOff = taken ? 0 : putOff + 1;
  }
}

async function alarms(cmail: Cmail): Promise<readonly string[]> {
  return (await cmail.json<{ alarms: string[] }>(['status'])).alarms;
}

async function assertReadable({ cmail, accepted }: World): Promise<void> {
  const mails = await collectMail(cmail.listeners.pop3, USER.address, USER.password, { keep: true });
  const found = new Set(mails.map(subjectOf));
  for (const subject of accepted.filter(isLocal)) assert.ok(found.has(subject), `${subject} can be read`);
  await cmail.json(['queue', 'list']);
  await cmail.json(['account', 'list']);
  await cmail.json(['settings', 'list']);
}

/** Everything that got a 250 has arrived, and nothing else: no notice, no message put off. */
async function assertAllArrived({ cmail, peer, accepted }: World): Promise<void> {
  const emptied = async () => {
    const queue = await cmail.json<unknown[]>(['queue', 'list']);
    if (queue.length > 0) await cmail.run(['queue', 'retry', '--all']);
    return queue.length === 0;
  };
  await cmail.waitFor('an empty outgoing queue', emptied, RECOVERY_LIMIT_MS);
  const local = await collectMail(cmail.listeners.pop3, USER.address, USER.password);
  assert.deepEqual(local.map(subjectOf).sort(), accepted.filter(isLocal).sort());
  const far = peer.messages.map(({ data }) => subjectOf(data));
  assert.deepEqual(far.sort(), accepted.filter((subject) => !isLocal(subject)).sort());
  assert.deepEqual(await collectMail(cmail.listeners.pop3, SENDER.address, SENDER.password), []);
  await cmail.run(['verify']);
}

function isLocal(subject: string): boolean {
  return subject.startsWith('local');
}

function subjectOf(mail: Buffer): string {
  return /^Subject: (.*)\r$/m.exec(mail.toString('latin1'))?.[1] ?? '';
}

test('a disk that fills up under load puts mail off, and everything goes on when there is room', async (t) => {
  const world = await start(t, 48);
  if (world === null) return;
  const { disk, cmail, accepted } = world;
  const { pid } = cmail;
  await disk.take(24);
  const clients = await Promise.all(Array.from({ length: SESSIONS }, () => greeted(cmail.listeners.smtp)));
  disk.after(() => clients.forEach((client) => void client.destroy()));
  await Promise.all(clients.map((client, n) => sendUntilPutOff(world, client, `load${n}`)));
  await disk.fill();
  await Promise.all(clients.map((client, n) => sendUntilPutOff(world, client, `full${n}`)));
  t.diagnostic(`${accepted.length} messages were accepted before the disk was full`);

  assert.match((await alarms(cmail)).join(), /cannot be written: the disk is full.*space/);
  await assertReadable(world);
  for (const client of clients) await client.expect(250, client.command('NOOP'));

  await disk.free();
  await cmail.waitFor(
    'the alarm to clear',
    async () => (await alarms(cmail)).length === 0,
    RECOVERY_LIMIT_MS,
  );
  assert.equal(cmail.pid, pid);
  for (const [n, client] of clients.entries()) {
    assert.ok(await send(world, client, `local-after-${n}`), 'the same session is served again');
  }
  await assertAllArrived(world);
});

test('a disk that takes no writes puts mail and changes off, and nothing is sent twice', async (t) => {
  const world = await start(t, 32);
  if (world === null) return;
  const { disk, cmail, peer } = world;
  const client = await greeted(cmail.listeners.smtp);
  disk.after(() => client.destroy());
  assert.ok(await send(world, client, 'local-before'));
  // The far server answers so slowly that the disk goes while it has the message.
  peer.script({ dripMs: 10 });
  assert.ok(await send(world, client, 'far-before', 5));
  await cmail.waitFor('a session at the far server', async () => peer.sessions.length > 0);
  disk.after(() => disk.lock(cmail.dataDir, false));
  await disk.lock(cmail.dataDir, true);

  await sendUntilPutOff(world, client, 'locked');
  assert.match((await alarms(cmail)).join(), /cannot be written.*read-only/);
  await assertReadable(world);
  for (const change of [
    ['settings', 'set', 'smtp.hopLimit', '50'],
    ['domain', 'add', 'new.example'],
    ['queue', 'hold', '--all'],
  ]) {
    const { code, stderr } = await cmail.cli(change);
    assert.equal(code, 1, change.join(' '));
    assert.match(stderr, /^cmail: the store cannot be used now: .*\n.*disk.*\n$/, change.join(' '));
  }
  assert.equal(await cmail.run(['settings', 'get', 'smtp.hopLimit']), '100\n');
  await peer.waitForMessages(1);

  await disk.lock(cmail.dataDir, false);
  await cmail.waitFor(
    'the alarm to clear',
    async () => (await alarms(cmail)).length === 0,
    RECOVERY_LIMIT_MS,
  );
  assert.ok(await send(world, client, 'local-after'));
  await cmail.run(['settings', 'set', 'smtp.hopLimit', '50']);
  await assertAllArrived(world);
});

test('a start on a read-only disk says so, and works when it can be written', async (t) => {
  const world = await start(t, 32);
  if (world === null) return;
  const { disk, cmail } = world;
  const client = await greeted(cmail.listeners.smtp);
  assert.ok(await send(world, client, 'local-before'));
  client.destroy();
  await cmail.stop();
  await disk.remount('ro');
  await assert.rejects(cmail.restart(), /cmail: .*(read-only|cannot be written|cannot be opened)/i);
  await disk.remount('rw');
  await cmail.restart();
  await assertAllArrived(world);
});
