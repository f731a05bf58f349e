/**
 * Who is refused: the decision for one recipient, in the order BEHAVIOUR.md gives. RCPT, a queued
 * recipient's next attempt and explain all ask here; nothing else decides.
 */
import { type Directory, type Found, findUser } from '../directory/directory.ts';
import { type Address, parseAddress } from '../mail/address.ts';
import { describeError } from '../mail/failure.ts';
import { ACCOUNT_FORWARD, accountForwardRule } from '../mail/forward-rule.ts';
import { type Reply, reply } from '../mail/reply.ts';
import type { RouteStep, Target } from '../routing/contract.ts';
import type { Settings } from '../settings/values.ts';
import type { Account, Domain, LocalDelivery, NewRecipient } from '../storage/contract.ts';
import type { Client } from './client.ts';
import type { NoticeRate } from './notice-rate.ts';
import type { Srs } from './srs.ts';

/** Targets of one RCPT after every alias is followed. */
const MAX_EXPANSION = 1_000;
const MAX_ALIAS_DEPTH = 10;

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

const ACCEPTED = (address: string): Reply => reply(250, '2.1.5', `<${address}> recipient ok`);

/** Everything one decision needs on its way, and the steps it leaves. */
interface Work extends DecisionRequest {
  readonly deps: DecisionDependencies;
  readonly steps: RouteStep[];
}

function step(work: Work, text: string): void {
  work.steps.push({ kind: 'rule', text });
}

function end(
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

/** Rule of a decision that could not be made. */
export const DIRECTORY_UNAVAILABLE = 'directory-unavailable';

/** Decides one recipient. Never rejects: a directory that cannot be read is 451 4.3.0, never 550. */
export async function decide(deps: DecisionDependencies, request: DecisionRequest): Promise<Decision> {
  const work: Work = { ...request, deps, steps: [] };
  try {
    return await decideInOrder(work);
  } catch (error) {
    step(work, `the directory of users could not be read: ${describeError(error)}`);
    const answer = reply(451, '4.3.0', 'The directory of users cannot be read now; please try again later');
    return end(work, 'deferred', DIRECTORY_UNAVAILABLE, answer);
  }
}

async function decideInOrder(work: Work): Promise<Decision> {
  const { recipient, deps } = work;
  const ownLiteral = recipient.domain.startsWith('[') && deps.isOwnLiteral(recipient.domain);
  const hosted = recipient.domain === '' || ownLiteral ? null : await deps.directory.domain(recipient.domain);
  const isPostmaster = recipient.localPart.toLowerCase() === 'postmaster';
  if (isPostmaster && (recipient.domain === '' || ownLiteral || hosted !== null))
    return decidePostmaster(work, hosted);
  if (ownLiteral) {
    step(work, `${recipient.domain} is an address of this server, which has only a postmaster`);
    return refuseUnknown(work);
  }
  if (hosted === null) return decideNotHosted(work);
  step(work, `${hosted.name} is a hosted domain`);
  const returned = decideRewritten(work);
  if (returned !== null) return returned;
  if (hosted.forward !== null) return decideForward(work, hosted, hosted.forward);
  const found = await findUser(deps.directory, recipient.localPart, hosted);
  return found.type === 'unknown' ? decideUnknown(work, hosted) : decideFound(work, found);
}

async function decidePostmaster(work: Work, hosted: Domain | null): Promise<Decision> {
  const { deps, recipient } = work;
  const shown = recipient.text;
  const own = hosted === null ? null : await deps.directory.entry(`postmaster@${hosted.name}`);
  if (own?.type === 'account' && own.account.enabled) {
    step(work, `postmaster of ${hosted?.name} is the account ${own.account.address}`);
    return end(work, 'postmaster', 'postmaster', ACCEPTED(shown), {
      recipients: [local(work, own.account, 'postmaster')],
    });
  }
  if (own?.type === 'alias') {
    step(work, `postmaster of ${hosted?.name} is an alias`);
    const expansion = await expand(work, own.alias.targets, 'postmaster');
    if (expansion.recipients.length > 0) {
      return end(work, 'postmaster', 'postmaster', ACCEPTED(shown), { recipients: expansion.recipients });
    }
  }
  const account = await deps.directory.postmaster();
  if (account === null) {
    step(work, 'no account exists yet, so there is no postmaster');
    return end(
      work,
      'deferred',
      'postmaster',
      reply(451, '4.3.0', 'This server has no postmaster yet; please try again later'),
    );
  }
  step(work, `the server's postmaster is ${account.address}`);
  return end(work, 'postmaster', 'postmaster', ACCEPTED(shown), {
    recipients: [local(work, account, 'postmaster')],
  });
}

/** A notice about mail that was forwarded, on its way back to who sent it; null for any other recipient. */
function decideRewritten(work: Work): Promise<Decision> | Decision | null {
  const { recipient, sender, deps } = work;
  const reading = deps.srs.read(recipient.localPart);
  if (reading.type === 'other') return null;
  if (reading.type === 'invalid') {
    step(work, `the address has the form of a rewritten sender (SRS), but ${reading.why}`);
    const text = `<${recipient.text}> is no valid return address of this server: ${reading.why}`;
    return end(work, 'refused', 'srs-invalid', reply(550, '5.1.1', text));
  }
  if (sender !== null) {
    step(work, 'a rewritten sender (SRS) takes notices only, which come from the null reverse-path');
    const text = `<${recipient.text}> takes notices of delivery only`;
    return end(work, 'refused', 'srs-not-a-notice', reply(550, '5.7.1', text));
  }
  step(work, `the address stands for ${reading.address}, whose message was forwarded here (SRS)`);
  return decideTargets(work, [reading.address], 'srs');
}

function decideNotHosted(work: Work): Decision {
  const { recipient, client, purpose } = work;
  step(work, `${recipient.domain} is not a hosted domain`);
  if (client.kind === 'external' && purpose !== 'queue') {
    step(work, 'the client is an external source, for which CMail does not relay');
    const answer = reply(
      550,
      '5.7.1',
      `<${recipient.text}> relaying denied: ${recipient.domain} is not hosted here`,
    );
    return end(work, 'refused', 'relaying-denied', answer);
  }
  step(work, 'the client is a local client: to the outgoing queue');
  return queued(work, recipient, 'not-hosted', false);
}

/** One recipient to the outgoing queue. */
function queued(work: Work, address: Address, rule: string, assumedExternal: boolean): Decision {
  return end(work, 'external', rule, ACCEPTED(work.recipient.text), {
    recipients: [toQueue(work, address, rule)],
    target: { type: 'external', domain: address.domain },
    assumedExternal,
  });
}

function toQueue(work: Work, address: Address, rule: string): NewRecipient {
  return {
    address: address.text,
    original: work.original ?? work.recipient.text,
    rule,
    to: { type: 'queue', destination: address.domain },
  };
}

/** A local part that would ask the next server to relay (RFC 5321 §3.6.1, appendix F.2). */
function asksToRelay(address: Address): boolean {
  return /[%!@]/.test(address.localPart);
}

async function decideForward(
  work: Work,
  hosted: Domain,
  forward: NonNullable<Domain['forward']>,
): Promise<Decision> {
  const { recipient, deps, settings, client, purpose } = work;
  if ('address' in forward) {
    step(work, `mail for ${hosted.name} is forwarded to ${forward.address}`);
    return decideTargets(work, [forward.address], 'forward');
  }
  const target: Target = { type: 'forward', domain: hosted.name, host: forward.host, port: forward.port };
  step(work, `mail for ${hosted.name} is forwarded to the host ${forward.host}:${forward.port}`);
  if (client.kind === 'external' && asksToRelay(recipient)) return refuseRelayForm(work);
  if (settings.refuseUnknownUsers && purpose === 'rcpt') {
    const known = await deps.askForwardHost(forward.host, forward.port, recipient.text);
    if (known === 'unknown') {
      step(work, 'the forward host says that it does not know the recipient');
      return refuseUnknown(work);
    }
    const words =
      known === 'known' ? 'knows the recipient' : 'could not be asked, so the recipient is accepted';
    step(work, `the forward host ${words}`);
  }
  if (settings.refuseUnknownUsers && purpose === 'explain') {
    step(
      work,
      'the forward host is asked at RCPT whether it knows the recipient, which is refused when it says no; explain does not ask',
    );
  }
  return end(work, 'external', 'forward', ACCEPTED(recipient.text), {
    recipients: [toQueue(work, recipient, 'forward')],
    target,
  });
}

function refuseRelayForm(work: Work): Decision {
  step(work, 'the local part asks the next server to relay, which gains nothing here');
  const answer = reply(550, '5.7.1', `<${work.recipient.text}> relaying denied`);
  return end(work, 'refused', 'relaying-denied', answer);
}

function decideFound(work: Work, found: Exclude<Found, { type: 'unknown' }>): Promise<Decision> | Decision {
  if (found.type === 'account') return decideAccount(work, found.account, found.rule);
  if (found.type === 'alias') {
    step(work, `${found.alias.address} is an alias for ${found.alias.targets.join(', ')}`);
    return decideTargets(work, found.alias.targets, found.rule);
  }
  step(work, `the domain's catch-all is ${found.target}`);
  return decideTargets(work, [found.target], 'catch-all');
}

function decideAccount(work: Work, account: Account, rule: string): Promise<Decision> | Decision {
  const trouble = accountTrouble(work, account);
  if (trouble !== null) return trouble;
  step(work, `${account.address} is an account here`);
  if (account.forward !== null) return decideAccountForward(work, account, rule);
  return end(work, 'local', rule, ACCEPTED(work.recipient.text), {
    recipients: [local(work, account, rule)],
  });
}

function accountTrouble(work: Work, account: Account): Decision | null {
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

function local(work: Work, account: Account, rule: string): NewRecipient {
  const original = work.original ?? work.recipient.text;
  const sender = work.sender?.text ?? '';
  const differs = original.toLowerCase() !== account.address.toLowerCase();
  const delivery: LocalDelivery = {
    accountId: account.id,
    header: `Return-Path: <${sender}>\r\nDelivered-To: ${account.address}\r\n${differs ? `X-Original-To: ${original}\r\n` : ''}`,
  };
  return { address: account.address, original, rule, to: { type: 'local', delivery } };
}

/** A target still to be followed. */
interface Lead {
  readonly text: string;
  /** Of the recipients it becomes. */
  readonly rule: string;
  /** The account whose own forward leads there; what cannot be forwarded stays in its mailbox. */
  readonly forwarder: Account | null;
}

interface Expansion {
  readonly recipients: NewRecipient[];
  /** The first reason why a target could not be used. */
  trouble: Decision | null;
}

/** The account's own forward: its targets, and its mailbox too where a copy is kept or nothing else is left. */
async function decideAccountForward(work: Work, account: Account, rule: string): Promise<Decision> {
  const expansion: Expansion = { recipients: [], trouble: null };
  const seen = new Set([work.recipient.text.toLowerCase()]);
  await follow(work, intoAccount(work, account, rule, expansion, seen), expansion, seen);
  return endExpansion(work, expansion, ACCOUNT_FORWARD);
}

/** Alias, catch-all and address forwards: every target followed to mailboxes and outward addresses. */
async function decideTargets(work: Work, targets: readonly string[], rule: string): Promise<Decision> {
  return endExpansion(work, await expand(work, targets, rule), rule);
}

function endExpansion(work: Work, expansion: Expansion, rule: string): Decision {
  if (
    expansion.trouble !== null &&
    (expansion.recipients.length === 0 || expansion.trouble.decision === 'deferred')
  ) {
    return expansion.trouble;
  }
  if (expansion.recipients.length === 0) return refuseUnknown(work);
  const anyLocal = expansion.recipients.some((recipient) => recipient.to.type === 'local');
  return end(work, anyLocal ? 'local' : 'external', rule, ACCEPTED(work.recipient.text), {
    recipients: expansion.recipients,
  });
}

async function expand(work: Work, targets: readonly string[], rule: string): Promise<Expansion> {
  const expansion: Expansion = { recipients: [], trouble: null };
  const seen = new Set<string>([work.recipient.text.toLowerCase()]);
  const level = targets.map((text) => ({ text, rule, forwarder: null }));
  return follow(work, level, expansion, seen);
}

async function follow(
  work: Work,
  first: readonly Lead[],
  expansion: Expansion,
  seen: Set<string>,
): Promise<Expansion> {
  let level = first;
  for (let depth = 0; level.length > 0 && depth < MAX_ALIAS_DEPTH; depth += 1) {
    const next: Lead[] = [];
    for (const lead of level) {
      const key = lead.text.toLowerCase();
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MAX_EXPANSION) return tooLarge(work, expansion);
      next.push(...(await expandOne(work, lead, expansion, seen)));
    }
    level = next;
  }
  return level.length > 0 ? tooLarge(work, expansion) : expansion;
}

function tooLarge(work: Work, expansion: Expansion): Expansion {
  step(
    work,
    `the alias leads to more than ${MAX_EXPANSION} addresses or is more than ${MAX_ALIAS_DEPTH} deep`,
  );
  expansion.recipients.length = 0;
  const answer = reply(
    550,
    '5.2.4',
    `<${work.recipient.text}> this list expands to too many addresses or levels`,
  );
  expansion.trouble = end(work, 'refused', 'alias-too-large', answer);
  return expansion;
}

/** Follows one target; what it leads to further is returned, what it is in the end goes into the expansion. */
async function expandOne(
  work: Work,
  lead: Lead,
  expansion: Expansion,
  seen: Set<string>,
): Promise<readonly Lead[]> {
  const { text, rule, forwarder } = lead;
  const follows = (targets: readonly string[]) => targets.map((target) => ({ ...lead, text: target }));
  const parsed = parseAddress(text);
  if (!parsed.ok) {
    step(work, `the target ${text} is not a valid address and is left out`);
    return [];
  }
  const address = parsed.value;
  const domain = await work.deps.directory.domain(address.domain);
  if (domain === null || (domain.forward !== null && 'host' in domain.forward)) {
    if (domain === null && forwarder !== null && !work.settings.externalForwards) {
      step(work, `forwarding to other servers is turned off: mail for ${address.text} stays in the mailbox`);
      deliver(work, forwarder, 'account', expansion);
      return [];
    }
    step(work, `${address.text} goes to the outgoing queue`);
    expansion.recipients.push(toQueue(work, address, rule));
    return [];
  }
  if (domain.forward !== null) return follows([domain.forward.address]);
  const found = await findUser(work.deps.directory, address.localPart, domain);
  if (found.type === 'alias') return follows(found.alias.targets);
  if (found.type === 'catch-all') return follows([found.target]);
  if (found.type === 'unknown' && forwarder !== null) {
    step(work, `the target ${address.text} does not exist: its mail stays in the mailbox`);
    deliver(work, forwarder, 'account', expansion);
    return [];
  }
  const account = found.type === 'account' ? found.account : await postmasterFor(work, address);
  if (account === null) return [];
  const trouble = accountTrouble(work, account);
  if (trouble !== null && forwarder !== null) {
    step(work, `what cannot be forwarded to ${account.address} stays with ${forwarder.address}`);
    deliver(work, forwarder, 'account', expansion);
    return [];
  }
  if (trouble !== null) {
    if (expansion.trouble?.decision !== 'deferred') expansion.trouble = trouble;
    return [];
  }
  if (found.type === 'account' && account.forward !== null) {
    return intoAccount(work, account, rule, expansion, seen);
  }
  step(work, `${address.text} is delivered to the account ${account.address}`);
  deliver(work, account, rule, expansion);
  return [];
}

/**
 * An account that forwards: where to. Its mailbox gets the message too when a copy is kept, or when every target was
 * met already, as when two accounts forward to each other: mail is never dropped for that.
 */
function intoAccount(
  work: Work,
  account: Account,
  rule: string,
  expansion: Expansion,
  seen: Set<string>,
): readonly Lead[] {
  const { targets = [], keep = true } = account.forward ?? {};
  seen.add(account.address.toLowerCase());
  const left = targets.filter((target) => !seen.has(target.toLowerCase()));
  const words = keep ? 'and keeps a copy' : 'and keeps no copy';
  step(work, `the account ${account.address} forwards to ${targets.join(', ')} ${words}`);
  if (left.length === 0) step(work, `these were met already, so the mail stays with ${account.address}`);
  if (keep || left.length === 0) deliver(work, account, rule, expansion);
  const forwarded = { rule: accountForwardRule(account.address), forwarder: account };
  return left.map((text) => ({ text, ...forwarded }));
}

/** Into the mailbox, once. */
function deliver(work: Work, account: Account, rule: string, expansion: Expansion): void {
  const there = expansion.recipients.some(
    ({ to }) => to.type === 'local' && to.delivery.accountId === account.id,
  );
  if (!there) expansion.recipients.push(local(work, account, rule));
}

/** A target that does not exist in a hosted domain is a mistake of ours: its mail is kept by postmaster. */
async function postmasterFor(work: Work, address: Address): Promise<Account | null> {
  const own = await work.deps.directory.entry(`postmaster@${address.domain}`);
  step(work, `the target ${address.text} does not exist: its mail goes to postmaster`);
  return own?.type === 'account' ? own.account : work.deps.directory.postmaster();
}

/** The three rows of the table for a user that is unknown. */
async function decideUnknown(work: Work, hosted: Domain): Promise<Decision> {
  const { settings, recipient, client } = work;
  step(work, `${recipient.text} is unknown: no account, alias, subaddress or catch-all`);
  if (!settings.refuseUnknownUsers) {
    step(work, 'unknown users are not refused: to the postmaster of the domain');
    const decision = await decidePostmaster(work, hosted);
    const rule = 'unknown-to-postmaster';
    const recipients = decision.recipients.map((one) => ({ ...one, rule }));
    return { ...decision, rule, recipients };
  }
  if (settings.assumeExternal) {
    if (client.kind === 'external' && asksToRelay(recipient)) return refuseRelayForm(work);
    step(work, 'an unknown user is assumed to be external: to the outgoing queue');
    return queued(work, recipient, 'assumed-external', true);
  }
  if (work.purpose !== 'queue' && noticeIsDue(work) && (await senderMayBeTold(work))) {
    step(work, 'the message is accepted and CMail itself returns a failure notice');
    return end(work, 'notice', 'unknown-notice', ACCEPTED(recipient.text), {
      recipients: [toQueue(work, recipient, 'unknown-notice')],
    });
  }
  return refuseUnknown(work);
}

function noticeIsDue(work: Work): boolean {
  return work.settings.unknownUserNotice === 'notice' && work.client.kind === 'external';
}

/** Whether a failure notice may go to this sender; settled at RCPT, so that nothing is accepted and then dropped. */
async function senderMayBeTold(work: Work): Promise<boolean> {
  const { sender, deps, client, settings, purpose } = work;
  if (sender === null) {
    step(work, 'the sender is the null reverse-path, which gets no notice');
    return false;
  }
  if ((await deps.directory.domain(sender.domain)) !== null) {
    step(work, 'the sender claims a hosted domain, which gets no notice');
    return false;
  }
  const rate = settings.unknownUserNoticeRate;
  if (deps.noticeRate.allows(client.address ?? '', sender.text, rate, purpose === 'rcpt')) return true;
  step(work, 'the rate of such notices is used up for this network or sender');
  return false;
}

function refuseUnknown(work: Work): Decision {
  const text = `<${work.recipient.text}> no such user here; the message was not delivered to this address`;
  return end(work, 'refused', 'unknown-user', reply(550, '5.1.1', text));
}
