/**
 * Explain: the decision and the route for an address in advance, by the same code that decides and routes,
 * live. Nothing is connected to but DNS, unless `connect` asks for it.
 */
import { type Address, parseAddress } from '../mail/address.ts';
import { ok, type Result } from '../mail/failure.ts';
import type { Reply } from '../mail/reply.ts';
import type { Client } from '../receiving/client.ts';
import { type Decision, type DecisionDependencies, decide } from '../receiving/decision.ts';
import { outwardSender } from '../receiving/outward-sender.ts';
import type { Route, RouteStep, Routes, RouteVia, Target } from '../routing/contract.ts';
import { endpointsOf } from '../sending/connect.ts';
import { judgeRouteFailure } from '../sending/judge.ts';
import { isFinalAtOnce, type Outlook, outlookOf } from '../sending/outlook.ts';
import { applyPolicies } from '../sending/policies.ts';
import { type Reached, reachServers } from '../sending/reach.ts';
import type { RouteFailureKind, Settings } from '../settings/values.ts';
import type { TlsPolicies } from '../trust/contract.ts';

export interface ExplainRequest {
  readonly recipient: string;
  /** Envelope sender; '' or absent is the null reverse-path. */
  readonly from: string | undefined;
  readonly client: Client;
  readonly settings: Settings;
  /** Try the servers as far as EHLO, under this name of ours; null to connect to nothing. */
  readonly connectAs: string | null;
  /** What TLS servers found by MX must have; absent: not told. */
  readonly policies?: TlsPolicies;
}

/** The shape of DESIGN.md, which others rely on. */
export interface Explanation {
  readonly recipient: string;
  readonly decision: Decision['decision'];
  readonly rule: string;
  readonly reply: { readonly code: number; readonly enhanced: string; readonly text: string };
  readonly route: ExplainedRoute | null;
  readonly steps: readonly RouteStep[];
  /** What each kind of failure would lead to; empty unless mail goes outward. */
  readonly outlook: readonly Outlook[];
  /** What each address did when it was called; null when that was not asked for. */
  readonly connect: readonly Reached[] | null;
}

export interface ExplainedRoute {
  readonly via: 'mailbox' | RouteVia;
  readonly fallback: RouteFailureKind | null;
  /** A rule for the destination holds its mail: it is not sent until the rule says so no more. */
  readonly held: boolean;
  readonly failure: {
    readonly kind: string;
    readonly status: string;
    readonly action: 'retry' | 'notice';
  } | null;
  readonly hosts: readonly {
    readonly name: string;
    readonly port: number;
    readonly preference: number | null;
    readonly addresses: readonly string[];
  }[];
}

const MAILBOX: ExplainedRoute = { via: 'mailbox', fallback: null, held: false, failure: null, hosts: [] };

export async function explain(
  deps: DecisionDependencies,
  routes: Routes,
  request: ExplainRequest,
): Promise<Explanation> {
  const recipient = recipientOf(request.recipient);
  if (!recipient.ok) {
    const { code, enhanced, text } = recipient.failure;
    const steps: RouteStep[] = [{ kind: 'rule', text }];
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
  if (target?.type === 'external') steps.push(...(await senderSteps(deps, request, decision)));
  const route = await routeOf(routes, decision, target, request);
  steps.push(...(route?.steps ?? []));
  if (route !== null && target !== null) steps.push(...(await policySteps(route, target, request)));
  return {
    recipient: recipient.value.text,
    decision: decision.decision,
    rule: decision.rule,
    reply: replyJson(decision.reply),
    route: route === null ? withoutServers(decision) : routeJson(route, request.settings),
    steps,
    ...(route === null ? notOutward(request) : await lookAhead(route, target, request)),
  };
}

function notOutward({ connectAs }: ExplainRequest): Pick<Explanation, 'outlook' | 'connect'> {
  return { outlook: [], connect: connectAs === null ? null : [] };
}

async function lookAhead(
  route: Route,
  target: Target | null,
  { settings, connectAs, policies, from }: ExplainRequest,
): Promise<Pick<Explanation, 'outlook' | 'connect'>> {
  const domain = target?.domain ?? '';
  const asked = {
    hostname: connectAs ?? '',
    settings,
    domain,
    ...(policies === undefined ? {} : { policies }),
  };
  const connect = connectAs === null ? null : await reachServers(route, asked);
  return { outlook: outlookOf(route, settings, from), connect };
}

/** One step for each server: which TLS it must have, and who says so. */
async function policySteps(
  route: Route,
  { domain }: Target,
  { policies }: ExplainRequest,
): Promise<RouteStep[]> {
  const endpoints = await applyPolicies(endpointsOf(route), { route, domain, policies });
  const texts = endpoints.map(({ policy }) => policy?.text).filter((text) => text !== undefined);
  return [...new Set(texts)].map((text) => ({ kind: 'tls', text }));
}

/** `postmaster` alone is a recipient too (RFC 5321 §4.1.1.3). */
function recipientOf(text: string): Result<Address> {
  if (!/^postmaster$/i.test(text)) return parseAddress(text);
  return ok({ text, localPart: text, domain: '', utf8: false });
}

function replyJson(reply: Reply): Explanation['reply'] {
  return { code: reply.code, enhanced: reply.enhanced ?? '', text: reply.lines.join(' ') };
}

/** Where the first outward recipient goes: by the decision itself, or for an alias's target by its own. */
async function targetOf(
  deps: DecisionDependencies,
  request: ExplainRequest,
  decision: Decision,
): Promise<Target | null> {
  if (decision.target !== null) return decision.target;
  const queued = decision.recipients.find((recipient) => recipient.to.type === 'queue');
  const address = queued === undefined ? null : parseAddress(queued.address);
  if (address === null || !address.ok) return null;
  const { client, settings } = request;
  const next = {
    recipient: address.value,
    client,
    sender: null,
    declaredSizeBytes: 0,
    settings,
    purpose: 'queue',
  } as const;
  return (await decide(deps, next)).target;
}

/** What becomes of the envelope sender of mail that is handed on. */
async function senderSteps(
  deps: DecisionDependencies,
  { from, settings }: ExplainRequest,
  decision: Decision,
): Promise<readonly RouteStep[]> {
  const queued = decision.recipients.find(({ to }) => to.type === 'queue');
  const sender = from === undefined || from === '' ? null : parseAddress(from);
  if (queued === undefined || !sender?.ok) return [];
  const { address, original } = queued;
  const used = await outwardSender(deps, { address, original, sender: sender.value, settings });
  if (used === sender.value.text) return [];
  return [{ kind: 'rule', text: `it is forwarded, so its envelope sender becomes ${used} (SRS)` }];
}

function isAccepted(decision: Decision): boolean {
  return decision.reply.code < 400 && decision.decision !== 'notice';
}

/** The route of what the decision leads to; null when it does not lead outward. */
async function routeOf(
  routes: Routes,
  decision: Decision,
  target: Target | null,
  { settings, from = '' }: ExplainRequest,
): Promise<Route | null> {
  if (!isAccepted(decision) || target === null) return null;
  return routes.plan(target, {
    settings,
    fresh: true,
    assumedExternal: decision.assumedExternal,
    sender: from,
  });
}

/** Mail that does not go outward goes to a mailbox, if anywhere. */
function withoutServers(decision: Decision): ExplainedRoute | null {
  return isAccepted(decision) ? MAILBOX : null;
}

function routeJson({ via, fallback, held, failure, hosts }: Route, settings: Settings): ExplainedRoute {
  return {
    via,
    fallback,
    held,
    failure:
      failure === null
        ? null
        : {
            kind: failure.kind,
            status: failure.status,
            action: isFinalAtOnce(judgeRouteFailure(failure, null), settings) ? 'notice' : 'retry',
          },
    hosts: hosts.map(({ name, port, preference, addresses }) => ({ name, port, preference, addresses })),
  };
}
