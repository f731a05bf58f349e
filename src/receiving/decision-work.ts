/** What a decision is asked, what it says, and what each of its steps works with. */
import type { Directory } from '../directory/directory.ts';
import type { Address } from '../mail/address.ts';
import { type Reply, reply } from '../mail/reply.ts';
import type { RouteStep, Target } from '../routing/contract.ts';
import type { Settings } from '../settings/values.ts';
import type { Account, LocalDelivery, NewRecipient } from '../storage/contract.ts';
import type { Client } from './client.ts';
import type { NoticeRate } from './notice-rate.ts';
import type { Srs } from './srs.ts';

export interface DecisionRequest {
  readonly recipient: Address;
  /** What RCPT said, when a queued recipient is decided again; default `recipient`. */
  readonly original?: string;
  readonly client: Client;
  /** Envelope sender, null for the null reverse-path. */
  readonly sender: Address | null;
  /** `SIZE=` of MAIL, 0 when unknown. */
  readonly declaredSizeBytes: number;
  readonly settings: Settings;
  /** RCPT counts against the notice rate and asks forward hosts; explain does neither; queue never denies relaying. */
  readonly purpose: 'rcpt' | 'queue' | 'explain';
}

export interface Decision {
  readonly decision: 'local' | 'external' | 'refused' | 'notice' | 'postmaster' | 'deferred';
  /** Name of the rule that decided. */
  readonly rule: string;
  readonly reply: Reply;
  /** Empty unless accepted. */
  readonly recipients: readonly NewRecipient[];
  /** Where a queued recipient itself goes; null when it is expanded or not accepted. */
  readonly target: Target | null;
  /** A hosted domain sent outward. */
  readonly assumedExternal: boolean;
  readonly steps: readonly RouteStep[];
}

/** Whether a forward host knows a recipient; the words of its refusal when it does not. */
export type AskForwardHost = (
  host: string,
  port: number,
  recipient: string,
) => Promise<'known' | 'unknown' | 'unreachable'>;

export interface DecisionDependencies {
  readonly directory: Directory;
  readonly noticeRate: NoticeRate;
  readonly askForwardHost: AskForwardHost;
  readonly srs: Srs;
  /** True for an address literal of this server, such as `[127.0.0.1]`. */
  readonly isOwnLiteral: (domain: string) => boolean;
}

export const ACCEPTED = (address: string): Reply => reply(250, '2.1.5', `<${address}> recipient ok`);

/** Everything one decision needs on its way, and the steps it leaves. */
export interface Work extends DecisionRequest {
  readonly deps: DecisionDependencies;
  readonly steps: RouteStep[];
}

export function step(work: Work, text: string): void {
  work.steps.push({ kind: 'rule', text });
}

export function end(
  work: Work,
  decision: Decision['decision'],
  rule: string,
  answer: Reply,
  rest: Partial<Pick<Decision, 'recipients' | 'target' | 'assumedExternal'>> = {},
): Decision {
  return {
    decision,
    rule,
    reply: answer,
    recipients: rest.recipients ?? [],
    target: rest.target ?? null,
    assumedExternal: rest.assumedExternal ?? false,
    steps: work.steps,
  };
}

export function toQueue(work: Work, address: Address, rule: string): NewRecipient {
  return {
    address: address.text,
    original: work.original ?? work.recipient.text,
    rule,
    to: { type: 'queue', destination: address.domain },
  };
}

export function accountTrouble(work: Work, account: Account): Decision | null {
  const shown = work.recipient.text;
  if (!account.enabled) {
    step(work, `the account ${account.address} is disabled`);
    return end(
      work,
      'refused',
      'account-disabled',
      reply(550, '5.2.1', `<${shown}> this mailbox is disabled`),
    );
  }
  const { quotaBytes, usedBytes } = account;
  // What does not go into the mailbox needs no room there.
  if (account.forward?.keep === false) return null;
  if (quotaBytes !== null && (usedBytes >= quotaBytes || usedBytes + work.declaredSizeBytes > quotaBytes)) {
    step(work, `the account ${account.address} is over its quota: ${usedBytes} of ${quotaBytes} bytes`);
    const answer = reply(452, '4.2.2', `<${shown}> this mailbox is full; please try again later`);
    return end(work, 'deferred', 'over-quota', answer);
  }
  return null;
}

export function local(work: Work, account: Account, rule: string): NewRecipient {
  const original = work.original ?? work.recipient.text;
  const sender = work.sender?.text ?? '';
  const differs = original.toLowerCase() !== account.address.toLowerCase();
  const delivery: LocalDelivery = {
    accountId: account.id,
    header: `Return-Path: <${sender}>\r\nDelivered-To: ${account.address}\r\n${differs ? `X-Original-To: ${original}\r\n` : ''}`,
  };
  return { address: account.address, original, rule, to: { type: 'local', delivery } };
}
