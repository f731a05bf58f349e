/**
 * Explain: the decision and the route for an address in advance, by the same code that decides and routes,
 * live. Nothing is connected to but DNS, unless `connect` asks for it.
 */
import { parseAddress } from '../mail/address.js';
import { ok } from '../mail/failure.js';
import { decide } from '../receiving/decision.js';
import { judgeRouteFailure } from '../sending/judge.js';
import { isFinalAtOnce, outlookOf } from '../sending/outlook.js';
import { reachServers } from '../sending/reach.js';
const MAILBOX = { via: 'mailbox', fallback: null, failure: null, hosts: [] };
export async function explain(deps, routes, request) {
    const recipient = recipientOf(request.recipient);
    if (!recipient.ok) {
        const { code, enhanced, text } = recipient.failure;
        const steps = [{ kind: 'rule', text }];
        return {
            recipient: request.recipient,
            decision: 'refused',
            rule: 'invalid-address',
            reply: { code, enhanced, text },
            route: null,
            steps,
            ...notOutward(request),
        };
    }
    const sender = request.from === undefined || request.from === '' ? null : parseAddress(request.from);
    const decision = await decide(deps, {
        recipient: recipient.value,
        client: request.client,
        sender: sender?.ok ? sender.value : null,
        declaredSizeBytes: 0,
        settings: request.settings,
        purpose: 'explain',
    });
    const steps = [...decision.steps];
    const target = await targetOf(deps, request, decision);
    const route = await routeOf(routes, decision, target, request.settings);
    steps.push(...(route?.steps ?? []));
    return {
        recipient: recipient.value.text,
        decision: decision.decision,
        rule: decision.rule,
        reply: replyJson(decision.reply),
        route: route === null ? withoutServers(decision) : routeJson(route, request.settings),
        steps,
        ...(route === null ? notOutward(request) : await lookAhead(route, request)),
    };
}
function notOutward({ connectAs }) {
    return { outlook: [], connect: connectAs === null ? null : [] };
}
async function lookAhead(route, { settings, connectAs }) {
    const connect = connectAs === null ? null : await reachServers(route, { hostname: connectAs, settings });
    return { outlook: outlookOf(route, settings), connect };
}
/** `postmaster` alone is a recipient too (RFC 5321 §4.1.1.3). */
function recipientOf(text) {
    if (!/^postmaster$/i.test(text))
        return parseAddress(text);
    return ok({ text, localPart: text, domain: '', utf8: false });
}
function replyJson(reply) {
    return { code: reply.code, enhanced: reply.enhanced ?? '', text: reply.lines.join(' ') };
}
/** Where the first outward recipient goes: by the decision itself, or for an alias's target by its own. */
async function targetOf(deps, request, decision) {
    if (decision.target !== null)
        return decision.target;
    const queued = decision.recipients.find((recipient) => recipient.to.type === 'queue');
    const address = queued === undefined ? null : parseAddress(queued.address);
    if (address === null || !address.ok)
        return null;
    const { client, settings } = request;
    const next = {
        recipient: address.value,
        client,
        sender: null,
        declaredSizeBytes: 0,
        settings,
        purpose: 'queue',
    };
    return (await decide(deps, next)).target;
}
function isAccepted(decision) {
    return decision.reply.code < 400 && decision.decision !== 'notice';
}
/** The route of what the decision leads to; null when it does not lead outward. */
async function routeOf(routes, decision, target, settings) {
    if (!isAccepted(decision) || target === null)
        return null;
    return routes.plan(target, { settings, fresh: true, assumedExternal: decision.assumedExternal });
}
/** Mail that does not go outward goes to a mailbox, if anywhere. */
function withoutServers(decision) {
    return isAccepted(decision) ? MAILBOX : null;
}
function routeJson({ via, fallback, failure, hosts }, settings) {
    return {
        via,
        fallback,
        failure: failure === null
            ? null
            : {
                kind: failure.kind,
                status: failure.status,
                action: isFinalAtOnce(judgeRouteFailure(failure, null), settings) ? 'notice' : 'retry',
            },
        hosts: hosts.map(({ name, port, preference, addresses }) => ({ name, port, preference, addresses })),
    };
}
