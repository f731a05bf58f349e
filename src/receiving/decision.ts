/**
 * Who is refused: the decision for one recipient, in the order BEHAVIOUR.md gives. RCPT, a queued
 * recipient's next attempt and explain all ask here; nothing else decides.
 */
import { type Found, findUser } from '../directory/directory.ts';
import type { Address } from '../mail/address.ts';
import { describeError } from '../mail/failure.ts';
import { ACCOUNT_FORWARD } from '../mail/forward-rule.ts';
import { reply } from '../mail/reply.ts';
import type { Target } from '../routing/contract.ts';
import type { Account, Domain } from '../storage/contract.ts';
import {
  ACCEPTED,
  accountTrouble,
  type Decision,
  type DecisionDependencies,
  type DecisionRequest,
  end,
  local,
  step,
  toQueue,
  type Work,
} from './decision-work.ts';
import { type Expansion, expand, expandForward } from './expansion.ts';

export type { AskForwardHost, Decision, DecisionDependencies, DecisionRequest } from './decision-work.ts';

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

/** The account's own forward: its targets, and its mailbox too where a copy is kept or nothing else is left. */
async function decideAccountForward(work: Work, account: Account, rule: string): Promise<Decision> {
  return endExpansion(work, await expandForward(work, account, rule), ACCOUNT_FORWARD);
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
