import { randomInt } from 'node:crypto';
import { AnswerCache, type Keepable } from './cache.ts';
import { type ChainStep, followChain, MAX_CNAMES } from './chain.ts';
import type { AddressRecord, Answer, LookupOptions, MxRecord, Resolver, TlsaRecord } from './contract.ts';
import type { DnsHealth } from './health.ts';
import { type DnsReply, encodeQuery, type Question, type QuestionType, readMessage } from './message.ts';
import { dnsName, reverseName } from './name.ts';
import { isLoopback, parseServer, type ServerAddress, systemServers } from './servers.ts';
import { Slots } from './slots.ts';
import { exchangeTcp, exchangeUdp } from './transport.ts';

export interface ResolverOptions {
  /** `address` or `address:port`, asked in this order; default: the system's. */
  readonly servers?: readonly string[];
  /** Addresses of the servers whose AD bit counts; default: those on loopback. */
  readonly trusted?: readonly string[];
  /** Where the system's servers are listed; default `/etc/resolv.conf`. */
  readonly resolvConf?: string;
  /** Wait for one server; default 2,000. */
  readonly timeoutMs?: number;
  /** Rounds through the servers; default 2. */
  readonly attempts?: number;
  /** Longest time for one lookup with all its tries and aliases; default 8,000. */
  readonly overallMs?: number;
  /** Answers kept; default 10,000. 0 keeps none. */
  readonly cacheEntries?: number;
  /** Questions under way at once; default 500. */
  readonly maxQueries?: number;
  /** Questions that may wait for their turn; default 5,000. More are answered `no-answer` at once. */
  readonly maxWaiting?: number;
  /** Told of every question that went to the servers. */
  readonly health?: DnsHealth;
  /** A clock that never goes back, in ms. */
  readonly nowMs?: () => number;
}

type NoAnswer = Extract<Answer<never>, { status: 'no-answer' }>;
type ServerResult =
  | { readonly reply: DnsReply }
  | { readonly problem: string /** It said nothing at all. */; readonly silent: boolean };

const MAX_TTL_SECONDS = 86_400;
const MAX_NEGATIVE_TTL_SECONDS = 300;
/** How long a silent server is asked after the others. */
const AVOID_SILENT_MS = 30_000;

/**
 * A stub resolver: asks recursive servers by UDP, by TCP when truncated, keeps answers for their TTL and
 * tells the kinds of failure apart. The hosts file and `localhost` are none of its business.
 * Throws a `RangeError` when a server's address is not one.
 */
export function createResolver(options: ResolverOptions = {}): Resolver {
  return new StubResolver(options);
}

class StubResolver implements Resolver {
  readonly #servers: () => Promise<readonly ServerAddress[]>;
  readonly #trusted: ReadonlySet<string> | null;
  readonly #timeoutMs: number;
  readonly #attempts: number;
  readonly #overallMs: number;
  readonly #nowMs: () => number;
  readonly #health: DnsHealth | undefined;
  readonly #cache: AnswerCache;
  readonly #slots: Slots;
  readonly #underWay = new Map<string, Promise<Answer<unknown>>>();
  readonly #cancels = new Set<() => void>();
  readonly #silentUntilMs = new Map<string, number>();
  #closed = false;

  constructor(options: ResolverOptions) {
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#health = options.health;
    this.#trusted = options.trusted === undefined ? null : new Set(options.trusted);
    this.#timeoutMs = options.timeoutMs ?? 2_000;
    this.#attempts = options.attempts ?? 2;
    this.#overallMs = options.overallMs ?? 8_000;
    this.#cache = new AnswerCache(options.cacheEntries ?? 10_000);
    this.#slots = new Slots(options.maxQueries ?? 500, options.maxWaiting ?? 5_000);
    this.#servers = serverSource(options, this.#nowMs);
  }

  async mx(name: string, options?: LookupOptions): Promise<Answer<MxRecord>> {
    return mapRecords(await this.#lookup(name, 'MX', options), mxRecord);
  }

  async addresses(name: string, options?: LookupOptions): Promise<Answer<AddressRecord>> {
    const [six, four] = await Promise.all([
      this.#lookup(name, 'AAAA', options),
      this.#lookup(name, 'A', options),
    ]);
    return combine(
      mapRecords(six, (data) => ({ address: String(data), family: 6 as const })),
      mapRecords(four, (data) => ({ address: String(data), family: 4 as const })),
    );
  }

  async ptr(address: string, options?: LookupOptions): Promise<Answer<string>> {
    const name = reverseName(address);
    if (name === undefined) return { status: 'no-answer', detail: `${address} is not an address` };
    return mapRecords(await this.#lookup(name, 'PTR', options), hostName);
  }

  async txt(name: string, options?: LookupOptions): Promise<Answer<string>> {
    return mapRecords(await this.#lookup(name, 'TXT', options), (data) =>
      Buffer.concat(data as readonly Buffer[]).toString('latin1'),
    );
  }

  async tlsa(name: string, options?: LookupOptions): Promise<Answer<TlsaRecord>> {
    return mapRecords(await this.#lookup(name, 'TLSA', options), tlsaRecord);
  }

  async alias(name: string, options?: LookupOptions): Promise<Answer<string>> {
    return mapRecords(await this.#lookup(name, 'CNAME', options), hostName);
  }

  /** Ends every lookup under way with `no-answer`. */
  close(): void {
    this.#closed = true;
    for (const cancel of [...this.#cancels]) cancel();
  }

  async #lookup(text: string, type: QuestionType, options?: LookupOptions): Promise<Answer<unknown>> {
    const name = dnsName(text);
    // What cannot be a name of DNS cannot exist in it.
    if (name === undefined) return { status: 'nxdomain', cached: false };
    const key = `${type} ${name}`;
    const fresh = options?.fresh === true;
    if (!fresh) {
      const kept = this.#cache.get(key, this.#nowMs());
      if (kept !== undefined) return kept;
    }
    const running = this.#underWay.get(key);
    if (running !== undefined) return running;
    const lookup = this.#resolve({ name, type }, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, lookup);
    return lookup;
  }

  /** Asks, follows aliases the servers did not follow, and keeps the result. */
  async #resolve(question: Question, key: string): Promise<Answer<unknown>> {
    const deadlineMs = this.#nowMs() + this.#overallMs;
    const seen = new Set([question.name]);
    let name = question.name;
    let ttlSeconds = MAX_TTL_SECONDS;
    let authenticated = true;
    for (;;) {
      const asked = { name, type: question.type };
      const result = await this.#ask(asked, deadlineMs);
      if ('status' in result) return result;
      authenticated &&= result.reply.authenticated;
      const step = followChain(result.reply, asked, seen);
      if (step.end === 'loop') return noAnswer(`the aliases of ${question.name} lead back to ${step.name}`);
      if (step.end === 'too-long')
        return noAnswer(`${question.name} has more than ${MAX_CNAMES} aliases in a row`);
      ttlSeconds = Math.min(ttlSeconds, step.ttlSeconds);
      if (step.end !== 'ask') return this.#keep(key, endOf(step, ttlSeconds, authenticated), ttlSeconds);
      const target = dnsName(step.name);
      if (target === undefined) return noAnswer(`an alias of ${question.name} leads to an impossible name`);
      name = target;
    }
  }

  #keep(key: string, answer: Keepable, ttlSeconds: number): Keepable {
    const limitSeconds = answer.status === 'ok' ? MAX_TTL_SECONDS : MAX_NEGATIVE_TTL_SECONDS;
    this.#cache.set(key, answer, Math.min(ttlSeconds, limitSeconds), this.#nowMs());
    return answer;
  }

  /** One question to one server after the other until one of them answers it. */
  async #ask(question: Question, deadlineMs: number): Promise<{ readonly reply: DnsReply } | NoAnswer> {
    const turn = await this.#slots.take(deadlineMs - this.#nowMs());
    if (turn === 'full') return noAnswer('too many DNS questions wait already');
    if (turn === 'late') return noAnswer('too many DNS questions are under way; this one had no turn');
    try {
      const problems: string[] = [];
      let silent = true;
      const missed = (): NoAnswer => {
        this.#health?.missed(question, silent, [...new Set(problems)].join('; '));
        return noAnswer(problems.join('; '));
      };
      for (let round = 0; round < this.#attempts; round += 1) {
        for (const server of await this.#serversInOrder()) {
          if (this.#closed) return noAnswer('the resolver was closed');
          if (deadlineMs - this.#nowMs() < 1) {
            // Without a server asked it is our own delay.
            if (problems.length === 0) return noAnswer('time is up');
            problems.push('time is up');
            return missed();
          }
          const result = await this.#askServer(server, question, deadlineMs);
          if ('reply' in result) {
            this.#health?.answered();
            return result;
          }
          silent &&= result.silent;
          problems.push(`${server.text} ${result.problem}`);
        }
      }
      // What was ended by closing is no sign of anything.
      return this.#closed ? noAnswer(problems.join('; ')) : missed();
    } finally {
      this.#slots.release();
    }
  }

  /** The servers as listed, those lately silent last. */
  async #serversInOrder(): Promise<readonly ServerAddress[]> {
    const servers = await this.#servers();
    const silent = (server: ServerAddress) => (this.#silentUntilMs.get(server.text) ?? 0) > this.#nowMs();
    return [...servers.filter((server) => !silent(server)), ...servers.filter(silent)];
  }

  async #askServer(server: ServerAddress, question: Question, deadlineMs: number): Promise<ServerResult> {
    let reading = await this.#exchange(server, question, true, deadlineMs);
    if (reading.kind === 'problem' && reading.dislikesEdns === true) {
      reading = await this.#exchange(server, question, false, deadlineMs);
    }
    if (reading.kind === 'reply') {
      this.#silentUntilMs.delete(server.text);
      const { reply } = reading;
      const trusted = this.#trusted?.has(server.address) ?? isLoopback(server.address);
      return { reply: trusted ? reply : { ...reply, authenticated: false } };
    }
    if (reading.kind !== 'problem')
      return { problem: 'sent an answer that does not fit the question', silent: false };
    if (reading.silent === true) this.#silentUntilMs.set(server.text, this.#nowMs() + AVOID_SILENT_MS);
    return { problem: reading.text, silent: reading.silent === true };
  }

  async #exchange(server: ServerAddress, question: Question, edns: boolean, deadlineMs: number) {
    const id = randomInt(65_536);
    const request = () => ({
      server,
      query: encodeQuery(question, id, edns),
      read: (bytes: Buffer) => readMessage(bytes, question, id),
      timeoutMs: Math.max(1, Math.min(this.#timeoutMs, deadlineMs - this.#nowMs())),
      cancels: this.#cancels,
    });
    const reading = await exchangeUdp(request());
    return reading.kind === 'truncated' && !this.#closed ? exchangeTcp(request()) : reading;
  }
}

function serverSource(
  options: ResolverOptions,
  nowMs: () => number,
): () => Promise<readonly ServerAddress[]> {
  if (options.servers === undefined) return systemServers(options.resolvConf ?? '/etc/resolv.conf', nowMs);
  const servers = options.servers.map((text) => {
    const server = parseServer(text);
    if (server === undefined) throw new RangeError(`${text} is not the address of a DNS server`);
    return server;
  });
  return async () => servers;
}

function noAnswer(detail: string): NoAnswer {
  return { status: 'no-answer', detail };
}

function endOf(
  step: Extract<ChainStep, { end: 'found' | 'nxdomain' | 'nodata' }>,
  ttlSeconds: number,
  authenticated: boolean,
): Keepable {
  if (step.end === 'nxdomain') return { status: 'nxdomain', cached: false };
  if (step.end === 'nodata') return { status: 'nodata', canonicalName: step.name, cached: false };
  const { data, name } = step;
  return { status: 'ok', records: data, ttlSeconds, authenticated, canonicalName: name, cached: false };
}

function mapRecords<T>(answer: Answer<unknown>, map: (data: unknown) => T): Answer<T> {
  return answer.status === 'ok' ? { ...answer, records: answer.records.map(map) } : answer;
}

function hostName(data: unknown): string {
  return String(data).toLowerCase().replace(/\.$/, '');
}

function mxRecord(data: unknown): MxRecord {
  const { preference, exchange } = data as { preference: number; exchange: string };
  return { preference, exchange: hostName(exchange) };
}

function tlsaRecord(data: unknown): TlsaRecord {
  const { certificate, usage, selector, matchingType } = data as TlsaRecord & { certificate: Buffer };
  return { usage, selector, matchingType, data: Buffer.from(certificate) };
}

function combine(six: Answer<AddressRecord>, four: Answer<AddressRecord>): Answer<AddressRecord> {
  if (six.status === 'ok' && four.status === 'ok') {
    return {
      status: 'ok',
      records: [...six.records, ...four.records],
      ttlSeconds: Math.min(six.ttlSeconds, four.ttlSeconds),
      authenticated: six.authenticated && four.authenticated,
      canonicalName: four.canonicalName,
      cached: six.cached && four.cached,
    };
  }
  if (six.status === 'ok') return six;
  if (four.status === 'ok') return four;
  if (four.status === 'no-answer') return four;
  if (six.status === 'no-answer') return six;
  // A server that denies the name for one type only is wrong about the denial.
  return six.status === 'nodata' ? six : four;
}
