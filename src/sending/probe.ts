/** Asking a forward host at RCPT whether it knows a recipient (BEHAVIOUR.md, "Who is refused" 4). */

import type { Routes } from '../routing/contract.ts';
import type { CurrentSettings } from '../settings/values.ts';
import { SenderSession } from '../smtp/sender-session.ts';
import { type Dialled, isLoopback } from './connect.ts';
import { raceAddresses } from './race.ts';
import { PeerConnection } from './talk.ts';

const KNOWN_MS = 10 * 60_000;
const UNKNOWN_MS = 60_000;
const CACHE_ENTRIES = 10_000;
const MAX_PROBES = 20;
/** On top of the socket timeout, for everything after the connection. */
const TALK_MS = 10_000;

/** `unreachable`: no clear answer; the recipient is to be accepted. */
export type ProbeAnswer = 'known' | 'unknown' | 'unreachable';

type Connected = Extract<Dialled, { ok: true }>;

export interface ForwardProbeOptions {
  /** Our name in EHLO. */
  readonly hostname: string;
  readonly settings: CurrentSettings;
  /** Finds the host's addresses, as for mail to it; without it only what the system's own lookup gives. */
  readonly routes?: Pick<Routes, 'plan'>;
}

export class ForwardProbe {
  readonly #options: ForwardProbeOptions;
  /** Oldest first. */
  readonly #cache = new Map<string, { answer: ProbeAnswer; until: number }>();
  readonly #underWay = new Map<string, Promise<ProbeAnswer>>();

  constructor(options: ForwardProbeOptions) {
    this.#options = options;
  }

  /**
   * Asks `host` (a name or address) with the null sender and RCPT, and sends nothing. Answers are kept; the same question
   * under way is asked once; beyond 20 at a time the answer is `unreachable`. Never rejects.
   */
  ask(host: string, port: number, recipient: string): Promise<ProbeAnswer> {
    const key = JSON.stringify([host, port, recipient]);
    const kept = this.#cache.get(key);
    if (kept !== undefined && Date.now() < kept.until) return Promise.resolve(kept.answer);
    const asked = this.#underWay.get(key);
    if (asked !== undefined) return asked;
    if (this.#underWay.size >= MAX_PROBES) return Promise.resolve('unreachable');
    const asking = this.#ask(key, host, port, recipient).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    return asking;
  }

  async #ask(key: string, host: string, port: number, recipient: string): Promise<ProbeAnswer> {
    const { settings, hostname } = this.#options;
    const { socketTimeoutMs } = settings();
    const limit = AbortSignal.timeout(socketTimeoutMs + TALK_MS);
    const dialled = await this.#dial(host, port, recipient, limit);
    if (dialled === null) return 'unreachable';
    const session = new SenderSession({
      ...{
        hostname,
        refuseSelf: false,
        tls: 'none',
        secure: null,
        credentials: null,
        loopback: isLoopback(host),
      },
      probe: true,
    });
    const connection = new PeerConnection({ socket: dialled.socket, session, host, secure: null, settings });
    const onLate = () => connection.destroy('The probe took too long');
    limit.addEventListener('abort', onLate);
    try {
      if ((await connection.open()) !== null) return 'unreachable';
      const nothing = { sizeBytes: 0, eightBit: false, smtputf8: false };
      const { results } = await connection.transact(
        { sender: '', recipients: [recipient], ...nothing },
        noBytes,
      );
      const result = results[0] ?? null;
      if (result === null || result.stage !== 'rcpt') return 'unreachable';
      if (!result.accepted && result.reply.code < 500) return 'unreachable';
      return this.#keep(key, result.accepted ? 'known' : 'unknown');
    } finally {
      limit.removeEventListener('abort', onLate);
      connection.quit();
    }
  }

  /** The first address that takes a connection; null when there is none to dial. */
  async #dial(host: string, port: number, recipient: string, limit: AbortSignal): Promise<Connected | null> {
    const { routes } = this.#options;
    const settings = this.#options.settings();
    const domain = recipient.slice(recipient.lastIndexOf('@') + 1);
    const target = { type: 'forward', domain, host, port } as const;
    const route = await routes?.plan(target, { settings, fresh: false, assumedExternal: false });
    const addresses = route === undefined ? [host] : (route.hosts[0]?.addresses ?? []);
    const endpoints = addresses.map((address) => ({ host, port, address, tls: 'none' }) as const);
    const race = await raceAddresses(endpoints, {
      ...{ timeoutMs: settings.socketTimeoutMs, source: settings, signal: limit },
    });
    return race.winner?.dialled ?? null;
  }

  #keep(key: string, answer: ProbeAnswer): ProbeAnswer {
    this.#cache.delete(key);
    const oldest = this.#cache.keys().next().value;
    if (this.#cache.size >= CACHE_ENTRIES && oldest !== undefined) this.#cache.delete(oldest);
    const until = Date.now() + (answer === 'known' ? KNOWN_MS : UNKNOWN_MS);
    this.#cache.set(key, { answer, until });
    return answer;
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
