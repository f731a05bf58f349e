/**
 * The scheduler of outgoing mail. Work is picked by destination before a session is taken, so that a slow
 * server holds up nobody else's mail; due work is read in pages, so that memory does not grow with the queue.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../mail/failure.ts';
import { destinationRule } from '../settings/destination-rules.ts';
import { smtpHostsOf } from '../settings/smtp-host-table.ts';
import type { Claim } from '../storage/contract.ts';
import { processClaim } from './claim.ts';
import { ConnectionPool } from './connection-pool.ts';
import { DeadAddresses } from './dead-addresses.ts';
import type { DeliveryContext } from './delivery.ts';
import { type Lane, Lanes } from './lanes.ts';
import { Leases, leaseClock } from './leases.ts';
import type { SenderDependencies } from './ports.ts';
import { settleClaim } from './settle.ts';
import { SmtpHostWatch } from './smtp-host-watch.ts';
import { sourceAlarms } from './source-address.ts';
import { Unrecorded } from './unrecorded.ts';

export interface SenderOptions {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Longest time between two looks at the queue. */
  readonly pollMs: number;
  /** Sessions at once, to all destinations. */
  readonly maxSessions: number;
}

const DEFAULTS: SenderOptions = { leaseMs: 120_000, renewMs: 40_000, pollMs: 1_000, maxSessions: 100 };

/** Destinations read at once. */
const PAGE = 200;
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
/** With MX resolution off all mail has the same next hop, whatever its destination. */
const SMTP_HOST_LANE = '(SMTP host)';

/** What the page shows of a destination with sessions or failing. */
export interface DestinationState {
  readonly destination: string;
  readonly sessions: number;
  readonly limit: number;
  /** ISO 8601, null when its last attempt went well. */
  readonly failingSince: string | null;
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
}

export class Sender {
  readonly #deps: SenderDependencies;
  readonly #options: SenderOptions;
  readonly #lanes = new Lanes();
  readonly #leases: Leases;
  readonly #pool = new ConnectionPool();
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
  /** The destination looked at last: the next look goes on behind it, so that each has its turn. */
  #cursor = '';

  constructor(deps: SenderDependencies, options: Partial<SenderOptions> = {}) {
    this.#deps = deps;
    this.#options = { ...DEFAULTS, ...options };
    this.#leases = new Leases(deps.store, deps.log, this.#options);
    this.#context = {
      deps,
      pool: this.#pool,
      watch: this.#watch,
      dead: new DeadAddresses(),
      signal: this.#abortSessions.signal,
      makeRoom: () => {
        if (this.#workers.size + this.#pool.size > this.#options.maxSessions) this.#pool.dropOldest();
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
    return this.#lanes
      .all()
      .filter(({ sessions, failingSince }) => sessions > 0 || failingSince !== null)
      .map(({ name, sessions, limit, failingSince }) => ({
        destination: name,
        sessions,
        limit,
        failingSince: failingSince === null ? null : new Date(failingSince).toISOString(),
      }));
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
    const startedBehind = this.#cursor;
    let wrapped = false;
    while (this.#state === 'running' && this.#hasFreeSession()) {
      const request = { now: Date.now(), after: this.#cursor, limit: PAGE };
      const page = await this.#deps.store.dueDestinations(request);
      this.#storeAnswers();
      const only = Date.now() < this.#heedOthersUntil ? this.#unrecorded.destinations() : null;
      for (const { destination } of page) {
        if (!this.#hasFreeSession()) return;
        if (wrapped && destination > startedBehind) return;
        this.#cursor = destination;
        if (only === null || only.has(destination)) this.#consider(destination);
      }
      if (page.length === PAGE) continue;
      this.#cursor = '';
      if (wrapped || startedBehind === '') return;
      wrapped = true;
    }
  }

  #hasFreeSession(): boolean {
    return this.#state === 'running' && this.#workers.size < this.#options.maxSessions;
  }

  /** A due destination gets one session to begin with; its claims show whether it needs more. */
  #consider(destination: string): void {
    if (this.#resting.has(destination) || this.#isHeld(destination)) return;
    const work = this.#work.get(destination);
    if (work !== undefined && (work.batch.length > 0 || work.refill !== null)) return;
    this.#startWorker(work ?? { destination, batch: [], workers: 0, refill: null });
  }

  #isHeld(destination: string): boolean {
    return destinationRule(this.#deps.settings(), destination).hold;
  }

  #startWorker(work: Work): void {
    const lane = this.#lane(work.destination);
    if (!this.#hasFreeSession() || lane.sessions >= lane.limit) return;
    this.#work.set(work.destination, work);
    work.workers += 1;
    lane.sessions += 1;
    const worker: Promise<void> = this.#runWorker(work, lane).finally(() => {
      this.#workers.delete(worker);
      this.wake();
    });
    this.#workers.add(worker);
  }

  #lane(destination: string): Lane {
    return this.#lanes.lane(this.#deps.settings().useMxResolution ? destination : SMTP_HOST_LANE);
  }

  async #runWorker(work: Work, lane: Lane): Promise<void> {
    try {
      for (let done = 0; ; done += 1) {
        // The last session of a destination never leaves claims behind.
        const mayEnd = work.batch.length === 0 || work.workers > 1;
        if (mayEnd && (lane.sessions > lane.limit || done >= TURN)) return;
        const job = await this.#nextJob(work, lane);
        if (job === null) {
          if (done === 0) this.#rest(work.destination, REST_MS);
          return;
        }
        await this.#do(job, lane);
      }
    } finally {
      // In the same turn as the decision to end: else two that end at once would each take the other to stay.
      work.workers -= 1;
      lane.sessions -= 1;
      if (work.workers === 0) this.#work.delete(work.destination);
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
    const limit = lane.failingSince === null ? CLAIMS_PER_SESSION * lane.limit : CLAIMS_WHEN_FAILING;
    const { retryScheduleMs } = settings();
    const askedAt = leaseClock();
    const begunAt = performance.now();
    const { destination } = work;
    try {
      const claims = await store.claimDue({ destination, limit, leaseMs, retryScheduleMs });
      for (const claim of claims) this.#leases.add(claim, askedAt);
      const jobs = claims.map((claim) => ({ claim, takenAt: begunAt }));
      if (this.#state !== 'running') {
        await Promise.all(jobs.map((job) => this.#giveBack(job)));
        return false;
      }
      work.batch.push(...jobs);
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

  async #do({ claim, takenAt }: Job, lane: Lane): Promise<void> {
    try {
      const known = this.#unrecorded.settlement(claim);
      const { settle, health } =
        known === null
          ? await processClaim(this.#context, claim, takenAt, () => this.#leases.holds(claim))
          : { settle: known, health: null };
      this.#lanes.feedback(lane, health);
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
