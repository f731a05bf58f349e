/** One claim from taking to settling: decide again, deliver by target, and put the outcome into words. */
import { setTimeout as sleep } from 'node:timers/promises';
import { handOn, successOf, wantsNotice } from '../mail/dsn.ts';
import { describeError } from '../mail/failure.ts';
import { noticeEvent } from '../mail/notice-event.ts';
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
import { Delivery } from './delivery.ts';
import type { DeliveryContext, DeliveryResult } from './delivery-contract.ts';
import {
  delayNoticeTime,
  isDelayNoticeDue,
  judgeRedecision,
  nextOnSchedule,
  noticePoints,
  ownTrouble,
  retryOutlook,
  type Timing,
  type Trouble,
  whenNext,
} from './judge.ts';
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
    const { target, assumedExternal, sender = claim.message.sender } = decision;
    const { message, destination } = claim;
    const work = { message, recipients, destination, target, assumedExternal, sender, takenAt, stillOurs };
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
  const key = JSON.stringify([decision.target, decision.assumedExternal, decision.sender ?? null]);
  const group = groups.get(key);
  if (group === undefined) groups.set(key, { decision, recipients: [recipient] });
  else group.recipients.push(recipient);
}

interface Verdicts {
  readonly outcomes: RecipientOutcome[];
  readonly events: NewEvent[];
  readonly failed: NoticeRecipient[];
  readonly delayed: NoticeRecipient[];
  readonly succeeded: NoticeRecipient[];
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
    const notices = await patiently(context, verdicts, () => makeNotices(context, claim, verdicts));
    const events = [...attempts, ...verdicts.events, ...notices.events];
    return { token: claim.token, outcomes: verdicts.outcomes, events, notices: notices.notices };
  } catch (error) {
    // Without its notice a failure must not be recorded, nor a delivery here: those recipients wait, the others are
    // settled, since what another server took would be sent again.
    const instead = afterThrow(context, claim, error);
    const waiting = new Map(results);
    for (const { index, result } of verdicts.outcomes) {
      if (result.type === 'failed' || result.type === 'expanded') waiting.set(index, instead);
    }
    const { outcomes, events } = decideOutcomes(context, claim, waiting, via, now, false);
    return { token: claim.token, outcomes, events: [...attempts, ...events], notices: [] };
  }
}

/** Between two tries to make notices while the store is away. */
const NOTICE_AGAIN_MS = 1_000;

/** What was handed on can be told of only now, so a store that is away is waited for, as settling itself does. */
async function patiently<T>(
  { signal }: DeliveryContext,
  verdicts: Verdicts,
  make: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await make();
    } catch (error) {
      const passes = error instanceof StorageError && error.kind === 'unavailable';
      if (!passes || signal.aborted || !verdicts.succeeded.some(({ action }) => action === 'relayed'))
        throw error;
      await sleep(NOTICE_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

function decideOutcomes(
  context: DeliveryContext,
  { message, destination }: Claim,
  results: ReadonlyMap<number, Result>,
  via: ReadonlyMap<number, string>,
  now: number,
  mayDelayNotice = true,
): Verdicts {
  const verdicts: Verdicts = { outcomes: [], events: [], failed: [], delayed: [], succeeded: [] };
  const settings = context.deps.settings();
  for (const recipient of message.recipients) {
    const result = results.get(recipient.index) ?? { type: 'returned' };
    const how = via.get(recipient.index) ?? null;
    if (!('trouble' in result)) {
      enterSuccess(verdicts, recipient, how, result);
      continue;
    }
    const delayNoticeAt = mayDelayNotice ? delayNoticeTime(message, recipient, settings) : null;
    const { receivedAt } = message;
    const timing = { now, receivedAt, attempts: recipient.attempts, settings, delayNoticeAt };
    if (result.type === 'crashed') {
      enterCrashed(verdicts, recipient, how, result.trouble, nextOnSchedule(timing));
      continue;
    }
    const next = whenNext(result, timing);
    if (next === 'failed') {
      enterFailed(verdicts, recipient, how, result.trouble);
    } else {
      enterDeferred(verdicts, recipient, how, result.trouble, next, timing);
      for (const at of noticePoints(timing)) context.lanes.noticeDue(context.lanes.laneOf(destination), at);
    }
  }
  return verdicts;
}

function enterSuccess(
  verdicts: Verdicts,
  recipient: QueuedRecipient,
  via: string | null,
  result: Extract<Result, { type: 'delivered' | 'returned' | 'expanded' }>,
): void {
  const { index, address, original, dsn } = recipient;
  if (result.type === 'delivered') {
    const { host, address: ip, tls, reply, dsnPassedOn } = result;
    // A server that knows of DSN answers for what becomes of it (RFC 3461 §5.2.1).
    if (!dsnPassedOn && wantsNotice(dsn, 'SUCCESS')) {
      const status = /^\d{3}[ -](2\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? '2.0.0';
      const words = { status, remoteMta: host, diagnostic: reply, explanation: '' };
      verdicts.succeeded.push({ address, original, dsn, action: 'relayed', ...words });
    }
    verdicts.outcomes.push({ index, result: { type: 'delivered' }, via, lastReply: reply, lastKind: null });
    verdicts.events.push({
      kind: 'delivered',
      recipient: address,
      detail: { host, address: ip, tls, reply, ...(dsnPassedOn ? { dsnPassedOn } : {}) },
    });
    return;
  }
  const words = { via: null, lastReply: null, lastKind: null };
  if (result.type === 'returned') {
    verdicts.outcomes.push({ index, result, ...words });
    return;
  }
  const onward = handOn(dsn, result.into);
  verdicts.outcomes.push({ index, result: { type: 'expanded', into: onward }, ...words });
  const success = successOf(original, dsn, result.into);
  if (success !== null) verdicts.succeeded.push(success);
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
    detail: { status, reply: lastReply, reason: text, ...notAsked(recipient) },
  });
  verdicts.failed.push(noticeRecipient(recipient, trouble));
}

/** Why nobody is told of a failure, when its sender asked for that. */
function notAsked({ dsn }: QueuedRecipient): { notify?: typeof dsn.notify } {
  return wantsNotice(dsn, 'FAILURE') ? {} : { notify: dsn.notify };
}

function enterDeferred(
  verdicts: Verdicts,
  recipient: QueuedRecipient,
  via: string | null,
  trouble: Trouble,
  nextAttemptAt: number,
  timing: Timing,
): void {
  const tellSender = isDelayNoticeDue(timing);
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
  const outlook = retryOutlook(nextAttemptAt, timing);
  verdicts.delayed.push({ ...noticeRecipient(recipient, trouble), outlook });
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

function noticeRecipient({ address, original, dsn }: QueuedRecipient, trouble: Trouble): NoticeRecipient {
  const { status, host, reply, text } = trouble;
  return { address, original, dsn, status, remoteMta: host, diagnostic: reply, explanation: text };
}

async function makeNotices(
  { deps }: DeliveryContext,
  { message }: Claim,
  { failed, delayed, succeeded }: Verdicts,
): Promise<{ notices: NoticeInput[]; events: NewEvent[] }> {
  const notices: NoticeInput[] = [];
  const events: NewEvent[] = [];
  const make = async (request: NoticeRequest) => {
    const made = await deps.makeNotices(request);
    notices.push(...made);
    events.push(...made.map((notice) => noticeEvent(notice, request.kind)));
  };
  if (failed.length > 0) await make({ kind: 'failure', message, recipients: failed });
  if (delayed.length > 0) await make({ kind: 'delay', message, recipients: delayed });
  if (succeeded.length > 0) await make({ kind: 'success', message, recipients: succeeded });
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
