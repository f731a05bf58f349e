/**
 * Many messages to many destinations, some of them sick, on real sockets: CMail, then Postfix. Each takes the whole
 * load first while sending is held, is released, and is compared with itself when it has the mail of the healthy
 * destinations alone. Prints tables and writes nothing else. Needs root (Postfix, and DNS at port 53 of 127.53.0.53).
 *   sh scripts/node.sh bench/many-destinations.ts [--messages 100000] [--destinations 1000] [--profile mild|sick]
 *     [--senders cmail,postfix] [--limit SECONDS for the healthy of a run, 1800]
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type CleanUp, type Endpoint, startCmail } from '../test/support/cmail.ts';
import { freePort } from '../test/support/free-port.ts';
import { greeted } from '../test/support/smtp-client.ts';
import { type Destination, type FarServers, type Kind, type Seen, startFarServers } from './far-servers.ts';
import { cpuSecondsOf, describeMachine, memoryOf } from './machine.ts';
import { startPostfixSender } from './postfix-sender.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    destinations: { type: 'string', default: '1000' },
    profile: { type: 'string', default: 'mild' },
    senders: { type: 'string', default: 'cmail,postfix' },
    limit: { type: 'string', default: '1800' },
  },
});

/** Of a hundred destinations; the rest is healthy. */
const PROFILES: Readonly<Record<string, Partial<Record<Kind, number>>>> = {
  mild: { dead: 4, silent: 1, slow: 4, grey: 4, limited: 3, ruled: 3, busy: 4 },
  sick: { dead: 12, silent: 2, slow: 10, grey: 8, limited: 5, ruled: 5, busy: 8 },
};
const KINDS: readonly Kind[] = ['healthy', 'slow', 'grey', 'limited', 'ruled', 'dead', 'silent', 'busy'];
const DNS = '127.53.0.53';
const RULED = 'ruled.example';
const SESSIONS = 100;
const CONCURRENCY = 20;
/** The first wait before another attempt, for both. */
const RETRY_SECONDS = 60;
const FEEDERS = 10;
const LOOK_EVERY_MS = 500;
const REST_LOOK_MS = 2000;
const REST_SHARE = 0.05;
const MAX_REST_LOOKS = 30;
const LOOKS_A_LINE = 10;
const BODY = `Subject: load\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(14)}.\r\n`;

interface Sender extends Endpoint {
  release(): Promise<void>;
  /** In words; asked at each look, the last answer is shown. */
  memory(): Promise<string>;
  /** Processor time so far, of all its processes. */
  cpuSeconds(): Promise<number>;
}

interface Run {
  readonly name: string;
  readonly feedSeconds: number;
  /** From the release until the healthy destinations had all. */
  readonly seconds: number;
  /** The sender's own processor time in these. */
  readonly cpuSeconds: number;
  /** Of each destination, of its last message, from the release on, in seconds; NaN where it has not got all. */
  readonly finished: readonly number[];
  readonly seen: readonly Seen[];
  readonly memory: string;
  readonly load: string;
  readonly complete: boolean;
}

type Start = (t: CleanUp, port: number) => Promise<Sender>;

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function plan(count: number, shares: Partial<Record<Kind, number>>): Destination[] {
  return Array.from({ length: count }, (_, n) => {
    // Spread over the names, since both senders may go by them.
    let place = (n * 37) % 100;
    let kind: Kind = 'healthy';
    for (const [name, share] of Object.entries(shares) as [Kind, number][]) {
      if (place >= 0 && place < share) kind = name;
      place -= share;
    }
    const domain = kind === 'ruled' ? `d${n}.${RULED}` : `d${n}.example`;
    return { domain, kind, address: `127.10.${n >> 8}.${n & 255}` };
  });
}

const startAsCmail: Start = async (t, port) => {
  const server = await startCmail(t, {
    config: { dns: { servers: [`${DNS}:53`] } },
    settings: {
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.outboundPort': String(port),
      'smtp.maxSessions': String(SESSIONS),
      'smtp.destinationConcurrency': String(CONCURRENCY),
      'smtp.retrySchedule': `${RETRY_SECONDS}s,5m`,
      'smtp.destinationRules': `*.${RULED} concurrency=1`,
    },
    env: { CMAIL_LOG_LEVEL: 'error' },
  });
  await server.run(['queue', 'hold', '--all']);
  return {
    ...server.listeners.smtp,
    release: async () => void (await server.run(['queue', 'release', '--all'])),
    memory: async () => `peak ${(await memoryOf(server.pid)).peakMegabytes} MB`,
    cpuSeconds: async () => cpuSecondsOf(server.pid, false),
  };
};

const startAsPostfix: Start = async (t, port) => {
  const limits = { sessions: SESSIONS, destinationConcurrency: CONCURRENCY, retrySeconds: RETRY_SECONDS };
  const server = await startPostfixSender(t, { port, dnsAddress: DNS, ruled: RULED, ...limits });
  const most = { manager: 0, all: 0 };
  return {
    host: server.host,
    port: server.port,
    release: server.release,
    cpuSeconds: server.cpuSeconds,
    memory: async () => {
      const { manager, all } = await server.memory();
      most.manager = Math.max(most.manager, manager);
      most.all = Math.max(most.all, all);
      return `at most ${most.manager} MB in qmgr, ${most.all} MB in all processes`;
    },
  };
};

/**
 * `each` messages to each destination, in an order as if by chance, the same in every run. In turns they would lie side by
 * side in a store just as they are sent later, as long as all destinations keep in step, which the sick ones break.
 */
async function feed(to: Endpoint, destinations: readonly Destination[], each: number): Promise<void> {
  const order = shuffled(destinations.flatMap((one) => Array<Destination>(each).fill(one)));
  const total = order.length;
  let next = 0;
  const feeder = async () => {
    const client = await greeted({ host: to.host, port: to.port, replyLimitMs: 120_000 });
    while (next < total) {
      const number = next;
      next += 1;
      const { domain } = order[number] as Destination;
      await client.expect(250, client.command('MAIL FROM:<a@here.example>'));
      await client.expect(250, client.command(`RCPT TO:<u${number}@${domain}>`));
      await client.expect(354, client.command('DATA'));
      await client.write(BODY);
      await client.expect(250, client.reply());
    }
    await client.quit();
  };
  await Promise.all(Array.from({ length: FEEDERS }, feeder));
}

function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items];
  let seed = 1;
  for (let last = result.length - 1; last > 0; last -= 1) {
    // A linear congruential generator (Numerical Recipes).
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((seed / 2 ** 32) * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

async function measure(
  name: string,
  start: Start,
  destinations: readonly Destination[],
  each: number,
): Promise<Run> {
  const actions: (() => Promise<void> | void)[] = [];
  const t: CleanUp = { after: (action) => void actions.push(action) };
  try {
    const port = await freePort('127.10.0.1');
    const far = await startFarServers({ destinations, port, dnsAddress: DNS });
    t.after(() => far.close());
    const sender = await start(t, port);
    const fedFrom = performance.now();
    await feed(sender, destinations, each);
    const feedSeconds = (performance.now() - fedFrom) / 1000;
    say(`${name}: ${destinations.length * each} messages fed in ${feedSeconds.toFixed(0)} s`);
    await atRest(sender);
    const cpuBefore = await sender.cpuSeconds();
    const releasedAt = Date.now();
    await sender.release();
    const { seen, memory, complete } = await waitForHealthy(far, sender, destinations, each);
    const finished = seen.map(({ taken, lastAt }) =>
      taken >= each ? (lastAt - releasedAt) / 1000 : Number.NaN,
    );
    const seconds = (Date.now() - releasedAt) / 1000;
    const cpuSeconds = (await sender.cpuSeconds()) - cpuBefore;
    say(`${name}: done after ${seconds.toFixed(0)} s, ${memory}`);
    const load = loadavg()
      .map((one) => one.toFixed(1))
      .join(', ');
    return { name, feedSeconds, seconds, cpuSeconds, finished, seen, memory, load, complete };
  } finally {
    for (const action of actions.toReversed()) await action();
  }
}

/** What follows on taking mail in (making it searchable) is done when little processor time is used any more. */
async function atRest(sender: Sender): Promise<void> {
  let before = await sender.cpuSeconds();
  for (let look = 0; look < MAX_REST_LOOKS; look += 1) {
    await new Promise((done) => setTimeout(done, REST_LOOK_MS));
    const now = await sender.cpuSeconds();
    if (now - before < (REST_LOOK_MS / 1000) * REST_SHARE) return;
    before = now;
  }
}

async function waitForHealthy(
  far: FarServers,
  sender: Sender,
  destinations: readonly Destination[],
  each: number,
): Promise<{ seen: readonly Seen[]; memory: string; complete: boolean }> {
  const until = Date.now() + Number(values.limit) * 1000;
  for (let look = 1; ; look += 1) {
    const [seen, memory] = await Promise.all([far.seen(), sender.memory()]);
    const complete = seen.every(({ taken }, n) => destinations[n]?.kind !== 'healthy' || taken >= each);
    if (complete || Date.now() > until) return { seen, memory, complete };
    if (look % LOOKS_A_LINE === 0) {
      const taken = (kind: Kind) =>
        seen.reduce((sum, one, n) => sum + (destinations[n]?.kind === kind ? one.taken : 0), 0);
      say(KINDS.map((kind) => `${kind} ${taken(kind)}`).join(', '));
    }
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
  }
}

function part(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function finishRows(sender: string, mixed: Run, alone: Run, destinations: readonly Destination[]): string[] {
  const healthy = mixed.finished.filter((_, n) => destinations[n]?.kind === 'healthy').sort((a, b) => a - b);
  const beside = [...alone.finished].sort((a, b) => a - b);
  const shares = [
    ['median', 0.5],
    ['95 %', 0.95],
    ['all', 1],
  ] as const;
  return shares.map(([word, share]) => {
    const [with_, without] = [part(healthy, share), part(beside, share)];
    return `| ${sender} | ${word} | ${without.toFixed(1)} | ${with_.toFixed(1)} | ${(with_ / without).toFixed(2)} |`;
  });
}

function kindRows(
  { seen }: Run,
  sender: string,
  destinations: readonly Destination[],
  each: number,
): string[] {
  return KINDS.flatMap((kind) => {
    const of = seen.filter((_, n) => destinations[n]?.kind === kind);
    if (of.length === 0) return [];
    const sum = (pick: (one: Seen) => number) => of.reduce((total, one) => total + pick(one), 0);
    const limit = { healthy: CONCURRENCY, limited: 'its own 1', ruled: 1 }[kind as 'healthy'] ?? CONCURRENCY;
    const most = kind === 'dead' ? '–' : Math.max(...of.map(({ mostOpen }) => mostOpen));
    const above =
      typeof limit === 'number'
        ? of.filter(({ mostOpen }) => mostOpen > limit).length
        : of.filter(({ mostOpen }) => mostOpen > 1).length;
    const taken = `${sum((one) => one.taken)} of ${of.length * each}`;
    return [
      `| ${sender} | ${kind} | ${of.length} | ${taken} | ${sum((one) => one.connections)} | ${limit} | ${most} | ${above} |`,
    ];
  });
}

const shares = PROFILES[values.profile];
if (shares === undefined) throw new Error(`no profile ${values.profile}: mild or sick`);
const destinations = plan(Number(values.destinations), shares);
const each = Math.max(1, Math.round(Number(values.messages) / destinations.length));
const healthyOnes = destinations.filter(({ kind }) => kind === 'healthy');
console.log(
  `${await describeMachine()}; load average before ${loadavg()
    .map((one) => one.toFixed(1))
    .join(', ')}`,
);
console.log(
  `${each * destinations.length} messages, ${destinations.length} destinations, ${healthyOnes.length} of them healthy`,
);
const finishes: string[] = [];
const kinds: string[] = [];
const notes: string[] = [];
for (const name of values.senders.split(',')) {
  const start = name === 'postfix' ? startAsPostfix : startAsCmail;
  const alone = await measure(`${name}, healthy alone`, start, healthyOnes, each);
  const mixed = await measure(`${name}, all`, start, destinations, each);
  finishes.push(...finishRows(name, mixed, alone, destinations));
  kinds.push(...kindRows(mixed, name, destinations, each));
  for (const run of [alone, mixed]) {
    const cut = run.complete ? '' : `; cut off after ${values.limit} s`;
    notes.push(
      `${run.name}: fed in ${run.feedSeconds.toFixed(0)} s; done in ${run.seconds.toFixed(0)} s with ${run.cpuSeconds.toFixed(1)} s of processor time; memory ${run.memory}; load average after ${run.load}${cut}`,
    );
  }
}
console.log(
  [
    '',
    '| sender | healthy destinations finished | alone, s | beside the others, s | ratio |',
    '|---|---|---|---|---|',
    ...finishes,
    '',
    '| sender | kind | destinations | messages taken by then | connections | limit | most open at once | destinations above it |',
    '|---|---|---|---|---|---|---|---|',
    ...kinds,
    '',
    ...notes,
  ].join('\n'),
);
