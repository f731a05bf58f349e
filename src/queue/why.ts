/** Why a recipient is waiting, for what and until when, in one sentence. */
import { wantsNotice } from '../mail/dsn.ts';
import type { QueuedMessage, QueuedRecipient } from '../storage/contract.ts';

export interface WhyContext {
  readonly message: Pick<QueuedMessage, 'sender' | 'receivedAt'>;
  /** What the last attempt came to, as its timeline says it; null without one. */
  readonly reason: string | null;
  /** ms since 1970. */
  readonly now: number;
  readonly settings: { readonly queueLifetimeMs: number; readonly delayNoticeMs: number };
  /** What the rule that holds a destination's mail is for; null when none does. */
  readonly holdingRule: (destination: string) => string | null;
  /** Until when (ISO 8601) a destination is backed off, and what its servers said last; null when it is not. */
  readonly backedOff: (
    destination: string,
  ) => { readonly until: string; readonly reply: string | null } | null;
  readonly serverRunning: boolean;
}

/** The sentence for a recipient that is not finished, else null. Times are ISO 8601, UTC. */
export function whyWaiting(recipient: QueuedRecipient, context: WhyContext): string | null {
  const { address, state, attempts, nextAttemptAt } = recipient;
  if (state === 'held') {
    const release =
      'an administrator holds it, and it is neither tried nor given up, nor its sender told, until it is released';
    const told = recipient.delayNoticeSent ? toldWords(recipient, context) : '';
    return `${address} is held: ${release}${lastWords(recipient, context)}${told}.`;
  }
  if (state === 'sending') {
    const next =
      nextAttemptAt === null ? '' : `; should it be cut off, the next one is at ${iso(nextAttemptAt)}`;
    return `${address} is being sent now: attempt ${attempts} is under way${next}.`;
  }
  if (state !== 'queued') return null;
  const rule = context.holdingRule(recipient.destination ?? '');
  if (rule !== null) {
    const release = `the rule for ${rule} holds it (smtp.destinationRules), and it is neither tried nor given up, nor its sender told, until the rule holds it no more`;
    const told = recipient.delayNoticeSent ? toldWords(recipient, context) : '';
    return `${address} is held: ${release}${lastWords(recipient, context)}${told}.`;
  }
  const since = `${address} waits since ${iso(context.message.receivedAt)}`;
  const reason = reasonOf(recipient, context);
  const because = attempts === 0 || reason === null ? '' : `: ${reason}`;
  return `${since}${because}; ${nextWords(recipient, context)}${endWords(recipient, context)}${toldWords(recipient, context)}.`;
}

function reasonOf({ lastReply }: QueuedRecipient, { reason }: WhyContext): string | null {
  return (reason ?? lastReply)?.replace(/[.;]+$/, '') ?? null;
}

function lastWords(recipient: QueuedRecipient, context: WhyContext): string {
  const reason = reasonOf(recipient, context);
  return recipient.attempts === 0 || reason === null ? '' : `; the last attempt came to: ${reason}`;
}

function nextWords({ attempts, destination, nextAttemptAt }: QueuedRecipient, context: WhyContext): string {
  const attempt = `attempt ${attempts + 1}`;
  const isDue = nextAttemptAt === null || nextAttemptAt <= context.now;
  if (!isDue) return `${attempt} is at ${iso(nextAttemptAt)}`;
  if (!context.serverRunning) return `${attempt} is due and waits for the server, which is not running`;
  const rest = destination === null ? null : context.backedOff(destination);
  if (rest !== null) {
    const reply = rest.reply === null ? '' : ` (${rest.reply})`;
    return `${attempt} is due, but the destination is backed off until ${rest.until} because none of its servers could be reached${reply}`;
  }
  return `${attempt} is due now and waits for a free session${destination === null ? '' : ` to ${destination}`}`;
}

function whoIsTold({ dsn }: QueuedRecipient, sender: string): string {
  if (!wantsNotice(dsn, 'FAILURE')) return 'nobody, as its sender asked';
  return sender === '' ? 'postmaster' : 'the sender';
}

/** When CMail gives up: an attempt is made as the lifetime ends. */
function endWords(recipient: QueuedRecipient, { message, settings }: WhyContext): string {
  if (isOwnTrouble(recipient)) return ' and CMail does not give up, for the trouble is its own';
  const endsAt = message.receivedAt + settings.queueLifetimeMs;
  const told = whoIsTold(recipient, message.sender);
  if ((recipient.nextAttemptAt ?? 0) >= endsAt) {
    return ` and is the last one: if it fails, CMail gives up and tells ${told}`;
  }
  return `, the last one is at ${iso(endsAt)}, and if it fails CMail gives up and tells ${told}`;
}

/** Trouble of this server (4.3.x, or its store) never ends in a notice. */
function isOwnTrouble({ lastKind, lastReply }: QueuedRecipient): boolean {
  if (lastKind !== 'local') return false;
  const enhanced = /^4\d\d (4\.\d+\.\d+) /.exec(lastReply ?? '')?.[1];
  return enhanced === undefined || enhanced.startsWith('4.3.');
}

function toldWords({ delayNoticeSent, dsn }: QueuedRecipient, { message, settings }: WhyContext): string {
  if (delayNoticeSent) return '; the sender was told of the delay';
  if (message.sender === '' || settings.delayNoticeMs === 0 || !wantsNotice(dsn, 'DELAY'))
    return '; nobody is told of the delay';
  return `; the sender is not told yet: a delay notice is due at ${iso(message.receivedAt + settings.delayNoticeMs)}`;
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
