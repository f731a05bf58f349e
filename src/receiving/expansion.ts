/** Where an alias, a catch-all or an account's own forward leads: every target followed to mailboxes and outward. */
import { findUser } from '../directory/directory.ts';
import { type Address, parseAddress } from '../mail/address.ts';
import { accountForwardRule } from '../mail/forward-rule.ts';
import { reply } from '../mail/reply.ts';
import type { Account, NewRecipient } from '../storage/contract.ts';
import { accountTrouble, type Decision, end, local, step, toQueue, type Work } from './decision-work.ts';

/** Targets of one RCPT after every alias and forward is followed. */
const MAX_EXPANSION = 1_000;
const MAX_ALIAS_DEPTH = 10;

/** A target still to be followed. */
interface Lead {
  readonly text: string;
  /** Of the recipients it becomes. */
  readonly rule: string;
  /** The account whose own forward leads there; what cannot be forwarded stays in its mailbox. */
  readonly forwarder: Account | null;
}

export interface Expansion {
  readonly recipients: NewRecipient[];
  /** The first reason why a target could not be used. */
  trouble: Decision | null;
}

export async function expand(work: Work, targets: readonly string[], rule: string): Promise<Expansion> {
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

/** An account's own forward, followed to where its mail goes. */
export function expandForward(work: Work, account: Account, rule: string): Promise<Expansion> {
  const expansion: Expansion = { recipients: [], trouble: null };
  const seen = new Set([work.recipient.text.toLowerCase()]);
  return follow(work, intoAccount(work, account, rule, expansion, seen), expansion, seen);
}
