/** What a sender asks to be told of (RFC 3461), the encoding of its values, and what a message is kept with. */

/** A word of NOTIFY (RFC 3461 §4.1). */
export type NotifyWord = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY';

/** What MAIL said of notices (RFC 3461 §4.3, §4.4). */
export interface MessageDsn {
  /** How much of the message a failure notice brings back; null when MAIL did not say. */
  readonly ret: 'FULL' | 'HDRS' | null;
  /** The sender's own mark of the message as it stood in MAIL, in xtext; null without one. */
  readonly envid: string | null;
}

/** What RCPT said of notices (RFC 3461 §4.1, §4.2). */
export interface RecipientDsn {
  /** `NEVER` alone, or any of the others; null when RCPT did not say, which means failure and delay. */
  readonly notify: readonly NotifyWord[] | null;
  /**
   * `type;address`, the address in xtext, or for the type utf-8 in utf-8-addr-xtext (RFC 6533 §3); always ASCII.
   * null without one.
   */
  readonly orcpt: string | null;
}

export const NO_MESSAGE_DSN: MessageDsn = { ret: null, envid: null };
export const NO_RECIPIENT_DSN: RecipientDsn = { notify: null, orcpt: null };

/** What notices are about, in the words of NOTIFY. */
export type NotifyEvent = Exclude<NotifyWord, 'NEVER'>;

/** Whether a recipient's sender wants to hear of an event; without NOTIFY of failure and delay (RFC 3461 §4.1). */
export function wantsNotice({ notify }: RecipientDsn, event: NotifyEvent): boolean {
  return notify === null ? event !== 'SUCCESS' : notify.includes(event);
}

/** The same wishes without SUCCESS, for those an alias passes the message on to (RFC 3461 §5.2.7.3). */
export function withoutSuccess(dsn: RecipientDsn): RecipientDsn {
  if (!wantsNotice(dsn, 'SUCCESS')) return dsn;
  const rest = (dsn.notify ?? []).filter((word) => word !== 'SUCCESS');
  return { ...dsn, notify: rest.length === 0 ? ['NEVER'] : rest };
}

interface Onward {
  readonly to: { readonly type: 'local' | 'queue' };
  readonly dsn?: RecipientDsn;
}

/**
 * The recipients an address leads to, with the wishes they inherit: one takes them over, several are a list that is
 * answered for itself (RFC 3461 §5.2.7).
 */
export function handOn<R extends Onward>(dsn: RecipientDsn, into: readonly R[]): readonly R[] {
  const inherited = into.length > 1 ? withoutSuccess(dsn) : dsn;
  return into.map((recipient) => ({ ...recipient, dsn: inherited }));
}

/** What a success notice says of an address with all it leads to at hand; null when there is nothing to tell yet. */
export function successOf(original: string, dsn: RecipientDsn, into: readonly Onward[]) {
  if (!wantsNotice(dsn, 'SUCCESS') || into.length === 0) return null;
  const action = into.length > 1 ? 'expanded' : into[0]?.to.type === 'local' ? 'delivered' : null;
  if (action === null) return null;
  // Where it led is not the sender's to know.
  const words = { status: '2.0.0', remoteMta: null, diagnostic: null, explanation: '' } as const;
  return { address: original, original, dsn, action, ...words } as const;
}

/** Two RCPTs that come to one recipient: whatever either asked to be told of. */
export function mergeDsn(one: RecipientDsn, other: RecipientDsn): RecipientDsn {
  const orcpt = one.orcpt ?? other.orcpt;
  if (one.notify === null && other.notify === null) return { notify: null, orcpt };
  const words = (['SUCCESS', 'FAILURE', 'DELAY'] as const).filter(
    (word) => wantsNotice(one, word) || wantsNotice(other, word),
  );
  return { notify: words.length === 0 ? ['NEVER'] : words, orcpt };
}

// ---------------------------------------------------------------- xtext

const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;

/** The text that `encoded` stands for (RFC 3461 §4); null when it is not xtext. Octets above 127 are UTF-8. */
export function decodeXtext(encoded: string): string | null {
  if (!XTEXT.test(encoded)) return null;
  const bytes = encoded.replace(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** `text` in xtext; what is beyond ASCII as the octets of UTF-8. */
export function encodeXtext(text: string): string {
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  return bytes.replace(/[^!-~]|[+=]/g, (character) => {
    return `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/** An address in the 7-bit form utf-8-addr-xtext (RFC 6533 §3). */
export function encodeUtf8Address(text: string): string {
  return text.replace(/[^\x21-\x7e]|[+=\\]/gu, (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16).toUpperCase();
    return `\\x{${hex.padStart(2, '0')}}`;
  });
}

/** `\x{10}` to `\x{10FFFF}`, without leading zeros beyond two digits, no surrogates: EmbeddedUnicodeChar. */
const EMBEDDED = /\\x\{([0-9A-F]{2,6})\}/g;

/** The address behind utf-8-addr-xtext or utf-8-addr-unitext; null when it is neither. */
export function decodeUtf8Address(encoded: string): string | null {
  if (/[\s+=]/.test(encoded)) return null;
  let valid = true;
  const text = encoded.replace(EMBEDDED, (_, hex: string) => {
    const code = parseInt(hex, 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) valid = false;
    return valid ? String.fromCodePoint(code) : '';
  });
  // What is left of a backslash began no such character.
  return valid && !encoded.replace(EMBEDDED, '').includes('\\') ? text : null;
}

/** The two parts of a kept ORCPT: its type, and the address as people know it. */
export function originalRecipient(orcpt: string): { readonly type: string; readonly address: string } {
  const at = orcpt.indexOf(';');
  const type = orcpt.slice(0, at).toLowerCase();
  const encoded = orcpt.slice(at + 1);
  const address = type === 'utf-8' ? decodeUtf8Address(encoded) : decodeXtext(encoded);
  return { type, address: address ?? encoded };
}

// ---------------------------------------------------------------- as stored

const NOTIFY_BITS: readonly NotifyWord[] = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'];

/** NOTIFY as a whole number: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY. */
export function notifyNumber(notify: RecipientDsn['notify']): number | null {
  if (notify === null) return null;
  return NOTIFY_BITS.reduce((sum, word, bit) => sum + (notify.includes(word) ? 1 << bit : 0), 0);
}

export function notifyOf(number: number | null): RecipientDsn['notify'] {
  return number === null ? null : NOTIFY_BITS.filter((_, bit) => (number & (1 << bit)) !== 0);
}
