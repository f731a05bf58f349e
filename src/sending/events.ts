/** Timeline entries of an attempt, kept short: they are stored with every message. */
import type { Route } from '../routing/contract.ts';
import type { NewEvent, QueuedRecipient } from '../storage/contract.ts';
import type { Trial } from './open.ts';

/** MX records shown. */
const MAX_MX = 10;

export function attemptEvent(
  recipients: readonly QueuedRecipient[],
  route: Route,
  hosts: readonly Trial[],
  startedAt: number,
  /** The envelope sender used, when it is not the message's own. */
  sender: string | null,
  /** What dialling came to when nobody was delivered to; a route without hosts brings its own failure. */
  failure: string | null = null,
): NewEvent {
  const detail = {
    startedAt: new Date(startedAt).toISOString(),
    durationMs: Date.now() - startedAt,
    recipients: recipients.length,
    via: route.via,
    ...rulesOf(route),
    fallback: route.fallback,
    ...(sender === null ? {} : { sender }),
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

/** The rules and settings that made the route; absent when MX resolution was on and nothing else said. */
function rulesOf({ steps }: Route): { readonly rules?: readonly string[] } {
  const rules = steps.filter(({ kind }) => kind === 'rule').map(({ text }) => text);
  return rules.length === 0 ? {} : { rules };
}

/** The recipient an entry is about, null when it is about several. */
function onlyOne(recipients: readonly QueuedRecipient[]): string | null {
  return recipients.length === 1 ? (recipients[0]?.address ?? null) : null;
}

/** `why` for a fallback taken after dialling; otherwise the route's own steps say it. */
export function fallbackEvent(
  recipients: readonly QueuedRecipient[],
  route: Route,
  why: string | null,
): NewEvent {
  const step = route.steps.findLast(({ kind }) => kind === 'fallback');
  const host = (route.hosts[0]?.smtpHost ?? route.smtpHost)?.name ?? null;
  return {
    kind: 'fallback',
    recipient: onlyOne(recipients),
    detail: { failure: route.fallback, why: why ?? step?.text ?? null, host },
  };
}

function mxSummary({ mx }: Route): string | null {
  if (mx === null) return null;
  if (mx.status === 'no-answer') return `no answer: ${mx.detail}`;
  if (mx.status !== 'ok') return mx.status;
  return mx.records
    .slice(0, MAX_MX)
    .map(({ preference, exchange }) => `${preference} ${exchange === '' ? '.' : exchange}`)
    .join(', ');
}
