/** The part of dns-packet 5 used here; the package has no types of its own. */
declare module 'dns-packet' {
  export interface Question {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
  }

  export interface ResourceRecord {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
    /** Seconds. */
    readonly ttl?: number;
    /** Its shape depends on the type: text for A, AAAA, CNAME, PTR; objects for MX and SOA. */
    readonly data?: unknown;
    /** OPT only. */
    readonly udpPayloadSize?: number;
    readonly extendedRcode?: number;
    readonly flags?: number;
    readonly options?: readonly unknown[];
  }

  export interface Packet {
    readonly type: 'query' | 'response';
    readonly id: number;
    readonly flags: number;
    readonly questions: readonly Question[];
    readonly answers?: readonly ResourceRecord[];
    readonly authorities?: readonly ResourceRecord[];
    readonly additionals?: readonly ResourceRecord[];
  }

  export interface DecodedPacket extends Packet {
    readonly rcode: string;
    readonly opcode: string;
    readonly flag_ra: boolean;
    readonly flag_ad: boolean;
    readonly answers: readonly ResourceRecord[];
    readonly authorities: readonly ResourceRecord[];
    readonly additionals: readonly ResourceRecord[];
  }

  export function encode(packet: Packet): Buffer;
  /** With the two length bytes of DNS over TCP in front. */
  export function streamEncode(packet: Packet): Buffer;
  /** Throws on anything malformed. */
  export function decode(bytes: Buffer): DecodedPacket;

  export const AUTHORITATIVE_ANSWER: number;
  export const TRUNCATED_RESPONSE: number;
  export const RECURSION_DESIRED: number;
  export const RECURSION_AVAILABLE: number;
  export const AUTHENTIC_DATA: number;
}
