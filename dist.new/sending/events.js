/** Timeline entries of an attempt, kept short: they are stored with every message. */
import { formatMessageId } from '../mail/message-id.js';
/** MX records shown. */
const MAX_MX = 10;
export function attemptEvent(recipients, route, hosts, startedAt, 
/** What dialling came to when nobody was delivered to; a route without hosts brings its own failure. */
failure = null) {
    const detail = {
        startedAt: new Date(startedAt).toISOString(),
        durationMs: Date.now() - startedAt,
        recipients: recipients.length,
        via: route.via,
        fallback: route.fallback,
        mx: mxSummary(route),
        failure: route.failure === null ? failure : `${route.failure.kind}: ${route.failure.text}`,
        hosts,
    };
    return {
        kind: 'attempt',
        recipient: onlyOne(recipients),
        detail,
    };
}
/** The recipient an entry is about, null when it is about several. */
function onlyOne(recipients) {
    return recipients.length === 1 ? (recipients[0]?.address ?? null) : null;
}
/** `why` for a fallback taken after dialling; otherwise the route's own steps say it. */
export function fallbackEvent(recipients, route, why) {
    const step = route.steps.findLast(({ kind }) => kind === 'fallback');
    const host = route.smtpHost?.name ?? null;
    return {
        kind: 'fallback',
        recipient: onlyOne(recipients),
        detail: { failure: route.fallback, why: why ?? step?.text ?? null, host },
    };
}
export function noticeEvent(notice, kind) {
    const to = notice.recipients.map(({ address }) => address);
    return { kind: 'notice', recipient: null, detail: { id: formatMessageId(notice.id), to, notice: kind } };
}
function mxSummary({ mx }) {
    if (mx === null)
        return null;
    if (mx.status === 'no-answer')
        return `no answer: ${mx.detail}`;
    if (mx.status !== 'ok')
        return mx.status;
    return mx.records
        .slice(0, MAX_MX)
        .map(({ preference, exchange }) => `${preference} ${exchange === '' ? '.' : exchange}`)
        .join(', ');
}
