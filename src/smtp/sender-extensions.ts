/** What a server offers in its reply to EHLO, and what follows for a message. */
import { type Failure, failure } from '../mail/failure.ts';
import type { Transaction } from './sender-contract.ts';

/**
 * Why a message cannot be given to a server with these extensions, as a final failure; null when it can. It
 * is never changed to fit (RFC 6152 §3, RFC 6531 §3.3, RFC 1870 §6.1).
 */
export function unsendable(
  transaction: Transaction,
  extensions: ReadonlyMap<string, string>,
): Failure | null {
  const limit = Number(extensions.get('SIZE') ?? '0');
  if (limit > 0 && transaction.sizeBytes > limit) {
    const text = `The message has ${transaction.sizeBytes} bytes and the server takes at most ${limit}`;
    return failure(552, '5.3.4', text);
  }
  if (hasUtf8Address(transaction) && !extensions.has('SMTPUTF8')) {
    return failure(553, '5.6.7', 'The server does not take addresses with characters outside ASCII');
  }
  if (transaction.eightBit && !extensions.has('8BITMIME')) {
    return failure(554, '5.6.3', 'The message has 8-bit content and the server takes 7-bit messages only');
  }
  return null;
}

function hasUtf8Address(transaction: Transaction): boolean {
  return [transaction.sender, ...transaction.recipients].some((address) => /[^\x00-\x7f]/.test(address));
}

export function needsUtf8(transaction: Transaction): boolean {
  return transaction.smtputf8 || hasUtf8Address(transaction);
}

/** The lines of a reply to EHLO after the first (RFC 5321 §4.1.1.1); `AUTH=` is an old spelling. */
export function parseExtensions(lines: readonly string[]): Map<string, string> {
  const extensions = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const [keyword = '', ...parameters] = line.trim().split(/[ =]+/);
    const known = extensions.get(keyword.toUpperCase());
    const text = parameters.join(' ');
    extensions.set(keyword.toUpperCase(), known === undefined ? text : `${known} ${text}`);
  }
  return extensions;
}

/** What one session and one transaction may hold by LIMITS (RFC 9422 §4); infinite where nothing is said. */
export interface ServerLimits {
  /** MAILMAX: transactions in a session. */
  readonly mailMax: number;
  /** RCPTMAX: recipients in a transaction. */
  readonly rcptMax: number;
}

export function limitsOf(extensions: ReadonlyMap<string, string>): ServerLimits {
  const words = (extensions.get('LIMITS') ?? '').toUpperCase().split(' ');
  const read = (name: string) => {
    const value = words[words.indexOf(name) + 1] ?? '';
    return words.includes(name) && /^[1-9]\d{0,5}$/.test(value) ? Number(value) : Number.POSITIVE_INFINITY;
  };
  return { mailMax: read('MAILMAX'), rcptMax: read('RCPTMAX') };
}
