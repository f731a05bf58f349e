/** MX records shown. */
const MAX_MX = 10;
export function attemptEvent(recipients, route, hosts, startedAt) {
    const detail = {
        startedAt: new Date(startedAt).toISOString(),
        durationMs: Date.now() - startedAt,
        recipients: recipients.length,
        via: route.via,
        fallback: route.fallback,
        mx: mxSummary(route),
        failure: route.failure === null ? null : `${route.failure.kind}: ${route.failure.text}`,
        hosts,
    };
    return {
        kind: 'attempt',
        recipient: recipients.length === 1 ? (recipients[0]?.address ?? null) : null,
        detail,
    };
}
/** `why` for a fallback taken after dialling; otherwise the route's own steps say it. */
export function fallbackEvent(route, why) {
    const step = route.steps.findLast(({ kind }) => kind === 'fallback');
    const host = route.smtpHost?.name ?? null;
    return {
        kind: 'fallback',
        recipient: null,
        detail: { kind: route.fallback, why: why ?? step?.text ?? null, host },
    };
}
export function noticeEvent(notice, kind) {
    const to = notice.recipients.map(({ address }) => address);
    return { kind: 'notice', recipient: null, detail: { id: notice.id, to, kind } };
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
