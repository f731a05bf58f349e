/** Settings of how much goes to other servers at once. */
import { setting } from './definition.ts';
import { integer } from './types.ts';

const EFFECT = 'From the next session, message or transaction to a remote server.';

export const sessionsTable = {
  maxSessions: setting({
    key: 'smtp.maxSessions',
    label: 'Sessions to other servers',
    type: integer({ min: 1, max: 10_000 }),
    default: '100',
    help: 'Sessions of the outgoing queue at once, to all destinations, of each node. A quarter is kept from destinations that have not answered yet, so that dead ones hold up nobody.',
    effect: EFFECT,
  }),
  destinationConcurrency: setting({
    key: 'smtp.destinationConcurrency',
    label: 'Connections to one destination',
    type: integer({ min: 1, max: 1000 }),
    default: '20',
    help: 'Most connections at once to the servers of one destination, of each node. Domains with the same servers count as one. CMail begins with 5; each success allows one more, each failure half as many. A rule in smtp.destinationRules may say otherwise for a domain.',
    effect: EFFECT,
  }),
  messagesPerConnection: setting({
    key: 'smtp.messagesPerConnection',
    label: 'Messages over one connection',
    type: integer({ min: 1, max: 10_000 }),
    default: '100',
    help: 'After so many messages a connection to another server is closed and a new one opened.',
    effect: EFFECT,
  }),
  recipientsPerTransaction: setting({
    key: 'smtp.recipientsPerTransaction',
    label: 'Recipients in one transaction',
    type: integer({ min: 1, max: 1000 }),
    default: '100',
    help: 'Recipients of one message that are given to a server at once. Every server takes 100 (RFC 5321 §4.5.3.1.8).',
    effect: EFFECT,
  }),
};
