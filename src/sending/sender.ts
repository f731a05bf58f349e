/**
 * The scheduler of outgoing mail. Work is picked by destination before a session is taken, so that a slow
 * server holds up nobody else's mail; due work is read in pages, so that memory does not grow with the queue.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../mail/failure.ts';
import { type DestinationRule, destinationRule } from '../settings/destination-rules.ts';
import { smtpHostsOf } from '../settings/smtp-host-table.ts';
import type { Claim } from '../storage/contract.ts';
import { processClaim } from './claim.ts';
import { ConnectionPool } from './connection-pool.ts';
import { DeadAddresses } from './dead-addresses.ts';
import type { DeliveryContext } from './delivery-contract.ts';
import { DueRound } from './due-round.ts';
import { fallsBack, type Lane, Lanes } from './lanes.ts';
import { Leases, leaseClock } from './leases.ts';
import { Pace } from './pace.ts';
import type { SenderDependencies } from './ports.ts';
import { settleClaim } from './settle.ts';
import { hasShare } from './shares.ts';
import { SmtpHostWatch } from './smtp-host-watch.ts';
import { sourceAlarms } from './source-address.ts';
import { Unrecorded } from './unrecorded.ts';

export interface SenderOptions {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Longest time between two looks at the queue. */
  readonly pollMs: number;
  /** Sessions at once, to all destinations, in place of what the settings say. */
  readonly maxSessions: number | null;
}

const DEFAULTS: SenderOptions = { leaseMs: 120_000, renewMs: 40_000, pollMs: 1_000, maxSessions: null };

/** Destinations that are given a further session in one look. */
const MAX_LATER = 200;
/** Messages claimed at once for each session a destination may have, so that connections are shared. */
const CLAIMS_PER_SESSION = 2;
/** Claimed at once when it fails, as one attempt then speaks for all. */
const CLAIMS_WHEN_FAILING = 50;
/** Messages after which a session makes room for other destinations. */
const TURN = 20;
/** A destination in which nothing could be claimed after all is left alone for a moment. */
const REST_MS = 100;
/**
 * After the store was away for so long that leases ran out, every node leaves the others this time to record what
 * they delivered meanwhile, before it takes anything.
 */
const AFTER_AWAY_MS = 8_000;
/** How often the log tells that the queue cannot be read. */
const SAY_EVERY_MS = 60_000;
/** Wait for sessions that were told to end. */
const LAST_GRACE_MS = 2_000;
/** How often a destination whose mail can only be put off, it seems, has a session while others wait for one. */
const HOPELESS_EVERY_MS = 500;

/** What the page shows of a destination with sessions or failing. */
export interface DestinationState {
  readonly destination: string;
  /** Its servers with ports, which other destinations may share; its own name while none are known. */
  readonly servers: string;
  readonly sessions: number;
  /** Connections to its servers, those of other destinations included. */
  readonly connections: number;
  readonly limit: number;
  /** ISO 8601, null when its last attempt went well. */
  readonly failingSince: string | null;
  /** ISO 8601; nothing is tried before. Null when it is not backed off. */
  readonly backedOffUntil: string | null;
  /** What came of the last connection, while it is failing. */
  readonly lastReply: string | null;
}

interface Job {
  readonly claim: Claim;
  /** When it was taken, ms of `performance.now()`. */
  readonly takenAt: number;
}

/** A destination somebody works on, and the claims its sessions share. */
interface Work {
  readonly destination: string;
  readonly batch: Job[];
  workers: number;
  refill: Promise<boolean> | null;
  /** What the next claim begins with: mail never tried and mail tried before take turns. */
  first: 'new' | 'retried';
}

export class Sender {
  readonly #deps: SenderDependencies;
  readonly #options: SenderOptions;
  readonly #lanes: Lanes;
  readonly #pace = new Pace();
  readonly #leases: Leases;
  readonly #pool: ConnectionPool;
  readonly #watch = new SmtpHostWatch();
  readonly #unrecorded = new Unrecorded();
  readonly #work = new Map<string, Work>();
  readonly #workers = new Set<Promise<void>>();
  readonly #abortSessions = new AbortController();
  readonly #abortSettling = new AbortController();
  readonly #context: DeliveryContext;
  /** Until when destinations are left alone, ms; emptied with each look. */
  readonly #resting = new Map<string, number>();
  /** When leases that ran out are looked for next, ms. */
  #releaseAt = 0;
  /** Since when the queue cannot be read, ms; null while it can. */
  #awaySince: number | null = null;
  #sayAgainAt = 0;
  /** Until when only what this node has something to record of is claimed, ms. */
  #heedOthersUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #state: 'new' | 'running' | 'stopping' = 'new';
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  readonly #round: DueRound;
  /** The last look left due destinations without a session, for all were in use. */
  #othersWait = false;
  /** When a hopeless destination may come before others again, ms. */
  #hopelessAt = 0;

  constructor(deps: SenderDependencies, options: Partial<SenderOptions> = {}) {
    this.#deps = deps;
    this.#options = { ...DEFAULTS, ...options };
    this.#round = new DueRound(deps.store);
    this.#leases = new Leases(deps.store, deps.log, this.#options);
    this.#lanes = new Lanes(deps.settings);
    this.#pool = new ConnectionPool(this.#lanes, () => deps.settings().messagesPerConnection);
    this.#context = {
      deps,
      pool: this.#pool,
      lanes: this.#lanes,
      watch: this.#watch,
      dead: new DeadAddresses(),
      signal: this.#abortSessions.signal,
      makeRoom: () => {
        if (this.#lanes.connections > this.#maxSessions()) this.#pool.dropOldest();
      },
    };
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'running';
    this.wake();
  }

  /** There may be new work: looks at once. */
  wake(): void {
    if (this.#state !== 'running') return;
    if (this.#looking !== null) {
      this.#lookAgain = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#looking = this.#look().finally(() => {
      this.#looking = null;
      if (this.#lookAgain) this.wake();
    });
  }

  /**
   * Takes no more work, lets sessions finish for `graceMs`, then ends them. What is unfinished is due again. Resolves
   * `graceMs` and twice `LAST_GRACE_MS` after the call at the latest, even when the store answers no more.
   */
  async stop(graceMs: number): Promise<void> {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    clearTimeout(this.#timer);
    const returning = [...this.#work.values()].flatMap(({ batch }) => batch.splice(0));
    const returned = returning.map((job) => this.#giveBack(job));
    const finished = Promise.all([...returned, ...this.#workers]);
    await Promise.race([finished, sleep(graceMs, undefined, { ref: false })]);
    this.#abortSessions.abort();
    await Promise.race([finished, sleep(LAST_GRACE_MS, undefined, { ref: false })]);
    this.#abortSettling.abort();
    const all = Promise.all([finished, this.#looking]);
    await Promise.race([all, sleep(LAST_GRACE_MS, undefined, { ref: false })]);
    this.#pool.close();
    this.#leases.close();
  }

  /** What is wrong with the SMTP hosts in use and the addresses to send from, in sentences; empty when well. */
  alarms(): readonly string[] {
    const settings = this.#deps.settings();
    return [...this.#watch.alarms(smtpHostsOf(settings)), ...sourceAlarms(settings)];
  }

  /** Destinations with sessions now, or whose last attempt failed as a whole. */
  destinations(): readonly DestinationState[] {
    const known = new Map([...this.#work.keys()].map((name) => [name, this.#lanes.laneOf(name)]));
    for (const [name, lane] of this.#lanes.learnt()) {
      if (lane.failingSince !== null || lane.sessions > 0) known.set(name, lane);
    }
    return [...known].flatMap(([destination, lane]) => {
      const sessions = this.#work.get(destination)?.workers ?? 0;
      if (sessions === 0 && lane.failingSince === null) return [];
      const { connections, limit, failingSince } = lane;
      const backedOff = this.#lanes.isBackedOff(lane);
      return {
        ...{ destination, servers: lane.name, sessions, connections, limit },
        failingSince: failingSince === null ? null : new Date(failingSince).toISOString(),
        backedOffUntil: backedOff ? new Date(lane.backedOffUntil).toISOString() : null,
        lastReply: lane.lastReply,
      };
    });
  }

  /** Ends the back-off of a destination, or of all with null; resolves to how many were backed off. */
  endBackOff(destination: string | null): number {
    const lanes = destination === null ? this.#lanes.all() : [this.#lanes.laneOf(destination)];
    const ended = lanes.filter((lane) => this.#lanes.endBackOff(lane)).length;
    this.wake();
    return ended;
  }

  /** Starts sessions for due destinations, then sets the time of the next look. */
  async #look(): Promise<void> {
    this.#lookAgain = false;
    for (const [destination, until] of this.#resting) {
      if (until <= Date.now()) this.#resting.delete(destination);
    }
    let waitMs = this.#options.pollMs;
    try {
      await this.#releaseExpired();
      await this.#startDue();
      const dueAt = await this.#deps.store.nextDueAt();
      const now = Date.now();
      // What is due already has its sessions, or waits for one to end, which wakes us.
      if (dueAt !== null && dueAt > now) waitMs = Math.min(waitMs, dueAt - now);
    } catch (error) {
      this.#sayAway(error);
    }
    if (this.#state === 'running') this.#timer = setTimeout(() => this.wake(), waitMs);
  }

  /** Told once a minute, not at each look. */
  #sayAway(error: unknown): void {
    const now = Date.now();
    if (this.#awaySince === null) this.#sayAgainAt = now;
    this.#awaySince ??= now;
    if (now < this.#sayAgainAt) return;
    this.#sayAgainAt = now + SAY_EVERY_MS;
    const away = { sinceMs: now - this.#awaySince, error: describeError(error) };
    this.#deps.log('error', 'the queue cannot be read', away);
  }

  #storeAnswers(): void {
    if (this.#awaySince === null) return;
    const now = Date.now();
    this.#deps.log('info', 'the queue can be read again', { awayMs: now - this.#awaySince });
    if (now - this.#awaySince >= this.#options.leaseMs / 2) this.#heedOthersUntil = now + AFTER_AWAY_MS;
    this.#awaySince = null;
  }

  /** What a session that died has left claimed becomes due again. */
  async #releaseExpired(): Promise<void> {
    if (Date.now() < this.#releaseAt) return;
    this.#releaseAt = Date.now() + this.#options.renewMs;
    const released = await this.#deps.store.releaseExpired();
    if (released > 0)
      this.#deps.log('warn', 'claims had run out and are due again', { recipients: released });
  }

  async #startDue(): Promise<void> {
    const later: string[] = [];
    if (!this.#hasFreeSession()) return;
    for await (const page of this.#round.pages()) {
      this.#storeAnswers();
      for (const destination of page) {
        if (!this.#mayStart(destination)) continue;
        if (!this.#hasFreeSession()) {
          this.#othersWait = true;
          return;
        }
        this.#round.passed(destination);
        if (this.#comesFirst(destination)) this.#startWorker(this.#workAt(destination));
        else if (later.length < MAX_LATER) later.push(destination);
      }
    }
    this.#othersWait = false;
    for (const destination of later) this.#startWorker(this.#workAt(destination));
  }

  #hasFreeSession(): boolean {
    return this.#state === 'running' && this.#workers.size < this.#maxSessions();
  }

  /** Something is due there that nobody has begun with, and that may go now. */
  #mayStart(destination: string): boolean {
    if (Date.now() < this.#heedOthersUntil && !this.#unrecorded.destinations().has(destination)) return false;
    if (this.#resting.has(destination) || this.#isHeld(destination)) return false;
    const lane = this.#lanes.laneOf(destination);
    if (this.#isBlocked(lane) && lane.drained.has(destination)) return false;
    const { ratePerMinute } = this.#rule(destination);
    // Asked anew at each look, so that a change of the rule acts at once.
    if (ratePerMinute !== null && this.#pace.waitMs(destination, ratePerMinute) > 0) return false;
    const { batch, refill } = this.#workAt(destination);
    return batch.length === 0 && refill === null;
  }

  /**
   * One session for each destination comes before more of them for some, and what can be delivered before what, it seems,
   * is only put off.
   */
  #comesFirst(destination: string): boolean {
    if (this.#work.has(destination)) return false;
    if (!this.#isHopeless(this.#lanes.laneOf(destination))) return true;
    if (Date.now() < this.#hopelessAt) return false;
    this.#hopelessAt = Date.now() + HOPELESS_EVERY_MS;
    return true;
  }

  /** Its mail can only be put off, it seems. */
  #isHopeless(lane: Lane): boolean {
    return this.#lanes.isBarren(lane) || this.#isBlocked(lane);
  }

  #sessionsOf(isMeant: (lane: Lane) => boolean): number {
    let sessions = 0;
    for (const { destination, workers } of this.#work.values()) {
      if (isMeant(this.#lanes.laneOf(destination))) sessions += workers;
    }
    return sessions;
  }

  #workAt(destination: string): Work {
    return this.#work.get(destination) ?? { destination, batch: [], workers: 0, refill: null, first: 'new' };
  }

  /** Its claims show whether the destination needs more than this one. */
  #startWorker(work: Work): void {
    const lane = this.#lanes.laneOf(work.destination);
    if (!this.#hasFreeSession() || lane.sessions >= this.#limitOf(work, lane)) return;
    if (!this.#hasShare(lane)) return;
    this.#work.set(work.destination, work);
    work.workers += 1;
    lane.sessions += 1;
    const worker: Promise<void> = this.#runWorker(work, lane).finally(() => {
      this.#workers.delete(worker);
      this.wake();
    });
    this.#workers.add(worker);
  }

  #rule(destination: string): DestinationRule {
    return destinationRule(this.#deps.settings(), destination);
  }

  #isHeld(destination: string): boolean {
    return this.#rule(destination).hold;
  }

  #limitOf({ destination }: Work, lane: Lane): number {
    return this.#lanes.limitOf(lane, this.#rule(destination).concurrency);
  }

  #maxSessions(): number {
    return this.#options.maxSessions ?? this.#deps.settings().maxSessions;
  }

  /** Its servers are not to be dialled now, and nothing else takes its mail. */
  #isBlocked(lane: Lane): boolean {
    return this.#lanes.isBackedOff(lane) && !fallsBack(lane, this.#deps.settings());
  }

  #hasShare(lane: Lane): boolean {
    const sessions = { most: this.#maxSessions(), used: this.#workers.size };
    return hasShare(lane, this.#lanes, sessions, (isMeant) => this.#sessionsOf(isMeant));
  }

  async #runWorker(work: Work, first: Lane): Promise<void> {
    let lane = first;
    let left: Job[] = [];
    const hopeless = this.#isHopeless(lane);
    try {
      for (let done = 0; ; done += 1) {
        // The last session of a destination never leaves claims behind.
        const mayEnd = work.batch.length === 0 || work.workers > 1;
        const isOver = done >= TURN || (this.#othersWait && !hopeless && this.#isHopeless(lane));
        if (mayEnd && (isOver || lane.sessions > this.#limitOf(work, lane))) return;
        const job = await this.#nextJob(work, lane);
        if (job === null) {
          if (done === 0) this.#rest(work.destination, REST_MS);
          return;
        }
        const full = await this.#do(job);
        // The route may have led elsewhere than thought.
        lane.sessions -= 1;
        lane = this.#lanes.laneOf(work.destination);
        lane.sessions += 1;
        if (full) {
          this.#rest(work.destination, REST_MS);
          // The last one puts back what nobody works on.
          if (work.workers === 1) left = work.batch.splice(0);
          return;
        }
      }
    } finally {
      // In the same turn as the decision to end: else two that end at once would each take the other to stay.
      work.workers -= 1;
      lane.sessions -= 1;
      if (work.workers === 0) this.#work.delete(work.destination);
      await Promise.all(left.map((job) => this.#giveBack(job)));
    }
  }

  async #nextJob(work: Work, lane: Lane): Promise<Job | null> {
    for (;;) {
      const job = work.batch.shift();
      if (job !== undefined) return job;
      if (this.#state !== 'running' || this.#isHeld(work.destination)) return null;
      work.refill ??= this.#refill(work, lane).finally(() => {
        work.refill = null;
      });
      if (!(await work.refill)) return null;
    }
  }

  /** Claims the next few messages of a destination; false when there are none. */
  async #refill(work: Work, lane: Lane): Promise<boolean> {
    const { store, settings, log } = this.#deps;
    const { leaseMs } = this.#options;
    const { destination, first } = work;
    const blocked = this.#isBlocked(lane);
    const { ratePerMinute } = this.#rule(destination);
    const speaksForAll = blocked && !this.#othersWait;
    // What became of a few tells whether more are worth a session that others wait for.
    const few = this.#othersWait && this.#lanes.standing(lane) !== 'prompt';
    const sessions = few ? 1 : this.#limitOf(work, lane);
    const wanted = speaksForAll ? CLAIMS_WHEN_FAILING : CLAIMS_PER_SESSION * sessions;
    const limit = ratePerMinute === null ? wanted : this.#pace.take(destination, ratePerMinute, wanted);
    if (limit === 0) return false;
    const { retryScheduleMs } = settings();
    // One attempt speaks for all that was due when it failed; what becomes due later waits for the next.
    const until = blocked ? { dueUntil: lane.failedAt } : {};
    const askedAt = leaseClock();
    const begunAt = performance.now();
    work.first = first === 'new' ? 'retried' : 'new';
    try {
      const claims = await store.claimDue({ destination, limit, leaseMs, retryScheduleMs, first, ...until });
      this.#pace.giveBack(destination, limit - claims.length);
      if (blocked && claims.length === 0) lane.drained.add(destination);
      for (const claim of claims) this.#leases.add(claim, askedAt);
      const jobs = claims.map((claim) => ({ claim, takenAt: begunAt }));
      if (this.#state !== 'running') {
        await Promise.all(jobs.map((job) => this.#giveBack(job)));
        return false;
      }
      work.batch.push(...jobs);
      if (this.#othersWait) return jobs.length > 0;
      for (let more = 1; more * CLAIMS_PER_SESSION < jobs.length; more += 1) this.#startWorker(work);
      return jobs.length > 0;
    } catch (error) {
      log('error', 'due mail cannot be claimed', { destination, error: describeError(error) });
      this.#rest(destination, this.#options.pollMs);
      return false;
    }
  }

  #rest(destination: string, forMs: number): void {
    const until = Date.now() + forMs;
    this.#resting.set(destination, Math.max(until, this.#resting.get(destination) ?? 0));
  }

  /** True when there was no room for it at its servers. */
  async #do({ claim, takenAt }: Job): Promise<boolean> {
    let full = false;
    try {
      const known = this.#unrecorded.settlement(claim);
      const { settle, health } =
        known === null
          ? await processClaim(this.#context, claim, takenAt, () => this.#leases.holds(claim))
          : { settle: known, health: null };
      full = health === 'full';
      this.#unrecorded.note(claim, settle);
      const { store, log } = this.#deps;
      if (await settleClaim(store, settle, log, this.#abortSettling.signal)) this.#unrecorded.forget(claim);
    } catch (error) {
      // The lease runs out and the message is tried again: nothing is lost by going on.
      const fields = { message: claim.message.id, error: describeError(error) };
      this.#deps.log('error', 'a claim could not be worked on', fields);
    } finally {
      this.#leases.drop(claim);
    }
    return full;
  }

  /** Puts back what was claimed and not begun. */
  async #giveBack({ claim }: Job): Promise<void> {
    const nothing = { result: { type: 'returned' }, via: null, lastReply: null, lastKind: null } as const;
    const outcomes = claim.message.recipients.map(({ index }) => ({ index, ...nothing }));
    const input = { token: claim.token, outcomes, events: [], notices: [] };
    await settleClaim(this.#deps.store, input, this.#deps.log, this.#abortSettling.signal);
    this.#leases.drop(claim);
  }
}
