/**
 * What follows from what the servers did: BEHAVIOUR.md, "When MX fails", as pure functions. A verdict says
 * whether a recipient is given up now, and how it is to be told.
 */
import { wantsNotice } from '../mail/dsn.ts';
import type { Failure } from '../mail/failure.ts';
import { type Reply, replyText } from '../mail/reply.ts';
import type { RetryOutlook } from '../notices/contract.ts';
import type { Route, RouteFailure } from '../routing/contract.ts';
import { routeFailure } from '../routing/failures.ts';
import { formatDuration } from '../settings/text.ts';
import type { RouteFailureKind, Settings } from '../settings/values.ts';
import type { RecipientResult, SessionProblem } from '../smtp/sender-contract.ts';
import type { QueuedMessage, QueuedRecipient } from '../storage/contract.ts';
import { greylistingOf } from './greylisting.ts';

/** The second lookup of NXDOMAIN and no-address comes within this time. */
export const CONFIRM_WITHIN_MS = 5 * 60_000;
/** First wait after trouble of our own; doubled with each attempt, up to what the schedule says. */
const OWN_AGAIN_MS = 10_000;

/** Why a recipient was not delivered in this attempt. */
export interface Trouble {
  /** Kept as `lastKind`: a route failure kind, `spoke`, `tls`, `credentials`, `refused`, `local`. */
  readonly kind: string;
  /** Enhanced status for the notice this ends in (RFC 3463). */
  readonly status: string;
  /** One plain sentence. */
  readonly text: string;
  /** Server that answered, null when none did. */
  readonly host: string | null;
  /** Its words as received, null when none came. */
  readonly reply: string | null;
  /** The server asked to be left alone for this long. */
  readonly waitMs?: number;
}

/**
 * `failed`: give up now. `deferred`: on the schedule until the queue lifetime ends. `confirm`: the same, but
 * again within five minutes. `own`: trouble of our own, which never becomes a notice.
 */
export type Verdict = { readonly type: 'failed' | 'deferred' | 'confirm' | 'own'; readonly trouble: Trouble };

/** What the servers of one route came to; grows with each address tried. */
export interface RouteTally {
  /** Said something after 220, and what came of it; the last one. */
  spoke: Trouble | null;
  /** A TLS policy or credentials stood in the way; the last one. */
  held: Trouble | null;
  /** What the last unreachable address did. */
  unreachable: string | null;
  self: boolean;
  /** A fault of our own kept us from calling; the last one. */
  own: Trouble | null;
}

export function emptyTally(): RouteTally {
  return { spoke: null, held: null, unreachable: null, self: false, own: null };
}

/** Lost without a word after the end of the message: the server may have it (RFC 5321 §4.5.4.1). */
export function isDoubtful({ kind, phase, reply }: SessionProblem): boolean {
  return kind === 'lost' && phase === 'data-end' && reply === null;
}

const DOUBT = ' after the whole message was sent, so it may have arrived all the same';

/** How a connection that never got ready, or was lost, counts. */
export function judgeProblem(
  problem: SessionProblem,
  host: string,
):
  | { readonly type: 'unreachable' }
  | { readonly type: 'self' }
  | { readonly type: 'spoke'; readonly trouble: Trouble }
  | { readonly type: 'held' | 'own'; readonly trouble: Trouble } {
  const reply = problem.reply === null ? null : replyText(problem.reply);
  const trouble = (kind: string, status: string): Trouble => {
    const text = reply === null ? problem.text : `${problem.text}: ${reply}`;
    return { kind, status, text: isDoubtful(problem) ? `${text}${DOUBT}` : text, host, reply };
  };
  switch (problem.kind) {
    case 'not-greeted':
      return { type: 'unreachable' };
    case 'self':
      return { type: 'self' };
    case 'tls-failed':
    case 'tls-unavailable':
      return { type: 'held', trouble: trouble('tls', '4.7.4') };
    case 'credentials':
      return { type: 'held', trouble: trouble('credentials', '4.7.8') };
    case 'source-address':
      return { type: 'own', trouble: trouble('local', '4.3.5') };
    case 'auth-deferred':
      return { type: 'spoke', trouble: trouble('spoke', statusOf(problem.reply, '4.7.0')) };
    case 'lost':
    case 'hello-refused':
      return { type: 'spoke', trouble: trouble('spoke', '4.4.2') };
  }
}

/** What a refusal of one recipient means: 4yz is tried elsewhere and later, 5yz is final. */
export function judgeRefusal(result: RecipientResult, host: string): Verdict {
  const { reply, stage } = result;
  const words = replyText(reply);
  const temporary = reply.code < 500;
  const greylisting = greylistingOf(reply);
  const waitMs = greylisting?.waitMs ?? null;
  const putOff =
    greylisting === null
      ? `put off ${STAGE_WORDS[stage]}`
      : `lets senders that it does not know yet come again later (greylisting${waitMs === null ? '' : `, here after ${formatDuration(waitMs)}`})`;
  const trouble: Trouble = {
    kind: temporary ? 'spoke' : 'refused',
    status: statusOf(reply, temporary ? '4.0.0' : '5.0.0'),
    text: `${host} ${temporary ? putOff : `refused ${STAGE_WORDS[stage]}`}: ${words}`,
    host,
    reply: words,
    ...(waitMs === null ? {} : { waitMs }),
  };
  return { type: temporary ? 'deferred' : 'failed', trouble };
}

const STAGE_WORDS = {
  mail: 'the sender',
  rcpt: 'the recipient',
  data: 'the message',
  'data-end': 'the message',
} as const;

/**
 * True when a recipient was refused only because the transaction had enough of them (RFC 5321 §4.5.3.1.10):
 * 452, or 552 from old servers, after others were accepted, and not for a full mailbox.
 */
export function isTooManyRecipients(result: RecipientResult, othersAccepted: boolean): boolean {
  const { code, enhanced } = result.reply;
  if (result.stage !== 'rcpt' || result.accepted || !othersAccepted) return false;
  return (code === 452 || code === 552) && (enhanced === undefined || /^[45]\.5\.3$/.test(enhanced));
}

/** True for a reply of the SMTP host that says our credentials are missing or wrong. */
export function isCredentialRefusal(reply: Reply): boolean {
  if ([530, 534, 535].includes(reply.code)) return true;
  return reply.code === 454 && (reply.enhanced ?? '4.7.0').startsWith('4.7.');
}

/** True for the policy refusals of the SMTP host that count towards holding it. */
export function isPolicyRefusal(result: RecipientResult): boolean {
  if (result.accepted || (result.stage !== 'mail' && result.stage !== 'rcpt')) return false;
  return result.reply.enhanced?.startsWith('5.7.') === true;
}

/**
 * What is to be done with the recipients left when every server of a route was tried. `fallback` names the
 * kind to ask the SMTP host's route for; without one `otherwise` counts.
 */
export function judgeRoute(
  via: Route['via'],
  tally: RouteTally,
): { readonly fallback: RouteFailureKind | null; readonly otherwise: Verdict } {
  if (tally.held !== null) return { fallback: null, otherwise: { type: 'deferred', trouble: tally.held } };
  if (tally.spoke !== null) return { fallback: null, otherwise: { type: 'deferred', trouble: tally.spoke } };
  if (tally.own !== null) return { fallback: null, otherwise: { type: 'own', trouble: tally.own } };
  const failed = (kind: 'self' | 'unreachable', text: string) => ({
    fallback: via === 'mx' ? kind : null,
    otherwise: judgeRouteFailure(routeFailure(kind, text), null),
  });
  if (tally.unreachable === null && tally.self) {
    return failed('self', 'The servers of this domain lead back to this server');
  }
  return failed('unreachable', `No server could be reached: ${tally.unreachable ?? 'no address to dial'}`);
}

/** What a route without hosts means for a recipient; the second NXDOMAIN or no-address running is final. */
export function judgeRouteFailure(failure: RouteFailure, lastKind: string | null): Verdict {
  const { kind, status, text } = failure;
  const trouble: Trouble = { kind, status, text, host: null, reply: null };
  if (failure.action === 'notice') return { type: 'failed', trouble };
  if (failure.action === 'retry') return { type: 'deferred', trouble };
  return { type: lastKind === kind ? 'failed' : 'confirm', trouble };
}

/** What a decision made again means that does not let the recipient go out. */
export function judgeRedecision(failure: Failure): Verdict {
  const reply = `${failure.code} ${failure.enhanced} ${failure.text}`;
  const own = failure.temporary && failure.enhanced.startsWith('4.3.');
  const trouble: Trouble = { kind: 'local', status: failure.enhanced, text: failure.text, host: null, reply };
  return { type: own ? 'own' : failure.temporary ? 'deferred' : 'failed', trouble };
}

export interface Timing {
  readonly now: number;
  readonly receivedAt: number;
  /** This one included. */
  readonly attempts: number;
  readonly settings: Pick<Settings, 'retryScheduleMs' | 'queueLifetimeMs'>;
  /** When the sender is to be told of the delay; null when not, or told already. */
  readonly delayNoticeAt: number | null;
}

/** Failed now, or the time of the next attempt (ms since 1970). */
export function whenNext(verdict: Verdict, timing: Timing): 'failed' | number {
  if (verdict.type === 'failed') return 'failed';
  const { now, receivedAt, settings } = timing;
  // A lifetime of 0 is over at once: the first failure is final.
  if (verdict.type !== 'own' && receivedAt + settings.queueLifetimeMs <= now) return 'failed';
  const at = afterWait(verdict.trouble, timing);
  // Most trouble of ours is over soon; what stays is asked for less and less often.
  if (verdict.type === 'own')
    return Math.min(at, now + OWN_AGAIN_MS * 2 ** Math.min(Math.max(timing.attempts, 1) - 1, 20));
  return verdict.type === 'confirm' ? Math.min(at, now + CONFIRM_WITHIN_MS) : at;
}

/** By the schedule, but not before a time the server named: it would begin to count anew, or take offence. */
function afterWait({ waitMs = 0 }: Trouble, timing: Timing): number {
  const at = nextOnSchedule(timing);
  const earliest = timing.now + waitMs;
  const delayNoticeAt = (timing.delayNoticeAt ?? 0) < earliest ? null : timing.delayNoticeAt;
  return onTime(Math.max(at, earliest), { ...timing, delayNoticeAt });
}

/** Time of the next attempt by the retry schedule, ms since 1970. */
export function nextOnSchedule({ now, attempts, settings }: Timing): number {
  const schedule = settings.retryScheduleMs;
  return now + (schedule[Math.min(Math.max(attempts, 1), schedule.length) - 1] ?? CONFIRM_WITHIN_MS);
}

/**
 * Not later than the delay notice is due and than the queue lifetime ends: an attempt is made then, and its outcome
 * told at once.
 */
function onTime(at: number, timing: Timing): number {
  return Math.min(at, ...noticePoints(timing));
}

/** When the sender is to be told something, unless the mail leaves before: of the delay, and of the end. */
export function noticePoints({ now, receivedAt, settings, delayNoticeAt }: Timing): number[] {
  const points = [receivedAt + settings.queueLifetimeMs, ...(delayNoticeAt === null ? [] : [delayNoticeAt])];
  return points.filter((point) => point > now);
}

/** When the sender is to be told that delivery takes longer; null when that is not wanted, or done. */
export function delayNoticeTime(
  { sender, receivedAt }: Pick<QueuedMessage, 'sender' | 'receivedAt'>,
  { dsn, delayNoticeSent }: Pick<QueuedRecipient, 'dsn' | 'delayNoticeSent'>,
  { delayNoticeMs }: Pick<Settings, 'delayNoticeMs'>,
): number | null {
  if (delayNoticeSent || sender === '' || delayNoticeMs <= 0 || !wantsNotice(dsn, 'DELAY')) return null;
  return receivedAt + delayNoticeMs;
}

/** The sender is to be told now that delivery takes longer. */
export function isDelayNoticeDue({ now, delayNoticeAt }: Timing): boolean {
  return delayNoticeAt !== null && delayNoticeAt <= now;
}

/** Attempts counted one by one for a notice. */
const MOST_ATTEMPTS = 1_001;

/** What the schedule has for a recipient whose attempts all fail from `nextAttemptAt` on. */
export function retryOutlook(nextAttemptAt: number, timing: Timing): RetryOutlook {
  const lifetimeEnd = timing.receivedAt + timing.settings.queueLifetimeMs;
  let at = nextAttemptAt;
  let attempts = 1;
  while (at < lifetimeEnd && attempts < MOST_ATTEMPTS) {
    const then = { ...timing, now: at, attempts: timing.attempts + attempts, delayNoticeAt: null };
    at = onTime(nextOnSchedule(then), then);
    attempts += 1;
  }
  return { nextAttemptAt, attempts, giveUpAt: Math.max(at, lifetimeEnd) };
}

function statusOf(reply: Reply | null, unknown: string): string {
  return reply?.enhanced ?? unknown;
}

/** Trouble with our own store, which defers mail and never returns it. */
export function ownTrouble(text: string): Verdict {
  return { type: 'own', trouble: { kind: 'local', status: '4.3.0', text, host: null, reply: null } };
}
