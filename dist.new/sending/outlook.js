import { ROUTE_FAILURE_KINDS, routeFailure } from '../routing/failures.js';
import { whyNoFallback } from '../routing/router.js';
import { formatDuration } from '../settings/text.js';
import { emptyTally, judgeRoute, judgeRouteFailure, whenNext } from './judge.js';
/** Further attempts told one by one. */
const MAX_SHOWN = 8;
/**
 * The five kinds for a route that MX resolution works out. A host that somebody entered (SMTP host, forward
 * host) can only be out of reach, or turn out to be ourselves by its greeting.
 */
export function outlookOf({ via, fallback }, settings) {
    if (via === 'mx' || fallback !== null)
        return ROUTE_FAILURE_KINDS.map((kind) => outlookOfMx(kind, settings));
    const unreachable = { ...emptyTally(), unreachable: '' };
    const outlook = [
        foretell('unreachable', via, () => judgeRoute(via, unreachable).otherwise, settings, null),
    ];
    if (via === 'forward')
        return outlook;
    const self = { ...emptyTally(), self: true };
    return [...outlook, foretell('self', via, () => judgeRoute(via, self).otherwise, settings, null)];
}
function outlookOfMx(kind, settings) {
    const refused = whyNoFallback(kind, settings);
    if (refused === null) {
        const { name, port } = settings.smtpHost ?? { name: '', port: 0 };
        const text = `the SMTP host ${name} port ${port} instead, in the same attempt`;
        return { kind, status: null, action: 'smtp-host', via: 'smtp-host', retryAfterSeconds: [], text };
    }
    const verdict = (lastKind) => judgeRouteFailure(routeFailure(kind, ''), lastKind);
    return foretell(kind, 'mx', verdict, settings, refused);
}
/** True when the first such verdict on a new message is the last one. */
export function isFinalAtOnce(verdict, settings) {
    return whenNext(verdict, { now: 0, receivedAt: 0, attempts: 1, settings }) === 'failed';
}
/** The same failure at every attempt, from the arrival of a message on. */
function foretell(kind, via, verdictAfter, settings, why) {
    const times = [];
    let verdict = verdictAfter(null);
    let ends = false;
    while (!ends && times.length < MAX_SHOWN) {
        const timing = { now: times.at(-1) ?? 0, receivedAt: 0, attempts: times.length + 1, settings };
        const next = whenNext(verdict, timing);
        if (next === 'failed')
            ends = true;
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
