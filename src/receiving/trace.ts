/**
 * The trace CMail leaves in a message and recognises when it comes back: `Received` (RFC 5321 §4.4) with a
 * keyed token, the count of hops, and the header section's bounded scan.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { formatMessageId, type MessageId } from '../mail/message-id.ts';

/** Header bytes looked at: a hundred hops take about 20 KB, and the newest hops stand in front. */
const SCAN_LIMIT_BYTES = 64 * 1024;
const TOKEN_BYTES = 16;
const FORWARDED = 'X-CMail-Forwarded';
const TOKEN = /\(cmail-token ([0-9A-Z]{1,12})\.([0-9a-f]{32})\)/g;

export interface TraceInput {
  readonly id: MessageId;
  readonly hostname: string;
  readonly helo: string;
  readonly address: string;
  /** `ESMTP`, `SMTP`, `UTF8SMTP` … (RFC 3848, RFC 6531 §4.3). */
  readonly protocol: string;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`; null in clear. */
  readonly tls: string | null;
  readonly receivedAt: number;
}

/** RFC 5322 §3.3 date in UTC. */
export function mailDate(atMs: number): string {
  return new Date(atMs).toUTCString().replace('GMT', '+0000');
}

export class Trace {
  /** A key object: raw bytes cost ten times as much at each use. */
  readonly #key: KeyObject;

  /** `key` is the server's secret `received-token`, the same on every node. */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  #mac(id: string): Buffer {
    return createHmac('sha256', this.#key).update(`received ${id}`).digest().subarray(0, TOKEN_BYTES);
  }

  /** The `Received` field, folded, CRLF-ended. */
  receivedField(input: TraceInput): string {
    const id = formatMessageId(input.id);
    const literal = input.address.includes(':') ? `IPv6:${input.address}` : input.address;
    return (
      `Received: from ${input.helo} ([${literal}])\r\n` +
      (input.tls === null ? '' : `\t(using ${input.tls})\r\n`) +
      `\tby ${input.hostname} with ${input.protocol} id ${id}\r\n` +
      `\t(cmail-token ${id}.${this.#mac(id).toString('hex')});\r\n` +
      `\t${mailDate(input.receivedAt)}\r\n`
    );
  }

  /** A field that tells this server, and nobody else, that an address here forwarded the message; CRLF-ended. */
  forwardField(forwarder: string): string {
    return `${FORWARDED}: ${this.#mac(`forward ${forwarder.toLowerCase()}`).toString('hex')}\r\n`;
  }

  /** True when that address forwarded the message already. */
  wasForwardedBy(forwarder: string, header: string): boolean {
    return header.includes(this.forwardField(forwarder));
  }

  /** True when the header section holds a token that only this server could have made. */
  isOurs(header: string): boolean {
    for (const [, id = '', mac = ''] of header.matchAll(TOKEN)) {
      if (timingSafeEqual(this.#mac(id), Buffer.from(mac, 'hex'))) return true;
    }
    return false;
  }
}

/** Number of `Received` fields in a header section. */
export function hopCount(header: string): number {
  return header.match(/^received[ \t]*:/gim)?.length ?? 0;
}

/** Keeps the header section of a message that passes by in pieces, 64 KB at most. */
export class HeaderScan {
  #kept = Buffer.alloc(0);
  #sizeBytes = 0;
  #done = false;

  push(bytes: Uint8Array): void {
    if (this.#done) return;
    const take = Math.min(bytes.length, SCAN_LIMIT_BYTES - this.#sizeBytes);
    if (this.#sizeBytes + take > this.#kept.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(SCAN_LIMIT_BYTES, Math.max(2048, 2 * (this.#sizeBytes + take))),
      );
      this.#kept.copy(grown, 0, 0, this.#sizeBytes);
      this.#kept = grown;
    }
    this.#kept.set(bytes.subarray(0, take), this.#sizeBytes);
    // The blank line may be split across two pieces, so three bytes are looked at again.
    const from = Math.max(0, this.#sizeBytes - 3);
    this.#sizeBytes += take;
    const end = this.#kept.subarray(0, this.#sizeBytes).indexOf('\r\n\r\n', from);
    if (end >= 0) this.#sizeBytes = end + 2;
    this.#done = end >= 0 || this.#sizeBytes >= SCAN_LIMIT_BYTES;
  }

  /** The header section went on beyond what was kept. */
  get truncated(): boolean {
    return this.#sizeBytes >= SCAN_LIMIT_BYTES;
  }

  /** The header section seen, one byte a character. A message that starts with its blank line has none. */
  text(): string {
    const header = this.#kept.toString('latin1', 0, this.#sizeBytes);
    return header.startsWith('\r\n') ? '' : header;
  }
}
