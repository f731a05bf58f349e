import { replyText } from '../mail/reply.js';
import { routeFailure } from '../routing/failures.js';
/** The second lookup of NXDOMAIN and no-address comes within this time. */
export const CONFIRM_WITHIN_MS = 5 * 60_000;
export function emptyTally() {
    return { spoke: null, held: null, unreachable: null, self: false };
}
/** How a connection that never got ready, or was lost, counts. */
export function judgeProblem(problem, host) {
    const reply = problem.reply === null ? null : replyText(problem.reply);
    const trouble = (kind, status) => {
        const text = reply === null ? problem.text : `${problem.text}: ${reply}`;
        return { kind, status, text, host, reply };
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
        case 'auth-deferred':
            return { type: 'spoke', trouble: trouble('spoke', statusOf(problem.reply, '4.7.0')) };
        case 'lost':
        case 'hello-refused':
            return { type: 'spoke', trouble: trouble('spoke', '4.4.2') };
    }
}
/** What a refusal of one recipient means: 4yz is tried elsewhere and later, 5yz is final. */
export function judgeRefusal(result, host) {
    const { reply, stage } = result;
    const words = replyText(reply);
    const temporary = reply.code < 500;
    const trouble = {
        kind: temporary ? 'spoke' : 'refused',
        status: statusOf(reply, temporary ? '4.0.0' : '5.0.0'),
        text: `${host} ${temporary ? 'put off' : 'refused'} ${STAGE_WORDS[stage]}: ${words}`,
        host,
        reply: words,
    };
    return { type: temporary ? 'deferred' : 'failed', trouble };
}
const STAGE_WORDS = {
    mail: 'the sender',
    rcpt: 'the recipient',
    data: 'the message',
    'data-end': 'the message',
};
/**
 * True when a recipient was refused only because the transaction had enough of them (RFC 5321 §4.5.3.1.10):
 * 452, or 552 from old servers, after others were accepted, and not for a full mailbox.
 */
export function isTooManyRecipients(result, othersAccepted) {
    const { code, enhanced } = result.reply;
    if (result.stage !== 'rcpt' || result.accepted || !othersAccepted)
        return false;
    return (code === 452 || code === 552) && (enhanced === undefined || /^[45]\.5\.3$/.test(enhanced));
}
/** True for a reply of the SMTP host that says our credentials are missing or wrong. */
export function isCredentialRefusal(reply) {
    if ([530, 534, 535].includes(reply.code))
        return true;
    return reply.code === 454 && (reply.enhanced ?? '4.7.0').startsWith('4.7.');
}
/** True for the policy refusals of the SMTP host that count towards holding it. */
export function isPolicyRefusal(result) {
    if (result.accepted || (result.stage !== 'mail' && result.stage !== 'rcpt'))
        return false;
    return result.reply.enhanced?.startsWith('5.7.') === true;
}
/**
 * What is to be done with the recipients left when every server of a route was tried. `fallback` names the
 * kind to ask the SMTP host's route for; without one `otherwise` counts.
 */
export function judgeRoute(via, tally) {
    if (tally.held !== null)
        return { fallback: null, otherwise: { type: 'deferred', trouble: tally.held } };
    if (tally.spoke !== null)
        return { fallback: null, otherwise: { type: 'deferred', trouble: tally.spoke } };
    const failed = (kind, text) => ({
        fallback: via === 'mx' ? kind : null,
        otherwise: judgeRouteFailure(routeFailure(kind, text), null),
    });
    if (tally.unreachable === null && tally.self) {
        return failed('self', 'The servers of this domain lead back to this server');
    }
    return failed('unreachable', `No server could be reached: ${tally.unreachable ?? 'no address to dial'}`);
}
/** What a route without hosts means for a recipient; the second NXDOMAIN or no-address running is final. */
export function judgeRouteFailure(failure, lastKind) {
    const { kind, status, text } = failure;
    const trouble = { kind, status, text, host: null, reply: null };
    if (failure.action === 'notice')
        return { type: 'failed', trouble };
    if (failure.action === 'retry')
        return { type: 'deferred', trouble };
    return { type: lastKind === kind ? 'failed' : 'confirm', trouble };
}
/** What a decision made again means that does not let the recipient go out. */
export function judgeRedecision(failure) {
    const reply = `${failure.code} ${failure.enhanced} ${failure.text}`;
    const own = failure.temporary && failure.enhanced.startsWith('4.3.');
    const trouble = { kind: 'local', status: failure.enhanced, text: failure.text, host: null, reply };
    return { type: own ? 'own' : failure.temporary ? 'deferred' : 'failed', trouble };
}
/** Failed now, or the time of the next attempt (ms since 1970). */
export function whenNext(verdict, timing) {
    if (verdict.type === 'failed')
        return 'failed';
    const { now, receivedAt, settings } = timing;
    // A lifetime of 0 is over at once: the first failure is final.
    if (verdict.type !== 'own' && receivedAt + settings.queueLifetimeMs <= now)
        return 'failed';
    const at = nextOnSchedule(timing);
    return verdict.type === 'confirm' ? Math.min(at, now + CONFIRM_WITHIN_MS) : at;
}
/** Time of the next attempt by the retry schedule, ms since 1970. */
export function nextOnSchedule({ now, attempts, settings }) {
    const schedule = settings.retryScheduleMs;
    return now + (schedule[Math.min(Math.max(attempts, 1), schedule.length) - 1] ?? CONFIRM_WITHIN_MS);
}
/** The sender is to be told now that delivery takes longer. */
export function isDelayNoticeDue(timing, alreadySent, sender) {
    const { delayNoticeMs } = timing.settings;
    return (!alreadySent && sender !== '' && delayNoticeMs > 0 && timing.now - timing.receivedAt >= delayNoticeMs);
}
function statusOf(reply, unknown) {
    return reply?.enhanced ?? unknown;
}
