/**
 * Limits and back-off of next hops. A lane is the set of servers of a route, so that a thousand domains at one
 * provider count as one. The number of connections follows what the servers show: five at first, one more with
 * each success, half as many with each failure (Postfix's positive and negative feedback).
 */
import type { Route } from '../routing/contract.ts';
import { whyNoFallback } from '../routing/router.ts';
import type { Settings } from '../settings/values.ts';

const FIRST_LIMIT = 5;
/** Lanes, and destinations whose lane is known, remembered while nothing is under way to them. */
const MAX_REMEMBERED = 10_000;
const LONGEST_BACK_OFF_MS = 3_600_000;
const SHORTEST_BACK_OFF_MS = 1_000;
/** What senders are told of is counted to the minute, so that it ends a back-off once a minute at most. */
const NOTICE_GRAIN_MS = 60_000;
const MAX_NOTICES = 1_000;
/** After this time one connection more than a server took is tried again. */
const TOLERATED_MS = 5 * 60_000;
const NEW_FOR_MS = 1000;
/** A lane is slow when a message takes it so many times as long as others, and this time on top. */
const SLOW_FACTOR = 4;
const SLOW_FROM_MS = 300;
/** Messages put off running after which a lane is taken to put off the next as well. */
const BARREN_FROM = 5;
/** What the latest message counts in the average of its lane, when it was slower and when it was faster, and in that of all. */
const SLOWER_PART = 1 / 8;
const FASTER_PART = 1 / 2;
const ALL_PART = 1 / 1000;

export interface Lane {
  readonly name: string;
  readonly via: Route['via'] | null;
  limit: number;
  /** Highest number of connections the settings and rules allow. */
  highest: number;
  sessions: number;
  /** Open or being opened, those that idle and those that are closing included. */
  connections: number;
  /** Open connections by endpoint. */
  readonly open: Map<string, number>;
  /** Connections being opened by endpoint. */
  readonly opening: Map<string, number>;
  /** What the servers took when they said it was too much, until when it counts, ms. */
  tolerated: { readonly connections: number; readonly until: number } | null;
  /** Something was delivered to it or was answered. */
  proven: boolean;
  /** When its first connection began, ms; null before. */
  triedSince: number | null;
  /** Time a message took lately, ms; 0 before the first. */
  messageMs: number;
  /** Messages put off running. */
  barrenMessages: number;
  /** Since when every attempt has failed as a whole, ms; null when the last one did not. */
  failingSince: number | null;
  /** Times running that no server of it could be reached. */
  failures: number;
  /** When it failed last, ms: mail due by then has had its attempt. */
  failedAt: number;
  /** ms; 0 when it is not backed off. */
  backedOffUntil: number;
  lastReply: string | null;
  /** Destinations whose mail due at the failure has had its attempt. */
  readonly drained: Set<string>;
  /** When senders of its mail are to be told something, to the minute, ms. */
  readonly notices: Set<number>;
}

export interface LaneLimits {
  readonly destinationConcurrency: number;
  readonly retryScheduleMs: readonly number[];
  readonly queueLifetimeMs: number;
  /** 0 without delay notices. */
  readonly delayNoticeMs: number;
}

/** Servers of a route with their ports, in an order that does not depend on DNS; null without servers. */
export function laneNameOf({ hosts }: Pick<Route, 'hosts'>): string | null {
  if (hosts.length === 0) return null;
  return [...new Set(hosts.map(({ name, port }) => `${name.toLowerCase()}:${port}`))].sort().join(' ');
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** By destination, the lane its last route led to. */
  readonly #learnt = new Map<string, Lane>();
  readonly #limits: () => LaneLimits;
  readonly #now: () => number;
  #connections = 0;
  /** Time a message took lately, of all lanes, ms. */
  #messageMs = 0;
  #messages = 0;

  constructor(limits: () => LaneLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
  }

  lane(name: string, via: Route['via'] | null = null): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    this.#forgetOldest();
    const limit = FIRST_LIMIT;
    const counts = {
      limit,
      highest: limit,
      sessions: 0,
      connections: 0,
      open: new Map(),
      opening: new Map(),
      tolerated: null,
    };
    const failure = { failingSince: null, failures: 0, failedAt: 0, backedOffUntil: 0, lastReply: null };
    const lane: Lane = {
      name,
      via,
      ...counts,
      proven: false,
      triedSince: null,
      messageMs: 0,
      barrenMessages: 0,
      ...failure,
      drained: new Set(),
      notices: new Set(),
    };
    this.#lanes.set(name, lane);
    return lane;
  }

  /** Of a destination: what its last route led to, else one of its own. */
  laneOf(destination: string): Lane {
    return this.#learnt.get(destination) ?? this.lane(destination);
  }

  /** The lane of a route, by which the destination goes from now on. */
  learn(destination: string, route: Route): Lane {
    const name = laneNameOf(route);
    if (name === null) return this.laneOf(destination);
    const lane = this.lane(name, route.via);
    this.#learnt.delete(destination);
    this.#learnt.set(destination, lane);
    const oldest = this.#learnt.keys().next().value;
    if (this.#learnt.size > MAX_REMEMBERED && oldest !== undefined) this.#learnt.delete(oldest);
    return lane;
  }

  /** Destinations whose lane is known, with it. */
  learnt(): ReadonlyMap<string, Lane> {
    return this.#learnt;
  }

  all(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  /** Connections of all lanes. */
  get connections(): number {
    return this.#connections;
  }

  /** A connection of the lane begins to be opened (1), or is closed (-1). */
  count(lane: Lane, change: 1 | -1): void {
    lane.triedSince ??= this.#now();
    lane.connections += change;
    this.#connections += change;
  }

  /** Connections it may have now. `rule`: what the rule for a destination allows, null without one. */
  limitOf(lane: Lane, rule: number | null): number {
    const most = rule ?? this.#limits().destinationConcurrency;
    lane.highest = Math.max(lane.highest, most);
    // One message finds out whether the servers are back.
    if (lane.failures > 0) return 1;
    const tolerated = lane.tolerated?.connections ?? Number.POSITIVE_INFINITY;
    return Math.max(1, Math.min(lane.limit, most, tolerated));
  }

  /**
   * `new`: tried for less than a second and not answered yet. `tardy`: not answered for longer, fails, or much slower than
   * the others.
   */
  standing({ proven, triedSince, failures, messageMs }: Lane): 'prompt' | 'new' | 'tardy' {
    if (failures > 0) return 'tardy';
    if (!proven) return triedSince !== null && this.#now() - triedSince > NEW_FOR_MS ? 'tardy' : 'new';
    return messageMs > SLOW_FACTOR * this.#messageMs + SLOW_FROM_MS ? 'tardy' : 'prompt';
  }

  /** Its servers are there and put off whatever they are given. */
  isBarren({ barrenMessages }: Lane): boolean {
    return barrenMessages >= BARREN_FROM;
  }

  /** Nobody of a message was taken, for now. */
  putOff(lane: Lane): void {
    lane.barrenMessages += 1;
  }

  /** A message was given to its servers, or refused, in this time. */
  took(lane: Lane, ms: number): void {
    // One slow answer, of a server or of ours, makes no slow lane.
    lane.messageMs += (ms - lane.messageMs) * (ms > lane.messageMs ? SLOWER_PART : FASTER_PART);
    this.#messages += 1;
    this.#messageMs += (ms - this.#messageMs) * Math.max(1 / this.#messages, ALL_PART);
  }

  isBackedOff(lane: Lane): boolean {
    return lane.backedOffUntil > this.#now();
  }

  succeeded(lane: Lane): void {
    lane.limit = Math.min(lane.limit + 1, lane.highest);
    this.#recovered(lane);
    lane.failingSince = null;
    lane.barrenMessages = 0;
    const { tolerated } = lane;
    if (tolerated === null || tolerated.until > this.#now()) return;
    lane.tolerated = { connections: tolerated.connections + 1, until: this.#now() + TOLERATED_MS };
    if (tolerated.connections >= lane.highest) lane.tolerated = null;
  }

  /** A server was lost or put mail off after its greeting: it is there, and takes less. */
  hampered(lane: Lane): void {
    lane.limit = Math.max(Math.floor(lane.limit / 2), 1);
    lane.failingSince ??= this.#now();
    this.#recovered(lane);
  }

  /** No server of it took a connection. It is backed off, for longer each time, as the retry schedule goes. */
  unreachable(lane: Lane, reply: string): void {
    if (this.isBackedOff(lane)) return;
    lane.limit = Math.max(Math.floor(lane.limit / 2), 1);
    lane.failingSince ??= this.#now();
    lane.lastReply = reply;
    // While others work, one that got no connection says little of the whole.
    if (lane.open.size > 0) return;
    const { retryScheduleMs, queueLifetimeMs, delayNoticeMs } = this.#limits();
    const step = retryScheduleMs[Math.min(lane.failures, retryScheduleMs.length - 1)] ?? SHORTEST_BACK_OFF_MS;
    lane.failures += 1;
    lane.failedAt = this.#now();
    // A lifetime of 0 makes every first failure final, which nobody is to wait for.
    // Mail that comes meanwhile, and that no attempt has told of, must have its notice in time too.
    const firstNotice = delayNoticeMs > 0 ? delayNoticeMs : LONGEST_BACK_OFF_MS;
    const longest = Math.min(LONGEST_BACK_OFF_MS, queueLifetimeMs, firstNotice);
    lane.backedOffUntil = lane.failedAt + Math.min(step, longest);
    for (const at of lane.notices) {
      if (at <= lane.failedAt) lane.notices.delete(at);
      else lane.backedOffUntil = Math.min(lane.backedOffUntil, at);
    }
    lane.drained.clear();
  }

  /**
   * A sender is to be told at `at` (ms since 1970) that mail of the lane is delayed or given up. That takes an attempt,
   * so no back-off goes on for longer than the minute of it.
   */
  noticeDue(lane: Lane, at: number): void {
    const now = this.#now();
    if (at <= now) return;
    const minute = Math.ceil(at / NOTICE_GRAIN_MS) * NOTICE_GRAIN_MS;
    if (this.isBackedOff(lane)) lane.backedOffUntil = Math.min(lane.backedOffUntil, minute);
    if (lane.notices.size >= MAX_NOTICES) {
      for (const one of lane.notices) if (one <= now) lane.notices.delete(one);
    }
    if (lane.notices.size < MAX_NOTICES) lane.notices.add(minute);
  }

  /** A server refused one more connection while it had `others`; 0 when that is not known yet. */
  crowded(lane: Lane, others: number): void {
    const connections = Math.max(1, others);
    if (others > 0) lane.tolerated = { connections, until: this.#now() + TOLERATED_MS };
    lane.limit = Math.min(lane.limit, connections);
  }

  /** Its mail is tried at once, one message first. */
  endBackOff(lane: Lane): boolean {
    const was = this.isBackedOff(lane);
    lane.backedOffUntil = 0;
    lane.drained.clear();
    return was;
  }

  #recovered(lane: Lane): void {
    lane.proven = true;
    lane.failures = 0;
    lane.backedOffUntil = 0;
    lane.lastReply = null;
    lane.drained.clear();
  }

  #forgetOldest(): void {
    if (this.#lanes.size < MAX_REMEMBERED) return;
    for (const lane of this.#lanes.values()) {
      if (lane.sessions > 0 || lane.connections > 0 || this.isBackedOff(lane)) continue;
      this.#lanes.delete(lane.name);
      for (const [destination, known] of this.#learnt) {
        if (known === lane) this.#learnt.delete(destination);
      }
      return;
    }
  }
}

/** Whether mail that finds the lane out of reach goes to the SMTP host. */
export function fallsBack({ via }: Lane, settings: Settings): boolean {
  return via === 'mx' && whyNoFallback('unreachable', settings) === null;
}
