/** What the sender's tests stand on: a queue in memory, routes by hand, settings, and a running Sender. */

import { EventEmitter, once } from 'node:events';
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import type { MessageId } from '../../src/mail/message-id.ts';
import type { NoticeRequest } from '../../src/notices/contract.ts';
import type { Route, RouteFailure, RouteHost, RouteOptions, Target } from '../../src/routing/contract.ts';
import type { Redecision, SenderDependencies } from '../../src/sending/ports.ts';
import { Sender, type SenderOptions } from '../../src/sending/sender.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type { RouteFailureKind, Settings, SmtpHost } from '../../src/settings/values.ts';
import {
  type Claim,
  type ClaimRequest,
  CRASHES_UNTIL_HELD,
  type NewEvent,
  type QueuedMessage,
  type QueuedRecipient,
  type QueueStore,
  type SettleInput,
  StorageError,
} from '../../src/storage/contract.ts';
import type { TlsPolicies } from '../../src/trust/contract.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

export function makeSettings(changes: Partial<Settings> = {}): Settings {
  const timeouts = {
    ...{ greetingMs: 5_000, ehloMs: 5_000, tlsMs: 5_000, authMs: 5_000, mailMs: 5_000, rcptMs: 5_000 },
    ...{ dataMs: 5_000, dataBlockMs: 5_000, dataEndMs: 5_000, quitMs: 1_000, commandMs: 5_000 },
  };
  return {
    ...buildSettings(new Map()),
    bufferSizeBytes: 4096,
    socketTimeoutMs: 5_000,
    maxIncomingSizeBytes: 0,
    useMxResolution: true,
    fallbackToSmtpHost: false,
    outboundPort: 25,
    refuseUnknownUsers: true,
    assumeExternal: false,
    smtpHost: null,
    relayNetworks: [],
    retryScheduleMs: [MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS],
    queueLifetimeMs: 120 * HOUR_MS,
    delayNoticeMs: 0,
    hopLimit: 100,
    fallbackOn: ['no-answer', 'nxdomain', 'no-address', 'unreachable', 'self'],
    unknownUserNotice: 'refuse',
    unknownUserNoticeRate: 10,
    allowPrivateAddresses: true,
    ownNames: [],
    ownAddresses: [],
    bareNewline: 'refuse',
    minDataRate: 500,
    timeouts,
    historyKeepMs: HOUR_MS,
    ...changes,
  };
}

interface Row {
  recipient: QueuedRecipient;
  token: string | null;
}

export interface NewMessage {
  readonly to: readonly string[];
  readonly from?: string;
  readonly body?: string | Uint8Array;
  readonly changes?: Partial<QueuedMessage>;
  readonly recipientChanges?: Partial<QueuedRecipient>;
}

type Kept = Omit<QueuedMessage, 'recipients'> & { rows: Row[]; body: Uint8Array };

/** The queue in memory, as far as the sender uses it; emits `settled` with each SettleInput. */
export class FakeQueue extends EventEmitter {
  readonly settled: SettleInput[] = [];
  readonly claimed: ClaimRequest[] = [];
  readonly renewed: string[] = [];
  released = 0;
  /** Errors thrown by the next calls of `settle`. */
  readonly settleErrors: StorageError[] = [];
  /** Called before each chunk of a body is read. */
  onChunk: () => void = () => undefined;
  failBodies = false;
  /** Cleared to answer that no claim is valid any more. */
  renewing = true;
  /** Set to make the queue unreadable. */
  away = false;
  /** Above 1: so many calls of `settle` are answered in the same turn, as by a commit of a group. */
  settleTogether = 1;
  readonly #messages = new Map<MessageId, Kept>();
  #nextId = 1;
  #together: (() => void)[] = [];

  add({
    to,
    from = 'a@sender.test',
    body = 'Subject: x\r\n\r\nhello\r\n',
    changes,
    recipientChanges,
  }: NewMessage): MessageId {
    const id = this.#nextId++;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
    const rows = to.map((address, index) => ({
      token: null,
      recipient: newRecipient(address, index, recipientChanges),
    }));
    const source = { kind: 'local', address: null, helo: null, user: null, protocol: null } as const;
    this.#messages.set(id, {
      id,
      ...{
        sender: from,
        sizeBytes: bytes.length,
        receivedAt: Date.now(),
        source,
        smtputf8: false,
        eightBit: false,
      },
      ...{
        header: 'Received: here\r\n',
        noticeFor: null,
        dsn: NO_MESSAGE_DSN,
        requireTls: false,
        rows,
        body: bytes,
        ...changes,
      },
    });
    return id;
  }

  recipients(id: MessageId): readonly QueuedRecipient[] {
    return this.#kept(id).rows.map(({ recipient }) => recipient);
  }

  events(kind: NewEvent['kind']): readonly NewEvent[] {
    return this.settled.flatMap(({ events }) => events).filter((event) => event.kind === kind);
  }

  /** Makes everything queued due again, as `queue retry --all` does. */
  retry(): void {
    for (const { rows } of this.#messages.values()) {
      for (const row of rows) {
        if (row.recipient.state === 'queued') row.recipient = { ...row.recipient, nextAttemptAt: Date.now() };
      }
    }
  }

  /** Lets every lease run out. */
  lapse(): void {
    for (const { rows } of this.#messages.values()) {
      for (const row of rows) {
        if (row.recipient.state !== 'sending') continue;
        row.token = null;
        row.recipient = { ...row.recipient, state: 'queued', nextAttemptAt: Date.now() };
      }
    }
  }

  /** Resolves when `count` claims have been settled. */
  async waitForSettled(count: number): Promise<void> {
    while (this.settled.length < count) await once(this, 'settled', { signal: AbortSignal.timeout(10_000) });
  }

  /** The sender needs these only; anything else is a fault of the test. */
  asStore(): QueueStore {
    const part: Partial<QueueStore> = {
      dueDestinations: async ({ now, after, limit }) => {
        if (this.away) throw new StorageError('unavailable', 'gone');
        const due = this.#due(now).map(({ recipient }) => recipient.destination ?? '');
        const names = [...new Set(due)].sort().filter((destination) => destination > after);
        return names.slice(0, limit).map((destination) => ({ destination, dueAt: now }));
      },
      nextDueAt: async () => {
        const times = this.#due(Number.POSITIVE_INFINITY).map(
          ({ recipient }) => recipient.nextAttemptAt ?? 0,
        );
        return times.length === 0 ? null : Math.min(...times);
      },
      claimDue: async (request) => this.#claim(request),
      renewClaims: async (tokens) => {
        this.renewed.push(...tokens);
        this.emit('renewed');
        return this.renewing ? tokens : [];
      },
      releaseExpired: async () => {
        this.released += 1;
        return 0;
      },
      settle: async (input) => {
        if (this.settleTogether > 1) await this.#inGroup();
        this.#settle(input);
      },
      openBody: async (id) => this.#openBody(this.#kept(id).body),
    };
    return part as QueueStore;
  }

  #due(now: number): Row[] {
    const rows = [...this.#messages.values()].flatMap((message) => message.rows);
    return rows.filter(
      ({ recipient: { state, nextAttemptAt } }) => state === 'queued' && (nextAttemptAt ?? 0) <= now,
    );
  }

  #claim(request: ClaimRequest): Claim[] {
    this.claimed.push(request);
    const due = new Set(
      this.#due(Math.min(Date.now(), request.dueUntil ?? Number.POSITIVE_INFINITY)).filter(
        ({ recipient }) => recipient.destination === request.destination,
      ),
    );
    const claims: Claim[] = [];
    for (const { rows, body: _, ...message } of this.#messages.values()) {
      const mine = rows.filter((row) => due.has(row));
      if (mine.length === 0 || claims.length >= request.limit) continue;
      const token = `t${this.claimed.length}-${message.id}`;
      for (const row of mine) {
        row.token = token;
        row.recipient = { ...row.recipient, state: 'sending', attempts: row.recipient.attempts + 1 };
      }
      const recipients = mine.map(({ recipient }) => recipient);
      const leaseUntil = Date.now() + request.leaseMs;
      claims.push({
        token,
        destination: request.destination,
        message: { ...message, recipients },
        leaseUntil,
      });
    }
    return claims;
  }

  /** Waits for a group, or for nobody else to come. */
  #inGroup(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#together.push(resolve);
    const answer = () => {
      for (const one of this.#together.splice(0)) one();
    };
    if (this.#together.length >= this.settleTogether) answer();
    else setTimeout(answer, 100);
    return promise;
  }

  #settle(input: SettleInput): void {
    const error = this.settleErrors.shift();
    if (error !== undefined) throw error;
    const rows = [...this.#messages.values()].flatMap((message) => message.rows);
    const mine = rows.filter(({ token }) => token === input.token);
    if (mine.length !== input.outcomes.length) throw new StorageError('stale-claim', 'lapsed');
    for (const { index, result, via, lastReply, lastKind } of input.outcomes) {
      const row = mine.find(({ recipient }) => recipient.index === index);
      if (row === undefined) throw new StorageError('internal', 'no such recipient');
      row.token = null;
      const old = row.recipient;
      if (result.type === 'returned') {
        row.recipient = { ...old, state: 'queued', attempts: old.attempts - 1 };
      } else if (result.type === 'crashed') {
        const crashes = old.crashes + 1;
        const state = crashes < CRASHES_UNTIL_HELD ? 'queued' : 'held';
        row.recipient = { ...old, state, crashes, nextAttemptAt: result.nextAttemptAt, lastReply };
      } else if (result.type === 'deferred') {
        const { nextAttemptAt } = result;
        const delayNoticeSent = old.delayNoticeSent || result.delayNoticeSent === true;
        row.recipient = { ...old, state: 'queued', nextAttemptAt, delayNoticeSent, via, lastReply, lastKind };
      } else {
        row.recipient = { ...old, state: result.type, nextAttemptAt: null, via, lastReply, lastKind };
      }
    }
    this.settled.push(input);
    this.emit('settled');
  }

  #kept(id: MessageId): Kept {
    const kept = this.#messages.get(id);
    if (kept === undefined) throw new Error(`no message ${id}`);
    return kept;
  }

  #openBody(body: Uint8Array) {
    const { onChunk } = this;
    const { failBodies } = this;
    return {
      sizeBytes: body.length,
      async *chunks() {
        for (let from = 0; from < body.length; from += 256 * 1024) {
          onChunk();
          if (failBodies && from > 0) throw new StorageError('unavailable', 'disk gone');
          yield body.subarray(from, from + 256 * 1024);
        }
      },
    };
  }
}

function newRecipient(
  address: string,
  index: number,
  changes: Partial<QueuedRecipient> = {},
): QueuedRecipient {
  return {
    ...{ index, address, original: address, rule: 'external', state: 'queued' },
    destination: address.slice(address.lastIndexOf('@') + 1),
    ...{ via: null, attempts: 0, nextAttemptAt: 0, lastReply: null, lastKind: null, delayNoticeSent: false },
    crashes: 0,
    dsn: NO_RECIPIENT_DSN,
    ...changes,
  };
}

interface Place {
  readonly address: string;
  readonly port: number;
}

export function host(place: Place, preference: number | null = 10, name = `mx${place.port}.test`): RouteHost {
  return { name, port: place.port, preference, addresses: [place.address], rejected: [] };
}

export function route(hosts: readonly RouteHost[], changes: Partial<Route> = {}): Route {
  return {
    via: 'mx',
    fallback: null,
    hosts,
    failure: null,
    smtpHost: null,
    tls: null,
    held: false,
    mx: null,
    steps: [],
    ...changes,
  };
}

export function failedRoute(failure: RouteFailure): Route {
  return route([], { failure });
}

export function smtpHostRoute(
  place: Place,
  changes: Partial<SmtpHost> = {},
  fallback: RouteFailureKind | null = null,
): Route {
  const smtpHost: SmtpHost = {
    ...{
      which: 1,
      name: 'relay.test',
      port: place.port,
      tls: 'none',
      username: '',
      password: '',
      ...changes,
    },
  };
  return route([host(place, null, smtpHost.name)], { via: 'smtp-host', fallback, smtpHost });
}

export interface World {
  readonly queue: FakeQueue;
  readonly sender: Sender;
  readonly notices: NoticeRequest[];
  readonly plans: { target: Target; options: RouteOptions }[];
  readonly logged: string[];
  onLog: (line: string) => void;
  settings: Settings;
  plan: (target: Target) => Route | Promise<Route>;
  fallback: (kind: RouteFailureKind) => Route | null;
  redecide: (recipient: QueuedRecipient) => Redecision | Promise<Redecision>;
  makeNoticesFails: boolean;
  /** Errors thrown by the next calls of `makeNotices`. */
  readonly noticeErrors: Error[];
  /** Which TLS the servers must have; absent: what they offer. */
  tlsPolicies: TlsPolicies | undefined;
  /** Adds a message, wakes the sender and waits until `settles` more claims are settled. */
  send(message: NewMessage, settles?: number): Promise<MessageId>;
}

/** A world with a started sender that stops with the test. */
export function makeWorld(
  t: { after(clean: () => Promise<void>): void },
  plan: World['plan'],
  changes: Partial<Settings> = {},
  options: Partial<SenderOptions> = {},
): World {
  const queue = new FakeQueue();
  const deps: SenderDependencies = {
    store: queue.asStore(),
    settings: () => world.settings,
    routes: {
      plan: async (target, options) => {
        world.plans.push({ target, options });
        return world.plan(target);
      },
      fallback: async (kind) => world.fallback(kind),
    },
    tlsPolicies: {
      policyFor: async (question) => {
        if (world.tlsPolicies === undefined) throw new Error('no policies were given');
        return world.tlsPolicies.policyFor(question);
      },
    },
    redecide: async (recipient) => world.redecide(recipient),
    makeNotices: async (request) => {
      const error = world.noticeErrors.shift();
      if (error !== undefined) throw error;
      if (world.makeNoticesFails) throw new Error('no notices today');
      world.notices.push(request);
      return [];
    },
    hostname: 'me.test',
    log: (level, message) => {
      world.logged.push(`${level} ${message}`);
      world.onLog(`${level} ${message}`);
    },
  };
  const world: World = {
    ...{ queue, sender: new Sender(deps, options), notices: [], plans: [], logged: [], plan },
    settings: makeSettings(changes),
    fallback: () => null,
    redecide: ({ destination }) => {
      return {
        type: 'send',
        target: { type: 'external', domain: destination ?? '' },
        assumedExternal: false,
      };
    },
    makeNoticesFails: false,
    noticeErrors: [],
    tlsPolicies: undefined,
    onLog: () => undefined,
    send: async (message, settles = 1) => {
      const wanted = queue.settled.length + settles;
      const id = queue.add(message);
      world.sender.start();
      world.sender.wake();
      await queue.waitForSettled(wanted);
      return id;
    },
  };
  t.after(() => world.sender.stop(200));
  return world;
}
