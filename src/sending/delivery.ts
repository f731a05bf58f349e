/**
 * One attempt for the recipients of one message that share a target: find the servers, connect, talk, and
 * judge what came of it. The route is worked out here, at this moment, by the settings in force.
 */
import { describeError } from '../mail/failure.ts';
import { replyText } from '../mail/reply.ts';
import type { Route } from '../routing/contract.ts';
import { destinationRule } from '../settings/destination-rules.ts';
import type { SmtpHost } from '../settings/values.ts';
import type { RecipientResult, SessionProblem } from '../smtp/sender-contract.ts';
import { missesTls } from '../smtp/sender-dsn.ts';
import { limitsOf, unsendable } from '../smtp/sender-extensions.ts';
import type { BodyReader, NewEvent, QueuedRecipient } from '../storage/contract.ts';
import { isTlsReport } from '../trust/report-source.ts';
import { type Endpoint, endpointsOf, firstChoice, serverOf } from './connect.ts';
import type { DeliveryContext, DeliveryResult, DeliveryWork } from './delivery-contract.ts';
import { attemptEvent, fallbackEvent } from './events.ts';
import {
  emptyTally,
  isCredentialRefusal,
  isDoubtful,
  isPolicyRefusal,
  isTooManyRecipients,
  judgeProblem,
  judgeRefusal,
  judgeRoute,
  judgeRouteFailure,
  ownTrouble,
  type RouteTally,
  type Trouble,
} from './judge.ts';
import { LanePlace } from './lane-place.ts';
import { fallsBack, type Lane } from './lanes.ts';
import { makeTrial, openFirst, type Trial } from './open.ts';
import { applyPolicies } from './policies.ts';
import type { PeerConnection } from './talk.ts';
import { makeTransaction } from './transaction.ts';

/** What a server came to; only `unreachable` leaves its other addresses to be tried. */
type Outcome = 'unreachable' | 'self' | 'talked' | 'stop';

/** Kinds of route failure that ask for a lookup past the cache at the next attempt. */
const CONFIRMED_KINDS = new Set(['nxdomain', 'no-address']);

export class Delivery {
  /** By recipient index; a recipient without one was not decided. */
  readonly results = new Map<number, DeliveryResult>();
  readonly events: NewEvent[] = [];
  via: Route['via'] | null = null;
  /** `full`: the servers had no room for another connection, and the message waits for it. */
  health: 'full' | null = null;
  readonly #context: DeliveryContext;
  readonly #work: DeliveryWork;
  readonly #putOff = new Map<number, Trouble>();
  /** Why a server could not be given the message at all; another one may take it. */
  readonly #unfit = new Map<number, Trouble>();
  #trials: Trial[] = [];
  readonly #place: LanePlace;
  #body: BodyReader | null = null;
  /** A transaction was broken off because the claim was about to lapse. */
  #withdrawn = false;

  constructor(context: DeliveryContext, work: DeliveryWork) {
    this.#context = context;
    this.#work = work;
    const { concurrency } = destinationRule(context.deps.settings(), work.destination);
    this.#place = new LanePlace(context.lanes, context.pool, concurrency);
  }

  async run(): Promise<void> {
    const { deps } = this.#context;
    const { target, assumedExternal, recipients } = this.#work;
    const fresh = recipients.some(({ lastKind }) => lastKind !== null && CONFIRMED_KINDS.has(lastKind));
    const { sender } = this.#work.message;
    const options = { settings: deps.settings(), fresh, assumedExternal, sender };
    const route = await deps.routes.plan(target, options);
    if (route.held) {
      // Taken before the rule held it: it waits as it did, and is not taken again.
      this.#decideRest({ type: 'returned' });
      return;
    }
    await this.#follow(route, null);
  }

  async #follow(route: Route, why: string | null): Promise<void> {
    const startedAt = Date.now();
    this.via = route.via;
    this.#trials = [];
    if (route.fallback !== null) this.events.push(fallbackEvent(this.#pending(), route, why));
    if (route.failure !== null) {
      this.events.push(attemptEvent(this.#pending(), route, this.#trials, startedAt, this.#rewritten));
      for (const recipient of this.#pending()) {
        this.results.set(recipient.index, judgeRouteFailure(route.failure, recipient.lastKind));
      }
      return;
    }
    const tally = await this.#tryLane(route);
    const cut = this.#isCut();
    if (!cut) this.#failUnfit();
    const { fallback, otherwise } = judgeRoute(route.via, tally);
    const failure =
      cut || this.#pending().length === 0 ? null : `${otherwise.trouble.kind}: ${otherwise.trouble.text}`;
    // Nothing was tried where there was no room: the message waits as before.
    const untried = this.health === 'full' && this.#trials.length === 0;
    if (!untried) {
      this.events.push(
        attemptEvent(this.#work.recipients, route, this.#trials, startedAt, this.#rewritten, failure),
      );
    }
    if (this.#pending().length === 0) return;
    if (cut) {
      this.#decideRest({ type: 'returned' });
      return;
    }
    if (fallback !== null) {
      const { deps } = this.#context;
      const next = await deps.routes.fallback(fallback, deps.settings(), this.#work.message.sender);
      if (next !== null) return this.#follow(next, `${fallback}: ${otherwise.trouble.text}`);
    }
    this.#decideRest(otherwise);
  }

  /** The servers of a route, unless they are known to be out of reach for now. */
  async #tryLane(route: Route): Promise<RouteTally> {
    const { lanes, deps } = this.#context;
    const lane = lanes.learn(this.#work.destination, route);
    const tally = emptyTally();
    const probed = lane.failures > 0 && lane.connections > 0 && fallsBack(lane, deps.settings());
    if (lanes.isBackedOff(lane) || probed) {
      tally.unreachable = this.#notDialled(route, lane);
      return tally;
    }
    try {
      await this.#tryServers(route, lane, tally);
    } finally {
      this.#place.release();
    }
    const answered = tally.spoke !== null || tally.held !== null || tally.own !== null || tally.self;
    const dialled = this.#trials.length > 0;
    if (!answered && dialled && tally.unreachable !== null && !this.#isCut() && this.#pending().length > 0)
      lanes.unreachable(lane, tally.unreachable);
    return tally;
  }

  #notDialled(route: Route, { backedOffUntil, lastReply }: Lane): string {
    const until = new Date(backedOffUntil).toISOString();
    const state =
      backedOffUntil > Date.now()
        ? `backed off until ${until}`
        : 'backed off and being tried by another message';
    const why = `the destination is ${state}: ${lastReply ?? 'no server could be reached'}`;
    const [endpoint] = endpointsOf(route);
    if (endpoint !== undefined)
      this.#trials.push(makeTrial(endpoint, 'connect', null, `not dialled: ${why}`, performance.now()));
    return why;
  }

  /** There is no room now: the message waits for it, unless a server has answered for it already. */
  #putBack({ spoke, held }: RouteTally): void {
    if (spoke === null && held === null) this.health = 'full';
  }

  /** There is no time, no right or no room to go on. */
  #isCut(): boolean {
    if (this.health === 'full') return true;
    return this.#context.signal.aborted || this.#withdrawn || !this.#work.stillOurs();
  }

  /** Every server of a route in turn, until nobody is left to deliver to. */
  async #tryServers(route: Route, lane: Lane, tally: RouteTally): Promise<void> {
    const { domain } = this.#work.target;
    // RFC 8460 §3: a report of TLS failures goes out in spite of them, and is not counted in the next one.
    const isReport = isTlsReport(this.#work.message.source);
    const policies = isReport ? undefined : this.#context.deps.tlsPolicies;
    const endpoints = this.#inOrder(await applyPolicies(endpointsOf(route), { route, domain, policies }));
    if (endpoints.length === 0) tally.unreachable = 'no address that may be dialled';
    const pooled = this.#context.pool.take(firstChoice(endpoints), lane);
    if (pooled !== null) this.#place.hold(lane, pooled.connection);
    const order =
      pooled === null ? endpoints : [pooled.endpoint, ...endpoints.filter((e) => e !== pooled.endpoint)];
    const left = new Set(order);
    const finishedHosts = new Set<string>();
    let selfPreference = Number.POSITIVE_INFINITY;
    for (let [first] = left; first !== undefined; [first] = left) {
      const endpoint = first;
      const connection =
        endpoint === pooled?.endpoint && left.size === order.length ? pooled.connection : null;
      if (this.#pending().length === 0 || this.#isCut()) {
        if (connection !== null) this.#place.keep(endpoint, connection, lane);
        break;
      }
      // RFC 5321 §5.1: ourselves and every server no better are no servers for this mail.
      if (finishedHosts.has(serverOf(endpoint)) || (endpoint.preference ?? -1) >= selfPreference) {
        left.delete(endpoint);
        continue;
      }
      const addresses = [...left].filter((other) => serverOf(other) === serverOf(endpoint));
      const { outcome, done } = await this.#tryHost(addresses, connection, tally, lane);
      for (const one of done) left.delete(one);
      if (outcome !== 'unreachable') finishedHosts.add(serverOf(endpoint));
      if (outcome === 'self') selfPreference = endpoint.preference ?? selfPreference;
      if (outcome === 'stop') break;
    }
  }

  /** An SMTP host that failed a moment ago is tried after the others. */
  #inOrder(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const rests = ({ smtpHost }: Endpoint) =>
      smtpHost !== null && this.#context.watch.resting(smtpHost) !== null;
    const later = endpoints.filter(rests);
    if (later.length === 0 || later.length === endpoints.length) return endpoints;
    for (const [index, endpoint] of later.entries()) {
      if (endpoint.smtpHost === null || endpoint.smtpHost === later[index - 1]?.smtpHost) continue;
      const why = `tried after the others for now: ${this.#context.watch.resting(endpoint.smtpHost)}`;
      this.#trials.push(makeTrial(endpoint, 'connect', null, why, performance.now()));
    }
    return [...endpoints.filter((endpoint) => !rests(endpoint)), ...later];
  }

  /** One server at its addresses, until one was connected. `done` are those that need not be dialled any more. */
  async #tryHost(
    addresses: readonly Endpoint[],
    pooled: PeerConnection | null,
    tally: RouteTally,
    lane: Lane,
    /** Recipients this server has answered for; the others need another connection when one was full. */
    asked = new Set<number>(),
  ): Promise<{ readonly outcome: Outcome; readonly done: readonly Endpoint[] }> {
    const [first] = addresses;
    if (pooled !== null && first !== undefined) {
      const problem = await this.#talk(first, pooled, tally, lane, asked);
      // A server may close a connection that waited; that says nothing of this message.
      if (problem === null ? !this.#someLeft(asked) : problem.phase !== 'mail' || this.#withdrawn)
        return { outcome: this.#account(first, problem, tally, lane), done: [first] };
    }
    const toDial = addresses.filter((endpoint) => !this.#isKnownDead(endpoint, tally));
    if (toDial.length === 0) return { outcome: 'unreachable', done: addresses };
    if (!(await this.#place.reserve(lane))) {
      this.#putBack(tally);
      return { outcome: 'stop', done: [] };
    }
    const dead = addresses.filter((one) => !toDial.includes(one));
    const { outcome, done } = await this.#dialHost(toDial, tally, lane, asked);
    return { outcome, done: [...dead, ...done] };
  }

  /** Connects to one of the addresses of a server, in the place reserved, and talks. */
  async #dialHost(
    addresses: readonly Endpoint[],
    tally: RouteTally,
    lane: Lane,
    asked: Set<number>,
  ): Promise<{ readonly outcome: Outcome; readonly done: readonly Endpoint[] }> {
    this.#context.makeRoom();
    const { deps, signal } = this.#context;
    const { hostname, settings, observeTls } = deps;
    const observe = observeTls === undefined ? {} : { observe: observeTls };
    this.#place.opening(addresses, lane, 1);
    const { taken, failed, trials } = await openFirst(addresses, { hostname, settings, signal, ...observe });
    this.#place.opening(addresses, lane, -1);
    this.#trials.push(...trials);
    const others = failed.filter(({ endpoint, problem }) => !this.#place.isCrowded(endpoint, problem, lane));
    const outcomes = others.map(({ endpoint, problem }) => this.#account(endpoint, problem, tally, lane));
    if (taken === null) {
      this.#place.empty(lane);
      if (others.length < failed.length) return this.#noRoom(tally);
      const outcome = outcomes.find((one) => one !== 'unreachable') ?? 'unreachable';
      return { outcome, done: addresses };
    }
    const { endpoint, opened } = taken;
    const done = [...failed.map((one) => one.endpoint), endpoint];
    this.#trials.push(...opened.trials);
    if (!opened.ok) {
      this.#place.empty(lane);
      if (this.#place.isCrowded(endpoint, opened.problem, lane)) return this.#noRoom(tally);
      return { outcome: this.#account(endpoint, opened.problem, tally, lane), done };
    }
    this.#place.opened(endpoint, opened.connection, lane);
    this.#context.dead.remove(endpoint);
    const problem = await this.#talk(endpoint, opened.connection, tally, lane, asked);
    const outcome = this.#account(endpoint, problem, tally, lane);
    if (problem !== null || !this.#someLeft(asked)) return { outcome, done };
    return { outcome: (await this.#tryHost([endpoint], null, tally, lane, asked)).outcome, done };
  }

  /** There are recipients this server was not asked about: its last connection took no more. */
  #someLeft(asked: ReadonlySet<number>): boolean {
    return !this.#isCut() && this.#pending().some(({ index }) => !asked.has(index));
  }

  #noRoom(tally: RouteTally): { readonly outcome: Outcome; readonly done: readonly Endpoint[] } {
    this.#putBack(tally);
    return { outcome: 'stop', done: [] };
  }

  #isKnownDead(endpoint: Endpoint, tally: RouteTally): boolean {
    const known = this.#context.dead.reason(endpoint, this.#work.takenAt);
    if (known === null) return false;
    this.#trials.push(makeTrial(endpoint, 'connect', null, `not dialled again: ${known}`, performance.now()));
    tally.unreachable = `${endpoint.host} [${endpoint.address}]: ${known}`;
    return true;
  }

  /** Enters the end of a connection in the tally. */
  #account(endpoint: Endpoint, problem: SessionProblem | null, tally: RouteTally, lane: Lane): Outcome {
    if (this.#context.signal.aborted || this.#withdrawn) return 'stop';
    if (problem === null) return 'talked';
    const judged = judgeProblem(problem, endpoint.host);
    if (judged.type === 'self') {
      tally.self = true;
      return 'self';
    }
    if (judged.type === 'unreachable') {
      const reason = problem.reply === null ? problem.text : replyText(problem.reply);
      tally.unreachable = `${endpoint.host} [${endpoint.address}]: ${reason}`;
      this.#context.dead.add(endpoint, reason);
      if (endpoint.smtpHost !== null) this.#restHost(endpoint.smtpHost, reason);
      return 'unreachable';
    }
    if (judged.type === 'spoke') {
      tally.spoke = judged.trouble;
      this.#place.hampered(lane);
      return 'talked';
    }
    if (judged.type === 'own') {
      tally.own = judged.trouble;
      return 'unreachable';
    }
    tally.held = judged.trouble;
    if (judged.trouble.kind === 'credentials') this.#alarm(endpoint, judged.trouble);
    return 'talked';
  }

  /** Transactions for all recipients this server has not been asked about yet; null unless it was lost. */
  async #talk(
    endpoint: Endpoint,
    connection: PeerConnection,
    tally: RouteTally,
    lane: Lane,
    asked: Set<number>,
  ): Promise<SessionProblem | null> {
    const { signal } = this.#context;
    const onStop = () => connection.destroy('The server is stopping');
    signal.addEventListener('abort', onStop);
    const { rcptMax } = limitsOf(connection.session.extensions);
    try {
      while (!connection.isFull) {
        const most = Math.min(this.#context.deps.settings().recipientsPerTransaction, rcptMax);
        const batch = this.#sendable(endpoint, connection, asked, tally).slice(0, most);
        if (batch.length === 0) break;
        const body = await this.#openBody();
        if (body === null) break;
        if (!this.#work.stillOurs()) break;
        const problem = await this.#transact(endpoint, connection, batch, body, asked, tally, lane);
        if (problem !== null) return problem;
      }
    } catch (error) {
      // A crash leaves the session in the middle of something; nobody else may go on with it.
      connection.destroy('The attempt crashed');
      throw error;
    } finally {
      signal.removeEventListener('abort', onStop);
    }
    this.#place.keep(endpoint, connection, lane);
    return null;
  }

  async #transact(
    endpoint: Endpoint,
    connection: PeerConnection,
    batch: readonly QueuedRecipient[],
    body: BodyReader,
    asked: Set<number>,
    tally: RouteTally,
    lane: Lane,
  ): Promise<SessionProblem | null> {
    const startedAt = performance.now();
    const { message, sender } = this.#work;
    const transaction = makeTransaction(message, sender, batch, body);
    const { results, problem, unreadable, withdrawn } = await connection.transact(
      transaction,
      () => this.#bytes(body),
      this.#work.stillOurs,
    );
    this.#withdrawn ||= withdrawn;
    this.#context.lanes.took(lane, performance.now() - startedAt);
    const delivered = problem === null && results.some((result) => result?.accepted === true);
    for (const [position, recipient] of batch.entries()) {
      const result = results[position] ?? null;
      if (result === null) continue;
      // Asked again at once in a transaction of its own, which is sure to end: this one got somebody through.
      if (isTooManyRecipients(result, delivered)) continue;
      asked.add(recipient.index);
      this.#enter(endpoint, connection, recipient, result, tally);
    }
    const last = results.findLast((result) => result !== null) ?? null;
    const stage = problem?.phase ?? last?.stage ?? 'mail';
    const words = problem?.reply ?? (problem === null ? last?.reply : null) ?? null;
    const reply = words === null ? (problem?.text ?? '') : replyText(words);
    const trial = makeTrial(endpoint, stage, connection.tls, reply, startedAt);
    const unsure = problem !== null && isDoubtful(problem);
    this.#trials.push(unsure ? { ...trial, possiblyDuplicate: true } : trial);
    if (unreadable !== null)
      this.#decideRest(ownTrouble(`The stored message could not be read: ${unreadable}`));
    if (delivered) {
      this.#context.lanes.succeeded(lane);
      if (endpoint.smtpHost !== null) this.#context.watch.succeeded(endpoint.smtpHost);
    } else if (words !== null && words.code < 500) this.#context.lanes.putOff(lane);
    return problem;
  }

  /** Enters what a server answered for one recipient. */
  #enter(
    endpoint: Endpoint,
    connection: PeerConnection,
    recipient: QueuedRecipient,
    result: RecipientResult,
    tally: RouteTally,
  ): void {
    const { host, address, smtpHost } = endpoint;
    const reply = replyText(result.reply);
    if (result.accepted) {
      const dsnPassedOn = connection.session.extensions.has('DSN');
      const { tls } = connection;
      this.results.set(recipient.index, { type: 'delivered', host, address, tls, reply, dsnPassedOn });
      return;
    }
    const verdict = judgeRefusal(result, host);
    if (smtpHost !== null && isCredentialRefusal(result.reply)) {
      tally.held = { ...verdict.trouble, kind: 'credentials' };
      this.#putOff.set(recipient.index, tally.held);
      this.#alarm(endpoint, tally.held);
    } else if (smtpHost !== null && isPolicyRefusal(result) && this.#isHeldForPolicy(smtpHost, reply)) {
      tally.held = { ...verdict.trouble, kind: 'credentials' };
      this.#putOff.set(recipient.index, tally.held);
    } else if (verdict.type === 'deferred') {
      tally.spoke = verdict.trouble;
      // What one server of several asked for counts for the attempt as a whole.
      const waitMs = Math.max(verdict.trouble.waitMs ?? 0, this.#putOff.get(recipient.index)?.waitMs ?? 0);
      this.#putOff.set(recipient.index, { ...verdict.trouble, waitMs });
    } else {
      this.results.set(recipient.index, verdict);
    }
  }

  #alarm(endpoint: Endpoint, trouble: Trouble): void {
    if (endpoint.smtpHost !== null) this.#context.watch.credentialsRefused(endpoint.smtpHost, trouble.text);
  }

  #restHost(host: SmtpHost, reason: string): void {
    const others = this.#context.deps.settings().furtherSmtpHosts.length > 0;
    this.#context.watch.unreachable(host, reason, others);
  }

  #isHeldForPolicy(host: SmtpHost, reply: string): boolean {
    return this.#context.watch.policyRefused(host, this.#work.message.id, reply);
  }

  /** Pending recipients this server can be asked about; of the others it is noted why not. */
  #sendable(
    endpoint: Endpoint,
    { session, tls }: PeerConnection,
    asked: Set<number>,
    tally: RouteTally,
  ): QueuedRecipient[] {
    const { message, sender } = this.#work;
    const { extensions, secure, heloOnly } = session;
    const startedAt = performance.now();
    let told = '';
    return this.#pending().filter((recipient) => {
      if (asked.has(recipient.index)) return false;
      const transaction = makeTransaction(message, sender, [recipient], message);
      const why = missesTls(transaction, extensions, secure) ?? unsendable(transaction, extensions);
      if (why === null) return true;
      asked.add(recipient.index);
      const { code, enhanced, text } = why;
      const trouble: Trouble = {
        ...{ kind: 'refused', status: enhanced, text, host: null, reply: `${code} ${enhanced} ${text}` },
      };
      if (heloOnly) {
        // It dropped EHLO, so what it can do is not known.
        tally.spoke = { ...trouble, kind: 'spoke', status: '4.4.2' };
        this.#putOff.set(recipient.index, tally.spoke);
      } else this.#unfit.set(recipient.index, trouble);
      if (text !== told) this.#trials.push(makeTrial(endpoint, 'ehlo', tls, text, startedAt));
      told = text;
      return false;
    });
  }

  /** What no server of the route can take is final, unless one of them only put it off. */
  #failUnfit(): void {
    for (const { index } of this.#pending()) {
      const trouble = this.#unfit.get(index);
      if (trouble !== undefined && !this.#putOff.has(index))
        this.results.set(index, { type: 'failed', trouble });
    }
  }

  async *#bytes(body: BodyReader): AsyncGenerator<Uint8Array> {
    const { header } = this.#work.message;
    if (header !== '') yield Buffer.from(header, 'utf8');
    yield* body.chunks();
  }

  async #openBody(): Promise<BodyReader | null> {
    let why = 'it is gone';
    try {
      this.#body ??= await this.#context.deps.store.openBody(this.#work.message.id);
    } catch (error) {
      why = describeError(error);
    }
    if (this.#body === null) this.#decideRest(ownTrouble(`The stored message could not be opened: ${why}`));
    return this.#body;
  }

  /** The sender used when it is not the message's own. */
  get #rewritten(): string | null {
    const { sender, message } = this.#work;
    return sender === message.sender ? null : sender;
  }

  #pending(): QueuedRecipient[] {
    return this.#work.recipients.filter(({ index }) => !this.results.has(index));
  }

  #decideRest(result: DeliveryResult): void {
    for (const { index } of this.#pending()) {
      const trouble = result.type === 'deferred' ? this.#putOff.get(index) : undefined;
      this.results.set(index, trouble === undefined ? result : { type: 'deferred', trouble });
    }
  }
}
