/**
 * Throughput of 1, 2 and 3 nodes on one PostgreSQL and of one server on SQLite, with what kept the machine's
 * processors busy; writes a section of docs/benchmarks.md.
 *   sh scripts/node.sh bench/nodes.ts
 *   CMAIL_BENCH_ROUNDS    rounds of each (3)
 *   CMAIL_BENCH_MESSAGES  messages a round (6000)
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type CleanUp, type Cmail, startCmail } from '../test/support/cmail.ts';
import { runChecked } from '../test/support/command.ts';
import { startDnsServer } from '../test/support/dns-server.ts';
import { freePort } from '../test/support/free-port.ts';
import { startNodes } from '../test/support/nodes.ts';
import { type Postgres, startPostgres } from '../test/support/postgres-server.ts';
import { describeMachine, median } from './machine.ts';
import { writeSection } from './report.ts';

const FILE = resolve(import.meta.dirname, '../docs/benchmarks.md');
const FAR = '127.0.0.9';
const ROUNDS = Number(process.env.CMAIL_BENCH_ROUNDS ?? '3');
const MESSAGES = Number(process.env.CMAIL_BENCH_MESSAGES ?? '6000');
/** Clients of every run, shared out to the nodes; each has a recipient of its own. */
const CLIENTS = 12;
const SESSIONS_A_CLIENT = 4;
const ACCEPT_BYTES = 10 * 1024;
const RELAY_BYTES = 2 * 1024;
/** Of the kernel's accounts of processor time (proc(5)); 100 on every Linux. */
const TICKS_A_SECOND = 100;
const EMPTY_LIMIT_MS = 300_000;

/** Cores kept busy on average. */
interface Busy {
  readonly nodes: number;
  readonly database: number;
  readonly others: number;
}

interface Run {
  readonly perSecond: number;
  readonly busy: Busy;
}

interface Setup {
  readonly name: string;
  readonly nodes: readonly Cmail[];
  readonly database: Postgres | null;
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** Options of every server: what is not local leaves to one sink. */
async function surroundings(t: CleanUp) {
  const port = await freePort(FAR);
  const sink = spawn('smtp-sink', ['-u', 'nobody', `${FAR}:${port}`, '1000'], { stdio: 'ignore' });
  t.after(() => void sink.kill());
  const zones: Record<string, string[]> = { 'mx.example': [`300 A ${FAR}`] };
  for (let n = 0; n < CLIENTS; n += 1) zones[`far${n}.example`] = ['300 MX 10 mx.example'];
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  const password = 'long enough';
  return {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: Array.from({ length: CLIENTS }, (_, n) => ({ address: `user${n}@local.example`, password })),
    settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(port) },
    env: { CMAIL_LOG_LEVEL: 'error' },
  };
}

/** From the first connection until every client has its last 250. */
async function feed(nodes: readonly Cmail[], bytes: number, to: (n: number) => string): Promise<void> {
  const each = Math.ceil(MESSAGES / CLIENTS);
  const clients = Array.from({ length: CLIENTS }, async (_, n) => {
    const place = nodes[n % nodes.length]?.listeners.smtp;
    if (place === undefined) throw new Error('no node');
    const load = ['-d', '-s', String(SESSIONS_A_CLIENT), '-l', String(bytes), '-m', String(each)];
    const envelope = ['-f', 'a@local.example', '-t', to(n)];
    await runChecked('smtp-source', [...load, ...envelope, `${place.host}:${place.port}`], {
      timeoutMs: EMPTY_LIMIT_MS,
    });
  });
  await Promise.all(clients);
}

async function queueEmpty([first]: readonly Cmail[]): Promise<void> {
  const isEmpty = async () => {
    const { queue } = await (first as Cmail).json<{ queue: { queued: number; sending: number } }>(['status']);
    return queue.queued + queue.sending === 0;
  };
  await first?.waitFor('an empty queue', isEmpty, EMPTY_LIMIT_MS);
}

/** Messages a second of `work`, and who was busy meanwhile. */
async function measure({ nodes, database }: Setup, work: () => Promise<void>): Promise<Run> {
  const ticks = () => ({
    nodes: nodes.reduce((sum, { pid }) => sum + ticksOf(pid), 0),
    database: database === null ? 0 : postgresTicks(),
    all: machineTicks(),
  });
  const before = ticks();
  const from = performance.now();
  await work();
  const seconds = (performance.now() - from) / 1000;
  const after = ticks();
  const cores = (part: keyof typeof before) => (after[part] - before[part]) / TICKS_A_SECOND / seconds;
  const busy = { nodes: cores('nodes'), database: cores('database'), others: 0 };
  return {
    perSecond: (Math.ceil(MESSAGES / CLIENTS) * CLIENTS) / seconds,
    busy: { ...busy, others: Math.max(0, cores('all') - busy.nodes - busy.database) },
  };
}

function ticksOf(pid: number | string): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

/** Of every PostgreSQL process of the machine: one that ended in between is not counted. */
function postgresTicks(): number {
  const isPostgres = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'postgres';
    } catch {
      return false;
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isPostgres(name));
  return pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
}

/** User, nice, system, interrupts: all but idle and waiting. */
function machineTicks(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [, user, nice, system, , , interrupt, soft] = line.split(/\s+/).map(Number);
  return (user ?? 0) + (nice ?? 0) + (system ?? 0) + (interrupt ?? 0) + (soft ?? 0);
}

interface Figures {
  readonly name: string;
  readonly accept: readonly Run[];
  readonly relay: readonly Run[];
}

async function measureSetup(setup: Setup): Promise<Figures> {
  const accept: Run[] = [];
  const relay: Run[] = [];
  const { nodes } = setup;
  const takeIn = () => feed(nodes, ACCEPT_BYTES, (n) => `user${n}@local.example`);
  await takeIn();
  for (let round = 0; round < ROUNDS; round += 1) {
    accept.push(await measure(setup, takeIn));
    relay.push(
      await measure(setup, async () => {
        await feed(nodes, RELAY_BYTES, (n) => `someone@far${n}.example`);
        await queueEmpty(nodes);
      }),
    );
    const [last, through] = [accept.at(-1), relay.at(-1)];
    say(
      `${setup.name}: accept ${last?.perSecond.toFixed(0)}/s, in and out ${through?.perSecond.toFixed(0)}/s`,
    );
  }
  return { name: setup.name, accept, relay };
}

async function withCleanUp<T>(work: (t: CleanUp) => Promise<T>): Promise<T> {
  const actions: (() => Promise<void> | void)[] = [];
  try {
    return await work({ after: (action) => void actions.push(action) });
  } finally {
    for (const action of actions.toReversed()) await action();
  }
}

function onSqlite(): Promise<Figures> {
  return withCleanUp(async (t) => {
    const nodes = [await startCmail(t, await surroundings(t))];
    return measureSetup({ name: 'SQLite, 1 server', nodes, database: null });
  });
}

function onPostgres(count: number): Promise<Figures> {
  return withCleanUp(async (t) => {
    const database = await startPostgres({ settings: { shared_buffers: '256MB', max_wal_size: '2GB' } });
    t.after(() => database.close());
    const options = await surroundings(t);
    const { nodes } = await startNodes(t, database, { ...options, count, direct: true });
    const name = `PostgreSQL, ${count} ${count === 1 ? 'node' : 'nodes'}`;
    return measureSetup({ name, nodes: nodes.map(({ cmail }) => cmail), database });
  });
}

function row({ name, accept, relay }: Figures): string {
  const cells = [accept, relay].flatMap((runs) => {
    const middle = median(runs.map(({ perSecond }) => perSecond));
    const part = (key: keyof Busy) => median(runs.map(({ busy }) => busy[key])).toFixed(1);
    return [
      Math.round(middle).toLocaleString('en'),
      `${part('nodes')} + ${part('database')} + ${part('others')}`,
    ];
  });
  return `| ${[name, ...cells].join(' | ')} |`;
}

const figures = [await onSqlite()];
for (const count of [1, 2, 3]) figures.push(await onPostgres(count));
const text = [
  `Taken ${new Date().toISOString().slice(0, 10)} by \`sh scripts/node.sh bench/nodes.ts\` on: ${await describeMachine()}.`,
  '',
  `Everything on this one machine: nodes, PostgreSQL (its settings but for memory are Debian's, so every commit is synced),`,
  `the clients and the sink. ${CLIENTS} clients with ${SESSIONS_A_CLIENT} kept sessions each, shared out to the nodes; median of ${ROUNDS} rounds of`,
  `${MESSAGES} messages. Accept: ${ACCEPT_BYTES / 1024} KB into ${CLIENTS} mailboxes. In and out: ${RELAY_BYTES / 1024} KB to ${CLIENTS} outward domains, until the last one is with the sink.`,
  'Cores kept busy: nodes + PostgreSQL + everything else (clients, sink, other programs).',
  '',
  '| store | accept, messages/s | cores | in and out, messages/s | cores |',
  '|---|---|---|---|---|',
  ...figures.map(row),
  '',
].join('\n');
await writeSection(FILE, 'figures of nodes', text);
process.stdout.write(text);
