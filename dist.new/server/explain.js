/**
 * Explain: the decision and the route for an address in advance, by the same code that decides and routes,
 * live. Nothing is connected to but DNS.
 */
import { parseAddress } from '../mail/address.js';
import { decide } from '../receiving/decision.js';
const MAILBOX = { via: 'mailbox', fallback: null, failure: null, hosts: [] };
export async function explain(deps, routes, request) {
    const recipient = parseAddress(request.recipient);
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
    const route = await routeOf(routes, decision, target, request.settings, steps);
    return {
        recipient: recipient.value.text,
        decision: decision.decision,
        rule: decision.rule,
        reply: replyJson(decision.reply),
        route,
        steps,
    };
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
/** The route of what the decision leads to: outward, or the mailbox. */
async function routeOf(routes, decision, target, settings, steps) {
    if (decision.reply.code >= 400 || decision.decision === 'notice')
        return null;
    if (target === null)
        return MAILBOX;
    const route = await routes.plan(target, {
        settings,
        fresh: true,
        assumedExternal: decision.assumedExternal,
    });
    steps.push(...route.steps);
    return routeJson(route);
}
function routeJson(route) {
    const { via, fallback, failure, hosts } = route;
    return {
        via,
        fallback,
        failure: failure === null
            ? null
            : {
                kind: failure.kind,
                status: failure.status,
                action: failure.action === 'notice' ? 'notice' : 'retry',
            },
        hosts: hosts.map(({ name, port, preference, addresses }) => ({ name, port, preference, addresses })),
    };
}
