/**
 * A real DNS server on loopback with made-up zones, UDP and TCP on one port, for tests.
 *
 *   const dns = await startDnsServer({
 *     'example.org': ['MX 10 mx1.example.org', 'MX 20 mx2.example.org'],
 *     'mx1.example.org': ['A 127.0.0.9', '60 AAAA ::1'],    // a number in front is the TTL, else 0
 *     'null.example.org': ['MX 0 .'],
 *     'empty.example.org': [],                              // exists, has nothing: NODATA
 *     'broken.example.org': ['!servfail'],                  // `!` sets a behaviour
 *   });                                                     // every other name: NXDOMAIN
 *
 * As a program: `sh scripts/node.sh test/support/dns-server.ts zones.json [port]`.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import {
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type ResourceRecord,
  TRUNCATED_RESPONSE,
} from 'dns-packet';

const TROUBLES = [
  'servfail',
  'refused',
  'formerr',
  'notimp',
  /** No reply, nor by TCP. */
  'timeout',
  /** By UDP the TC bit and no records; the whole answer by TCP. */
  'truncated',
  /** By UDP the TC bit; by TCP the connection is closed. */
  'truncated-only',
  /** The right id, then bytes that are no DNS message. */
  'garbage',
  'wrong-id',
  'wrong-question',
  /** FORMERR to whoever sends EDNS, a proper answer otherwise. */
  'no-edns',
  /** NOERROR with NS records elsewhere. */
  'referral',
  /** Aliases are given without what they lead to. */
  'bare-cname',
  /** A proper answer with the AD bit. */
  'authenticated',
] as const;

/** What the server does with questions for a name instead of answering them properly. */
export type Trouble = (typeof TROUBLES)[number];

export interface TroubleOptions {
  /** Only for questions of this type. */
  readonly type?: string;
  /** Only for the first so many questions. */
  readonly times?: number;
}

export interface SeenQuery {
  readonly name: string;
  readonly type: string;
  readonly transport: 'udp' | 'tcp';
  /** UDP payload size of its EDNS record, null without one. */
  readonly edns: number | null;
  readonly id: number;
  readonly sourcePort: number;
  readonly wantsAd: boolean;
}

export type Zones = Readonly<Record<string, readonly string[]>>;

export interface DnsServer {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly port: number;
  /** Every question seen, in order. */
  readonly queries: SeenQuery[];
  /** Replaces a name's records (without any it exists and has nothing) and its behaviours. */
  set(name: string, ...records: string[]): void;
  /** The name does not exist any more. */
  remove(name: string): void;
  /** Misbehaves for a name, or for every name with `*`; null is well-behaved again. */
  behaviour(name: string, trouble: Trouble | null, options?: TroubleOptions): void;
  close(): Promise<void>;
}

interface Rule {
  readonly trouble: Trouble;
  readonly type: string | undefined;
  left: number;
}

interface Asked {
  readonly query: DecodedPacket;
  readonly question: Question;
  readonly transport: 'udp' | 'tcp';
  readonly edns: number | null;
}

const RCODES = { servfail: 2, refused: 5, formerr: 1, notimp: 4 } as const;
const NXDOMAIN = 3;
const MAX_ALIASES = 16;

const canonical = (name: string) => name.toLowerCase().replace(/\.$/, '');

/** Reads `[ttl] TYPE data`, data as in a master file (RFC 1035 §5.1). */
function parseRecord(name: string, text: string): ResourceRecord {
  const parts = /^(?:(\d+)\s+)?([A-Za-z]+)\s+(.+)$/.exec(text);
  const [ttl, type, data] = [Number(parts?.[1] ?? 0), parts?.[2]?.toUpperCase() ?? '', parts?.[3] ?? ''];
  const record = (value: unknown): ResourceRecord => ({ name, type, class: 'IN', ttl, data: value });
  if (type === 'MX') {
    const [preference, exchange] = data.split(/\s+/);
    return record({ preference: Number(preference), exchange: exchange ?? '' });
  }
  if (type === 'TLSA') {
    const [usage, selector, matchingType, digest = ''] = data.split(/\s+/);
    const certificate = Buffer.from(digest, 'hex');
    return record({
      ...{ usage: Number(usage), selector: Number(selector), matchingType: Number(matchingType) },
      certificate,
    });
  }
  if (type === 'TXT') return record([data.replace(/^"(.*)"$/, '$1')]);
  if (['A', 'AAAA', 'CNAME', 'PTR', 'NS'].includes(type)) return record(data);
  throw new Error(`not a record this server knows: ${text}`);
}

class ZoneServer {
  readonly #records = new Map<string, ResourceRecord[]>();
  readonly #rules = new Map<string, Rule[]>();
  readonly queries: SeenQuery[] = [];
  negativeTtlSeconds = 0;

  set(name: string, records: readonly string[]): void {
    const key = canonical(name);
    this.#rules.delete(key);
    this.#records.set(
      key,
      records.filter((text) => !text.startsWith('!')).map((text) => parseRecord(key, text)),
    );
    for (const text of records.filter((record) => record.startsWith('!'))) {
      const trouble = TROUBLES.find((each) => each === text.slice(1));
      if (trouble === undefined) throw new Error(`not a behaviour this server knows: ${text}`);
      this.behaviour(name, trouble, {});
    }
  }

  remove(name: string): void {
    this.#records.delete(canonical(name));
    this.#rules.delete(canonical(name));
  }

  behaviour(name: string, trouble: Trouble | null, options: TroubleOptions): void {
    const key = canonical(name);
    if (trouble === null) {
      this.#rules.delete(key);
      return;
    }
    const rule = { trouble, type: options.type, left: options.times ?? Number.POSITIVE_INFINITY };
    this.#rules.set(key, [...(this.#rules.get(key) ?? []), rule]);
  }

  /** The reply to a message, or what to do instead. */
  answer(bytes: Buffer, transport: 'udp' | 'tcp', sourcePort: number): Buffer | 'silence' | 'close' {
    let query: DecodedPacket;
    try {
      query = decode(bytes);
    } catch {
      return 'silence';
    }
    const question = query.questions[0];
    if (question === undefined) return 'silence';
    const edns = query.additionals.find((record) => record.type === 'OPT')?.udpPayloadSize ?? null;
    const { id } = query;
    const wantsAd = (query.flags & AUTHENTIC_DATA) !== 0;
    this.queries.push({
      name: canonical(question.name),
      type: question.type,
      transport,
      edns,
      id,
      sourcePort,
      wantsAd,
    });
    const asked = { query, question, transport, edns };
    const trouble = this.#trouble(question);
    return trouble === null ? fit(this.#proper(asked), asked) : this.#misbehave(asked, trouble);
  }

  #trouble(question: Question): Trouble | null {
    const rules = [...(this.#rules.get(canonical(question.name)) ?? []), ...(this.#rules.get('*') ?? [])];
    const rule = rules.find(
      (each) => each.left > 0 && (each.type === undefined || each.type === question.type),
    );
    if (rule === undefined) return null;
    rule.left -= 1;
    return rule.trouble;
  }

  #misbehave(asked: Asked, trouble: Trouble): Buffer | 'silence' | 'close' {
    const proper = this.#proper(asked);
    const empty = { ...proper, answers: [], authorities: [] };
    const failure = (code: number) => encode({ ...empty, flags: (proper.flags & ~15) | code });
    const { query, question, transport } = asked;
    switch (trouble) {
      case 'timeout':
        return 'silence';
      case 'truncated-only':
        if (transport === 'tcp') return 'close';
        return encode({ ...empty, flags: proper.flags | TRUNCATED_RESPONSE });
      case 'truncated':
        if (transport === 'tcp') return fit(proper, asked);
        return encode({ ...empty, flags: proper.flags | TRUNCATED_RESPONSE });
      case 'garbage': {
        const bytes = Buffer.alloc(40, 0xc5);
        bytes.writeUInt16BE(query.id, 0);
        bytes.writeUInt16BE(0x8180, 2);
        return bytes;
      }
      case 'wrong-id':
        return encode({ ...proper, id: query.id ^ 1 });
      case 'wrong-question':
        return encode({ ...proper, questions: [{ ...question, name: `not-${question.name}` }] });
      case 'no-edns':
        return asked.edns === null ? fit(proper, asked) : failure(RCODES.formerr);
      case 'referral':
        return encode({
          ...empty,
          flags: proper.flags & ~15,
          authorities: [{ name: 'test', type: 'NS', class: 'IN', ttl: 60, data: 'ns.elsewhere.test' }],
        });
      case 'bare-cname': {
        const aliases = proper.answers?.filter((record) => record.type === 'CNAME').slice(0, 1) ?? [];
        return aliases.length === 0
          ? fit(proper, asked)
          : encode({ ...empty, flags: proper.flags & ~15, answers: aliases });
      }
      case 'authenticated':
        return fit({ ...proper, flags: proper.flags | AUTHENTIC_DATA }, asked);
      default:
        return failure(RCODES[trouble]);
    }
  }

  #proper({ query, question, edns }: Asked): Packet {
    const answers: ResourceRecord[] = [];
    let name = canonical(question.name);
    let records = this.#records.get(name);
    for (let count = 0; count < MAX_ALIASES && records !== undefined; count += 1) {
      const found = records.filter((record) => record.type === question.type);
      answers.push(...found);
      const alias = found.length > 0 ? undefined : records.find((record) => record.type === 'CNAME');
      if (alias === undefined) break;
      answers.push(alias);
      name = canonical(String(alias.data));
      records = this.#records.get(name);
    }
    const found = answers.some((record) => record.type === question.type);
    const looping = records?.some((record) => record.type === 'CNAME') === true && !found;
    return {
      type: 'response',
      id: query.id,
      flags: RECURSION_DESIRED | RECURSION_AVAILABLE | (records === undefined ? NXDOMAIN : 0),
      questions: [question],
      answers,
      authorities: found || looping ? [] : [this.#soa()],
      additionals: edns === null ? [] : [{ name: '.', type: 'OPT', udpPayloadSize: 1232 }],
    };
  }

  #soa(): ResourceRecord {
    const ttl = this.negativeTtlSeconds;
    const data = {
      mname: 'ns.test',
      rname: 'hostmaster.test',
      serial: 1,
      refresh: 1,
      retry: 1,
      expire: 1,
      minimum: ttl,
    };
    return { name: 'test', type: 'SOA', class: 'IN', ttl, data };
  }
}

/** Encodes a reply; one too long for the asker's UDP size goes with the TC bit and without records. */
function fit(packet: Packet, { transport, edns }: Asked): Buffer {
  const bytes = encode(packet);
  if (transport === 'tcp' || bytes.length <= (edns ?? 512)) return bytes;
  return encode({ ...packet, answers: [], authorities: [], flags: packet.flags | TRUNCATED_RESPONSE });
}

function serveTcp(zone: ZoneServer, socket: Socket): void {
  let received = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (part) => {
    received = Buffer.concat([received, part]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      const reply = zone.answer(received.subarray(2, end), 'tcp', socket.remotePort ?? 0);
      received = received.subarray(end);
      if (reply === 'close') socket.destroy();
      if (reply === 'close' || reply === 'silence') return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    }
  });
}

/** Opens UDP and TCP on the same port; a free one when `port` is 0. */
async function openBoth(
  zone: ZoneServer,
  address: string,
  port: number,
  sockets: Set<Socket>,
  triesLeft = 20,
) {
  const udp = createSocket('udp4');
  udp.on('message', (bytes, from) => {
    const reply = zone.answer(bytes, 'udp', from.port);
    if (reply !== 'silence' && reply !== 'close') udp.send(reply, from.port, from.address);
  });
  const bound = once(udp, 'listening');
  udp.bind(port, address);
  await bound;
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serveTcp(zone, socket);
  });
  try {
    const listening = once(tcp, 'listening');
    tcp.listen(udp.address().port, address);
    await listening;
  } catch (error) {
    udp.close();
    if (port !== 0 || triesLeft === 0) throw error;
    return openBoth(zone, address, port, sockets, triesLeft - 1);
  }
  return { udp, tcp };
}

export interface DnsServerOptions {
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Default 0: a free one. */
  readonly port?: number;
  /** TTL and minimum of the SOA in negative answers; default 0, so that nothing is kept. */
  readonly negativeTtlSeconds?: number;
}

export async function startDnsServer(zones: Zones = {}, options: DnsServerOptions = {}): Promise<DnsServer> {
  const zone = new ZoneServer();
  zone.negativeTtlSeconds = options.negativeTtlSeconds ?? 0;
  for (const [name, records] of Object.entries(zones)) zone.set(name, records);
  const sockets = new Set<Socket>();
  const address = options.address ?? '127.0.0.1';
  const { udp, tcp } = await openBoth(zone, address, options.port ?? 0, sockets);
  const { port } = udp.address();
  return {
    address: `${address}:${port}`,
    port,
    queries: zone.queries,
    set: (name, ...records) => zone.set(name, records),
    remove: (name) => zone.remove(name),
    behaviour: (name, trouble, troubleOptions = {}) => zone.behaviour(name, trouble, troubleOptions),
    close: async () => {
      const closed = [once(udp, 'close'), once(tcp, 'close')];
      udp.close();
      tcp.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

async function main(file: string | undefined, port: string | undefined): Promise<void> {
  if (file === undefined) throw new Error('usage: dns-server.ts zones.json [port]');
  const zones = JSON.parse(await readFile(file, 'utf8')) as Zones;
  const server = await startDnsServer(zones, { port: Number(port ?? 0) });
  console.log(`ready ${server.address}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(process.argv[2], process.argv[3]);
}
