/** One claim from taking to settling: decide again, deliver by target, and put the outcome into words. */
import { describeError } from '../mail/failure.ts';
import type { NoticeRecipient, NoticeRequest } from '../notices/contract.ts';
import {
  type Claim,
  CRASHES_UNTIL_HELD,
  type NewEvent,
  type NewRecipient,
  type NoticeInput,
  type QueuedRecipient,
  type RecipientOutcome,
  type SettleInput,
  StorageError,
} from '../storage/contract.ts';
import { Delivery, type DeliveryContext, type DeliveryResult, ownTrouble } from './delivery.ts';
import { noticeEvent } from './events.ts';
import { isDelayNoticeDue, judgeRedecision, nextOnSchedule, type Trouble, whenNext } from './judge.ts';
import type { Redecision } from './ports.ts';

export interface ClaimReport {
  readonly settle: SettleInput;
  /** `full`: its servers had no room for another connection. */
  readonly health: Delivery['health'];
}

type Result =
  | DeliveryResult
  | { readonly type: 'expanded'; readonly into: readonly NewRecipient[] }
  | { readonly type: 'crashed'; readonly trouble: Trouble };
type ToSend = Extract<Redecision, { type: 'send' }>;

interface Group {
  readonly decision: ToSend;
  readonly recipients: QueuedRecipient[];
}

/**
 * Works on one claim. Never rejects: what goes wrong in here defers the recipients it concerns, and is counted,
 * so that a message that crashes time and again is set aside.
 */
export async function processClaim(
  context: DeliveryContext,
  claim: Claim,
  takenAt: number,
  stillOurs: () => boolean,
): Promise<ClaimReport> {
  const results = new Map<number, Result>();
  const via = new Map<number, string>();
  const events: NewEvent[] = [];
  let health: ClaimReport['health'] = null;
  for (const { decision, recipients } of await redecide(context, claim, results)) {
    const { target, assumedExternal } = decision;
    const { message, destination } = claim;
    const work = { message, recipients, destination, target, assumedExternal, takenAt, stillOurs };
    const delivery = new Delivery(context, work);
    let unfinished: Result = crashed('the delivery ended without a result');
    try {
      await delivery.run();
    } catch (error) {
      unfinished = afterThrow(context, claim, error);
    }
    for (const { index } of recipients) {
      results.set(index, delivery.results.get(index) ?? unfinished);
      if (delivery.via !== null) via.set(index, delivery.via);
    }
    events.push(...delivery.events);
    health = delivery.health ?? health;
  }
  return { settle: await settlement(context, claim, results, via, events), health };
}

/** Decides every recipient again; those that go nowhere get their result here, the others form groups. */
async function redecide(
  context: DeliveryContext,
  claim: Claim,
  results: Map<number, Result>,
): Promise<readonly Group[]> {
  const { message } = claim;
  const groups = new Map<string, Group>();
  for (const recipient of message.recipients) {
    let decision: Redecision;
    try {
      decision = await context.deps.redecide(recipient, message.source, message.sender);
    } catch (error) {
      results.set(recipient.index, afterThrow(context, claim, error));
      continue;
    }
    if (decision.type === 'expanded') results.set(recipient.index, decision);
    else if (decision.type !== 'send') results.set(recipient.index, judgeRedecision(decision.failure));
    else addToGroup(groups, decision, recipient);
  }
  return [...groups.values()];
}

function addToGroup(groups: Map<string, Group>, decision: ToSend, recipient: QueuedRecipient): void {
  const key = JSON.stringify([decision.target, decision.assumedExternal]);
  const group = groups.get(key);
  if (group === undefined) groups.set(key, { decision, recipients: [recipient] });
  else group.recipients.push(recipient);
}

interface Verdicts {
  readonly outcomes: RecipientOutcome[];
  readonly events: NewEvent[];
  readonly failed: NoticeRecipient[];
  readonly delayed: NoticeRecipient[];
  nextAttemptAt: number;
}

async function settlement(
  context: DeliveryContext,
  claim: Claim,
  results: ReadonlyMap<number, Result>,
  via: ReadonlyMap<number, string>,
  attempts: readonly NewEvent[],
): Promise<SettleInput> {
  const now = Date.now();
  const verdicts = decideOutcomes(context, claim, results, via, now);
  try {
    const notices = await makeNotices(context, claim, verdicts);
    const events = [...attempts, ...verdicts.events, ...notices.events];
    return { token: claim.token, outcomes: verdicts.outcomes, events, notices: notices.notices };
  } catch (error) {
    // Without its notice a failure must not be recorded: those recipients wait, the others are settled.
    const instead = afterThrow(context, claim, error);
    const waiting = new Map(results);
    for (const { index, result } of verdicts.outcomes) {
      if (result.type === 'failed') waiting.set(index, instead);
    }
    const { outcomes, events } = decideOutcomes(context, claim, waiting, via, now, false);
    return { token: claim.token, outcomes, events: [...attempts, ...events], notices: [] };
  }
}

function decideOutcomes(
  context: DeliveryContext,
  { message }: Claim,
  results: ReadonlyMap<number, Result>,
  via: ReadonlyMap<number, string>,
  now: number,
  mayDelayNotice = true,
): Verdicts {
  const verdicts: Verdicts = { outcomes: [], events: [], failed: [], delayed: [], nextAttemptAt: 0 };
  const settings = context.deps.settings();
  for (const recipient of message.recipients) {
    const result = results.get(recipient.index) ?? { type: 'returned' };
    const how = via.get(recipient.index) ?? null;
    if (!('trouble' in result)) {
      enterSuccess(verdicts, recipient, how, result);
      continue;
    }
    const timing = { now, receivedAt: message.receivedAt, attempts: recipient.attempts, settings };
    if (result.type === 'crashed') {
      enterCrashed(verdicts, recipient, how, result.trouble, nextOnSchedule(timing));
      continue;
    }
    const next = whenNext(result, timing);
    if (next === 'failed') {
      enterFailed(verdicts, recipient, how, result.trouble);
    } else {
      const tell = mayDelayNotice && isDelayNoticeDue(timing, recipient.delayNoticeSent, message.sender);
      enterDeferred(verdicts, recipient, how, result.trouble, next, tell);
    }
  }
  return verdicts;
}

function enterSuccess(
  verdicts: Verdicts,
  { index, address }: QueuedRecipient,
  via: string | null,
  result: Extract<Result, { type: 'delivered' | 'returned' | 'expanded' }>,
): void {
  if (result.type === 'delivered') {
    const { host, address: ip, tls, reply } = result;
    verdicts.outcomes.push({ index, result: { type: 'delivered' }, via, lastReply: reply, lastKind: null });
    verdicts.events.push({
      kind: 'delivered',
      recipient: address,
      detail: { host, address: ip, tls, reply },
    });
    return;
  }
  verdicts.outcomes.push({ index, result, via: null, lastReply: null, lastKind: null });
  if (result.type === 'returned') return;
  const into = result.into.map((recipient) => recipient.address);
  const rule = result.into[0]?.rule ?? null;
  verdicts.events.push({ kind: 'decided', recipient: address, detail: { rule, into } });
}

function enterFailed(
  verdicts: Verdicts,
  recipient: QueuedRecipient,
  via: string | null,
  trouble: Trouble,
): void {
  const { index, address } = recipient;
  const { kind, status, text } = trouble;
  const lastReply = trouble.reply ?? text;
  verdicts.outcomes.push({ index, result: { type: 'failed' }, via, lastReply, lastKind: kind });
  verdicts.events.push({
    kind: 'failed',
    recipient: address,
    detail: { status, reply: lastReply, reason: text },
  });
  verdicts.failed.push(noticeRecipient(recipient, trouble));
}

function enterDeferred(
  verdicts: Verdicts,
  recipient: QueuedRecipient,
  via: string | null,
  trouble: Trouble,
  nextAttemptAt: number,
  tellSender: boolean,
): void {
  const { index, address } = recipient;
  const { kind, text } = trouble;
  const result = {
    type: 'deferred',
    nextAttemptAt,
    ...(tellSender ? { delayNoticeSent: true } : {}),
  } as const;
  verdicts.outcomes.push({ index, result, via, lastReply: trouble.reply ?? text, lastKind: kind });
  const detail = { nextAttemptAt: new Date(nextAttemptAt).toISOString(), reason: text, kind };
  verdicts.events.push({ kind: 'deferred', recipient: address, detail });
  if (!tellSender) return;
  verdicts.delayed.push(noticeRecipient(recipient, trouble));
  verdicts.nextAttemptAt = Math.max(verdicts.nextAttemptAt, nextAttemptAt);
}

function enterCrashed(
  verdicts: Verdicts,
  { index, address, crashes }: QueuedRecipient,
  via: string | null,
  { kind, text }: Trouble,
  nextAttemptAt: number,
): void {
  const result = { type: 'crashed', nextAttemptAt } as const;
  verdicts.outcomes.push({ index, result, via, lastReply: text, lastKind: kind });
  // The last one is told by the store's own "held".
  if (crashes + 1 >= CRASHES_UNTIL_HELD) return;
  const detail = { nextAttemptAt: new Date(nextAttemptAt).toISOString(), reason: text, kind };
  verdicts.events.push({ kind: 'deferred', recipient: address, detail });
}

function noticeRecipient({ address, original }: QueuedRecipient, trouble: Trouble): NoticeRecipient {
  const { status, host, reply, text } = trouble;
  return { address, original, status, remoteMta: host, diagnostic: reply, explanation: text };
}

async function makeNotices(
  { deps }: DeliveryContext,
  { message }: Claim,
  { failed, delayed, nextAttemptAt }: Verdicts,
): Promise<{ notices: NoticeInput[]; events: NewEvent[] }> {
  const notices: NoticeInput[] = [];
  const events: NewEvent[] = [];
  const make = async (request: NoticeRequest) => {
    const made = await deps.makeNotices(request);
    notices.push(...made);
    events.push(...made.map((notice) => noticeEvent(notice, request.kind)));
  };
  if (failed.length > 0) await make({ kind: 'failure', message, recipients: failed });
  if (delayed.length > 0) {
    const giveUpAt = message.receivedAt + deps.settings().queueLifetimeMs;
    await make({ kind: 'delay', message, recipients: delayed, nextAttemptAt, giveUpAt });
  }
  return { notices, events };
}

/** Longest part of an error's text that a queue listing shows. */
const CRASH_TEXT_CHARS = 300;

function crashed(why: string): Result {
  const text = `The attempt crashed here: ${why}`;
  return { type: 'crashed', trouble: { kind: 'crash', status: '4.3.0', text, host: null, reply: null } };
}

/** Trouble of the store is no fault of the message's; anything else thrown counts against it. */
function afterThrow({ deps }: DeliveryContext, { message, destination }: Claim, error: unknown): Result {
  const why = describeError(error).replace(/\s+/g, ' ').slice(0, CRASH_TEXT_CHARS);
  const stack = error instanceof Error ? error.stack : undefined;
  const fields = { message: message.id, destination, error: describeError(error), stack };
  deps.log('error', 'an attempt went wrong; the message waits', fields);
  if (error instanceof StorageError && error.kind === 'unavailable')
    return ownTrouble(`The store could not be used: ${why}`);
  return crashed(why);
}
