/** "Who is refused", the numbered rules before the table of unknown users, by a directory of its own. */
import { CLOSED, FAR, OUTWARD, type Row } from './explain-agrees-row.ts';

/** The first account is the server's postmaster. */
export const ACCOUNTS = [
  'boss@our.example',
  'anna@our.example',
  'full@our.example',
  'gone@our.example',
  'postmaster@branch.example',
] as const;
export const FULL = 'full@our.example';
export const DISABLED = 'gone@our.example';
export const DOMAINS = [
  'our.example',
  'branch.example',
  'aliased.example',
  'catch.example',
  'catch-out.example',
  'inner.example',
  'inner-dead.example',
  'to-account.example',
  'to-outside.example',
] as const;
const AWAY = 'x@away.example';
export const ALIASES: Readonly<Record<string, readonly string[]>> = {
  'team@our.example': ['anna@our.example'],
  'out@our.example': [AWAY],
  'all@our.example': ['anna@our.example', AWAY],
  'postmaster@aliased.example': ['anna@our.example'],
};
export const CATCH_ALLS = { 'catch.example': 'anna@our.example', 'catch-out.example': AWAY } as const;
/** `{port}`: where all peers listen. */
export const FORWARDS = {
  'inner.example': `${FAR}:{port}`,
  'inner-dead.example': `${CLOSED}:{port}`,
  'to-account.example': 'anna@our.example',
  'to-outside.example': AWAY,
} as const;

const EXTERNAL = { client: 'external' } as const;
const AWAY_SERVED = { 'away.example': ['MX 10 mx.away.example'], 'mx.away.example': [`A ${FAR}`] };
const KEEP = { 'smtp.refuseUnknownUsers': 'off' };
const ASSUME = { 'smtp.assumeExternal': 'on' };

/** Before any account exists. */
export const ROWS_WITHOUT_ACCOUNTS: readonly Row[] = ['postmaster', 'postmaster@our.example'].map((to) => ({
  name: `rule 2, ${to} before any account exists: put off`,
  ...{ ...EXTERNAL, to, told: { decision: 'deferred', rule: 'postmaster' }, ends: { at: 'refused' } },
}));

const invalid: readonly Row[] = (['local', 'external'] as const).map((client) => ({
  name: `rule 1, not valid as an address, ${client}`,
  ...{ client, to: 'no address@our.example', told: { decision: 'refused', rule: 'invalid-address' } },
  ends: { at: 'refused' },
}));

const POSTMASTER = { decision: 'postmaster', rule: 'postmaster', via: 'mailbox' };
const postmaster = [{}, KEEP, ASSUME].flatMap((settings): Row[] => {
  const named = Object.entries(settings).flat().join(' ') || 'usual settings';
  return [
    { name: `rule 2, postmaster alone, ${named}`, to: 'postmaster', of: 'boss@our.example' },
    {
      name: `rule 2, the server's postmaster, ${named}`,
      to: 'PostMaster@our.example',
      of: 'boss@our.example',
    },
    { name: `rule 2, the domain's account, ${named}`, to: 'postmaster@branch.example' },
    {
      name: `rule 2, the domain's alias, ${named}`,
      to: 'postmaster@aliased.example',
      of: 'anna@our.example',
    },
    {
      ...{ name: `rule 2, in a domain with a forward, ${named}`, to: 'postmaster@inner.example' },
      of: 'boss@our.example',
    },
    {
      name: `rule 2, at an address of this server, ${named}`,
      to: 'postmaster@[127.0.0.1]',
      of: 'boss@our.example',
    },
  ].map(({ name, to, of = to }) => ({
    ...{ ...EXTERNAL, name, to, settings, told: POSTMASTER, ends: { at: 'mailbox', of } },
  }));
});

const DENIED = { decision: 'refused', rule: 'relaying-denied' };
const UNKNOWN = { decision: 'refused', rule: 'unknown-user' };
const notHosted: readonly Row[] = [
  {
    name: 'rule 3, a source route gains nothing',
    ...{ ...EXTERNAL, to: AWAY, path: `@our.example:${AWAY}`, told: DENIED, ends: { at: 'refused' } },
  },
  {
    name: 'rule 3, the percent form gains nothing',
    ...{ ...EXTERNAL, to: 'x%away.example@our.example', told: UNKNOWN, ends: { at: 'refused' } },
  },
  {
    name: 'rule 3, the bang form gains nothing',
    ...{ ...EXTERNAL, to: 'away.example!x@our.example', told: UNKNOWN, ends: { at: 'refused' } },
  },
  {
    name: 'rule 3, the percent form gains nothing where unknown users are assumed external',
    ...{ ...EXTERNAL, to: 'x%away.example@our.example', settings: ASSUME, told: DENIED },
    ends: { at: 'refused' },
  },
  {
    name: 'rule 3, the percent form gains nothing at a forward host',
    ...{ ...EXTERNAL, to: 'x%away.example@inner.example', told: DENIED, ends: { at: 'refused' } },
  },
  {
    name: 'rule 3, nobody but postmaster at an address of this server',
    ...{ ...EXTERNAL, to: 'anna@[127.0.0.1]', told: UNKNOWN, ends: { at: 'refused' } },
  },
  {
    name: 'rule 3, not hosted, from a local client: outgoing queue',
    ...{
      client: 'local',
      to: AWAY,
      zones: AWAY_SERVED,
      told: { ...OUTWARD, via: 'mx' },
      ends: { at: 'far' },
    },
  },
];

const FORWARD = { decision: 'external', rule: 'forward' };
const ASKED = /forward host .*asked/;
const forwards: readonly Row[] = [
  // First of those at this host: a connection that was kept would be used again, and its session is forgotten.
  {
    name: 'rule 4, a forward host that would say no, unknown users not refused: returned',
    ...{ ...EXTERNAL, to: 'spirit@inner.example', told: { ...FORWARD, via: 'forward' }, settings: KEEP },
    far: { recipients: { 'spirit@inner.example': '550 5.1.1 Nobody' } },
    heard: { stage: 'rcpt', reply: '550 5.1.1 Nobody' },
    ends: { at: 'notice', status: '5.1.1', dialled: 'refused' },
  },
  {
    name: 'rule 4, a forward host that knows the recipient',
    ...{ ...EXTERNAL, to: 'x@inner.example', told: { ...FORWARD, via: 'forward' }, step: ASKED },
    ends: { at: 'far' },
  },
  {
    name: 'rule 4, a forward host that says no',
    ...{ ...EXTERNAL, to: 'ghost@inner.example', told: { ...FORWARD, via: 'forward' }, step: ASKED },
    far: { recipients: { 'ghost@inner.example': '550 5.1.1 Nobody' } },
    ...{ alsoHeard: ['far'], ends: { at: 'refused', rcpt: '550 5.1.1' } },
  },
  {
    name: 'rule 4, a forward host out of reach: accepted',
    ...{ ...EXTERNAL, to: 'x@inner-dead.example', told: { ...FORWARD, via: 'forward' }, step: ASKED },
    ends: { at: 'notice', status: '4.4.1', dialled: 'unreachable' },
  },
  {
    name: 'rule 4, a forward to an account',
    ...{
      ...EXTERNAL,
      to: 'x@to-account.example',
      told: { decision: 'local', rule: 'forward', via: 'mailbox' },
    },
    ends: { at: 'mailbox', of: 'anna@our.example' },
  },
  {
    name: 'rule 4, a forward to an external address',
    ...{ ...EXTERNAL, to: 'x@to-outside.example', zones: AWAY_SERVED, told: { ...FORWARD, via: 'mx' } },
    ends: { at: 'far', address: AWAY },
  },
];

const people: readonly Row[] = [
  {
    name: 'rule 5, an account',
    ...{ ...EXTERNAL, to: 'Anna@our.example', told: { decision: 'local', rule: 'account', via: 'mailbox' } },
    ends: { at: 'mailbox', of: 'anna@our.example' },
  },
  {
    name: 'rule 5, an alias for an account',
    ...{ ...EXTERNAL, to: 'team@our.example', told: { decision: 'local', rule: 'alias', via: 'mailbox' } },
    ends: { at: 'mailbox', of: 'anna@our.example' },
  },
  {
    name: 'rule 5, an alias for an external address',
    ...{ ...EXTERNAL, to: 'out@our.example', zones: AWAY_SERVED },
    told: { decision: 'external', rule: 'alias', via: 'mx' },
    ends: { at: 'far', address: AWAY },
  },
  {
    name: 'rule 5, an alias for both',
    ...{ ...EXTERNAL, to: 'all@our.example', zones: AWAY_SERVED },
    told: { decision: 'local', rule: 'alias', via: 'mx' },
    ends: { at: 'mailbox', of: 'anna@our.example', and: AWAY },
  },
  {
    name: 'rule 5, user+tag',
    ...{ ...EXTERNAL, to: 'anna+list@our.example' },
    told: { decision: 'local', rule: 'subaddress', via: 'mailbox' },
    ends: { at: 'mailbox', of: 'anna@our.example' },
  },
  {
    name: 'rule 5, a catch-all account',
    ...{ ...EXTERNAL, to: 'any@catch.example' },
    told: { decision: 'local', rule: 'catch-all', via: 'mailbox' },
    ends: { at: 'mailbox', of: 'anna@our.example' },
  },
  {
    name: 'rule 5, a catch-all outside',
    ...{ ...EXTERNAL, to: 'any@catch-out.example', zones: AWAY_SERVED },
    told: { decision: 'external', rule: 'catch-all', via: 'mx' },
    ends: { at: 'far', address: AWAY },
  },
  ...(['local', 'external'] as const).flatMap((client): Row[] => [
    {
      name: `rule 5, over quota, ${client}: put off`,
      ...{ client, to: FULL, told: { decision: 'deferred', rule: 'over-quota' }, ends: { at: 'refused' } },
    },
    {
      name: `rule 5, account disabled, ${client}`,
      ...{ client, to: DISABLED, told: { decision: 'refused', rule: 'account-disabled' } },
      ends: { at: 'refused' },
    },
  ]),
];

export const NUMBERED_ROWS: readonly Row[] = [
  ...[...invalid, ...postmaster, ...notHosted],
  ...[...forwards, ...people],
];
