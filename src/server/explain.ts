/**
 * Explain: the decision and the route for an address in advance, by the same code that decides and routes,
 * live. Nothing is connected to but DNS.
 */
import { type Address, parseAddress } from '../mail/address.ts';
import { ok, type Result } from '../mail/failure.ts';
import type { Reply } from '../mail/reply.ts';
import type { Client } from '../receiving/client.ts';
import { type Decision, type DecisionDependencies, decide } from '../receiving/decision.ts';
import type { Route, RouteStep, Routes, Target } from '../routing/contract.ts';
import type { RouteFailureKind, Settings } from '../settings/values.ts';

export interface ExplainRequest {
  readonly recipient: string;
  /** Envelope sender; '' or absent is the null reverse-path. */
  readonly from: string | undefined;
  readonly client: Client;
  readonly settings: Settings;
}

/** The shape of DESIGN.md, which others rely on. */
export interface Explanation {
  readonly recipient: string;
  readonly decision: Decision['decision'];
  readonly rule: string;
  readonly reply: { readonly code: number; readonly enhanced: string; readonly text: string };
  readonly route: ExplainedRoute | null;
  readonly steps: readonly RouteStep[];
}

export interface ExplainedRoute {
  readonly via: 'mailbox' | 'mx' | 'smtp-host' | 'forward';
  readonly fallback: RouteFailureKind | null;
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

const MAILBOX: ExplainedRoute = { via: 'mailbox', fallback: null, failure: null, hosts: [] };

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

/** The route of what the decision leads to: outward, or the mailbox. */
async function routeOf(
  routes: Routes,
  decision: Decision,
  target: Target | null,
  settings: Settings,
  steps: RouteStep[],
): Promise<ExplainedRoute | null> {
  if (decision.reply.code >= 400 || decision.decision === 'notice') return null;
  if (target === null) return MAILBOX;
  const route = await routes.plan(target, {
    settings,
    fresh: true,
    assumedExternal: decision.assumedExternal,
  });
  steps.push(...route.steps);
  return routeJson(route);
}

function routeJson(route: Route): ExplainedRoute {
  const { via, fallback, failure, hosts } = route;
  return {
    via,
    fallback,
    failure:
      failure === null
        ? null
        : {
            kind: failure.kind,
            status: failure.status,
            action: failure.action === 'notice' ? 'notice' : 'retry',
          },
    hosts: hosts.map(({ name, port, preference, addresses }) => ({ name, port, preference, addresses })),
  };
}
