/**
 * Sender rewriting for forwarded mail (the Sender Rewriting Scheme, SRS0 and SRS1 forms as M. S. Wong's paper and
 * other servers have them). A message that is forwarded leaves with an envelope sender of ours, so that it passes the
 * next server's SPF check, and a notice about it comes here and is handed on to who sent the message. The address
 * carries a keyed hash and a day, so nobody but us can make one, and an old one ends.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type Address, MAX_LOCAL_PART_BYTES, parseAddress } from '../mail/address.ts';

const DAY_MS = 86_400_000;
/** Days are counted modulo this, two letters. */
const DAYS = 1_024;
/** A notice comes after the queue lifetime of the servers on the way at the latest. */
const VALID_DAYS = 21;
/** RFC 4648 §6, in either case: local parts may come back in capitals. */
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const HASH_LETTERS = 6;

const SRS0 = /^srs0[=+-]([a-z2-7]{6})=([a-z2-7]{2})=([^=]+)=(.+)$/is;
const SRS1 = /^srs1[=+-]([a-z2-7]{6})=([^=]+)=(.+)$/is;
/** Another server's, whose hash is not ours to read. */
const FOREIGN_SRS0 = /^srs0([=+-].+)$/is;
const FOREIGN_SRS1 = /^srs1[=+-][^=]+=([^=]+)=(.+)$/is;

/** What an address of ours in SRS form stands for. */
export type SrsReading =
  | { readonly type: 'address'; readonly address: string }
  /** The form is right and the hash or the day is not. */
  | { readonly type: 'invalid'; readonly why: string }
  /** Not an SRS address at all. */
  | { readonly type: 'other' };

export class Srs {
  readonly #key: KeyObject;
  readonly #now: () => number;

  /** `key` is a secret of the server, the same on every node. */
  constructor(key: Uint8Array, now: () => number = Date.now) {
    this.#key = createSecretKey(key);
    this.#now = now;
  }

  /**
   * The address at `domain`, a hosted one, to send with in place of `sender`; null when it would be longer than a
   * local part may be (RFC 5321 §4.5.3.1.1), so that the sender stays as it is.
   */
  rewrite(sender: Address, domain: string): string | null {
    const local = this.#localPart(sender);
    if (Buffer.byteLength(local) > MAX_LOCAL_PART_BYTES) return null;
    const parsed = parseAddress(`${local}@${domain}`);
    return parsed.ok ? parsed.value.text : null;
  }

  #localPart({ localPart, domain }: Address): string {
    // A sender that another server has rewritten: only the first of the chain is kept, so that it does not grow.
    const again = FOREIGN_SRS1.exec(localPart);
    const first = FOREIGN_SRS0.exec(localPart);
    if (again !== null) return this.#srs1(again[1] ?? '', again[2] ?? '');
    if (first !== null) return this.#srs1(domain, first[1] ?? '');
    const day = dayLetters(this.#now());
    return `SRS0=${this.#hash(day, domain, localPart)}=${day}=${domain}=${localPart}`;
  }

  #srs1(host: string, rest: string): string {
    return `SRS1=${this.#hash('1', host, rest)}=${host}=${rest}`;
  }

  /** Whose address a local part of ours stands for. */
  read(localPart: string): SrsReading {
    const first = SRS0.exec(localPart);
    if (first !== null) {
      const [, hash = '', day = '', domain = '', local = ''] = first;
      if (!this.#matches(hash, day.toLowerCase(), domain, local))
        return { type: 'invalid', why: 'this server did not make it' };
      if (ageDays(day.toLowerCase(), this.#now()) > VALID_DAYS)
        return { type: 'invalid', why: `it is older than ${VALID_DAYS} days` };
      return { type: 'address', address: `${local}@${domain}` };
    }
    const again = SRS1.exec(localPart);
    if (again === null) return { type: 'other' };
    const [, hash = '', host = '', rest = ''] = again;
    if (!this.#matches(hash, '1', host, rest)) return { type: 'invalid', why: 'this server did not make it' };
    return { type: 'address', address: `SRS0${rest}@${host}` };
  }

  #matches(hash: string, ...parts: readonly string[]): boolean {
    return timingSafeEqual(Buffer.from(hash.toLowerCase()), Buffer.from(this.#hash(...parts)));
  }

  #hash(...parts: readonly string[]): string {
    const mac = createHmac('sha256', this.#key)
      .update(`srs ${parts.join('=').toLowerCase()}`)
      .digest();
    return Array.from({ length: HASH_LETTERS }, (_, at) => LETTERS[(mac[at] ?? 0) % LETTERS.length]).join('');
  }
}

function dayLetters(nowMs: number): string {
  const day = Math.floor(nowMs / DAY_MS) % DAYS;
  return `${LETTERS[Math.floor(day / LETTERS.length)]}${LETTERS[day % LETTERS.length]}`;
}

function ageDays(letters: string, nowMs: number): number {
  const day = LETTERS.indexOf(letters[0] ?? '') * LETTERS.length + LETTERS.indexOf(letters[1] ?? '');
  return (Math.floor(nowMs / DAY_MS) - day + 2 * DAYS) % DAYS;
}
