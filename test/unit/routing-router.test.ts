import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Resolver } from '../../src/dns/contract.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import type { Route, RouteFailure, Routes } from '../../src/routing/contract.ts';
import { Router } from '../../src/routing/router.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type { PhaseTimeouts, RouteFailureKind, Settings, SmtpHost } from '../../src/settings/values.ts';
import { type DnsServer, startDnsServer, type Trouble, type Zones } from '../support/dns-server.ts';

const TIMEOUTS: PhaseTimeouts = {
  greetingMs: 1,
  ehloMs: 1,
  tlsMs: 1,
  authMs: 1,
  mailMs: 1,
  rcptMs: 1,
  dataMs: 1,
  dataBlockMs: 1,
  dataEndMs: 1,
  quitMs: 1,
  commandMs: 1,
};
const SMTP_HOST: SmtpHost = {
  ...{ which: 1, name: 'relay.test', port: 587, tls: 'required', username: 'u', password: 'p' },
};
const SETTINGS: Settings = {
  ...buildSettings(new Map()),
  bufferSizeBytes: 4096,
  socketTimeoutMs: 1,
  maxIncomingSizeBytes: 0,
  useMxResolution: true,
  fallbackToSmtpHost: false,
  outboundPort: 25,
  refuseUnknownUsers: true,
  assumeExternal: false,
  smtpHost: SMTP_HOST,
  relayNetworks: [],
  retryScheduleMs: [1],
  queueLifetimeMs: 1,
  delayNoticeMs: 0,
  hopLimit: 100,
  fallbackOn: ['no-answer', 'nxdomain', 'no-address', 'unreachable', 'self'],
  unknownUserNotice: 'refuse',
  unknownUserNoticeRate: 10,
  allowPrivateAddresses: false,
  ownNames: ['alias.us.test'],
  ownAddresses: ['9.9.9.9'],
  bareNewline: 'refuse',
  minDataRate: 500,
  timeouts: TIMEOUTS,
  historyKeepMs: 1,
};

/** Globally reachable addresses, since others are not dialled; nothing here dials. */
const RELAY = { 'relay.test': ['A 10.0.0.7'] };
const HOSTS: Zones = {
  ...RELAY,
  'a.test': ['A 8.0.0.1'],
  'b.test': ['A 8.0.0.2', 'AAAA 2a00::2'],
  'c.test': ['A 8.0.0.3'],
  'us.test': ['A 8.8.8.8'],
  'also-us.test': ['A 9.9.9.9'],
  'private.test': ['A 192.168.1.1', 'AAAA fd00::1'],
};

interface Lab {
  readonly dns: DnsServer;
  readonly router: Router;
  readonly folder: string;
  plan(
    domain: string,
    settings?: Partial<Settings>,
    flags?: { fresh?: boolean; assumedExternal?: boolean },
  ): Promise<Route>;
}

/** `timeoutMs`: longer than a reply on loopback ever needs, short where a server stays silent. */
async function lab(t: TestContext, zones: Zones = {}, timeoutMs = 5_000): Promise<Lab> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-routing-'));
  t.after(() => rm(folder, { recursive: true }));
  const hostsFile = join(folder, 'hosts');
  await writeFile(hostsFile, '127.0.0.1 localhost\n10.0.0.8 in-hosts.test\n');
  const dns = await startDnsServer({ ...HOSTS, ...zones });
  t.after(() => dns.close());
  const resolver = createResolver({ servers: [dns.address], timeoutMs });
  t.after(() => resolver.close());
  const router = new Router({
    resolver,
    self: () => ({ hostname: 'us.test', listeners: [{ address: '0.0.0.0', port: 25 }] }),
    hostsFile,
    interfaces: () => ['127.0.0.1', '8.8.8.8'],
    random: () => 0.99,
  });
  return {
    dns,
    router,
    folder,
    plan: (domain, settings = {}, { fresh = false, assumedExternal = false } = {}) =>
      router.plan(
        { type: 'external', domain },
        { settings: { ...SETTINGS, ...settings }, fresh, assumedExternal },
      ),
  };
}

const hostNames = (route: Route) => route.hosts.map(({ name }) => name);
const addresses = (route: Route) => route.hosts.map((host) => host.addresses);
const words = (route: Route) => route.steps.map(({ text }) => text).join('\n');
const ON = { fallbackToSmtpHost: true };

interface Row {
  readonly what: string;
  readonly zones: Zones;
  readonly domain?: string;
  readonly kind: RouteFailureKind;
  readonly status: string;
  readonly action: RouteFailure['action'];
  readonly says: RegExp;
}

const noAnswer = { kind: 'no-answer', status: '4.4.3', action: 'retry' } as const;
const unreachable = { kind: 'unreachable', status: '4.4.1', action: 'retry' } as const;
const ownLoop = { kind: 'self', status: '5.4.6', action: 'notice' } as const;
const noAddress = { kind: 'no-address', status: '5.4.4', action: 'confirm' } as const;
const troubles: readonly Trouble[] = [
  'timeout',
  'servfail',
  'refused',
  'formerr',
  'garbage',
  'wrong-id',
  'truncated-only',
];

/** The rows of "When MX fails" that are settled before anything is dialled. */
const ROWS: readonly Row[] = [
  ...troubles.map((trouble) => ({
    what: `the MX lookup: ${trouble}`,
    zones: { 'x.test': ['MX 1 a.test', `!${trouble}`] },
    ...noAnswer,
    says: /no answer about the MX records of x\.test/,
  })),
  {
    what: 'an alias in a circle',
    zones: { 'x.test': ['CNAME y.test'], 'y.test': ['CNAME x.test'] },
    ...noAnswer,
    says: /lead back to x\.test/,
  },
  {
    what: 'NXDOMAIN',
    zones: {},
    kind: 'nxdomain',
    status: '5.1.2',
    action: 'confirm',
    says: /x\.test does not exist/,
  },
  {
    what: 'an alias to a name that does not exist',
    zones: { 'x.test': ['CNAME none.test'] },
    kind: 'nxdomain',
    status: '5.1.2',
    action: 'confirm',
    says: /does not exist/,
  },
  {
    what: 'no MX, A or AAAA',
    zones: { 'x.test': ['TXT hello'] },
    ...noAddress,
    says: /has no MX, A or AAAA/,
  },
  {
    what: 'MX hosts that do not exist',
    zones: { 'x.test': ['MX 1 none.test'] },
    ...unreachable,
    says: /none\.test does not exist/,
  },
  {
    what: 'MX hosts without address',
    zones: { 'x.test': ['MX 1 empty.test'], 'empty.test': [] },
    ...unreachable,
    says: /empty\.test exists in DNS but has no address/,
  },
  {
    what: 'MX hosts without answer',
    zones: { 'x.test': ['MX 1 none.test', 'MX 2 sf.test'], 'sf.test': ['!servfail'] },
    ...unreachable,
    says: /no answer about the addresses of sf\.test: .*SERVFAIL/,
  },
  {
    what: 'MX hosts at private addresses',
    zones: { 'x.test': ['MX 1 private.test'] },
    ...unreachable,
    says: /192\.168\.1\.1 of private\.test is not dialled.*private/,
  },
  {
    what: 'implicit MX at a private address',
    zones: {},
    domain: 'private.test',
    ...unreachable,
    says: /fd00::1 of private\.test is not dialled.*unique-local/,
  },
  {
    what: 'unusable MX names only',
    zones: { 'x.test': ['MX 1 8.8.4.4'] },
    ...unreachable,
    says: /8\.8\.4\.4 is an address/,
  },
  {
    what: 'a literal in private space',
    zones: {},
    domain: '[10.1.2.3]',
    ...unreachable,
    says: /is not dialled: it is a private address/,
  },
  {
    what: 'an IPv6 literal in private space',
    zones: {},
    domain: '[IPv6:fd00::1]',
    ...unreachable,
    says: /unique-local/,
  },
  {
    what: 'a literal of no known kind',
    zones: {},
    domain: '[tag:x]',
    ...unreachable,
    says: /not an IP address/,
  },
  {
    what: 'MX our hostname',
    zones: { 'x.test': ['MX 1 us.test'] },
    ...ownLoop,
    says: /lead only to this server/,
  },
  {
    what: 'MX one of our names',
    zones: { 'x.test': ['MX 1 alias.us.test'] },
    ...ownLoop,
    says: /lead only to this server/,
  },
  {
    what: 'MX at an address of this machine',
    zones: { 'x.test': ['MX 1 other.test'], 'other.test': ['A 8.8.8.8'] },
    ...ownLoop,
    says: /8\.8\.8\.8 of other\.test is not dialled.*this server itself/,
  },
  {
    what: 'MX at one of our addresses',
    zones: { 'x.test': ['MX 1 also-us.test'] },
    ...ownLoop,
    says: /lead only to this server/,
  },
  {
    what: 'MX ourselves and others no better',
    zones: { 'x.test': ['MX 5 us.test', 'MX 5 a.test', 'MX 9 b.test'] },
    ...ownLoop,
    says: /left out: .*5 a\.test, 9 b\.test/,
  },
  {
    what: 'MX ourselves by address and others no better',
    zones: { 'x.test': ['MX 5 also-us.test', 'MX 5 a.test', 'MX 9 b.test'] },
    ...ownLoop,
    says: /left out: .*9 b\.test/,
  },
  {
    what: 'implicit MX at ourselves',
    zones: {},
    domain: 'also-us.test',
    ...ownLoop,
    says: /leads to this server/,
  },
  {
    what: 'implicit MX of one of our names',
    zones: { 'alias.us.test': ['A 8.0.0.1'] },
    domain: 'alias.us.test',
    ...ownLoop,
    says: /leads to this server/,
  },
  {
    what: 'a literal of ourselves',
    zones: {},
    domain: '[8.8.8.8]',
    ...ownLoop,
    says: /is this server itself/,
  },
  ...(['timeout', 'servfail'] as const).map((trouble) => ({
    what: `the addresses of implicit MX: ${trouble}`,
    zones: { 'x.test': [`!${trouble}-a`] },
    ...noAnswer,
    says: /no answer about the addresses of x\.test/,
  })),
];

/** `!servfail-a` stands for trouble with A and AAAA only. */
async function rowLab(t: TestContext, row: Row): Promise<Lab> {
  const clean = Object.entries(row.zones).map(
    ([name, list]) => [name, list.filter((text) => !text.endsWith('-a'))] as const,
  );
  const result = await lab(t, Object.fromEntries(clean), /timeout|wrong-id/.test(row.what) ? 200 : undefined);
  for (const trouble of ['timeout', 'servfail'] as const) {
    if (!row.zones['x.test']?.includes(`!${trouble}-a`)) continue;
    for (const type of ['A', 'AAAA']) result.dns.behaviour('x.test', trouble, { type });
  }
  return result;
}

describe('when MX fails', () => {
  for (const row of ROWS) {
    const domain = row.domain ?? 'x.test';

    it(`${row.what}: ${row.kind}, fallback off`, async (t) => {
      const { plan } = await rowLab(t, row);
      const route = await plan(domain);
      assert.equal(route.via, 'mx');
      assert.equal(route.fallback, null);
      assert.deepEqual(route.hosts, []);
      assert.deepEqual(
        { ...route.failure, text: '' },
        { kind: row.kind, status: row.status, action: row.action, text: '' },
      );
      assert.match(words(route), row.says);
      assert.match(words(route), /no fallback to the SMTP host: it is off/);
    });

    it(`${row.what}: SMTP host, fallback on`, async (t) => {
      const { plan } = await rowLab(t, row);
      const route = await plan(domain, ON);
      assert.equal(route.via, 'smtp-host');
      assert.equal(route.fallback, row.kind);
      assert.equal(route.failure, null);
      assert.deepEqual(route.smtpHost, SMTP_HOST);
      assert.deepEqual(route.hosts, [
        {
          ...{ name: 'relay.test', port: 587, preference: null, addresses: ['10.0.0.7'], rejected: [] },
          smtpHost: SMTP_HOST,
        },
      ]);
      assert.match(words(route), row.says);
      assert.match(
        words(route),
        new RegExp(`MX failed \\(${row.kind}\\), so the SMTP host relay\\.test port 587 is used`),
      );
    });

    it(`${row.what}: no SMTP host, fallback on but not for ${row.kind}`, async (t) => {
      const { plan } = await rowLab(t, row);
      const others = SETTINGS.fallbackOn.filter((kind) => kind !== row.kind);
      const route = await plan(domain, { ...ON, fallbackOn: others });
      assert.equal(route.via, 'mx');
      assert.equal(route.failure?.kind, row.kind);
      assert.match(words(route), new RegExp(`not chosen for ${row.kind}`));
    });
  }

  for (const fallbackToSmtpHost of [false, true]) {
    it(`null MX is a definite no, fallback ${fallbackToSmtpHost ? 'on' : 'off'}`, async (t) => {
      const { plan } = await lab(t, { 'x.test': ['MX 0 .', 'A 8.0.0.1'] });
      const route = await plan('x.test', { fallbackToSmtpHost });
      assert.equal(route.via, 'mx');
      assert.equal(route.fallback, null);
      assert.deepEqual(route.hosts, []);
      assert.equal(route.failure?.kind, 'null-mx');
      assert.equal(route.failure?.status, '5.1.10');
      assert.equal(route.failure?.action, 'notice');
      assert.match(words(route), /null MX.*\n.*definite/);
    });
  }

  it('fallback without an SMTP host stays the failure it is', async (t) => {
    const { plan } = await lab(t);
    const route = await plan('x.test', { ...ON, smtpHost: null });
    assert.equal(route.failure?.kind, 'nxdomain');
    assert.match(words(route), /none is entered/);
  });

  it('a fresh plan confirms past the cache', async (t) => {
    const { plan, dns } = await lab(t, { 'x.test': ['3600 MX 1 a.test'] });
    assert.equal((await plan('x.test')).failure, null);
    dns.remove('x.test');
    assert.equal((await plan('x.test')).failure, null);
    assert.equal((await plan('x.test', {}, { fresh: true })).failure?.kind, 'nxdomain');
  });
});

describe('by MX', () => {
  it('hosts come by preference with both families, on the outbound port', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 20 a.test', 'MX 10 b.test'] });
    const route = await plan('x.test', { outboundPort: 2525 });
    assert.deepEqual(route.hosts, [
      { name: 'b.test', port: 2525, preference: 10, addresses: ['2a00::2', '8.0.0.2'], rejected: [] },
      { name: 'a.test', port: 2525, preference: 20, addresses: ['8.0.0.1'], rejected: [] },
    ]);
    assert.equal(route.failure, null);
    assert.equal(route.smtpHost, null);
    assert.equal(route.mx?.status, 'ok');
    assert.match(words(route), /MX records of x\.test: 10 b\.test, 20 a\.test/);
    assert.match(
      words(route),
      /in this order: b\.test port 2525 \(2a00::2, 8\.0\.0\.2\); a\.test port 2525 \(8\.0\.0\.1\)/,
    );
  });

  it('hosts that cannot be used are passed over', async (t) => {
    const { plan } = await lab(t, {
      'x.test': ['MX 1 none.test', 'MX 2 private.test', 'MX 3 a.test', 'MX 4 8.8.4.4'],
    });
    assert.deepEqual(hostNames(await plan('x.test', ON)), ['a.test']);
  });

  it('private addresses are dialled where that is allowed', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 1 private.test'] });
    const allowPrivateAddresses = true;
    assert.deepEqual(addresses(await plan('x.test', { allowPrivateAddresses })), [
      ['fd00::1', '192.168.1.1'],
    ]);
    assert.deepEqual(addresses(await plan('private.test', { allowPrivateAddresses })), [
      ['fd00::1', '192.168.1.1'],
    ]);
    assert.deepEqual(addresses(await plan('[10.1.2.3]', { allowPrivateAddresses })), [['10.1.2.3']]);
  });

  it('only the private addresses of a host are left out', async (t) => {
    const { plan } = await lab(t, {
      'x.test': ['MX 1 mixed.test'],
      'mixed.test': ['A 10.0.0.1', 'A 8.0.0.9'],
    });
    const [host] = (await plan('x.test')).hosts;
    assert.deepEqual(host?.addresses, ['8.0.0.9']);
    assert.deepEqual(host?.rejected, [{ address: '10.0.0.1', reason: 'a private address (RFC 1918)' }]);
  });

  it('implicit MX is the domain itself', async (t) => {
    const { plan } = await lab(t);
    const route = await plan('b.test');
    assert.deepEqual(route.hosts, [
      { name: 'b.test', port: 25, preference: null, addresses: ['2a00::2', '8.0.0.2'], rejected: [] },
    ]);
    assert.equal(route.mx?.status, 'nodata');
  });

  it('an alias is followed, for MX and implicit MX', async (t) => {
    const zones = { 'x.test': ['CNAME y.test'], 'y.test': ['MX 1 a.test'], 'z.test': ['CNAME b.test'] };
    const { plan } = await lab(t, zones);
    const route = await plan('x.test');
    assert.deepEqual(hostNames(route), ['a.test']);
    assert.match(words(route), /x\.test is an alias of y\.test/);
    assert.deepEqual(addresses(await plan('z.test')), [['2a00::2', '8.0.0.2']]);
  });

  it('a truncated answer is fetched whole', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 1 a.test', '!truncated'] });
    assert.deepEqual(hostNames(await plan('x.test')), ['a.test']);
  });

  it('address literals connect directly, without a lookup', async (t) => {
    const { plan, dns } = await lab(t);
    assert.deepEqual((await plan('[8.0.0.1]')).hosts, [
      { name: '8.0.0.1', port: 25, preference: null, addresses: ['8.0.0.1'], rejected: [] },
    ]);
    assert.deepEqual(addresses(await plan('[IPv6:2a00::1]')), [['2a00::1']]);
    assert.equal(dns.queries.length, 0);
  });

  it('null MX beside others is ignored', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 0 .', 'MX 1 a.test'] });
    assert.deepEqual(hostNames(await plan('x.test')), ['a.test']);
  });

  it('hosts better than ourselves stay, and are unreachable when they have no address', async (t) => {
    const zones = {
      'x.test': ['MX 5 a.test', 'MX 10 us.test', 'MX 10 b.test', 'MX 20 c.test'],
      'y.test': ['MX 5 none.test', 'MX 10 us.test'],
      'z.test': ['MX 5 a.test', 'MX 10 also-us.test', 'MX 20 c.test'],
    };
    const { plan } = await lab(t, zones);
    assert.deepEqual(hostNames(await plan('x.test', {}, { assumedExternal: true })), ['a.test']);
    assert.equal((await plan('y.test')).failure?.kind, 'unreachable');
    assert.deepEqual(hostNames(await plan('z.test')), ['a.test']);
  });

  it('an address of ours on a port without listener is another server', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 1 also-us.test'] });
    assert.deepEqual(addresses(await plan('x.test', { outboundPort: 2525 })), [['9.9.9.9']]);
  });

  it('at most five hosts and ten addresses are tried, at most ten names looked up', async (t) => {
    const ids = Array.from({ length: 30 }, (_, index) => index);
    const hosts = ids.map(
      (id) => [`h${id}.test`, ['A 8.1.0.1', 'A 8.1.0.2', 'AAAA 2a00::5', 'AAAA 2a00::6']] as const,
    );
    const { plan, dns } = await lab(t, {
      'x.test': ids.map((id) => `MX ${id} h${id}.test`),
      ...Object.fromEntries(hosts),
    });
    const route = await plan('x.test');
    assert.deepEqual(hostNames(route), ['h0.test', 'h1.test', 'h2.test', 'h3.test', 'h4.test']);
    assert.deepEqual(addresses(route), Array(5).fill(['2a00::5', '8.1.0.1']));
    assert.equal(new Set(dns.queries.filter(({ type }) => type === 'A').map(({ name }) => name)).size, 10);
  });

  it('says that a hosted domain is assumed to be external', async (t) => {
    const { plan } = await lab(t, { 'x.test': ['MX 1 a.test'] });
    assert.match(
      words(await plan('x.test', {}, { assumedExternal: true })),
      /x\.test is hosted here.*assumed/,
    );
  });
});

describe('the SMTP host', () => {
  const OFF = { useMxResolution: false };
  const host = (name: string, port = 587) => ({ smtpHost: { ...SMTP_HOST, name, port } });

  it('takes everything external when MX resolution is off, literals too, and MX is never asked', async (t) => {
    const { plan, dns } = await lab(t, { 'relay.test': ['A 10.0.0.7', 'MX 1 a.test'] });
    for (const domain of ['x.test', '[8.0.0.1]']) {
      const route = await plan(domain, OFF);
      assert.equal(route.via, 'smtp-host');
      assert.equal(route.fallback, null);
      assert.deepEqual(addresses(route), [['10.0.0.7']]);
      assert.deepEqual(route.smtpHost, SMTP_HOST);
    }
    assert.ok(dns.queries.every(({ type, name }) => type !== 'MX' && name === 'relay.test'));
  });

  it('is found by address, by name, or in the hosts file when DNS has nothing or fails', async (t) => {
    const { plan, dns } = await lab(t);
    assert.deepEqual(addresses(await plan('x.test', { ...OFF, ...host('10.9.9.9') })), [['10.9.9.9']]);
    assert.deepEqual(addresses(await plan('x.test', { ...OFF, ...host('[fd00::9]') })), [['fd00::9']]);
    const route = await plan('x.test', { ...OFF, ...host('in-hosts.test') });
    assert.deepEqual(addresses(route), [['10.0.0.8']]);
    assert.match(words(route), /in-hosts\.test is in the hosts file/);
    dns.behaviour('in-hosts.test', 'servfail');
    assert.deepEqual(addresses(await plan('x.test', { ...OFF, ...host('in-hosts.test') })), [['10.0.0.8']]);
    assert.deepEqual(addresses(await plan('x.test', { ...OFF, ...host('localhost') })), [['127.0.0.1']]);
  });

  it('that is not found is retried, also in fallback', async (t) => {
    const { plan, folder } = await lab(t);
    const failure = { kind: 'smtp-host-unresolved', status: '4.4.1', action: 'retry' };
    const off = await plan('x.test', { ...OFF, ...host('none.test') });
    assert.deepEqual({ ...off.failure, text: undefined }, { ...failure, text: undefined });
    assert.equal(off.via, 'smtp-host');
    await rm(join(folder, 'hosts'));
    const fallback = await plan('x.test', { ...ON, ...host('none.test') });
    assert.equal(fallback.fallback, 'nxdomain');
    assert.deepEqual({ ...fallback.failure, text: undefined }, { ...failure, text: undefined });
    assert.deepEqual(fallback.hosts, []);
    assert.match(words(fallback), /the hosts file cannot be read/);
    assert.equal((await plan('x.test', { ...OFF, smtpHost: null })).failure?.kind, 'smtp-host-unresolved');
  });

  it('that is this server is never dialled', async (t) => {
    const { plan } = await lab(t);
    const route = await plan('x.test', { ...OFF, ...host('localhost', 25) });
    assert.deepEqual(route.hosts, []);
    assert.equal(route.failure?.kind, 'smtp-host-unresolved');
    assert.equal(route.failure?.status, '4.4.6');
    assert.match(route.failure?.text ?? '', /is this server itself/);
  });

  it('steps in after dialling when settings allow it for the kind', async (t) => {
    const { router } = await lab(t);
    const route = await router.fallback('unreachable', { ...SETTINGS, ...ON }, '');
    assert.equal(route?.via, 'smtp-host');
    assert.equal(route?.fallback, 'unreachable');
    assert.deepEqual(route?.hosts[0]?.addresses, ['10.0.0.7']);
    assert.match(route === null ? '' : words(route), /MX failed \(unreachable\)/);
    assert.equal((await router.fallback('self', { ...SETTINGS, ...ON }, ''))?.fallback, 'self');
    const never: Partial<Settings>[] = [
      {},
      { ...ON, useMxResolution: false },
      { ...ON, fallbackOn: ['self'] },
      { ...ON, smtpHost: null },
    ];
    for (const settings of never) {
      assert.equal(
        await router.fallback('unreachable', { ...SETTINGS, ...settings }, ''),
        null,
        JSON.stringify(settings),
      );
    }
  });
});

describe('a forward host', () => {
  const forward = (router: Routes, host: string, port = 2525) =>
    router.plan(
      { type: 'forward', domain: 'here.test', host, port },
      { settings: SETTINGS, fresh: false, assumedExternal: false },
    );

  it('is dialled on its own port, private or not', async (t) => {
    const { router } = await lab(t);
    const route = await forward(router, 'private.test');
    assert.equal(route.via, 'forward');
    assert.deepEqual(route.hosts, [
      {
        name: 'private.test',
        port: 2525,
        preference: null,
        addresses: ['fd00::1', '192.168.1.1'],
        rejected: [],
      },
    ]);
    assert.match(words(route), /here\.test is forwarded to private\.test port 2525/);
    assert.deepEqual(addresses(await forward(router, 'in-hosts.test')), [['10.0.0.8']]);
    assert.deepEqual(addresses(await forward(router, '10.3.3.3')), [['10.3.3.3']]);
  });

  it('that is not found is retried and never falls back', async (t) => {
    const { router, dns } = await lab(t);
    const failure = async () => (await forward(router, 'none.test')).failure;
    const { text: _, ...absent } = (await failure()) ?? { text: '' };
    assert.deepEqual(absent, { kind: 'forward-unresolved', status: '4.4.4', action: 'retry' });
    dns.behaviour('none.test', 'servfail');
    assert.equal((await failure())?.status, '4.4.3');
  });

  it('that is this server is never dialled', async (t) => {
    const { router } = await lab(t);
    const route = await forward(router, 'us.test', 25);
    assert.deepEqual(route.hosts, []);
    assert.equal(route.failure?.kind, 'forward-unresolved');
    assert.equal(route.failure?.status, '4.4.6');
  });
});

describe('a fault of ours', () => {
  it('is retried, never thrown', async () => {
    const broken = (): never => {
      throw new Error('broken inside');
    };
    const lookups = { mx: broken, addresses: broken, ptr: broken, txt: broken, tlsa: broken, alias: broken };
    const resolver: Resolver = { ...lookups, close: () => undefined };
    const router = new Router({ resolver, self: () => ({ hostname: 'us.test', listeners: [] }) });
    const options = { settings: { ...SETTINGS, ...ON }, fresh: false, assumedExternal: false };
    const route = await router.plan({ type: 'external', domain: 'x.test' }, options);
    assert.equal(route.failure?.kind, 'no-answer');
    assert.equal(route.failure?.action, 'retry');
    assert.match(route.failure?.text ?? '', /broken inside/);
    assert.equal((await router.fallback('unreachable', options.settings, ''))?.failure?.action, 'retry');
  });
});
