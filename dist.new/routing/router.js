import { describeError } from '../mail/failure.js';
import { addressSteps, findEnteredHost, limitHosts, sortAddresses } from './addresses.js';
import { routeFailure } from './failures.js';
import { findByMx } from './mx-route.js';
import { machineAddresses, ourselves } from './self.js';
/** Finds where mail goes: a forward host, the servers of a domain by MX, or the SMTP host. */
export class Router {
    #resolver;
    #self;
    #hostsFile;
    #interfaces;
    #random;
    constructor(options) {
        this.#resolver = options.resolver;
        this.#self = options.self;
        this.#hostsFile = options.hostsFile ?? '/etc/hosts';
        this.#interfaces = options.interfaces ?? machineAddresses;
        this.#random = options.random ?? Math.random;
    }
    async plan(target, options) {
        try {
            return target.type === 'forward'
                ? await this.#forward(target, options)
                : await this.#external(target, options);
        }
        catch (error) {
            const via = target.type === 'forward' ? 'forward' : 'mx';
            return brokenRoute(via, null, error);
        }
    }
    async fallback(kind, settings) {
        if (whyNoFallback(kind, settings) !== null)
            return null;
        try {
            return await this.#smtpHost(settings, kind, false, [takenStep(kind, settings)], null);
        }
        catch (error) {
            return brokenRoute('smtp-host', kind, error);
        }
    }
    /** Who "ourselves" is under these settings; also for checking an SMTP host or forward host entered. */
    ourselves(settings) {
        return ourselves(this.#self(), settings, this.#interfaces());
    }
    async #external({ domain }, { settings, fresh, assumedExternal }) {
        const before = [];
        if (assumedExternal) {
            before.push({
                kind: 'rule',
                text: `${domain} is hosted here, and the recipient is assumed to be external`,
            });
        }
        if (!settings.useMxResolution) {
            const text = 'MX resolution is off: everything external goes to the SMTP host';
            return this.#smtpHost(settings, null, fresh, [...before, { kind: 'rule', text }], null);
        }
        const question = {
            domain,
            port: settings.outboundPort,
            allowPrivate: settings.allowPrivateAddresses,
            fresh,
        };
        const context = { resolver: this.#resolver, us: this.ourselves(settings), random: this.#random };
        const found = await findByMx(question, context);
        return this.#afterMx({ ...found, steps: [...before, ...found.steps] }, settings, fresh);
    }
    /** The servers found, or the SMTP host in their place when settings allow it. */
    async #afterMx(found, settings, fresh) {
        const { hosts, failure, mx, steps } = found;
        const base = { via: 'mx', fallback: null, hosts, failure, smtpHost: null, mx };
        if (failure === null)
            return { ...base, steps: [...steps, ...routeSteps(hosts)] };
        if (!isFallbackKind(failure.kind)) {
            const text = 'no fallback to the SMTP host: the answer is definite';
            return { ...base, steps: [...steps, { kind: 'fallback', text }] };
        }
        const refused = whyNoFallback(failure.kind, settings);
        if (refused !== null)
            return { ...base, steps: [...steps, { kind: 'fallback', text: refused }] };
        return this.#smtpHost(settings, failure.kind, fresh, [...steps, takenStep(failure.kind, settings)], mx);
    }
    async #smtpHost(settings, fallback, fresh, before, mx) {
        const { smtpHost } = settings;
        const base = { via: 'smtp-host', fallback, smtpHost, mx };
        const failure = (text, status = '4.4.1') => {
            return { kind: 'smtp-host-unresolved', status, action: 'retry', text };
        };
        if (smtpHost === null) {
            const missing = failure('no SMTP host is entered');
            return {
                ...base,
                hosts: [],
                failure: missing,
                steps: [...before, { kind: 'route', text: missing.text }],
            };
        }
        const found = await this.#entered(smtpHost, settings, fresh, (problem) => failure(`the SMTP host ${smtpHost.name} ${problem.text}`, problem.loop ? '4.4.6' : '4.4.1'));
        return { ...base, ...found, steps: [...before, ...found.steps] };
    }
    async #forward({ domain, host, port }, { settings, fresh }) {
        const rule = { kind: 'rule', text: `${domain} is forwarded to ${host} port ${port}` };
        const found = await this.#entered({ name: host, port }, settings, fresh, (problem) => {
            const status = problem.loop ? '4.4.6' : problem.noAnswer ? '4.4.3' : '4.4.4';
            const text = `the forward host ${host} of ${domain} ${problem.text}`;
            return { kind: 'forward-unresolved', status, action: 'retry', text };
        });
        const base = { via: 'forward', fallback: null, smtpHost: null, mx: null };
        return { ...base, ...found, steps: [rule, ...found.steps] };
    }
    /** A host that someone entered: found by address, private ones allowed, never ourselves. */
    async #entered({ name, port }, settings, fresh, failure) {
        const entered = await findEnteredHost(name, this.#resolver, this.#hostsFile, fresh);
        const sorted = sortAddresses(entered.addresses, port, this.ourselves(settings), true);
        const { addresses, rejected } = sorted;
        const found = entered.addresses.length > 0;
        const steps = found ? [...entered.steps, ...addressSteps(name, port, sorted)] : entered.steps;
        if (addresses.length === 0) {
            const text = found ? 'is this server itself' : 'has no address that DNS or the hosts file knows';
            const problem = failure({ text, noAnswer: entered.noAnswer, loop: found });
            return { hosts: [], failure: problem, steps: [...steps, { kind: 'route', text: problem.text }] };
        }
        const { hosts } = limitHosts([{ name, port, preference: null, addresses, rejected }]);
        return { hosts, failure: null, steps: [...steps, ...routeSteps(hosts)] };
    }
}
function isFallbackKind(kind) {
    return kind !== 'null-mx' && kind !== 'smtp-host-unresolved' && kind !== 'forward-unresolved';
}
/** Why the SMTP host does not step in, or null when it does. */
export function whyNoFallback(kind, settings) {
    if (!settings.fallbackToSmtpHost)
        return 'no fallback to the SMTP host: it is off';
    if (!settings.useMxResolution)
        return 'no fallback to the SMTP host: MX resolution is off';
    if (!settings.fallbackOn.includes(kind))
        return `no fallback to the SMTP host: not chosen for ${kind}`;
    return settings.smtpHost === null ? 'no fallback to the SMTP host: none is entered' : null;
}
function takenStep(kind, { smtpHost }) {
    const host = smtpHost === null ? '' : ` ${smtpHost.name} port ${smtpHost.port}`;
    return { kind: 'fallback', text: `MX failed (${kind}), so the SMTP host${host} is used instead` };
}
function routeSteps(hosts) {
    const order = hosts.map(({ name, port, addresses }) => `${name} port ${port} (${addresses.join(', ')})`);
    return [{ kind: 'route', text: `to be tried in this order: ${order.join('; ')}` }];
}
/** A fault of ours must not lose mail: it is retried. */
function brokenRoute(via, fallback, error) {
    const text = `the route could not be worked out: ${describeError(error)}`;
    const failure = routeFailure('no-answer', text);
    const steps = [{ kind: 'route', text }];
    return { via, fallback, hosts: [], failure, smtpHost: null, mx: null, steps };
}
