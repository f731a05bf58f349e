/**
 * Three servers on one PostgreSQL, mail in and out: nodes and database are killed with SIGKILL on the way, and a
 * replica takes over. What got its 250 is delivered, once but for those whose node died between the peer's last
 * reply and its record. CMAIL_NODES_MESSAGES, CMAIL_NODES_KILLS and CMAIL_NODES_DATABASE_KILLS make it larger.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDnsServer } from '../support/dns-server.ts';
import { startNodes, type TestNode, type TestNodes } from '../support/nodes.ts';
import {
  assertNoneMissing,
  collectMarkers,
  duplicatesOf,
  emptyQueue,
  FAR_DOMAINS,
  LOCAL_USER,
  type Load,
  newLoad,
  recordDeliveries,
  SENDER,
  sendLoad,
} from '../support/nodes-load.ts';
import { type Postgres, startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const MESSAGES = Number(process.env.CMAIL_NODES_MESSAGES ?? '2000');
const NODE_KILLS = Number(process.env.CMAIL_NODES_KILLS ?? '3');
const DATABASE_KILLS = Number(process.env.CMAIL_NODES_DATABASE_KILLS ?? '1');
/** From a peer's reply to its record on a busy machine. */
const SETTLING_MS = 5_000;
/** What a busy test process notices late. */
const NOTICED_MS = 1_000;
const TAKEOVER_LIMIT_MS = 30_000;
/** How long a node's rights last without a beat (`NODE_LEASE_MS`), with what was on its way at the end. */
const LEASE_MS = 15_000 + SETTLING_MS;
const CUT_MS = 45_000;

interface World extends TestNodes {
  readonly database: Postgres;
  readonly peer: SmtpPeer;
  /** Ends of nodes by SIGKILL. */
  readonly kills: { readonly name: string; readonly atMs: number }[];
}

async function startWorld(t: TestContext, count: number): Promise<World> {
  const database = await startPostgres();
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  const zones: Record<string, string[]> = { 'mx.example': [`A ${peer.address}`] };
  for (const name of FAR_DOMAINS) zones[name] = ['MX 10 mx.example'];
  const dns = await startDnsServer(zones);
  const nodes = await startNodes(t, database, {
    count,
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [LOCAL_USER, SENDER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  t.after(() => Promise.all([peer.close(), dns.close(), database.close()]).then(() => undefined));
  return { ...nodes, database, peer, kills: [] };
}

interface QueueCounts {
  readonly queued: number;
  readonly sending: number;
}

async function queueOf({ cmail }: TestNode): Promise<QueueCounts> {
  return (await cmail.json<{ queue: QueueCounts }>(['status'])).queue;
}

async function killNode({ nodes, kills }: World): Promise<void> {
  const node = nodes[randomInt(nodes.length)];
  assert.ok(node);
  kills.push({ name: node.name, atMs: performance.now() });
  await node.cmail.kill9();
  await node.cmail.restart();
}

/** Runs each action when so many messages have their 250, one after the other; `done` when all have run. */
function schedule(actions: readonly { after: number; run: () => Promise<void> }[]) {
  const left = actions.toSorted((a, b) => a.after - b.after);
  let chain = Promise.resolve();
  let failure: unknown;
  const next = (count: number): void => {
    while (left[0] !== undefined && left[0].after <= count) {
      const action = left.shift();
      chain = chain
        .then(() => action?.run())
        .catch((error: unknown) => {
          failure ??= error;
        });
    }
  };
  const done = async (): Promise<void> => {
    await chain;
    if (failure !== undefined) throw failure;
    assert.equal(left.length, 0, 'everything was to be killed on the way');
  };
  return { next, done };
}

/** Moments spread over the messages, some distance from both ends. */
function moments(count: number): number[] {
  return Array.from({ length: count }, () =>
    randomInt(Math.ceil(MESSAGES * 0.05), Math.ceil(MESSAGES * 0.85)),
  );
}

/** Nothing is missing, nothing is returned, and each duplicate has its reason. Resolves to words with the figures. */
async function settleAccounts(world: World, load: Load, deliveries: () => ReturnType<typeof duplicatesOf>) {
  const [first] = world.nodes;
  assert.ok(first);
  await emptyQueue(first);
  const local = await collectMarkers(first, LOCAL_USER);
  assertNoneMissing(load, new Set([...local, ...world.peer.messages.map(({ data }) => subjectOf(data))]));
  assert.deepEqual(await collectMarkers(first, SENDER), [], 'nothing is returned to the sender');
  const twiceHere = local.filter((marker, n) => local.indexOf(marker) !== n);
  const unexplained = twiceHere.filter((marker) => !load.putOffAtEnd.has(marker));
  assert.deepEqual(unexplained, [], 'in the mailbox twice');
  const duplicates = deliveries();
  const lost = duplicates.filter(({ first: { marker } }) => !load.putOffAtEnd.has(marker));
  for (const { first: one } of lost) {
    const reason = world.kills.find(
      ({ name, atMs }) => name === one.by && atMs >= one.atMs - NOTICED_MS && atMs <= one.atMs + SETTLING_MS,
    );
    assert.ok(reason, `${one.marker} was sent twice and ${one.by} lived when the peer took it first`);
  }
  for (const { cmail } of world.nodes) await cmail.run(['verify']);
  return `${load.accepted.size} had their 250, ${load.unanswered.size} no answer, ${load.putOff} were put off, ${load.lost} connections lost; sent twice because the node died: ${lost.length}; accepted twice because the database died: ${duplicates.length - lost.length + twiceHere.length}`;
}

function subjectOf(data: Buffer): string {
  return /^Subject: (.*)$/m.exec(data.toString('latin1'))?.[1]?.trim() ?? '';
}

test(`${MESSAGES} messages through three nodes, ${NODE_KILLS} of them and ${DATABASE_KILLS} databases killed meanwhile`, async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t, 3);
  const record = recordDeliveries(world.peer);
  const load = newLoad();
  const killDatabase = async () => {
    await world.database.kill9();
    await world.database.start();
  };
  const plan = schedule([
    ...moments(NODE_KILLS).map((after) => ({ after, run: () => killNode(world) })),
    ...moments(DATABASE_KILLS).map((after) => ({ after, run: killDatabase })),
  ]);
  await sendLoad(world.nodes, load, { messages: MESSAGES, label: 'kill', onAccepted: plan.next });
  await plan.done();
  t.diagnostic(await settleAccounts(world, load, () => duplicatesOf(record.all())));
});

test('a replica is promoted while mail flows: nothing that got its 250 is lost', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t, 3);
  const replica = await world.database.replica();
  t.after(() => replica.close());
  const record = recordDeliveries(world.peer);
  const load = newLoad();
  const failOver = async () => {
    await world.database.kill9();
    await replica.promote();
    world.moveTo(replica);
  };
  const plan = schedule([{ after: Math.ceil(MESSAGES * 0.4), run: failOver }]);
  await sendLoad(world.nodes, load, { messages: MESSAGES, label: 'replica', onAccepted: plan.next });
  await plan.done();
  t.diagnostic(await settleAccounts(world, load, () => duplicatesOf(record.all())));
});

test('the work of a node that died is taken over within 30 s', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t, 1);
  const [dead] = world.nodes;
  assert.ok(dead);
  // The first node takes everything and gets no answer; the second finds nothing left to take.
  world.peer.script({ at: { greeting: 'silent' } });
  const load = newLoad();
  await sendLoad(world.nodes, load, { messages: 50, label: 'takeover' });
  const far = [...load.accepted].filter((marker) => marker.startsWith('far-'));
  const allSending = async () => (await queueOf(dead)).sending > FAR_DOMAINS.length;
  await dead.cmail.waitFor('messages of every destination being sent', allSending);
  const heir = await world.add();
  assert.equal((await queueOf(heir)).sending > 0, true);
  const record = recordDeliveries(world.peer);
  await dead.cmail.kill9();
  const from = performance.now();
  await world.peer.waitForMessages(far.length, TAKEOVER_LIMIT_MS + SETTLING_MS);
  const deliveries = record.all();
  const last = Math.max(...deliveries.map(({ atMs }) => atMs));
  t.diagnostic(`taken over and delivered ${((last - from) / 1000).toFixed(1)} s after the kill`);
  assert.ok(last - from <= TAKEOVER_LIMIT_MS, 'within 30 s');
  assert.deepEqual(new Set(deliveries.map(({ marker }) => marker)), new Set(far));
  assert.ok(deliveries.every(({ by }) => by === heir.name));
});

test('a node that is cut off from the database sends nothing once its lease has ended', async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t, 2);
  const [one] = world.nodes;
  assert.ok(one);
  await one.cmail.run(['queue', 'hold', '--all']);
  const load = newLoad();
  await sendLoad(world.nodes, load, { messages: 300, label: 'cut' });
  // Some seconds for each message, so that the cut comes while both have work in hand and in the queue.
  const record = recordDeliveries(world.peer, { dripMs: 15 });
  await one.cmail.run(['queue', 'release', '--all']);
  const firstBy = await one.cmail.waitFor('a first delivery', async () => record.all()[0]?.by, CUT_MS);
  const stale = world.nodes.find(({ name }) => name === firstBy);
  const other = world.nodes.find(({ name }) => name !== firstBy);
  assert.ok(stale && other);
  const open = () =>
    world.peer.sessions.filter(({ helo, endedAt }) => helo === stale.name && endedAt === undefined);
  assert.ok(open().length > 0 && (await queueOf(other)).queued > 0, 'there is work left when the cut comes');
  // Any moment of a transaction.
  await sleep(randomInt(1_500));
  const atCut = open().length;
  stale.way.stall();
  const cutAt = performance.now();
  await sleep(LEASE_MS);
  record.script({});
  await sleep(CUT_MS - LEASE_MS);
  assert.deepEqual(open(), [], 'it holds no session with the peer any more');
  stale.way.heal();
  await emptyQueue(other);
  const deliveries = record.all();
  const late = deliveries.filter(
    ({ by, atMs }) => by === stale.name && atMs > cutAt + LEASE_MS && atMs < cutAt + CUT_MS,
  );
  assert.deepEqual(late, [], 'deliveries of the stale owner after its lease');
  const twice = duplicatesOf(deliveries);
  for (const { first } of twice) {
    assert.ok(first.by === stale.name && first.atMs >= cutAt - SETTLING_MS, `${first.marker} by ${first.by}`);
  }
  const local = await collectMarkers(other, LOCAL_USER);
  assertNoneMissing(load, new Set([...local, ...deliveries.map(({ marker }) => marker)]));
  assert.deepEqual(await collectMarkers(other, SENDER), [], 'nothing is returned to the sender');
  const before = deliveries.filter(({ by, atMs }) => by === stale.name && atMs >= cutAt).length;
  t.diagnostic(
    `${atCut} sessions of the stale owner were open at the cut, it finished ${before} messages; ${twice.length} were sent twice`,
  );
});
