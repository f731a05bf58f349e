/** Compares, for one row, what explain says beforehand, the replies, the timeline and what the peers saw. */
import assert from 'node:assert/strict';
import type { Cmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import type { DnsServer } from '../support/dns-server.ts';
import { type ClientReply, greeted, letter } from '../support/smtp-client.ts';
import type { SmtpPeer } from '../support/smtp-peer.ts';
import type { Ending, Heard, Row } from './explain-agrees-row.ts';

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
  readonly steps: readonly { readonly text: string }[];
  readonly outlook: readonly Outlook[];
  readonly connect: null | readonly Reached[];
}

/** What `explain --connect` found at one address. */
interface Reached {
  readonly address: string;
  readonly ready: boolean;
  readonly stage: string;
  readonly failure: null | { readonly kind: string; readonly text: string };
}

/** What an attempt found at one address. */
interface Trial {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly stage: string;
  readonly reply: string;
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
  readonly hosts?: readonly Trial[];
}

interface Timeline {
  readonly recipients: readonly {
    readonly address: string;
    readonly state: string;
    readonly via: string | null;
  }[];
  readonly events: readonly Event[];
}

export interface World {
  readonly cmail: Cmail;
  readonly dns: DnsServer;
  readonly peers: Readonly<Record<string, SmtpPeer>> & { readonly far: SmtpPeer };
  readonly usual: Readonly<Record<string, string>>;
}

export const PASSWORD = 'secret-password';
const SENDERS = { local: 'anna@our.example', external: `stranger@outside.example` } as const;
/** After EHLO, in the order of a transaction. */
const TRANSACTION = ['mail', 'rcpt', 'data', 'data-end'];
const PLACES = { local: '127.0.0.1', external: '127.0.0.2' } as const;

/** Compares explain, replies, timeline and peers for one row. */
export class Comparison {
  readonly #world: World;
  readonly #row: Row;
  readonly #from: string;
  #told!: Told;
  #id = '';
  #attempts: readonly Event[] = [];

  constructor(world: World, row: Row) {
    this.#world = world;
    this.#row = row;
    this.#from = row.from ?? SENDERS[row.client];
  }

  async run(): Promise<void> {
    const { cmail, dns, peers, usual } = this.#world;
    const { zones, client, to, told } = this.#row;
    const port = String(this.#world.peers.far.port);
    const settings = Object.fromEntries(
      Object.entries(this.#row.settings ?? {}).map(([key, value]) => [key, value.replace('{port}', port)]),
    );
    peers.far?.script(this.#row.far ?? {});
    peers.host?.script(this.#row.host ?? {});
    await cmail.set(usual);
    for (const [name, records] of Object.entries(zones ?? {})) dns.set(name, ...records);
    const who = ['--from', this.#from, '--client', PLACES[client]];
    const changes = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    const edited = changes.length === 0 ? [] : ['--with', ...changes];
    const beforehand = await cmail.json<Told>(['explain', to, ...who, ...edited]);
    await cmail.set({ ...usual, ...settings });
    const connect = this.#row.connects ? ['--connect'] : [];
    this.#told = await cmail.json<Told>(['explain', to, ...who, ...connect]);
    assert.deepEqual(
      { ...this.#told, connect: null },
      beforehand,
      'by settings edited and by those in force',
    );
    if (client === 'local') {
      const asUser = await cmail.json<Told>(['explain', to, '--from', this.#from, '--user', SENDERS.local]);
      assert.deepEqual(asUser, beforehand, 'whoever signs in is a local client');
    }
    for (const peer of Object.values(peers)) peer.clear();
    const { decision, rule, route } = this.#told;
    assert.deepEqual(
      {
        ...{ decision, rule, via: route?.via ?? null, fallback: route?.fallback ?? null },
        ...{ failure: route?.failure?.kind ?? null, status: route?.failure?.status ?? null },
      },
      { via: null, fallback: null, failure: null, status: null, ...told },
      'what explain says',
    );
    const { step } = this.#row;
    if (step !== undefined) {
      const texts = this.#told.steps.map(({ text }) => text);
      assert.ok(
        texts.some((text) => step.test(text)),
        `${step} in ${texts.join('; ')}`,
      );
    }
    await this.#send();
    await this.#end(this.#row.ends);
  }

  async #send(): Promise<void> {
    const { client, to, path = to, ends } = this.#row;
    const place = { ...this.#world.cmail.listeners.smtp, localAddress: PLACES[client] };
    const session = await greeted(place);
    try {
      const data = letter({ from: this.#from, to, subject: this.#row.name });
      const sent = await session.sendMessage({ from: this.#from, to: [path], data });
      const { code, enhanced, text } = this.#told.reply;
      const reply: ClientReply | undefined = sent.rcpt[0];
      this.#id = sent.id ?? '';
      if (ends.at === 'refused' && ends.rcpt !== undefined) {
        assert.equal(`${reply?.code} ${reply?.enhanced}`, ends.rcpt, 'the reply to RCPT');
      } else {
        assert.equal(reply?.text, `${enhanced} ${text}`, 'the reply to RCPT');
        assert.equal(reply?.code, code);
        assert.equal(this.#id !== '', code < 400, 'accepted as explain said');
      }
      await session.quit();
    } finally {
      session.destroy();
    }
  }

  async #end(ends: Ending): Promise<void> {
    if (ends.at === 'refused') return this.#assertQuiet();
    if (ends.at === 'mailbox') return this.#inMailbox(ends);
    if (ends.at === 'notice') await this.#returned(ends.status, ends.dialled ?? null);
    else await this.#delivered(ends);
    if (this.#row.heard !== undefined) this.#assertHeard(this.#row.heard);
  }

  /** Nobody heard of it, but those named here or in the row. */
  #assertQuiet(...but: readonly string[]): void {
    const { heard, alsoHeard = [] } = this.#row;
    const known = [...but, ...alsoHeard, ...(heard === undefined ? [] : [heard.at ?? 'far'])];
    for (const [name, { sessions }] of Object.entries(this.#world.peers)) {
      if (!known.includes(name)) assert.equal(sessions.length, 0, `sessions at ${name}`);
    }
  }

  /** The timeline, once it has an event of this kind; the decision on it is the one foretold. */
  async #timeline(kind: string, recipient: string | null = null): Promise<Timeline> {
    const { cmail } = this.#world;
    const shown = await cmail.waitFor(`${kind} of ${this.#id}`, async () => {
      const timeline = await cmail.json<Timeline>(['message', this.#id]);
      // States and events are two reads: an attempt may be settled between them.
      const settled = timeline.recipients.every(({ state }) => state !== 'sending');
      const wanted = (event: Event) =>
        event.kind === kind && (recipient === null || event.recipient === recipient);
      return settled && timeline.events.some(wanted) && timeline;
    });
    assert.equal(shown.events.find((event) => event.kind === 'decided')?.rule, this.#told.rule, 'the rule');
    return shown;
  }

  async #inMailbox({ of = 'boss@our.example', and }: Extract<Ending, { at: 'mailbox' }>): Promise<void> {
    const { events, recipients } = await this.#timeline('delivered', of);
    const { via } = this.#told.route ?? {};
    assert.equal(via, and === undefined ? 'mailbox' : 'mx');
    const delivered = events.find(({ kind, recipient }) => kind === 'delivered' && recipient === of);
    assert.equal(delivered?.via, 'mailbox');
    assert.equal(recipients.find(({ address }) => address === of)?.state, 'delivered');
    const [message, ...more] = await this.#collect(of);
    assert.equal(more.length, 0, 'once');
    const original = /^X-Original-To: (.*)\r$/m.exec(message ?? '')?.[1];
    const { to } = this.#row;
    assert.equal(original?.toLowerCase(), to.toLowerCase() === of ? undefined : to.toLowerCase());
    if (and === undefined) this.#assertQuiet();
    else await this.#delivered({ at: 'far', address: and });
  }

  async #collect(address: string): Promise<string[]> {
    const mail = await collectMail(this.#world.cmail.listeners.pop3, address, PASSWORD);
    return mail.map(String);
  }

  async #delivered({
    at: name,
    dialled,
    address = this.#row.to,
  }: { at: string } & Partial<Extract<Ending, { at: 'far' | 'host' | 'second' }>>): Promise<void> {
    const timeline = await this.#timeline('delivered', address);
    const attempts = timeline.events.filter(({ kind }) => kind === 'attempt');
    this.#attempts = attempts;
    this.#assertFirstAttempt(timeline);
    // Where a server spoke, the next one is tried in the same attempt, and the SMTP host never.
    const stepsIn = dialled !== undefined && dialled !== 'spoke';
    assert.equal(attempts.length, stepsIn ? 2 : 1, 'attempts on the timeline');
    if (stepsIn) this.#assertForetold(dialled, attempts[1]);
    const last = attempts.at(-1);
    const fellBack = stepsIn || this.#told.route?.fallback !== null;
    assert.equal(
      timeline.events.some(({ kind }) => kind === 'fallback'),
      fellBack,
      'fallback is told',
    );
    assert.equal(timeline.recipients.find((one) => one.address === address)?.via, last?.via);
    const peer = this.#world.peers[name];
    assert.deepEqual(peer?.messages[0]?.to, [address], `mail at ${name}`);
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
    const calls = (attempt.hosts ?? []).map(({ host, address, port }) => `${host} ${address} ${port}`);
    // A server that drops EHLO is called twice.
    const dialled = calls.filter((call, index) => call !== calls[index - 1]);
    assert.deepEqual(dialled, foretold.slice(0, dialled.length), 'dialled in the order foretold');
    assert.ok(dialled.length > 0 || foretold.length === 0, 'what was foretold was dialled');
    for (const trial of attempt.hosts ?? []) this.#assertReached(trial);
    if (route.fallback !== null) this.#assertForetold(route.fallback, attempt);
  }

  /** What explain found when it called the server is what the attempt found, which may come further. */
  #assertReached({ address, stage, reply }: Trial): void {
    const reached = this.#told.connect?.find((one) => one.address === address);
    if (reached === undefined) return;
    if (reached.ready) {
      assert.ok(
        TRANSACTION.includes(stage),
        `${address} was ready when explain called, and failed at ${stage}`,
      );
      return;
    }
    assert.equal(reached.stage, stage, `how far ${address} lets come`);
    assert.ok(reached.failure?.text.endsWith(reply), `${reply} in ${reached.failure?.text}`);
  }

  /** The timeline has the words of the server that failed, and that server saw the attempt come so far. */
  #assertHeard({ at = 'far', stage, reply }: Heard): void {
    const peer = this.#world.peers[at];
    const trials = this.#attempts.flatMap(({ hosts = [] }) => hosts);
    const words = trials.filter(({ address }) => address === peer?.address);
    assert.ok(words.length > 0, `${at} is on the timeline`);
    for (const trial of words) {
      assert.equal(trial.stage, stage, `how far it came with ${at}`);
      if (typeof reply === 'string') assert.equal(trial.reply, reply);
      else assert.match(trial.reply, reply);
    }
    assert.equal(peer?.messages.length, 0, `nothing was taken at ${at}`);
    const commands = peer?.sessions.flatMap((session) => session.commands) ?? [];
    if (stage === 'data-end') assert.equal(peer?.refused.length, words.length, 'read to the final dot');
    else if (stage === 'greeting') assert.deepEqual(commands, [], 'nothing is said before 220');
    else
      assert.ok(
        commands.some((line) => line.toLowerCase().startsWith(stage)),
        commands.join(' | '),
      );
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
  async #returned(status: string, dialled: string | null): Promise<void> {
    const { failure, fallback } = this.#told.route ?? { failure: null, fallback: null };
    const kind = failure?.kind ?? dialled;
    const outlook = kind === null || kind === 'null-mx' ? null : this.#outlook(kind);
    // Null: the server's reply brings it.
    if (outlook !== null && outlook.status !== null)
      assert.equal(outlook.status, status, `outlook for ${kind}`);
    if (outlook?.action === 'retry') await this.#waits(outlook);
    const timeline = await this.#timeline('failed');
    if (failure !== null) {
      assert.equal(failure.status, status);
      assert.equal(failure.action, outlook?.action ?? 'notice');
    }
    if (this.#told.route !== null) this.#assertFirstAttempt(timeline);
    this.#attempts = timeline.events.filter((event) => event.kind === 'attempt');
    if (outlook !== null) {
      assert.equal(
        this.#attempts.length,
        outlook.action === 'retry' ? 2 : 1,
        'attempts before it is returned',
      );
    }
    const why = dialled === 'refused' ? null : dialled;
    if (why !== null) assert.equal(this.#attempts[0]?.failure?.split(':')[0], why, 'why the attempt failed');
    const fellBack = timeline.events.some((event) => event.kind === 'fallback');
    assert.equal(fellBack, fallback !== null, 'fallback is told');
    assert.equal(timeline.events.find((event) => event.kind === 'failed')?.status, status);
    assert.equal(timeline.recipients[0]?.state, 'failed');
    await this.#assertNotice(status);
    const seen = this.#row.client === 'external' ? ['outside'] : [];
    this.#assertQuiet(...seen, ...(dialled === 'self' ? ['mirror'] : []));
  }

  /** The notice has the status, and the words and code of the server that refused. */
  async #assertNotice(status: string): Promise<void> {
    const notice = await this.#notice();
    assert.match(notice, new RegExp(`^Status: ${status.replaceAll('.', '\\.')}\r$`, 'm'));
    const { reply } = this.#row.heard ?? {};
    if (typeof reply === 'string') assert.ok(notice.includes(reply), `${reply} in ${notice}`);
  }

  /** It waits as long as was said; then the time is brought forward to the last attempt. */
  async #waits(outlook: Outlook): Promise<void> {
    const { cmail } = this.#world;
    const { events, recipients } = await this.#timeline('deferred');
    assert.equal(recipients[0]?.state, 'queued');
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
