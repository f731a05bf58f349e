/** The rows of the two tables that DNS, the settings and the directory decide, each with where it must end. */

import { NUMBERED_ROWS } from './explain-agrees-numbered-rows.ts';
import { CLOSED, FALLBACK, FAR, MIRROR, OUTWARD, type Row } from './explain-agrees-row.ts';
import { RULE_ROWS } from './explain-agrees-rule-rows.ts';
import { SPOKE_ROWS } from './explain-agrees-spoke-rows.ts';

const GHOST = 'ghost@our.example';
const NOTICE = { 'smtp.unknownUserNotice': 'notice' };
const ASSUME = { 'smtp.assumeExternal': 'on' };
const KEEP = { 'smtp.refuseUnknownUsers': 'off' };
const OUR_MX_FAR = { 'our.example': ['MX 10 mx.our.example'], 'mx.our.example': [`A ${FAR}`] };
const OUR_MX_SELF = { 'our.example': ['MX 10 mail.cmail.test', 'MX 20 mx.our.example'] };
const REFUSED = { decision: 'refused', rule: 'unknown-user' };
const ASSUMED = { decision: 'external', rule: 'assumed-external' };
const POSTMASTER = { decision: 'postmaster', rule: 'unknown-to-postmaster', via: 'mailbox' };

const unknownUsers: readonly Row[] = [
  ...(['local', 'external'] as const).flatMap((client): Row[] => [
    {
      name: `refuse on, assume off, ${client}: refused`,
      ...{ client, to: GHOST, told: REFUSED, ends: { at: 'refused' } },
    },
    {
      name: `refuse on, assume on, ${client}: outward`,
      ...{ client, to: GHOST, settings: ASSUME, zones: OUR_MX_FAR },
      told: { ...ASSUMED, via: 'mx' },
      ends: { at: 'far' },
    },
    {
      name: `refuse off, ${client}: postmaster`,
      ...{ client, to: GHOST, settings: KEEP, told: POSTMASTER, ends: { at: 'mailbox' } },
    },
    {
      name: `refuse off, assume on, ${client}: postmaster`,
      ...{ client, to: GHOST, settings: { ...KEEP, ...ASSUME }, told: POSTMASTER, ends: { at: 'mailbox' } },
    },
  ]),
  {
    name: 'notice mode, external: accepted and returned',
    ...{ client: 'external', to: GHOST, settings: NOTICE },
    told: { decision: 'notice', rule: 'unknown-notice' },
    ends: { at: 'notice', status: '5.1.1' },
  },
  {
    name: 'notice mode, local: refused',
    ...{ client: 'local', to: GHOST, settings: NOTICE, told: REFUSED, ends: { at: 'refused' } },
  },
  {
    name: 'notice mode, null sender: refused',
    ...{ client: 'external', from: '', to: GHOST, settings: NOTICE, told: REFUSED, ends: { at: 'refused' } },
  },
  {
    name: 'notice mode, a sender in a hosted domain: refused',
    ...{ client: 'external', from: 'anna@our.example', to: GHOST, settings: NOTICE, told: REFUSED },
    ends: { at: 'refused' },
  },
  {
    name: 'notice mode, a sender who had one this hour: refused',
    ...{ client: 'external', to: GHOST, settings: NOTICE, told: REFUSED, ends: { at: 'refused' } },
  },
  {
    name: 'a hosted domain whose MX list leads only to ourselves',
    ...{ client: 'local', to: GHOST, settings: ASSUME, zones: OUR_MX_SELF },
    told: { ...ASSUMED, via: 'mx', failure: 'self', status: '5.4.6' },
    ends: { at: 'notice', status: '5.4.6' },
  },
  {
    name: 'a hosted domain with a better host than ourselves',
    ...{ client: 'local', to: GHOST, settings: ASSUME },
    zones: { ...OUR_MX_FAR, 'our.example': ['MX 10 mx.our.example', 'MX 20 mail.cmail.test'] },
    told: { ...ASSUMED, via: 'mx' },
    ends: { at: 'far' },
  },
  {
    name: 'not hosted, from an external source: relaying denied',
    ...{ client: 'external', to: 'x@fine.example', ends: { at: 'refused' } },
    told: { decision: 'refused', rule: 'relaying-denied' },
  },
];

const LIFETIME_0 = { 'smtp.queueLifetime': '0' };

/** What DNS says, which explain knows: kind, status and records. */
const KNOWN: readonly (readonly [
  string,
  string,
  string,
  Readonly<Record<string, readonly string[]>>,
  Readonly<Record<string, string>>?,
])[] = [
  ['no-answer', '4.4.3', 'servfail.example', { 'servfail.example': ['!servfail'] }],
  ['no-answer', '4.4.3', 'refusing.example', { 'refusing.example': ['!refused'] }],
  ['nxdomain', '5.1.2', 'nobody.example', {}],
  ['no-address', '5.4.4', 'empty.example', { 'empty.example': [] }],
  ['unreachable', '4.4.1', 'lost.example', { 'lost.example': ['MX 10 gone.lost.example'] }],
  [
    ...(['unreachable', '4.4.1', 'private.example'] as const),
    { 'private.example': ['MX 10 mx.private.example'], 'mx.private.example': [`A ${FAR}`] },
    { 'smtp.mx.allowPrivateAddresses': 'off' },
  ],
  ['self', '5.4.6', 'own.example', { 'own.example': ['MX 10 mail.cmail.test'] }],
];

const known = KNOWN.flatMap(([failure, status, domain, zones, settings]): Row[] => {
  const base = { client: 'local', to: `x@${domain}`, zones } as const;
  const failing = { ...OUTWARD, via: 'mx', failure, status };
  const returned = { at: 'notice', status } as const;
  return [
    { name: `${failure} (${domain}), fallback off`, ...base, settings, told: failing, ends: returned },
    {
      name: `${failure} (${domain}), fallback on`,
      ...{ ...base, settings: { ...settings, ...FALLBACK } },
      told: { ...OUTWARD, via: 'smtp-host', fallback: failure },
      ends: { at: 'host' },
    },
    {
      name: `${failure} (${domain}), fallback on for other kinds only`,
      ...{ ...base, told: failing, ends: returned },
      settings: {
        ...{ ...settings, ...FALLBACK, ...LIFETIME_0 },
        'smtp.fallbackOn': failure === 'self' ? 'no-answer' : 'self',
      },
    },
  ];
});

/** What only dialling shows: explain names the hosts, and in its outlook what would follow. */
const DIALLED = [
  ['unreachable', '4.4.1', CLOSED],
  ['self', '5.4.6', MIRROR],
] as const;

const dialled = DIALLED.flatMap(([kind, status, address]): Row[] => {
  const domain = `dialled-${kind}.example`;
  const zones = { [domain]: [`MX 10 mx.${domain}`], [`mx.${domain}`]: [`A ${address}`] };
  const base = { client: 'local', to: `x@${domain}`, zones, told: { ...OUTWARD, via: 'mx' } } as const;
  return [
    { name: `${kind} by dialling, fallback off`, ...base, ends: { at: 'notice', status, dialled: kind } },
    {
      name: `${kind} by dialling, fallback on`,
      ...{ ...base, settings: FALLBACK, ends: { at: 'host', dialled: kind } },
    },
  ];
});

const NULL_MX = { 'null.example': ['MX 0 .'] };
/** A domain for each row: connections to its servers are kept open for a while and used again. */
const fine = (domain: string) => ({
  [domain]: [`MX 20 mx2.${domain}`, `MX 10 mx1.${domain}`],
  [`mx1.${domain}`]: [`A ${CLOSED}`],
  [`mx2.${domain}`]: [`A ${FAR}`],
});

const others: readonly Row[] = [
  ...[{}, FALLBACK].flatMap((settings): Row[] => {
    const setting = settings === FALLBACK ? 'on' : 'off';
    return [
      {
        name: `null MX, fallback ${setting}`,
        ...{ client: 'local', to: 'x@null.example', zones: NULL_MX, settings },
        told: { ...OUTWARD, via: 'mx', failure: 'null-mx', status: '5.1.10' },
        ends: { at: 'notice', status: '5.1.10' },
      },
      {
        name: `a second host takes it, fallback ${setting}`,
        ...{
          client: 'local',
          to: `x@fine-${setting}.example`,
          zones: fine(`fine-${setting}.example`),
          settings,
        },
        told: { ...OUTWARD, via: 'mx' },
        ends: { at: 'far' },
      },
      {
        name: `no MX but an address, fallback ${setting}`,
        ...{
          client: 'local',
          to: 'x@implicit.example',
          zones: { 'implicit.example': [`A ${FAR}`] },
          settings,
        },
        told: { ...OUTWARD, via: 'mx' },
        ends: { at: 'far' },
      },
      {
        name: `an address literal, fallback ${setting}`,
        ...{
          client: 'local',
          to: `x@[${FAR}]`,
          settings,
          told: { ...OUTWARD, via: 'mx' },
          ends: { at: 'far' },
        },
      },
    ];
  }),
  {
    name: 'MX resolution off: the SMTP host, although the domain has servers',
    ...{ client: 'local', to: 'x@fine.example', zones: fine('fine.example') },
    settings: { 'smtp.useMxResolution': 'off' },
    told: { ...OUTWARD, via: 'smtp-host' },
    ends: { at: 'host' },
  },
];

export const ROWS: readonly Row[] = [
  ...[...unknownUsers, ...known, ...dialled, ...others],
  ...[...SPOKE_ROWS, ...NUMBERED_ROWS, ...RULE_ROWS],
];
