/** What each kind of failure of a route would lead to, told by the functions that judge it when it comes. */
import type { Route } from '../routing/contract.ts';
import { ROUTE_FAILURE_KINDS, routeFailure } from '../routing/failures.ts';
import { whyNoFallback } from '../routing/router.ts';
import { formatDuration } from '../settings/text.ts';
import type { RouteFailureKind, Settings } from '../settings/values.ts';
import { emptyTally, judgeRoute, judgeRouteFailure, type Verdict, whenNext } from './judge.ts';

/** Further attempts told one by one. */
const MAX_SHOWN = 8;

/** What one kind of failure would lead to. */
export interface Outlook {
  readonly kind: RouteFailureKind;
  /** Of the failure notice it ends in; null when the SMTP host steps in, with which it does not end. */
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
 * The five kinds for a route that MX resolution works out. A host that somebody entered (SMTP host, forward
 * host) can only be out of reach, or turn out to be ourselves by its greeting.
 */
export function outlookOf({ via, fallback }: Pick<Route, 'via' | 'fallback'>, settings: Settings): Outlook[] {
  if (via === 'mx' || fallback !== null)
    return ROUTE_FAILURE_KINDS.map((kind) => outlookOfMx(kind, settings));
  const unreachable = { ...emptyTally(), unreachable: '' };
  const outlook = [
    foretell('unreachable', via, () => judgeRoute(via, unreachable).otherwise, settings, null),
  ];
  if (via === 'forward') return outlook;
  const self = { ...emptyTally(), self: true };
  return [...outlook, foretell('self', via, () => judgeRoute(via, self).otherwise, settings, null)];
}

function outlookOfMx(kind: RouteFailureKind, settings: Settings): Outlook {
  const refused = whyNoFallback(kind, settings);
  if (refused === null) {
    const { name, port } = settings.smtpHost ?? { name: '', port: 0 };
    const text = `the SMTP host ${name} port ${port} instead, in the same attempt`;
    return { kind, status: null, action: 'smtp-host', via: 'smtp-host', retryAfterSeconds: [], text };
  }
  const verdict = (lastKind: string | null) => judgeRouteFailure(routeFailure(kind, ''), lastKind);
  return foretell(kind, 'mx', verdict, settings, refused);
}

/** True when the first such verdict on a new message is the last one. */
export function isFinalAtOnce(verdict: Verdict, settings: Settings): boolean {
  return whenNext(verdict, { now: 0, receivedAt: 0, attempts: 1, settings }) === 'failed';
}

/** The same failure at every attempt, from the arrival of a message on. */
function foretell(
  kind: RouteFailureKind,
  via: Route['via'],
  verdictAfter: (lastKind: string | null) => Verdict,
  settings: Settings,
  why: string | null,
): Outlook {
  const times: number[] = [];
  let verdict = verdictAfter(null);
  let ends = false;
  while (!ends && times.length < MAX_SHOWN) {
    const timing = { now: times.at(-1) ?? 0, receivedAt: 0, attempts: times.length + 1, settings };
    const next = whenNext(verdict, timing);
    if (next === 'failed') ends = true;
    else {
      times.push(next);
      verdict = verdictAfter(verdict.trouble.kind);
    }
  }
  const { status } = verdict.trouble;
  const reason = why === null ? '' : ` (${why})`;
  const retryAfterSeconds = times.map((ms) => Math.round(ms / 1000));
  if (times.length === 0) {
    const text = `failure notice ${status} at once${reason}`;
    return { kind, status, action: 'notice', via: null, retryAfterSeconds, text };
  }
  const waits = times.map((at, index) => formatDuration(at - (times[index - 1] ?? 0))).join(', ');
  const rest = ends ? '' : `, and so on for ${formatDuration(settings.queueLifetimeMs)}`;
  const text = `tried again after ${waits}${rest}, then failure notice ${status}${reason}`;
  return { kind, status, action: 'retry', via, retryAfterSeconds, text };
}
