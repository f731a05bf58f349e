import type { Failure } from './failure.ts';

/**
 * An SMTP reply, ours or a peer's (RFC 5321 §4.2). `enhanced` is absent where the field forbids it (220, 250
 * to EHLO, 334, 354) or where a peer sent none. `lines` has at least one entry, without code or CRLF.
 */
export interface Reply {
  readonly code: number;
  readonly enhanced?: string;
  readonly lines: readonly string[];
}

export function reply(code: number, enhanced: string | undefined, ...lines: string[]): Reply {
  return enhanced === undefined ? { code, lines } : { code, enhanced, lines };
}

/** What a client is told of a failure. */
export function asReply(failure: Failure): Reply {
  return reply(failure.code, failure.enhanced, failure.text);
}

/** The reply as one line for people, a log or a DSN `Diagnostic-Code`. */
export function replyText(value: Reply): string {
  const words = value.lines.join(' ');
  return value.enhanced === undefined ? `${value.code} ${words}` : `${value.code} ${value.enhanced} ${words}`;
}
