/** "When MX fails", the rows where a server is dialled: it says nothing, speaks and fails, or refuses for good. */
import type { PeerScript, PeerStage } from '../support/smtp-peer.ts';
import {
  CLOSED,
  FALLBACK,
  FAR,
  type Heard,
  MIRROR,
  OUTWARD,
  type Row,
  SECOND,
  SWALLOWS,
} from './explain-agrees-row.ts';

const BOTH = [
  ['fallback off', 'off', {}],
  ['fallback on', 'on', FALLBACK],
] as const;

/** An MX list of these addresses, best first, each host named for its place. */
function served(domain: string, ...addresses: readonly string[]) {
  const hosts = addresses.map((address, at) => [`mx${at}.${domain}`, [`A ${address}`]] as const);
  const records = addresses.map((_, at) => `MX ${10 * (at + 1)} mx${at}.${domain}`);
  return { [domain]: records, ...Object.fromEntries(hosts) };
}

/** What the first server does, as a peer's script, and how far an attempt comes with it. */
interface Behaviour {
  readonly name: string;
  readonly script: PeerScript;
  readonly heard: Heard;
  /** Of the notice in the end. */
  readonly status: string;
  readonly settings?: Readonly<Record<string, string>>;
}

function behaviour(
  name: string,
  at: PeerScript['at'],
  [stage, reply]: readonly [Heard['stage'], string | RegExp],
  status: string,
  settings: Readonly<Record<string, string>> = {},
): Behaviour {
  return { name, script: { at }, heard: { stage, reply }, status, settings };
}

/** Before 220: none of these spoke. */
const NOT_GREETED: readonly Behaviour[] = [
  behaviour('closed-early', { greeting: 'close' }, ['greeting', /closed/], '4.4.1'),
  behaviour('silent', { greeting: 'silent' }, ['greeting', /did not answer within 1 s/], '4.4.1', {
    'smtp.timeout.greeting': '1s',
  }),
  behaviour('busy', { greeting: '421 4.3.2 Busy' }, ['greeting', '421 4.3.2 Busy'], '4.4.1'),
  behaviour('closed-today', { greeting: '554 5.3.2 No' }, ['greeting', '554 5.3.2 No'], '4.4.1'),
];

const notGreeted = NOT_GREETED.flatMap(({ name, script, heard, status, settings }): Row[] =>
  BOTH.map(([title, suffix, fallback]) => {
    const domain = `${name}-${suffix}.example`;
    return {
      name: `unreachable, ${name} before 220, ${title}`,
      ...{ client: 'local', to: `x@${domain}`, zones: served(domain, FAR), far: script, heard },
      ...{ settings: { ...settings, ...fallback }, connects: true, told: { ...OUTWARD, via: 'mx' } },
      ends:
        suffix === 'on'
          ? { at: 'host', dialled: 'unreachable' }
          : { at: 'notice', status, dialled: 'unreachable' },
    };
  }),
);

const timedOut = BOTH.map(([title, suffix, fallback]): Row => {
  const domain = `timeout-${suffix}.example`;
  return {
    name: `unreachable, connecting times out, ${title}`,
    ...{ client: 'local', to: `x@${domain}`, zones: served(domain, SWALLOWS), connects: true },
    ...{ settings: { 'smtp.socketTimeout': '1', ...fallback }, told: { ...OUTWARD, via: 'mx' } },
    ends:
      suffix === 'on'
        ? { at: 'host', dialled: 'unreachable' }
        : { at: 'notice', status: '4.4.1', dialled: 'unreachable' },
  };
});

const TALKED = ['mail', 'rcpt', 'data', 'end'] as const;
const stageOf = (stage: PeerStage) => (stage === 'end' ? 'data-end' : stage) as Heard['stage'];

const LOST: readonly Behaviour[] = [
  behaviour('lost at EHLO', { ehlo: 'close', helo: 'close' }, ['ehlo', /closed/], '4.4.2'),
  behaviour('timed out at EHLO', { ehlo: 'silent' }, ['ehlo', /did not answer within 1 s/], '4.4.2', {
    'smtp.timeout.ehlo': '1s',
  }),
  behaviour(
    'EHLO and HELO refused',
    { ehlo: '502 5.5.1 No', helo: '550 5.5.1 No' },
    ['ehlo', '550 5.5.1 No'],
    '4.4.2',
  ),
  ...TALKED.map((stage) =>
    behaviour(`lost at ${stage}`, { [stage]: 'close' }, [stageOf(stage), /closed/], '4.4.2'),
  ),
];

const PUT_OFF = TALKED.map((stage, at) => {
  const [status, reply] = [`4.2.${at}`, `45${at % 3} 4.2.${at} Not now`];
  return behaviour(`4xx to ${stage}`, { [stage]: reply }, [stageOf(stage), reply], status);
});

const REFUSED = TALKED.map((stage, at) => {
  const [status, reply] = [`5.6.${at}`, `55${at} 5.6.${at} Never`];
  return behaviour(`5xx to ${stage}`, { [stage]: reply }, [stageOf(stage), reply], status);
});

function spokenTo(one: Behaviour, kind: 'spoke' | 'refused', number: number): Row[] {
  const { name, script, heard, status, settings } = one;
  return BOTH.flatMap(([title, suffix, fallback]): Row[] => {
    const [alone, two] = [
      `alone-${kind}${number}-${suffix}.example`,
      `two-${kind}${number}-${suffix}.example`,
    ];
    const base = {
      client: 'local',
      ...{ far: script, heard, connects: true as const },
      ...{ settings: { ...settings, ...fallback }, told: { ...OUTWARD, via: 'mx' } },
    } as const;
    return [
      {
        ...base,
        name: `${name}, ${title}`,
        ...{ to: `x@${alone}`, zones: served(alone, FAR) },
        ends: { at: 'notice', status, dialled: kind },
      },
      {
        ...base,
        name: `${name}, with a second host, ${title}`,
        ...{ to: `x@${two}`, zones: served(two, FAR, SECOND) },
        ends: kind === 'spoke' ? { at: 'second', dialled: kind } : { at: 'notice', status, dialled: kind },
      },
    ];
  });
}

const spoke = [...LOST, ...PUT_OFF].flatMap((one, number) => spokenTo(one, 'spoke', number));
const refused = REFUSED.flatMap((one, number) => spokenTo(one, 'refused', number));

const MIXED = [
  ['unreachable before it', [CLOSED, FAR]],
  ['unreachable after it', [FAR, CLOSED]],
  ['ourselves after it', [FAR, MIRROR]],
] as const;

const anySpoke = MIXED.flatMap(([name, addresses], number) =>
  BOTH.map(([title, suffix, fallback]): Row => {
    const domain = `mixed${number}-${suffix}.example`;
    return {
      name: `one host spoke, another is ${name}, ${title}`,
      ...{ client: 'local', to: `x@${domain}`, zones: served(domain, ...addresses), settings: fallback },
      ...{ far: { at: { rcpt: '450 4.2.1 Not now' } }, heard: { stage: 'rcpt', reply: '450 4.2.1 Not now' } },
      ...{ connects: true, told: { ...OUTWARD, via: 'mx' } },
      ends: { at: 'notice', status: '4.2.1', dialled: 'spoke' },
      ...(addresses.includes(MIRROR as never) ? { alsoHeard: ['mirror'] } : {}),
    };
  }),
);

const REQUIRED = { 'smtp.host.tls': 'required' };
const HOST_ONLY = { ...REQUIRED, 'smtp.useMxResolution': 'off' };

/** Only the SMTP host can ask for TLS: there is no DANE and no MTA-STS yet. */
const tls: readonly Row[] = [
  ...BOTH.flatMap(([title, suffix, fallback]): Row[] => [
    {
      name: `TLS required and not offered, MX resolution off, ${title}`,
      ...{ client: 'local', to: `x@tls-${suffix}.example`, connects: true },
      ...{ settings: { ...HOST_ONLY, ...fallback }, told: { ...OUTWARD, via: 'smtp-host' } },
      ...{ heard: { at: 'host', stage: 'ehlo', reply: /TLS is required/ } },
      ends: { at: 'notice', status: '4.7.4', dialled: 'tls' },
    },
    {
      name: `TLS required and STARTTLS refused, MX resolution off, ${title}`,
      ...{ client: 'local', to: `x@starttls-${suffix}.example`, connects: true },
      ...{ host: { extensions: ['STARTTLS'] }, settings: { ...HOST_ONLY, ...fallback } },
      told: { ...OUTWARD, via: 'smtp-host' },
      ...{ heard: { at: 'host', stage: 'starttls', reply: '502 5.5.1 Not here' } },
      ends: { at: 'notice', status: '4.7.4', dialled: 'tls' },
    },
  ]),
  {
    name: 'TLS required and not offered by the SMTP host that steps in',
    ...{
      client: 'local',
      to: 'x@nobody-tls.example',
      settings: { ...REQUIRED, ...FALLBACK },
      connects: true,
    },
    told: { ...OUTWARD, via: 'smtp-host', fallback: 'nxdomain' },
    ...{ heard: { at: 'host', stage: 'ehlo', reply: /TLS is required/ } },
    ends: { at: 'notice', status: '4.7.4', dialled: 'tls' },
  },
];

export const SPOKE_ROWS: readonly Row[] = [
  ...[...notGreeted, ...timedOut, ...spoke, ...refused],
  ...[...anySpoke, ...tls],
];
