/**
 * One row after the other of BEHAVIOUR's two tables ("Who is refused" 6, "When MX fails"): what `explain` says
 * beforehand, what the timeline says afterwards and what the peers and mailboxes saw must be the same story.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { type ClientReply, greeted, letter } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { type Ending, FAR, HOST, MIRROR, OUTSIDE, ROWS, type Row } from './explain-agrees-rows.ts';

interface Outlook {
  readonly kind: string;
  readonly status: string | null;
  readonly action: string;
  readonly via: string | null;
  readonly retryAfterSeconds: readonly number[];
}

interface Told {
  readonly decision: string;
  readonly rule: string;
  readonly reply: { readonly code: number; readonly enhanced: string; readonly text: string };
  readonly route: null | {
    readonly via: string;
    readonly fallback: string | null;
    readonly failure: null | { readonly kind: string; readonly status: string; readonly action: string };
    readonly hosts: readonly {
      readonly name: string;
      readonly port: number;
      readonly addresses: readonly string[];
    }[];
  };
  readonly outlook: readonly Outlook[];
}

interface Event {
  readonly at: string;
  readonly kind: string;
  readonly recipient: string | null;
  readonly rule?: string;
  readonly via?: string;
  readonly fallback?: string | null;
  readonly failure?: string | null;
  readonly status?: string;
  readonly nextAttemptAt?: string;
  readonly hosts?: readonly { readonly host: string; readonly port: number; readonly address: string }[];
}

interface Timeline {
  readonly recipients: readonly { readonly state: string; readonly via: string | null }[];
  readonly events: readonly Event[];
}

interface World {
  readonly cmail: Cmail;
  readonly dns: DnsServer;
  readonly peers: Readonly<Record<string, SmtpPeer>>;
  readonly usual: Readonly<Record<string, string>>;
}

const PASSWORD = 'secret-password';
const SENDERS = { local: 'anna@our.example', external: `stranger@outside.example` } as const;
const PLACES = { local: '127.0.0.1', external: '127.0.0.2' } as const;

async function startWorld(t: TestContext): Promise<World> {
  const far = await startSmtpPeer({}, { address: FAR });
  const { port } = far;
  const host = await startSmtpPeer({}, { address: HOST, port });
  const mirror = await startSmtpPeer({ hostname: 'mail.cmail.test' }, { address: MIRROR, port });
  const outside = await startSmtpPeer({}, { address: OUTSIDE, port });
  const dns = await startDnsServer({
    'outside.example': ['MX 10 mx.outside.example'],
    'mx.outside.example': [`A ${OUTSIDE}`],
    'relay.example': [`A ${HOST}`],
  });
  t.after(async () => {
    await Promise.all([far, host, mirror, outside, dns].map((one) => one.close()));
  });
  const usual = {
    'smtp.outboundPort': String(port),
    'smtp.mx.allowPrivateAddresses': 'on',
    'smtp.host.name': 'relay.example',
    'smtp.host.port': String(port),
    'smtp.useMxResolution': 'on',
    'smtp.fallbackToSmtpHost': 'off',
    'smtp.fallbackOn': 'no-answer, nxdomain, no-address, unreachable, self',
    'smtp.refuseUnknownUsers': 'on',
    'smtp.assumeExternal': 'off',
    'smtp.unknownUserNotice': 'refuse',
    'smtp.queueLifetime': '5d',
  };
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example'],
    accounts: [{ address: 'boss@our.example' }, { address: 'anna@our.example' }],
    settings: usual,
  });
  return { cmail, dns, peers: { far, host, mirror, outside }, usual };
}

/** Compares explain, replies, timeline and peers for one row. */
class Comparison {
  readonly #world: World;
  readonly #row: Row;
  readonly #from: string;
  #told!: Told;
  #id = '';

  constructor(world: World, row: Row) {
    this.#world = world;
    this.#row = row;
    this.#from = row.from ?? SENDERS[row.client];
  }

  async run(): Promise<void> {
    const { cmail, dns, peers, usual } = this.#world;
    const { settings, zones, client, to, told } = this.#row;
    for (const peer of Object.values(peers)) peer.clear();
    await cmail.set({ ...usual, ...settings });
    for (const [name, records] of Object.entries(zones ?? {})) dns.set(name, ...records);
    const who = ['--from', this.#from, '--client', PLACES[client]];
    this.#told = await cmail.json<Told>(['explain', to, ...who]);
    const { decision, rule, route } = this.#told;
    assert.deepEqual(
      {
        ...{ decision, rule, via: route?.via ?? null, fallback: route?.fallback ?? null },
        ...{ failure: route?.failure?.kind ?? null, status: route?.failure?.status ?? null },
      },
      { via: null, fallback: null, failure: null, status: null, ...told },
      'what explain says',
    );
    await this.#send();
    await this.#end(this.#row.ends);
  }

  async #send(): Promise<void> {
    const { client, to } = this.#row;
    const place = { ...this.#world.cmail.listeners.smtp, localAddress: PLACES[client] };
    const session = await greeted(place);
    try {
      const data = letter({ from: this.#from, to, subject: this.#row.name });
      const sent = await session.sendMessage({ from: this.#from, to: [to], data });
      const { code, enhanced, text } = this.#told.reply;
      const reply: ClientReply | undefined = sent.rcpt[0];
      assert.equal(reply?.text, `${enhanced} ${text}`, 'the reply to RCPT');
      assert.equal(reply?.code, code);
      this.#id = sent.id ?? '';
      assert.equal(this.#id !== '', code < 400, 'accepted as explain said');
      await session.quit();
    } finally {
      session.destroy();
    }
  }

  async #end(ends: Ending): Promise<void> {
    if (ends.at === 'refused') return this.#assertQuiet();
    if (ends.at === 'mailbox') return this.#inMailbox();
    if (ends.at === 'notice') return this.#returned(ends.status, ends.dialled ?? null);
    await this.#delivered(ends.at, ends.dialled ?? null);
  }

  /** Nobody heard of it. */
  #assertQuiet(...but: readonly string[]): void {
    for (const [name, { sessions }] of Object.entries(this.#world.peers)) {
      if (!but.includes(name)) assert.equal(sessions.length, 0, `sessions at ${name}`);
    }
  }

  /** The timeline, once it has an event of this kind; the decision on it is the one foretold. */
  async #timeline(kind: string): Promise<Timeline> {
    const { cmail } = this.#world;
    const shown = await cmail.waitFor(`${kind} of ${this.#id}`, async () => {
      const timeline = await cmail.json<Timeline>(['message', this.#id]);
      // States and events are two reads: an attempt may be settled between them.
      const settled = timeline.recipients.every(({ state }) => state !== 'sending');
      return settled && timeline.events.some((event) => event.kind === kind) && timeline;
    });
    assert.equal(shown.events.find((event) => event.kind === 'decided')?.rule, this.#told.rule, 'the rule');
    return shown;
  }

  async #inMailbox(): Promise<void> {
    const { events, recipients } = await this.#timeline('delivered');
    const { via } = this.#told.route ?? {};
    assert.equal(via, 'mailbox');
    assert.equal(events.find(({ kind }) => kind === 'delivered')?.via, via);
    assert.equal(recipients[0]?.state, 'delivered');
    const [message] = await this.#collect('boss@our.example');
    assert.match(message ?? '', new RegExp(`^X-Original-To: ${this.#row.to}\r$`, 'm'));
    this.#assertQuiet();
  }

  async #collect(address: string): Promise<string[]> {
    const mail = await collectMail(this.#world.cmail.listeners.pop3, address, PASSWORD);
    return mail.map(String);
  }

  async #delivered(name: 'far' | 'host', dialled: 'unreachable' | 'self' | null): Promise<void> {
    const timeline = await this.#timeline('delivered');
    const attempts = timeline.events.filter(({ kind }) => kind === 'attempt');
    this.#assertFirstAttempt(timeline);
    assert.equal(attempts.length, dialled === null ? 1 : 2, 'attempts on the timeline');
    if (dialled !== null) this.#assertForetold(dialled, attempts[1]);
    const last = attempts.at(-1);
    const fellBack = (this.#told.route?.fallback ?? dialled) !== null;
    assert.equal(
      timeline.events.some(({ kind }) => kind === 'fallback'),
      fellBack,
      'fallback is told',
    );
    assert.equal(timeline.recipients[0]?.via, last?.via);
    const peer = this.#world.peers[name];
    assert.deepEqual(peer?.messages[0]?.to, [this.#row.to], `mail at ${name}`);
    assert.deepEqual([last?.hosts?.at(-1)?.address, last?.hosts?.at(-1)?.port], [peer?.address, peer?.port]);
    this.#assertQuiet(name, ...(dialled === 'self' ? ['mirror'] : []));
  }

  /** The first attempt took the route foretold: its kind, its reason, its hosts and addresses in order. */
  #assertFirstAttempt({ events }: Timeline): void {
    const attempt = events.find(({ kind }) => kind === 'attempt');
    const { route } = this.#told;
    assert.ok(attempt !== undefined && route !== null);
    assert.deepEqual([attempt.via, attempt.fallback], [route.via, route.fallback], 'via and fallback');
    const kind = route.failure?.kind ?? null;
    if (kind !== null) assert.equal(attempt.failure?.split(':')[0], kind, 'the failure of the route');
    const foretold = route.hosts.flatMap(({ name, port, addresses }) =>
      addresses.map((address) => `${name} ${address} ${port}`),
    );
    const dialled = (attempt.hosts ?? []).map(({ host, address, port }) => `${host} ${address} ${port}`);
    assert.deepEqual(dialled, foretold.slice(0, dialled.length), 'dialled in the order foretold');
    assert.ok(dialled.length > 0 || foretold.length === 0, 'what was foretold was dialled');
    if (route.fallback !== null) this.#assertForetold(route.fallback, attempt);
  }

  /** Explain's outlook for a kind said that the SMTP host would step in, which it has. */
  #assertForetold(kind: string, attempt: Event | undefined): void {
    const outlook = this.#outlook(kind);
    assert.deepEqual([outlook.action, outlook.via], ['smtp-host', attempt?.via], `outlook for ${kind}`);
    assert.equal(attempt?.fallback, kind);
  }

  #outlook(kind: string): Outlook {
    const outlook = this.#told.outlook.find((one) => one.kind === kind);
    assert.ok(outlook, `an outlook for ${kind} in ${JSON.stringify(this.#told.outlook)}`);
    return outlook;
  }

  /** It came back, at once or after the attempts foretold. */
  async #returned(status: string, dialled: 'unreachable' | 'self' | null): Promise<void> {
    const kind = this.#told.route?.failure?.kind ?? dialled;
    const outlook = kind === null || kind === 'null-mx' ? null : this.#outlook(kind);
    if (outlook !== null) assert.equal(outlook.status, status, `outlook for ${kind}`);
    if (outlook?.action === 'retry') await this.#waits(outlook);
    const timeline = await this.#timeline('failed');
    const { failure } = this.#told.route ?? { failure: null };
    if (failure !== null) {
      assert.equal(failure.status, status);
      assert.equal(failure.action, outlook?.action ?? 'notice');
    }
    if (this.#told.route !== null) this.#assertFirstAttempt(timeline);
    assert.equal(timeline.events.find((event) => event.kind === 'failed')?.status, status);
    assert.equal(timeline.recipients[0]?.state, 'failed');
    assert.match(await this.#notice(), new RegExp(`^Status: ${status.replaceAll('.', '\\.')}\r$`, 'm'));
    const seen = this.#row.client === 'external' ? ['outside'] : [];
    this.#assertQuiet(...seen, ...(dialled === 'self' ? ['mirror'] : []));
  }

  /** It waits as long as was said; then the time is brought forward to the last attempt. */
  async #waits(outlook: Outlook): Promise<void> {
    const { cmail } = this.#world;
    const { events, recipients } = await this.#timeline('deferred');
    assert.equal(recipients[0]?.state, 'queued');
    assert.ok(!events.some(({ kind }) => kind === 'fallback'));
    const deferred = events.find(({ kind }) => kind === 'deferred');
    const waitMs = Date.parse(deferred?.nextAttemptAt ?? '') - Date.parse(deferred?.at ?? '');
    const foretoldMs = (outlook.retryAfterSeconds[0] ?? 0) * 1000;
    assert.ok(Math.abs(waitMs - foretoldMs) < 5_000, `waits ${waitMs} ms, foretold were ${foretoldMs}`);
    // A kind that is confirmed ends with the second attempt, the others with the queue lifetime.
    if (outlook.retryAfterSeconds.length > 1) await cmail.set({ 'smtp.queueLifetime': '0' });
    await cmail.run(['queue', 'retry', this.#id]);
  }

  /** The failure notice, where the sender gets it. */
  async #notice(): Promise<string> {
    const { cmail, peers } = this.#world;
    if (this.#row.client === 'external') {
      const messages = await peers.outside?.waitForMessages(1);
      assert.deepEqual([messages?.[0]?.from, messages?.[0]?.to], ['', [this.#from]]);
      return String(messages?.[0]?.data);
    }
    return cmail.waitFor(`a notice for ${this.#row.to}`, async () => {
      const [message] = await this.#collect(this.#from);
      return message ?? false;
    });
  }
}

test('explain, timeline and peers tell the same story', { timeout: 120_000 }, async (t) => {
  const world = await startWorld(t);
  for (const row of ROWS) {
    await t.test(row.name, () => new Comparison(world, row).run());
  }
});
