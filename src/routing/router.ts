import type { Answer, MxRecord, Resolver } from '../dns/contract.ts';
import { describeError } from '../mail/failure.ts';
import { type DestinationRule, destinationRule } from '../settings/destination-rules.ts';
import type { RouteFailureKind, Settings, SmtpHost } from '../settings/values.ts';
import { addressSteps, findEnteredHost, limitHosts, sortAddresses } from './addresses.ts';
import type { Route, RouteFailure, RouteHost, RouteOptions, RouteStep, Routes, Target } from './contract.ts';
import { ROUTE_FAILURE_KINDS, routeFailure } from './failures.ts';
import { findByMx, type MxFindings } from './mx-route.ts';
import { machineAddresses, type Ourselves, ourselves, type SelfDescription } from './self.ts';
import { chooseWay, ruleSteps, smtpHostsFor, type Way } from './way.ts';

export interface RouterOptions {
  readonly resolver: Resolver;
  /** Asked at each plan: listeners open late and names change. */
  readonly self: () => SelfDescription;
  /** Default `/etc/hosts`; only for the SMTP host and forward hosts. */
  readonly hostsFile?: string;
  /** Addresses of this machine; default: those of its interfaces. */
  readonly interfaces?: () => readonly string[];
  /** From 0 up to, not including, 1; for the order of equal MX. */
  readonly random?: () => number;
}

/** What came of looking for servers before the SMTP hosts are asked for. */
interface Before {
  readonly steps: readonly RouteStep[];
  readonly mx: Answer<MxRecord> | null;
}

const NOTHING: Before = { steps: [], mx: null };

/** A route that says nothing out of the ordinary. */
const BARE = {
  fallback: null,
  hosts: [],
  failure: null,
  smtpHost: null,
  tls: null,
  held: false,
  mx: null,
} as const satisfies Partial<Route>;

interface EnteredRoute {
  readonly hosts: readonly RouteHost[];
  readonly failure: RouteFailure | null;
  readonly steps: readonly RouteStep[];
}

/** Finds where mail goes: a forward host, the servers of a domain by MX, or the SMTP host. */
export class Router implements Routes {
  readonly #resolver: Resolver;
  readonly #self: () => SelfDescription;
  readonly #hostsFile: string;
  readonly #interfaces: () => readonly string[];
  readonly #random: () => number;

  constructor(options: RouterOptions) {
    this.#resolver = options.resolver;
    this.#self = options.self;
    this.#hostsFile = options.hostsFile ?? '/etc/hosts';
    this.#interfaces = options.interfaces ?? machineAddresses;
    this.#random = options.random ?? Math.random;
  }

  async plan(target: Target, options: RouteOptions): Promise<Route> {
    try {
      return target.type === 'forward'
        ? await this.#forward(target, options)
        : await this.#external(target, options);
    } catch (error) {
      const via = target.type === 'forward' ? 'forward' : 'mx';
      return brokenRoute(via, null, error);
    }
  }

  async fallback(kind: RouteFailureKind, settings: Settings, sender: string): Promise<Route | null> {
    if (whyNoFallback(kind, settings) !== null) return null;
    try {
      return await this.#fallback(kind, settings, sender, false, NOTHING);
    } catch (error) {
      return brokenRoute('smtp-host', kind, error);
    }
  }

  /** Who "ourselves" is under these settings; also for checking an SMTP host or forward host entered. */
  ourselves(settings: Pick<Settings, 'ownNames' | 'ownAddresses'>): Ourselves {
    return ourselves(this.#self(), settings, this.#interfaces());
  }

  async #external(
    { domain }: Extract<Target, { type: 'external' }>,
    { settings, fresh, assumedExternal, sender = '' }: RouteOptions,
  ): Promise<Route> {
    const { way, rule, steps: chosen } = chooseWay(settings, domain, sender);
    const text = `${domain} is hosted here, and the recipient is assumed to be external`;
    const steps: readonly RouteStep[] = assumedExternal ? [{ kind: 'rule', text }, ...chosen] : chosen;
    const held = rule.hold;
    if (way.type === 'smtp-host') {
      return { ...(await this.#smtpHosts(way.hosts, settings, fresh, null, { steps, mx: null })), held };
    }
    if (way.type === 'host') {
      const found = await this.#host(way, rule, settings, fresh);
      return { ...found, held, steps: [...steps, ...found.steps] };
    }
    const question = {
      domain,
      port: rule.port ?? settings.outboundPort,
      limits: { allowPrivate: settings.allowPrivateAddresses, ipv4Only: rule.ipv4Only },
      fresh,
    };
    const context = { resolver: this.#resolver, us: this.ourselves(settings), random: this.#random };
    const found = await findByMx(question, context);
    const route = await this.#afterMx(
      { ...found, steps: [...steps, ...found.steps] },
      rule,
      settings,
      sender,
      fresh,
    );
    return { ...route, held };
  }

  /** The servers found, or the SMTP host in their place when settings allow it. */
  async #afterMx(
    found: MxFindings,
    rule: DestinationRule,
    settings: Settings,
    sender: string,
    fresh: boolean,
  ): Promise<Route> {
    const { hosts, failure, mx, steps } = found;
    const base = { ...BARE, via: 'mx', hosts, failure, mx, tls: rule.tls } as const;
    if (failure === null) return { ...base, steps: [...steps, ...routeSteps(hosts)] };
    if (!isFallbackKind(failure.kind)) {
      const text = 'no fallback to the SMTP host: the answer is definite';
      return { ...base, steps: [...steps, { kind: 'fallback', text }] };
    }
    const refused = whyNoFallback(failure.kind, settings);
    if (refused !== null) return { ...base, steps: [...steps, { kind: 'fallback', text: refused }] };
    return this.#fallback(failure.kind, settings, sender, fresh, { steps, mx });
  }

  #fallback(
    kind: RouteFailureKind,
    settings: Settings,
    sender: string,
    fresh: boolean,
    { steps, mx }: Before,
  ): Promise<Route> {
    const { hosts, step } = smtpHostsFor(settings, sender);
    const taken = [...steps, ...(step === null ? [] : [step]), takenStep(kind, hosts)];
    return this.#smtpHosts(hosts, settings, fresh, kind, { steps: taken, mx });
  }

  /** The SMTP hosts in their order; one that cannot be found leaves it to the others. */
  async #smtpHosts(
    smtpHosts: readonly SmtpHost[],
    settings: Settings,
    fresh: boolean,
    fallback: RouteFailureKind | null,
    before: Before,
  ): Promise<Route> {
    const base = {
      ...BARE,
      via: 'smtp-host',
      fallback,
      smtpHost: smtpHosts[0] ?? null,
      mx: before.mx,
    } as const;
    const failure = (text: string, status = '4.4.1'): RouteFailure => {
      return { kind: 'smtp-host-unresolved', status, action: 'retry', text };
    };
    if (smtpHosts.length === 0) {
      const missing = failure('no SMTP host is entered');
      const steps: RouteStep[] = [...before.steps, { kind: 'route', text: missing.text }];
      return { ...base, failure: missing, steps };
    }
    const hosts: RouteHost[] = [];
    const steps = [...before.steps];
    const failures: RouteFailure[] = [];
    for (const smtpHost of smtpHosts) {
      const found = await this.#entered(smtpHost, settings, fresh, false, (problem) =>
        failure(`the SMTP host ${smtpHost.name} ${problem.text}`, problem.loop ? '4.4.6' : '4.4.1'),
      );
      hosts.push(...found.hosts.map((host) => ({ ...host, smtpHost })));
      steps.push(...found.steps);
      if (found.failure !== null) failures.push(found.failure);
    }
    const [first] = failures;
    if (hosts.length === 0 && first !== undefined) {
      return { ...base, failure: { ...first, text: failures.map(({ text }) => text).join('; ') }, steps };
    }
    const limited = limitHosts(hosts);
    return { ...base, hosts: limited.hosts, steps: [...steps, ...routeSteps(limited.hosts)] };
  }

  async #forward(
    { domain, host, port }: Extract<Target, { type: 'forward' }>,
    { settings, fresh }: RouteOptions,
  ): Promise<Route> {
    const rule = destinationRule(settings, domain);
    const step: RouteStep = { kind: 'rule', text: `${domain} is forwarded to ${host} port ${port}` };
    const found = await this.#entered({ name: host, port }, settings, fresh, rule.ipv4Only, (problem) => {
      const status = problem.loop ? '4.4.6' : problem.noAnswer ? '4.4.3' : '4.4.4';
      const text = `the forward host ${host} of ${domain} ${problem.text}`;
      return { kind: 'forward-unresolved', status, action: 'retry', text };
    });
    const steps = [step, ...ruleSteps(rule), ...found.steps, ...routeSteps(found.hosts)];
    return { ...BARE, ...found, via: 'forward', tls: rule.tls, held: rule.hold, steps };
  }

  /** The host that a rule for the destination names. */
  async #host(
    { name, port }: Extract<Way, { type: 'host' }>,
    rule: DestinationRule,
    settings: Settings,
    fresh: boolean,
  ): Promise<Route> {
    const found = await this.#entered({ name, port }, settings, fresh, rule.ipv4Only, (problem) => {
      const status = problem.loop ? '4.4.6' : problem.noAnswer ? '4.4.3' : '4.4.4';
      const text = `the host ${name} of the rule for ${rule.pattern} ${problem.text}`;
      return { kind: 'host-unresolved', status, action: 'retry', text };
    });
    const steps = [...found.steps, ...routeSteps(found.hosts)];
    return { ...BARE, ...found, via: 'host', tls: rule.tls, steps };
  }

  /** A host that someone entered: found by address, private ones allowed, never ourselves. */
  async #entered(
    { name, port }: Pick<SmtpHost, 'name' | 'port'>,
    settings: Settings,
    fresh: boolean,
    ipv4Only: boolean,
    failure: (problem: { text: string; noAnswer: boolean; loop: boolean }) => RouteFailure,
  ): Promise<EnteredRoute> {
    const entered = await findEnteredHost(name, this.#resolver, this.#hostsFile, fresh);
    const limits = { allowPrivate: true, ipv4Only };
    const sorted = sortAddresses(entered.addresses, port, this.ourselves(settings), limits);
    const { addresses, rejected, own } = sorted;
    const found = entered.addresses.length > 0;
    const steps = found ? [...entered.steps, ...addressSteps(name, port, sorted)] : entered.steps;
    if (addresses.length === 0) {
      const text = own
        ? 'is this server itself'
        : found
          ? 'has only IPv6 addresses, and the rule for the destination says ipv4'
          : 'has no address that DNS or the hosts file knows';
      const problem = failure({ text, noAnswer: entered.noAnswer, loop: own });
      return { hosts: [], failure: problem, steps: [...steps, { kind: 'route', text: problem.text }] };
    }
    const { hosts } = limitHosts([{ name, port, preference: null, addresses, rejected }]);
    return { hosts, failure: null, steps };
  }
}

function isFallbackKind(kind: RouteFailure['kind']): kind is RouteFailureKind {
  return (ROUTE_FAILURE_KINDS as readonly string[]).includes(kind);
}

/** Why the SMTP host does not step in, or null when it does. */
export function whyNoFallback(kind: RouteFailureKind, settings: Settings): string | null {
  if (!settings.fallbackToSmtpHost) return 'no fallback to the SMTP host: it is off';
  if (!settings.useMxResolution) return 'no fallback to the SMTP host: MX resolution is off';
  if (!settings.fallbackOn.includes(kind)) return `no fallback to the SMTP host: not chosen for ${kind}`;
  return settings.smtpHost === null ? 'no fallback to the SMTP host: none is entered' : null;
}

function takenStep(kind: RouteFailureKind, [first]: readonly SmtpHost[]): RouteStep {
  const host = first === undefined ? '' : ` ${first.name} port ${first.port}`;
  return { kind: 'fallback', text: `MX failed (${kind}), so the SMTP host${host} is used instead` };
}

function routeSteps(hosts: readonly RouteHost[]): readonly RouteStep[] {
  if (hosts.length === 0) return [];
  const order = hosts.map(({ name, port, addresses }) => `${name} port ${port} (${addresses.join(', ')})`);
  return [{ kind: 'route', text: `to be tried in this order: ${order.join('; ')}` }];
}

/** A fault of ours must not lose mail: it is retried. */
function brokenRoute(via: Route['via'], fallback: RouteFailureKind | null, error: unknown): Route {
  const text = `the route could not be worked out: ${describeError(error)}`;
  const failure = routeFailure('no-answer', text);
  const steps: RouteStep[] = [{ kind: 'route', text }];
  return { ...BARE, via, fallback, failure, steps };
}
