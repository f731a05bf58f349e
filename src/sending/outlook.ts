/** What each kind of failure would lead to, told by the functions that judge it when it comes. */
import type { Route } from '../routing/contract.ts';
import { ROUTE_FAILURE_KINDS, routeFailure } from '../routing/failures.ts';
import { whyNoFallback } from '../routing/router.ts';
import { smtpHostsFor } from '../routing/way.ts';
import { formatDuration } from '../settings/text.ts';
import type { RouteFailureKind, Settings, SmtpHost } from '../settings/values.ts';
import type { SessionProblem } from '../smtp/sender-contract.ts';
import {
  emptyTally,
  judgeProblem,
  judgeRefusal,
  judgeRoute,
  judgeRouteFailure,
  type RouteTally,
  type Verdict,
  whenNext,
} from './judge.ts';

/** Further attempts told one by one. */
const MAX_SHOWN = 8;

/**
 * `spoke`: a server was lost after its greeting, refused EHLO and HELO, or put the message off (4yz).
 * `refused`: it refused the message (5yz). `tls`, `credentials`: the SMTP host's own.
 */
export type OutlookKind = RouteFailureKind | 'spoke' | 'refused' | 'tls' | 'credentials';

/** What one kind of failure would lead to. */
export interface Outlook {
  readonly kind: OutlookKind;
  /**
   * Of the failure notice it ends in; null when the SMTP host steps in, with which it does not end, and when
   * the server's reply brings it.
   */
  readonly status: string | null;
  /** `retry`: again, then a failure notice. `notice`: at once. `smtp-host`: it steps in, in the same attempt. */
  readonly action: 'retry' | 'notice' | 'smtp-host';
  /** Where mail would go next; null with `notice`. */
  readonly via: Route['via'] | null;
  /** Times of the next attempts, counted from the arrival of the message, the first few. */
  readonly retryAfterSeconds: readonly number[];
  readonly text: string;
}

/**
 * First why no server is reached: five kinds where MX resolution works out the route; a host that somebody
 * entered (SMTP host, forward host) can only be out of reach, or turn out to be ourselves by its greeting. Then
 * what a server that is reached may do.
 */
export function outlookOf(
  route: Pick<Route, 'via' | 'fallback'> & Partial<Pick<Route, 'smtpHost' | 'tls'>>,
  settings: Settings,
  sender = '',
): Outlook[] {
  const byMx = route.via === 'mx' || route.fallback !== null;
  const via = byMx ? 'mx' : route.via;
  const before = byMx
    ? ROUTE_FAILURE_KINDS.map((kind) => outlookOfMx(kind, settings, sender))
    : outlookOfEntered(via, settings);
  const after = [outlookOfSpoke(via, settings), outlookOfRefused(settings)];
  if (route.via === 'smtp-host') {
    return [...before, ...after, ...outlookOfSmtpHost(route.smtpHost ?? settings.smtpHost, settings)];
  }
  const strict = route.tls === 'encrypt' || route.tls === 'verify';
  if (!strict) return [...before, ...after];
  return [...before, ...after, onRoute('tls', route.via, afterProblem('tls-unavailable'), settings)];
}

function outlookOfEntered(via: Route['via'], settings: Settings): Outlook[] {
  const unreachable = onRoute('unreachable', via, { ...emptyTally(), unreachable: '' }, settings);
  if (via === 'forward') return [unreachable];
  return [unreachable, onRoute('self', via, { ...emptyTally(), self: true }, settings)];
}

function outlookOfSpoke(via: Route['via'], settings: Settings): Outlook {
  const tally = afterProblem('lost');
  const { status } = judgeRoute(via, tally).otherwise.trouble;
  const outlook = onRoute('spoke', via, tally, settings, {
    why: via === 'mx' ? 'no fallback to the SMTP host: the server spoke' : null,
    notice: `with the server's own status, ${status} when it was lost`,
  });
  return { ...outlook, status: null, text: `the next server first; when none takes it, ${outlook.text}` };
}

function outlookOfRefused(settings: Settings): Outlook {
  const reply = { code: 550, lines: [] };
  const verdict = () => judgeRefusal({ accepted: false, stage: 'rcpt', reply }, '');
  const notice = "with the server's own words and status";
  return { ...foretell('refused', 'mx', verdict, settings, { why: null, notice }), status: null };
}

/** What may stand in the way of a message at the SMTP host alone: the TLS asked for, and signing in. */
function outlookOfSmtpHost(smtpHost: SmtpHost | null, settings: Settings): Outlook[] {
  const { tls, username } = smtpHost ?? { tls: 'none', username: '' };
  const told: Outlook[] = [];
  if (tls === 'required' || tls === 'implicit')
    told.push(onRoute('tls', 'smtp-host', afterProblem('tls-unavailable'), settings));
  if (username !== '') told.push(onRoute('credentials', 'smtp-host', afterProblem('credentials'), settings));
  return told;
}

/** What one server leaves behind that ended in this way. */
function afterProblem(kind: SessionProblem['kind']): RouteTally {
  const judged = judgeProblem({ kind, phase: 'ehlo', reply: null, text: '' }, '');
  const tally = emptyTally();
  if (judged.type === 'spoke') tally.spoke = judged.trouble;
  if (judged.type === 'held') tally.held = judged.trouble;
  return tally;
}

function onRoute(
  kind: OutlookKind,
  via: Route['via'],
  tally: RouteTally,
  settings: Settings,
  words: Words = NO_WORDS,
): Outlook {
  return foretell(kind, via, () => judgeRoute(via, tally).otherwise, settings, words);
}

function outlookOfMx(kind: RouteFailureKind, settings: Settings, sender: string): Outlook {
  const refused = whyNoFallback(kind, settings);
  if (refused === null) {
    const { name, port } = smtpHostsFor(settings, sender).hosts[0] ?? { name: '', port: 0 };
    const text = `the SMTP host ${name} port ${port} instead, in the same attempt`;
    return { kind, status: null, action: 'smtp-host', via: 'smtp-host', retryAfterSeconds: [], text };
  }
  const verdict = (lastKind: string | null) => judgeRouteFailure(routeFailure(kind, ''), lastKind);
  return foretell(kind, 'mx', verdict, settings, { why: refused, notice: null });
}

/** True when the first such verdict on a new message is the last one. */
export function isFinalAtOnce(verdict: Verdict, settings: Settings): boolean {
  return (
    whenNext(verdict, { now: 0, receivedAt: 0, attempts: 1, settings, delayNoticeAt: null }) === 'failed'
  );
}

interface Words {
  /** Why the SMTP host does not step in, null where that is no question. */
  readonly why: string | null;
  /** What is to be said of the failure notice; null for its status. */
  readonly notice: string | null;
}

const NO_WORDS: Words = { why: null, notice: null };

/** The same failure at every attempt, from the arrival of a message on. */
function foretell(
  kind: OutlookKind,
  via: Route['via'],
  verdictAfter: (lastKind: string | null) => Verdict,
  settings: Settings,
  words: Words,
): Outlook {
  const times: number[] = [];
  let verdict = verdictAfter(null);
  let ends = false;
  const told = settings.delayNoticeMs > 0 ? settings.delayNoticeMs : null;
  while (!ends && times.length < MAX_SHOWN) {
    const now = times.at(-1) ?? 0;
    const delayNoticeAt = told !== null && told > now ? told : null;
    const timing = { now, receivedAt: 0, attempts: times.length + 1, settings, delayNoticeAt };
    const next = whenNext(verdict, timing);
    if (next === 'failed') ends = true;
    else {
      times.push(next);
      verdict = verdictAfter(verdict.trouble.kind);
    }
  }
  const { status } = verdict.trouble;
  const reason = words.why === null ? '' : ` (${words.why})`;
  const notice = `failure notice ${words.notice ?? status}`;
  const retryAfterSeconds = times.map((ms) => Math.round(ms / 1000));
  if (times.length === 0) {
    const text = `${notice} at once${reason}`;
    return { kind, status, action: 'notice', via: null, retryAfterSeconds, text };
  }
  const waits = times.map((at, index) => formatDuration(at - (times[index - 1] ?? 0))).join(', ');
  const rest = ends ? '' : `, and so on for ${formatDuration(settings.queueLifetimeMs)}`;
  const text = `tried again after ${waits}${rest}, then ${notice}${reason}`;
  return { kind, status, action: 'retry', via, retryAfterSeconds, text };
}
