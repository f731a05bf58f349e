/** Settings of those who sign in and limits for strangers; part of the table in table.ts. */
import { parseAddress } from '../mail/address.ts';
import { setting } from './definition.ts';
import { parsed, unparsed } from './text.ts';
import { type EntryType, integer, list, onOff, type SettingType, seconds } from './types.ts';

const NEXT_MESSAGE = 'From the next message.';
const NEXT_CONNECTION = 'From the next connection.';
const COUNTED_AT_ONCE = 'At once, also for who is over the limit already.';
const OPEN_SESSIONS = 'From the next command of every open session.';

const mailAddress: EntryType<string> = {
  range: 'addresses',
  unit: '',
  parse: (text) => {
    const address = parseAddress(text);
    if (!address.ok || address.value.domain === '') return unparsed('not an address', 'copier@example.com');
    return parsed(address.value.text.toLowerCase());
  },
  format: (value) => value,
};

export const submissionTable = {
  submissionPerHour: setting({
    key: 'submission.messagesPerHour',
    label: 'Messages an hour for each account',
    type: integer({ min: 0, max: 1_000_000 }),
    default: '300',
    help: 'Messages that one account may send within an hour after it signed in; 0 for no limit. More are put off with 450 4.7.1, and an alarm in status names the account. A stolen password then does little harm.',
    effect: NEXT_MESSAGE,
  }),
  submissionPerDay: setting({
    key: 'submission.messagesPerDay',
    label: 'Messages a day for each account',
    type: integer({ min: 0, max: 1_000_000 }),
    default: '2000',
    help: 'As submission.messagesPerHour, for 24 hours. Counted by each node in memory: a restart begins anew.',
    effect: NEXT_MESSAGE,
  }),
  submissionRecipients: setting({
    key: 'submission.recipientsPerMessage',
    label: 'Recipients of a submitted message',
    type: integer({ min: 0, max: 10_000 }),
    default: '200',
    help: 'Recipients that one message of an account that signed in may have; 0 leaves it to smtp.recipientsPerMessage. More get 452 4.5.3, and the mail program must send the message in parts.',
    effect: 'From the next RCPT of every open session.',
  }),
  submissionAnySender: setting({
    key: 'submission.anySender',
    label: 'Accounts that may send as anybody',
    type: list(mailAddress, { min: 0, max: 1_000 }),
    default: '',
    help: 'Addresses of accounts whose sender is not checked, such as that of a list server. All others send from their own address, an alias that leads to them, or either with +tag; anything else gets 550 5.7.1.',
    effect: 'From the next MAIL of every open session.',
  }),
};

export const ownersTable = {
  ownersPage: setting({
    key: 'page.accounts',
    label: 'Page for the owners of accounts',
    type: onOff(),
    default: 'on',
    help: 'Whoever has an account may sign in to the page with its address and password, and sees there the own messages, app passwords, sign-ins and forwards, nothing else. Off: only administrators can sign in, and open sessions of accounts end at once.',
    effect: 'At once.',
  }),
  externalForwards: setting({
    key: 'account.externalForwards',
    label: 'Accounts may forward to other servers',
    type: onOff(),
    default: 'on',
    help: 'Whether the owner of an account may have mail forwarded to addresses that are not of this server. Off: such forwards cannot be entered, and mail of those that were stays in the mailbox. Forwards within the hosted domains are always possible.',
    effect: 'From the next recipient.',
  }),
  rewriteForwardedSender: setting({
    key: 'smtp.rewriteForwardedSender',
    label: 'Rewrite the sender of forwarded mail',
    type: onOff(),
    default: 'on',
    help: 'Mail from elsewhere that an alias, a catch-all, a forward or an account here hands on to another server leaves with an envelope sender of the forwarding domain (SRS), so that it passes the SPF check there; notices about it come back here and are handed on to who sent it. What the recipient reads, From and everything else, stays. Off: it leaves with its own sender, and servers that check SPF may refuse it.',
    effect: 'From the next attempt of every queued message, also of those already waiting.',
  }),
};

/** One address, or none. */
const contactAddress: SettingType<string> = {
  name: 'address',
  unit: '',
  range: 'a mail address; empty for postmaster of this server',
  parse: (text) => (text.trim() === '' ? parsed('') : mailAddress.parse(text.trim())),
  format: (value) => value,
  toJson: (value) => value,
};

export const reportsTable = {
  tlsReports: setting({
    key: 'smtp.tlsReports',
    label: 'TLS reports',
    type: onOff(),
    default: 'on',
    help: 'Counts how TLS went on connections to servers found by MX, and once a day tells each domain that asks for it (TXT record _smtp._tls, RFC 8460) how many went well and what failed. No addresses of people and nothing of messages is told.',
    effect: 'At once.',
  }),
  tlsReportsContact: setting({
    key: 'smtp.tlsReportsContact',
    label: 'Contact in TLS reports',
    type: contactAddress,
    default: '',
    help: 'The address that TLS reports come from and that is named in them for questions. Empty: postmaster at the name of this server.',
    effect: 'From the next report.',
  }),
};

export const strangersTable = {
  sessionsTotal: setting({
    key: 'smtp.sessions.total',
    label: 'SMTP sessions',
    type: integer({ min: 10, max: 100_000 }),
    default: '2000',
    help: 'SMTP sessions open at once on all listeners; more get 421 4.7.0.',
    effect: NEXT_CONNECTION,
  }),
  sessionsPerAddress: setting({
    key: 'smtp.sessions.perAddress',
    label: 'SMTP sessions of one address',
    type: integer({ min: 1, max: 100_000 }),
    default: '200',
    help: 'SMTP sessions open at once from one address; more get 421 4.7.0.',
    effect: NEXT_CONNECTION,
  }),
  sessionsPerNetwork: setting({
    key: 'smtp.sessions.perNetwork',
    label: 'SMTP sessions of one network',
    type: integer({ min: 1, max: 100_000 }),
    default: '400',
    help: 'SMTP sessions open at once from one network (IPv4 /24, IPv6 /64); more get 421 4.7.0.',
    effect: NEXT_CONNECTION,
  }),
  greetDelay: setting({
    key: 'smtp.greetDelay',
    label: 'Greet delay',
    type: seconds({ min: 0, max: 60 }),
    default: '0',
    help: 'Seconds before the greeting on the smtp listener. Who speaks before it is no mail server and gets 554 5.5.1. Clients on the relay networks are greeted at once. 5 keeps many spam programs out; a mail server waits up to 5 minutes.',
    effect: NEXT_CONNECTION,
  }),
  maxErrors: setting({
    key: 'smtp.maxErrors',
    label: 'Errors of a session',
    type: integer({ min: 1, max: 10_000 }),
    default: '20',
    help: 'Commands refused with 5xx before a session is closed with 421 4.7.0. An accepted message begins the count anew.',
    effect: OPEN_SESSIONS,
  }),
  errorsPerAddress: setting({
    key: 'smtp.errors.perAddress',
    label: 'Errors of one address in an hour',
    type: integer({ min: 0, max: 10_000_000 }),
    default: '1000',
    help: 'Commands, recipients and messages of one address that may be refused with 5xx on the smtp listener within an hour, all sessions together; 0 for no limit. At the limit its sessions and new connections get 421 4.7.0, which says when it may come back. Ten commands that move no mail count as one error, and so do ten recipients named without a message; an accepted message takes ten errors back. Relay networks, clients that signed in and proxies are not counted.',
    effect: COUNTED_AT_ONCE,
  }),
  errorsPerNetwork: setting({
    key: 'smtp.errors.perNetwork',
    label: 'Errors of one network in an hour',
    type: integer({ min: 0, max: 10_000_000 }),
    default: '4000',
    help: 'As smtp.errors.perAddress, for all addresses of one network (IPv4 /24, IPv6 /64). Higher, so that one bad address does not shut its neighbours out.',
    effect: COUNTED_AT_ONCE,
  }),
  maxIdleCommands: setting({
    key: 'smtp.maxIdleCommands',
    label: 'Commands without mail',
    type: integer({ min: 10, max: 100_000 }),
    default: '100',
    help: 'NOOP, RSET, EHLO and other commands that move no mail, between two messages; each further one counts as an error.',
    effect: OPEN_SESSIONS,
  }),
  maxRecipients: setting({
    key: 'smtp.recipientsPerMessage',
    label: 'Recipients of a message',
    type: integer({ min: 100, max: 100_000 }),
    default: '1000',
    help: 'Recipients of one message; more get 452 4.5.3 and the client sends them in a message of their own (RFC 5321 §4.5.3.1.8 asks for 100 at least).',
    effect: OPEN_SESSIONS,
  }),
  maxSessionRecipients: setting({
    key: 'smtp.recipientsPerSession',
    label: 'Recipients of a session',
    type: integer({ min: 100, max: 10_000_000 }),
    default: '100000',
    help: 'Recipients of all messages of one connection; more get 452 4.5.3 until the client connects again.',
    effect: OPEN_SESSIONS,
  }),
  maxMessages: setting({
    key: 'smtp.messagesPerSession',
    label: 'Messages of a session',
    type: integer({ min: 1, max: 10_000_000 }),
    default: '100000',
    help: 'Messages of one connection; the next MAIL gets 421 4.7.0, and the client connects again.',
    effect: OPEN_SESSIONS,
  }),
  popTotal: setting({
    key: 'pop3.sessions.total',
    label: 'POP3 sessions',
    type: integer({ min: 1, max: 100_000 }),
    default: '1000',
    help: 'POP3 sessions open at once on all listeners; more are refused.',
    effect: NEXT_CONNECTION,
  }),
  popPerAddress: setting({
    key: 'pop3.sessions.perAddress',
    label: 'POP3 sessions of one address',
    type: integer({ min: 1, max: 100_000 }),
    default: '50',
    help: 'POP3 sessions open at once from one address; more are refused. An office behind one address needs as many as it has people.',
    effect: NEXT_CONNECTION,
  }),
  signInBan: setting({
    key: 'signIn.banTime',
    label: 'First ban for wrong passwords',
    type: seconds({ min: 1, max: 86_400 }),
    default: '600',
    help: 'Seconds for which a network may not sign in after 20 failed sign-ins within an hour. Each further ban is twice as long as the one before, up to a day.',
    effect: 'From the next ban.',
  }),
};
