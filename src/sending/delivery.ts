/**
 * One attempt for the recipients of one message that share a target: find the servers, connect, talk, and
 * judge what came of it. The route is worked out here, at this moment, by the settings in force.
 */
import { encodeUtf8Address, encodeXtext, type RecipientDsn } from '../mail/dsn.ts';
import { describeError } from '../mail/failure.ts';
import { replyText } from '../mail/reply.ts';
import type { Route, Target } from '../routing/contract.ts';
import type { SmtpHost } from '../settings/values.ts';
import { missesTls } from '../smtp/sender-dsn.ts';
import {
  type RecipientResult,
  type SessionProblem,
  type Transaction,
  unsendable,
} from '../smtp/sender-session.ts';
import type { BodyReader, NewEvent, QueuedMessage, QueuedRecipient } from '../storage/contract.ts';
import { isTlsReport } from '../trust/report-source.ts';
import { type Endpoint, endpointsOf } from './connect.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { DeadAddresses } from './dead-addresses.ts';
import { attemptEvent, fallbackEvent } from './events.ts';
import {
  emptyTally,
  isCredentialRefusal,
  isPolicyRefusal,
  isTooManyRecipients,
  judgeProblem,
  judgeRefusal,
  judgeRoute,
  judgeRouteFailure,
  type RouteTally,
  type Trouble,
  type Verdict,
} from './judge.ts';
import { makeTrial, openConnection, type Trial } from './open.ts';
import { applyPolicies } from './policies.ts';
import type { SenderDependencies } from './ports.ts';
import type { SmtpHostWatch } from './smtp-host-watch.ts';
import type { PeerConnection } from './talk.ts';

/** Recipients of one transaction; every server takes that many (RFC 5321 §4.5.3.1.8). */
const MAX_RECIPIENTS = 100;

/** What the attempts of one sender share. */
export interface DeliveryContext {
  readonly deps: SenderDependencies;
  readonly pool: ConnectionPool;
  readonly watch: SmtpHostWatch;
  readonly dead: DeadAddresses;
  /** Aborted when the server stops and will wait no longer. */
  readonly signal: AbortSignal;
  /** Called before a new connection is opened, to keep their number. */
  readonly makeRoom: () => void;
}

export interface DeliveryWork {
  readonly message: QueuedMessage;
  readonly recipients: readonly QueuedRecipient[];
  readonly target: Target;
  readonly assumedExternal: boolean;
  /** Envelope sender to use; '' is the null reverse-path. */
  readonly sender: string;
  /** When the work was taken from the queue, ms of `performance.now()`. */
  readonly takenAt: number;
  /** False when the claim has lapsed, or is about to, and somebody else may be at it. */
  readonly stillOurs: () => boolean;
}

/** What became of one recipient in this attempt. */
export type DeliveryResult =
  | {
      readonly type: 'delivered';
      readonly host: string;
      readonly address: string;
      readonly tls: string | null;
      readonly reply: string;
      /** The server offers DSN and was told what the sender wants to hear. */
      readonly dsnPassedOn: boolean;
    }
  /** Not attempted to the end because the server stops. */
  | { readonly type: 'returned' }
  | Verdict;

/** Longest ORCPT (RFC 3461 §4.2). */
const ORCPT_CHARS = 500;

/**
 * What a server with DSN is told of a recipient. Where an address led on, its sender knows only that address, so a
 * notice from there is to name it (RFC 3461 §5.2.1).
 */
function passedOn({ address, original, dsn }: QueuedRecipient): RecipientDsn {
  if (dsn.orcpt !== null || original.toLowerCase() === address.toLowerCase()) return dsn;
  const orcpt = /^[ -~]*$/.test(original)
    ? `rfc822;${encodeXtext(original)}`
    : `utf-8;${encodeUtf8Address(original)}`;
  return orcpt.length > ORCPT_CHARS ? dsn : { ...dsn, orcpt };
}

/** Kinds of route failure that ask for a lookup past the cache at the next attempt. */
const CONFIRMED_KINDS = new Set(['nxdomain', 'no-address']);

export class Delivery {
  /** By recipient index; a recipient without one was not decided. */
  readonly results = new Map<number, DeliveryResult>();
  readonly events: NewEvent[] = [];
  via: Route['via'] | null = null;
  /** How the servers behaved as a whole, for the number of sessions. */
  health: 'good' | 'bad' | null = null;
  readonly #context: DeliveryContext;
  readonly #work: DeliveryWork;
  readonly #putOff = new Map<number, Trouble>();
  #trials: Trial[] = [];
  #body: BodyReader | null = null;
  /** A transaction was broken off because the claim was about to lapse. */
  #withdrawn = false;

  constructor(context: DeliveryContext, work: DeliveryWork) {
    this.#context = context;
    this.#work = work;
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
    const tally = await this.#tryServers(route);
    const cut = this.#isCut();
    const { fallback, otherwise } = judgeRoute(route.via, tally);
    const failure =
      cut || this.#pending().length === 0 ? null : `${otherwise.trouble.kind}: ${otherwise.trouble.text}`;
    this.events.push(
      attemptEvent(this.#work.recipients, route, this.#trials, startedAt, this.#rewritten, failure),
    );
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

  /** There is no time, or no right, to go on. */
  #isCut(): boolean {
    return this.#context.signal.aborted || this.#withdrawn || !this.#work.stillOurs();
  }

  /** Every server of a route in turn, until nobody is left to deliver to. */
  async #tryServers(route: Route): Promise<RouteTally> {
    const tally = emptyTally();
    const { domain } = this.#work.target;
    // RFC 8460 §3: a report of TLS failures goes out in spite of them, and is not counted in the next one.
    const isReport = isTlsReport(this.#work.message.source);
    const policies = isReport ? undefined : this.#context.deps.tlsPolicies;
    const endpoints = this.#inOrder(await applyPolicies(endpointsOf(route), { route, domain, policies }));
    if (endpoints.length === 0) tally.unreachable = 'no address that may be dialled';
    const pooled = this.#context.pool.take(firstChoice(endpoints));
    const order =
      pooled === null ? endpoints : [pooled.endpoint, ...endpoints.filter((e) => e !== pooled.endpoint)];
    const finishedHosts = new Set<string>();
    let selfPreference = Number.POSITIVE_INFINITY;
    for (const endpoint of order) {
      const connection = endpoint === pooled?.endpoint ? pooled.connection : null;
      if (this.#pending().length === 0 || this.#isCut()) {
        if (connection !== null) this.#context.pool.give(endpoint, connection);
        break;
      }
      // RFC 5321 §5.1: ourselves and every server no better are no servers for this mail.
      if (finishedHosts.has(serverOf(endpoint)) || (endpoint.preference ?? -1) >= selfPreference) continue;
      const outcome = await this.#tryEndpoint(endpoint, connection, tally);
      if (outcome !== 'unreachable') finishedHosts.add(serverOf(endpoint));
      if (outcome === 'self') selfPreference = endpoint.preference ?? selfPreference;
      if (outcome === 'stop') break;
    }
    return tally;
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

  async #tryEndpoint(
    endpoint: Endpoint,
    pooled: PeerConnection | null,
    tally: RouteTally,
  ): Promise<'unreachable' | 'self' | 'talked' | 'stop'> {
    if (pooled !== null) {
      const problem = await this.#talk(endpoint, pooled, tally);
      // A server may close a connection that waited; that says nothing of this message.
      if (problem === null || problem.phase !== 'mail' || this.#withdrawn)
        return this.#account(endpoint, problem, tally);
    }
    const known = this.#context.dead.reason(endpoint, this.#work.takenAt);
    if (known !== null) {
      this.#trials.push(
        makeTrial(endpoint, 'connect', null, `not dialled again: ${known}`, performance.now()),
      );
      tally.unreachable = `${endpoint.host} [${endpoint.address}]: ${known}`;
      return 'unreachable';
    }
    this.#context.makeRoom();
    const { deps, signal } = this.#context;
    const { hostname, settings, observeTls } = deps;
    const observe = observeTls === undefined ? {} : { observe: observeTls };
    const opened = await openConnection({ endpoint, hostname, settings, signal, ...observe });
    this.#trials.push(...opened.trials);
    if (!opened.ok) return this.#account(endpoint, opened.problem, tally);
    this.#context.dead.remove(endpoint);
    return this.#account(endpoint, await this.#talk(endpoint, opened.connection, tally), tally);
  }

  /** Enters the end of a connection in the tally. */
  #account(
    endpoint: Endpoint,
    problem: SessionProblem | null,
    tally: RouteTally,
  ): 'unreachable' | 'self' | 'talked' | 'stop' {
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
      this.health ??= 'bad';
      this.#context.dead.add(endpoint, reason);
      if (endpoint.smtpHost !== null) this.#restHost(endpoint.smtpHost, reason);
      return 'unreachable';
    }
    if (judged.type === 'spoke') {
      tally.spoke = judged.trouble;
      this.health ??= 'bad';
      return 'talked';
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
  ): Promise<SessionProblem | null> {
    const { signal, pool } = this.#context;
    const onStop = () => connection.destroy('The server is stopping');
    signal.addEventListener('abort', onStop);
    const asked = new Set<number>();
    try {
      for (;;) {
        const batch = this.#sendable(connection, asked).slice(0, MAX_RECIPIENTS);
        if (batch.length === 0) break;
        const body = await this.#openBody();
        if (body === null) break;
        if (!this.#work.stillOurs()) break;
        const problem = await this.#transact(endpoint, connection, batch, body, asked, tally);
        if (problem !== null) return problem;
      }
    } catch (error) {
      // A crash leaves the session in the middle of something; nobody else may go on with it.
      connection.destroy('The attempt crashed');
      throw error;
    } finally {
      signal.removeEventListener('abort', onStop);
    }
    pool.give(endpoint, connection);
    return null;
  }

  async #transact(
    endpoint: Endpoint,
    connection: PeerConnection,
    batch: readonly QueuedRecipient[],
    body: BodyReader,
    asked: Set<number>,
    tally: RouteTally,
  ): Promise<SessionProblem | null> {
    const startedAt = performance.now();
    const transaction = this.#transaction(batch, body);
    const { results, problem, unreadable, withdrawn } = await connection.transact(
      transaction,
      () => this.#bytes(body),
      this.#work.stillOurs,
    );
    this.#withdrawn ||= withdrawn;
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
    this.#trials.push(problem?.phase === 'data-end' ? { ...trial, possiblyDuplicate: true } : trial);
    if (unreadable !== null)
      this.#decideRest(ownTrouble(`The stored message could not be read: ${unreadable}`));
    if (delivered) {
      this.health = 'good';
      if (endpoint.smtpHost !== null) this.#context.watch.succeeded(endpoint.smtpHost);
    }
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
      this.#putOff.set(recipient.index, verdict.trouble);
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

  /** Pending recipients this server can be asked about; the others fail here. */
  #sendable(connection: PeerConnection, asked: ReadonlySet<number>): QueuedRecipient[] {
    const body = { sizeBytes: this.#work.message.sizeBytes };
    return this.#pending().filter((recipient) => {
      if (asked.has(recipient.index)) return false;
      const { extensions, secure } = connection.session;
      const transaction = this.#transaction([recipient], body);
      const why = missesTls(transaction, extensions, secure) ?? unsendable(transaction, extensions);
      if (why === null) return true;
      const { code, enhanced, text } = why;
      const reply = `${code} ${enhanced} ${text}`;
      const trouble: Trouble = { kind: 'refused', status: enhanced, text, host: null, reply };
      this.results.set(recipient.index, { type: 'failed', trouble });
      return false;
    });
  }

  #transaction(recipients: readonly QueuedRecipient[], body: { readonly sizeBytes: number }): Transaction {
    const { header, eightBit, smtputf8, dsn, requireTls } = this.#work.message;
    return {
      sender: this.#work.sender,
      recipients: recipients.map(({ address }) => address),
      sizeBytes: Buffer.byteLength(header) + body.sizeBytes,
      eightBit,
      smtputf8,
      dsn,
      recipientDsn: recipients.map(passedOn),
      requireTls,
    };
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

/** Trouble with our own store, which defers mail and never returns it. */
export function ownTrouble(text: string): Verdict {
  return { type: 'own', trouble: { kind: 'local', status: '4.3.0', text, host: null, reply: null } };
}

/** One server of a route, whatever its addresses; two SMTP hosts are two, also under one name. */
function serverOf({ host, port, smtpHost }: Endpoint): string {
  return `${smtpHost?.which ?? ''} ${host}:${port}`;
}

/** Where a connection that waits may be taken up: at any server by MX, but only at the first SMTP host. */
function firstChoice(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const which = endpoints[0]?.smtpHost?.which;
  return endpoints.filter(({ smtpHost }) => smtpHost?.which === which);
}
