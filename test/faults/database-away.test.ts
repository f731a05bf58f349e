/**
 * The database of a running server restarts, loses connections within transactions, gets slow or falls silent:
 * clients are put off with 451 or 421, everything goes on by itself afterwards, nothing is lost or returned.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDnsServer } from '../support/dns-server.ts';
import { startNodes, type TestNode } from '../support/nodes.ts';
import {
  assertNoneMissing,
  collectMarkers,
  emptyQueue,
  FAR_DOMAINS,
  LOCAL_USER,
  type Load,
  markerOf,
  newLoad,
  SENDER,
  sendLoad,
} from '../support/nodes-load.ts';
import { type Postgres, startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';
import { greeted } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const AWAY_MS = 4_000;
/** A client must have its answer by then, whatever the database does. */
const ANSWER_LIMIT_MS = 45_000;
/** On top of what the server has when it starts: 32 MB that wait for the database, copies of them on the way, and the runtime's own. */
const MEMORY_LIMIT_BYTES = 250 * 1024 * 1024;

interface World {
  readonly node: TestNode;
  readonly database: Postgres;
  readonly peer: SmtpPeer;
}

async function startWorld(t: TestContext): Promise<World> {
  const database = await startPostgres();
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  const zones: Record<string, string[]> = { 'mx.example': [`A ${peer.address}`] };
  for (const name of FAR_DOMAINS) zones[name] = ['MX 10 mx.example'];
  const dns = await startDnsServer(zones);
  const { nodes } = await startNodes(t, database, {
    count: 1,
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [LOCAL_USER, SENDER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  t.after(() => Promise.all([peer.close(), dns.close(), database.close()]).then(() => undefined));
  const [node] = nodes;
  assert.ok(node);
  return { node, database, peer };
}

function residentBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

async function assertWhole({ node, peer }: World, load: Load): Promise<void> {
  await emptyQueue(node);
  const local = await collectMarkers(node, LOCAL_USER);
  assertNoneMissing(load, new Set([...local, ...peer.messages.map(({ data }) => markerOf(data))]));
  assert.deepEqual(await collectMarkers(node, SENDER), [], 'nothing is returned to the sender');
  const twice = local.filter((marker, n) => local.indexOf(marker) !== n && !load.putOffAtEnd.has(marker));
  assert.deepEqual(twice, [], 'in the mailbox twice');
  await node.cmail.run(['verify']);
  assert.deepEqual((await node.cmail.json<{ alarms: string[] }>(['status'])).alarms, []);
}

test('the database restarts: clients are put off, the process goes on by itself', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t);
  const { node, database } = world;
  const { pid } = node.cmail;
  const load = newLoad();
  const restarts: Promise<void>[] = [];
  const away = async (mode: 'fast' | 'immediate') => {
    await database.stop(mode);
    await sleep(AWAY_MS);
    const { alarms } = await node.cmail.json<{ alarms: string[] }>(['status']);
    assert.match(alarms.join('\n'), /database|PostgreSQL/, 'status says what is wrong');
    await database.start();
  };
  await sendLoad([node], load, {
    messages: 600,
    label: 'restart',
    onAccepted: (count) => {
      if (count === 150) restarts.push(away('fast'));
      if (count === 400) restarts.push(away('immediate'));
    },
  });
  await Promise.all(restarts);
  assert.equal(restarts.length, 2);
  assert.ok(load.putOff > 0, 'clients were put off meanwhile');
  assert.equal(node.cmail.pid, pid);
  await assertWhole(world, load);
  t.diagnostic(`${load.putOff} replies put clients off, ${load.lost} connections lost`);
});

test('connections are lost in mid-transaction, again and again', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t);
  const load = newLoad();
  let cuts = 0;
  const timer = setInterval(() => {
    cuts += 1;
    world.node.way.cut();
  }, 150);
  t.after(() => clearInterval(timer));
  await sendLoad([world.node], load, { messages: 500, label: 'cut' });
  clearInterval(timer);
  assert.ok(cuts > 3, `${cuts} cuts`);
  await assertWhole(world, load);
  t.diagnostic(`${cuts} cuts, ${load.putOff} replies put clients off`);
});

test('a slow database makes mail slow, and nothing else', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t);
  const load = newLoad();
  world.node.way.delay(150);
  await sendLoad([world.node], load, { messages: 60, label: 'slow' });
  world.node.way.delay(0);
  await assertWhole(world, load);
});

test('a database that falls silent: an answer in time, bounded memory, and on it goes', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t);
  const { node } = world;
  const load = newLoad();
  await sendLoad([node], load, { messages: 100, label: 'before' });
  const before = residentBytes(node.cmail.pid);
  node.way.stall();
  const sessions = Array.from({ length: 30 }, (_, n) => sendMuch(node, n));
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(residentBytes(node.cmail.pid)), 500);
  const answers = await Promise.all(sessions).finally(() => clearInterval(timer));
  for (const answer of answers) assert.match(answer, /^(451|452|421)|closed/, answer);
  const most = Math.max(...samples) - before;
  assert.ok(most < MEMORY_LIMIT_BYTES, `${Math.round(most / 1024 / 1024)} MB more than before`);
  node.way.heal();
  await sendLoad([node], load, { messages: 100, label: 'after' });
  await assertWhole(world, load);
  t.diagnostic(`${Math.round(most / 1024 / 1024)} MB more while it was silent`);
});

/** Sends 20 MB to somebody; resolves to the first reply that puts off, or to how the connection ended. */
async function sendMuch({ cmail }: TestNode, number: number): Promise<string> {
  const client = await greeted({ ...cmail.listeners.smtp, replyLimitMs: ANSWER_LIMIT_MS });
  try {
    const envelope = [`MAIL FROM:<${SENDER.address}>`, `RCPT TO:<${LOCAL_USER.address}>`, 'DATA'];
    for (const line of envelope) {
      const { code, text } = await client.command(line);
      if (code >= 400) return `${code} ${text}`;
    }
    const block = Buffer.from(`much ${number} ${'x'.repeat(60)}\r\n`.repeat(1_000));
    const reply = client.reply();
    const write = async () => {
      for (let sent = 0; sent < 20 * 1024 * 1024 && !client.closed; sent += block.byteLength)
        await client.write(block);
      await client.write('.\r\n');
    };
    const { code, text } = await Promise.race([reply, write().then(() => reply)]);
    return `${code} ${text}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    client.destroy();
  }
}
