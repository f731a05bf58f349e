/** Queries as bytes, and what the bytes that come back mean. No sockets, no clock. */
import {
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_DESIRED,
  type ResourceRecord,
} from 'dns-packet';
import { describeError } from '../mail/failure.ts';

export type QuestionType = 'A' | 'AAAA' | 'MX' | 'PTR' | 'TXT' | 'TLSA' | 'CNAME';

export interface Question {
  /** Checked by `dnsName`. */
  readonly name: string;
  readonly type: QuestionType;
}

/** A usable answer of a server. */
export interface DnsReply {
  readonly nxdomain: boolean;
  readonly authenticated: boolean;
  readonly answers: readonly ResourceRecord[];
  /** How long "there is none" may be kept (RFC 2308 §5), null without an SOA record. */
  readonly negativeTtlSeconds: number | null;
}

/** What one datagram or TCP message turned out to be. */
export type Reading =
  | { readonly kind: 'reply'; readonly reply: DnsReply }
  /** Ask again by TCP (RFC 7766 §5). */
  | { readonly kind: 'truncated' }
  /** Not an answer to this query, perhaps forged: go on waiting. */
  | { readonly kind: 'stray' }
  | {
      readonly kind: 'problem';
      readonly text: string;
      /** Nothing came at all. */
      readonly silent?: boolean;
      /** The server may not know EDNS (RFC 6891 §7): worth one query without. */
      readonly dislikesEdns?: boolean;
    };

/** What we can take by UDP without fragments (RFC 9715). */
const UDP_PAYLOAD_BYTES = 1232;
const HEADER_BYTES = 12;
const RESPONSE_FLAG = 0x8000;
const TRUNCATED_FLAG = 0x0200;
/** RFC 2181 §8: a TTL with the top bit set is 0. */
const MAX_TTL_SECONDS = 0x7fffffff;

/** A recursive query that asks for the AD bit (RFC 6840 §5.7). */
export function encodeQuery(question: Question, id: number, edns: boolean): Buffer {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ name: question.name, type: question.type, class: 'IN' }],
    additionals: edns ? [{ name: '.', type: 'OPT', udpPayloadSize: UDP_PAYLOAD_BYTES }] : [],
  });
}

/** Reads what came back for a query with this id. */
export function readMessage(bytes: Buffer, question: Question, id: number): Reading {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(0) !== id) return { kind: 'stray' };
  const flags = bytes.readUInt16BE(2);
  if ((flags & RESPONSE_FLAG) === 0) return { kind: 'stray' };
  // Before decoding: a truncated answer may end in the middle of a record.
  if ((flags & TRUNCATED_FLAG) !== 0) return { kind: 'truncated' };
  let packet: DecodedPacket;
  try {
    packet = decode(bytes);
  } catch (error) {
    return { kind: 'problem', text: `sent a malformed answer (${describeError(error)})` };
  }
  return readPacket(packet, question);
}

function readPacket(packet: DecodedPacket, question: Question): Reading {
  const extended = packet.additionals.find((record) => record.type === 'OPT')?.extendedRcode ?? 0;
  if (extended !== 0 || (packet.rcode !== 'NOERROR' && packet.rcode !== 'NXDOMAIN')) {
    const dislikesEdns = extended !== 0 || packet.rcode === 'FORMERR' || packet.rcode === 'NOTIMP';
    const code = extended === 0 ? packet.rcode : `extended code ${extended * 16}`;
    return { kind: 'problem', text: `answered ${code}`, dislikesEdns };
  }
  if (!echoes(packet, question)) return { kind: 'stray' };
  const soa = packet.authorities.find((record) => record.type === 'SOA');
  const referral = soa === undefined && packet.authorities.some((record) => record.type === 'NS');
  // RFC 2308 §2.2: NS without SOA and without an answer points elsewhere. It does not say that nothing is there.
  if (packet.rcode === 'NOERROR' && packet.answers.length === 0 && referral) {
    return { kind: 'problem', text: 'answered with a referral (it does not resolve for us)' };
  }
  return {
    kind: 'reply',
    reply: {
      nxdomain: packet.rcode === 'NXDOMAIN',
      authenticated: packet.flag_ad,
      answers: packet.answers.filter((record) => record.class === 'IN'),
      negativeTtlSeconds: soa === undefined ? null : negativeTtl(soa),
    },
  };
}

function echoes(packet: DecodedPacket, question: Question): boolean {
  const echoed = packet.questions[0];
  return (
    packet.questions.length === 1 &&
    echoed?.name.toLowerCase() === question.name &&
    echoed.type === question.type &&
    echoed.class === 'IN'
  );
}

/** Seconds a record may be kept. */
export function ttlOf(record: ResourceRecord): number {
  const ttl = record.ttl ?? 0;
  return ttl > MAX_TTL_SECONDS ? 0 : ttl;
}

function negativeTtl(soa: ResourceRecord): number {
  const data = soa.data;
  const minimum =
    typeof data === 'object' && data !== null && 'minimum' in data && typeof data.minimum === 'number'
      ? data.minimum
      : 0;
  return Math.min(ttlOf(soa), minimum);
}
