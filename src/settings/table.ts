/**
 * The table of settings: the one place where a setting is defined. Validation, the `settings` commands, the
 * error texts and docs/settings.md come from it. To add one, add an entry here and its line in `build.ts`.
 */
import { type AnySetting, setting } from './definition.ts';
import { destinationRulesType } from './destination-rules.ts';
import { ownersTable, reportsTable, strangersTable, submissionTable } from './people-table.ts';
import { sessionsTable } from './sessions-table.ts';
import { furtherSmtpHosts, senderHostsSetting, smtpHostTable } from './smtp-host-table.ts';
import { phaseTimeouts } from './timeouts.ts';
import {
  addressOf,
  choice,
  choiceEntry,
  domainName,
  duration,
  durationEntry,
  integer,
  ipAddress,
  kilobytes,
  list,
  onOff,
  relayNetwork,
  seconds,
  size,
} from './types.ts';
import type { RouteFailureKind } from './values.ts';

const DAY_MS = 86_400_000;

const NEXT_CONNECTION = 'From the next connection to a remote server.';
const NEXT_ATTEMPT = 'From the next attempt of every queued message, also of those already waiting.';
const NEXT_COMMAND = 'From the next command of every open SMTP session.';
const NEXT_RCPT =
  'From the next RCPT of every open session, and at the next attempt of every queued recipient.';

/** The eight settings of SMTP Configuration > Advanced. */
const advanced = {
  bufferSize: setting({
    key: 'smtp.bufferSize',
    label: 'Buffer Size',
    type: kilobytes({ min: 1, max: 1024 }),
    default: '4',
    help: 'KB of one message a connection may hold that are not yet handed on, to the storage writer or to the socket. At the limit reading stops and the peer waits, so the memory of a connection never depends on the size of a message. Leave it at 4 unless memory is plentiful and mails are large.',
    effect: 'From the next read of every open connection, inbound and outbound.',
  }),
  socketTimeout: setting({
    key: 'smtp.socketTimeout',
    label: 'Socket Timeout',
    type: seconds({ min: 1, max: 600 }),
    default: '30',
    help: 'Longest time to open one connection to one address of a remote server (TCP, and TLS where it is implicit). Use 45–60 on a very slow line. The phases after that have their own times, smtp.timeout.*.',
    effect: NEXT_CONNECTION,
  }),
  maxIncomingSize: setting({
    key: 'smtp.maxIncomingSize',
    label: 'Max incoming size',
    type: size({ min: 0, max: 1024 ** 4 }),
    default: '50MB',
    help: 'Largest message accepted by SMTP; 0 means no limit. Announced as SIZE (RFC 1870). A message above it is refused with 552 5.3.4, at MAIL when the client declares its size, else at the end of the data.',
    effect: 'From the next EHLO and MAIL of every open session, and for data that is arriving.',
  }),
  useMxResolution: setting({
    key: 'smtp.useMxResolution',
    label: 'Use MX Resolution to send mail',
    type: onOff(),
    default: 'on',
    help: "On: CMail finds the servers of a destination itself, by the domain's MX records. Off: everything external goes to the SMTP host, which must then be entered.",
    effect: NEXT_ATTEMPT,
  }),
  fallbackToSmtpHost: setting({
    key: 'smtp.fallbackToSmtpHost',
    label: 'Fallback to SMTP host if MX fails',
    type: onOff(),
    default: 'off',
    help: "On: when a destination's servers cannot be found or reached (smtp.fallbackOn says which failures count), its mail goes to the SMTP host. Works together with MX resolution and needs an SMTP host. A server that was reached and answered never leads to fallback.",
    effect: NEXT_ATTEMPT,
  }),
  outboundPort: setting({
    key: 'smtp.outboundPort',
    label: 'Outbound SMTP Port',
    type: integer({ min: 1, max: 65535 }),
    default: '25',
    help: 'Port on remote servers reached by MX resolution. Change it only on a gateway. The SMTP host and the forward host of a domain have ports of their own.',
    effect: NEXT_CONNECTION,
  }),
  refuseUnknownUsers: setting({
    key: 'smtp.refuseUnknownUsers',
    label: 'Refuse message if user unknown',
    type: onOff(),
    default: 'on',
    help: "On: a recipient in a hosted domain who has no account, alias or catch-all is refused with 550 5.1.1 at RCPT. Off: the mail is accepted and goes to the domain's postmaster.",
    effect: NEXT_RCPT,
  }),
  assumeExternal: setting({
    key: 'smtp.assumeExternal',
    label: 'Assume recipient address external',
    type: onOff(),
    default: 'off',
    help: 'On: an unknown user of a hosted domain is taken to have a mailbox elsewhere and the mail goes to the outgoing queue. For a domain whose users are split over two servers. Has no effect while smtp.refuseUnknownUsers is off.',
    effect: NEXT_RCPT,
  }),
};

const queueAndRouting = {
  relayNetworks: setting({
    key: 'smtp.relayNetworks',
    label: 'Relay networks',
    type: list(relayNetwork, { min: 0, max: 100 }),
    default: '127.0.0.1/32,::1/128',
    help: 'Clients connecting from these ranges are local clients: they may send to any domain without authentication. IPv4-mapped addresses count as IPv4. Never list a proxy, a NAT or a container gateway that strangers come through.',
    effect: NEXT_COMMAND,
  }),
  retrySchedule: setting({
    key: 'smtp.retrySchedule',
    label: 'Retry schedule',
    type: list(durationEntry({ min: 1000, max: 7 * DAY_MS }, 'm'), { min: 1, max: 50 }, { repeats: true }),
    default: '1m,5m,15m,30m,1h,2h,4h',
    help: 'Waits before the second, third, … attempt; the last one repeats until the queue lifetime ends.',
    effect: NEXT_ATTEMPT,
  }),
  queueLifetime: setting({
    key: 'smtp.queueLifetime',
    label: 'Queue lifetime',
    type: duration({ min: 0, max: 60 * DAY_MS }, 'd'),
    default: '5d',
    help: 'How long a message is tried before its failure notice. 0: the first failure is final and the notice goes out at once.',
    effect: NEXT_ATTEMPT,
  }),
  delayNotice: setting({
    key: 'smtp.delayNotice',
    label: 'Delay notice',
    type: duration({ min: 0, max: 60 * DAY_MS }, 'h'),
    default: '4h',
    help: 'Age at which the sender of a waiting message is told of the delay, once; 0 for never.',
    effect: NEXT_ATTEMPT,
  }),
  hopLimit: setting({
    key: 'smtp.hopLimit',
    label: 'Hop limit',
    type: integer({ min: 1, max: 1000 }),
    default: '100',
    help: 'A message with more Received lines is in a loop and is refused with 554 5.4.6 at the end of its data (RFC 5321 §6.3).',
    effect: 'From the next message.',
  }),
  fallbackOn: setting({
    key: 'smtp.fallbackOn',
    label: 'Fallback on',
    type: list(
      choiceEntry<RouteFailureKind>(['no-answer', 'nxdomain', 'no-address', 'unreachable', 'self']),
      { min: 0, max: 5 },
    ),
    default: 'no-answer,nxdomain,no-address,unreachable,self',
    help: 'The failures of MX resolution that lead to the SMTP host. no-answer: DNS gave none; nxdomain: the domain does not exist; no-address: it has no mail server; unreachable: none of its servers took the connection; self: its MX leads to this server.',
    effect: NEXT_ATTEMPT,
  }),
  destinationRules: setting({
    key: 'smtp.destinationRules',
    label: 'Destination rules',
    type: destinationRulesType,
    default: '',
    help: 'Rules for single destinations, as in: example.com route=host:relay.example.net:2525 tls=verify, *.example.org hold. First a domain, *.domain (what is below it) or * (every other), then words: route=mx, route=smtp-host, route=smtp-host:2 or route=host:NAME:PORT; port=NUMBER on servers found by MX; tls=none, opportunistic, encrypt (any certificate) or verify (a trusted one for the name); concurrency=SESSIONS at once; rate=MESSAGES a minute; ipv4 for no IPv6; hold; default for an exception from a wider rule. The nearest rule applies alone.',
    effect: NEXT_ATTEMPT,
  }),
  ...sessionsTable,
  senderHosts: senderHostsSetting,
  unknownUserNotice: setting({
    key: 'smtp.unknownUserNotice',
    label: 'Unknown user from outside',
    type: choice<'refuse' | 'notice'>(['refuse', 'notice']),
    default: 'refuse',
    help: "refuse: 550 5.1.1 at RCPT, and the client's server tells the sender. notice: an external source gets 250 and CMail returns the failure notice, within smtp.unknownUserNoticeRate. Acts while smtp.refuseUnknownUsers is on.",
    effect: NEXT_RCPT,
  }),
  unknownUserNoticeRate: setting({
    key: 'smtp.unknownUserNoticeRate',
    label: 'Unknown user notices',
    type: integer({ min: 0, max: 1000 }, 'a minute'),
    default: '10',
    help: 'Failure notices a minute that one client network may cause with smtp.unknownUserNotice = notice; above it, and above one an hour for each sender, 550 5.1.1 is given after all.',
    effect: NEXT_RCPT,
  }),
  allowPrivateAddresses: setting({
    key: 'smtp.mx.allowPrivateAddresses',
    label: 'Allow private addresses of MX hosts',
    type: onOff(),
    default: 'off',
    help: 'On: MX hosts and address literals may have loopback, private, link-local and other addresses that are not public. For gateways and labs only; off, such hosts count as unreachable.',
    effect: NEXT_ATTEMPT,
  }),
  ownNames: setting({
    key: 'smtp.ownNames',
    label: 'Other names of this server',
    type: list(domainName, { min: 0, max: 100 }),
    default: '',
    help: 'Host names, beside its own, under which this server stands in MX records. An MX with one of them is this server itself.',
    effect: NEXT_ATTEMPT,
  }),
  ownAddresses: setting({
    key: 'smtp.ownAddresses',
    label: 'Other addresses of this server',
    type: list(ipAddress, { min: 0, max: 100 }),
    default: '',
    help: 'Addresses, beside those of this machine, that lead to this server, such as the outside address of a NAT.',
    effect: NEXT_ATTEMPT,
  }),
  sourceAddress4: setting({
    key: 'smtp.sourceAddress4',
    label: 'IPv4 address to send from',
    type: addressOf(4),
    default: '',
    help: 'Address of this machine from which servers are called by IPv4, so that they see the one with the right reverse name. Empty: the system chooses. If it is not an address of this machine, mail waits and an alarm says so. Calls to this machine itself do not use it.',
    effect: NEXT_CONNECTION,
  }),
  sourceAddress6: setting({
    key: 'smtp.sourceAddress6',
    label: 'IPv6 address to send from',
    type: addressOf(6),
    default: '',
    help: 'The same for IPv6. Worth setting where the system changes its IPv6 address by itself (privacy extensions): servers want a fixed one with a reverse name.',
    effect: NEXT_CONNECTION,
  }),
  bareNewline: setting({
    key: 'smtp.bareNewline',
    label: 'Bare CR or LF',
    type: choice<'refuse' | 'normalise'>(['refuse', 'normalise']),
    default: 'refuse',
    help: 'refuse: a message with a CR or LF alone is refused with 550 5.5.2, which stops SMTP smuggling. normalise: they are repaired for clients on the relay networks, since office copiers send them.',
    effect: NEXT_COMMAND,
  }),
  minDataRate: setting({
    key: 'smtp.minDataRate',
    label: 'Least data rate',
    type: integer({ min: 1, max: 1_000_000 }, 'B/s'),
    default: '500',
    help: 'Bytes a second that the data of a message must average, so that a dripping peer is ended and a slow line is not.',
    effect: 'From the next block of data, inbound and outbound.',
  }),
  historyKeep: setting({
    key: 'history.keep',
    label: 'Keep the history of messages',
    type: duration({ min: DAY_MS, max: 3650 * DAY_MS }, 'd'),
    default: '90d',
    help: 'How long the timeline of a finished message is kept.',
    effect: 'From the next sweep.',
  }),
};

/** Every setting by a short name, with the type of its value. */
export const table = {
  ...advanced,
  ...smtpHostTable,
  ...furtherSmtpHosts,
  ...queueAndRouting,
  ...submissionTable,
  ...ownersTable,
  ...reportsTable,
  ...strangersTable,
  ...phaseTimeouts,
};

/** Every setting, in the order of the page. */
export const allSettings: readonly AnySetting[] = Object.values(table) as readonly AnySetting[];

const byKey: ReadonlyMap<string, AnySetting> = new Map(allSettings.map((one) => [one.key, one]));

export function findSetting(key: string): AnySetting | undefined {
  return byKey.get(key);
}
