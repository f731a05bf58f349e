import { forwarderOf } from './forward-rule.ts';

/** Words for what a timeline names by short keys; the command line and the page tell the story with them. */

/** Why a recipient was decided as it was, by the name of the rule. */
const RULE_WORDS: Readonly<Record<string, string>> = {
  account: 'there is an account of this address',
  'account-forward': 'the account forwards its mail',
  alias: 'an alias leads there',
  subaddress: 'the part after the + is ignored',
  'catch-all': 'the catch-all of the domain leads there',
  forward: 'its domain is forwarded',
  'not-hosted': 'its domain is not one of this server',
  'assumed-external': 'no user of this name is here, and an unknown address is assumed to be external',
  'unknown-to-postmaster': 'no user of this name is here, so postmaster gets it',
  'unknown-notice': 'no user of this name is here, and the sender is told by a notice',
  postmaster: "postmaster's mail is always taken",
  srs: 'a notice about forwarded mail is handed on to who sent it',
  loop: 'the message came back to this server',
  'postmaster-notice': 'postmaster is told of what could be told to nobody else',
};

/** Words of a rule; what is not known is shown as it is. */
export function ruleWords(rule: string): string {
  const forwarder = forwarderOf(rule);
  if (forwarder !== null) return `the account ${forwarder} forwards its mail there`;
  return RULE_WORDS[rule] ?? rule;
}

/** The way an attempt took, by `via`. */
export const ROUTE_WORDS: Readonly<Record<string, string>> = {
  mx: 'by MX resolution',
  'smtp-host': 'by the SMTP host',
  forward: 'to the forward host of the domain',
  host: 'to the host that the rule for the destination names',
};

/** How far a trial came (RFC 5321 §3). */
export const STAGE_WORDS: Readonly<Record<string, string>> = {
  connect: 'not connected',
  greeting: 'at the greeting',
  ehlo: 'at EHLO',
  helo: 'at HELO',
  starttls: 'at STARTTLS',
  auth: 'at AUTH',
  mail: 'at MAIL',
  rcpt: 'at RCPT',
  data: 'at DATA',
  'data-end': 'at the end of the message',
};

const EVENT_WORDS: Readonly<Record<string, string>> = {
  SUCCESS: 'success',
  FAILURE: 'failure',
  DELAY: 'delay',
};

/** What a sender asked to be told of (NOTIFY, RFC 3461), as the end of a sentence; '' when not said. */
export function notifyWords(notify: unknown): string {
  if (!Array.isArray(notify) || notify.length === 0) return '';
  if (notify.includes('NEVER')) return 'its sender wants to be told nothing';
  return `its sender wants to be told of ${notify.map((word) => EVENT_WORDS[String(word)] ?? word).join(', ')}`;
}

/** What else a message was sent with, as the end of a sentence; '' when nothing. */
export function wishWords({ ret, envid, requireTls }: Readonly<Record<string, unknown>>): string {
  const words = [
    ...(ret === 'FULL' ? ['a failure notice is to bring back the whole message'] : []),
    ...(ret === 'HDRS' ? ['notices are to bring back its header only'] : []),
    ...(typeof envid === 'string' ? [`its sender knows it as ${envid}`] : []),
    ...(requireTls === true ? ['TLS is required all the way (REQUIRETLS)'] : []),
  ];
  return words.join(', ');
}
