/** Recognising greylisting (RFC 6647): a server that puts off whom it does not know and takes the next attempt. */
import { type Reply, replyText } from '../mail/reply.ts';

/** A longer wait named by a server is not believed. */
const LONGEST_WAIT_MS = 24 * 3_600_000;

export interface Greylisting {
  /** How long the server asks to wait, ms; null when it names no time. */
  readonly waitMs: number | null;
}

/** Postgrey, milter-greylist, rspamd, Exim, Postfix and others all write the word itself. */
const GREYLISTED = /\bgr[ae]y[- ]?list/i;

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** What a reply says of greylisting; null when it says nothing. */
export function greylistingOf(reply: Reply): Greylisting | null {
  if (reply.code !== 450 && reply.code !== 451) return null;
  const words = replyText(reply);
  return GREYLISTED.test(words) ? { waitMs: namedWait(words) } : null;
}

/** `come back in 00:05:00`, `try again in 300 seconds`, `retry after 5 minutes`, `Greylisted for 1 hour`. */
function namedWait(words: string): number | null {
  const clock = /\b(?:in|after|for) (\d{1,2}):(\d{2}):(\d{2})\b/i.exec(words);
  const count =
    /\b(?:in|after|for)(?: at least)? (\d{1,6}) ?(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b/i.exec(
      words,
    );
  let waitMs = 0;
  if (clock !== null) {
    const [hours, minutes, seconds] = clock.slice(1).map(Number) as [number, number, number];
    waitMs = ((hours * 60 + minutes) * 60 + seconds) * 1_000;
  } else if (count !== null) {
    waitMs = Number(count[1]) * (UNIT_MS[(count[2] ?? '').charAt(0).toLowerCase()] ?? 0);
  }
  return waitMs > 0 && waitMs <= LONGEST_WAIT_MS ? waitMs : null;
}
