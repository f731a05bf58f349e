/** Rules for destinations, several SMTP hosts, and senders with an SMTP host of their own, as routes. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createResolver } from '../../src/dns/resolver.ts';
import type { Route } from '../../src/routing/contract.ts';
import { Router } from '../../src/routing/router.ts';
import { endpointsOf } from '../../src/sending/connect.ts';
import { buildSettings } from '../../src/settings/build.ts';
import { startDnsServer, type Zones } from '../support/dns-server.ts';

const ZONES: Zones = {
  'x.test': ['MX 1 a.test'],
  'sub.x.test': ['MX 1 a.test'],
  'gone.test': [],
  'a.test': ['A 8.0.0.1', 'AAAA 2a00::1'],
  'six.test': ['AAAA 2a00::6'],
  'one.test': ['A 10.0.0.1'],
  'two.test': ['A 10.0.0.2'],
  'three.test': ['A 10.0.0.3'],
  'us.test': ['A 127.0.0.1'],
};

const HOSTS = {
  'smtp.host.name': 'one.test',
  'smtp.host.username': 'first',
  'smtp.host2.name': 'two.test',
  'smtp.host2.port': '587',
  'smtp.host2.username': 'second',
  'smtp.host2.tls': 'required',
  'smtp.host3.name': 'three.test',
};

interface Question {
  readonly values?: Readonly<Record<string, string>>;
  readonly domain?: string;
  readonly sender?: string;
}

async function router(t: TestContext): Promise<Router> {
  const dns = await startDnsServer(ZONES);
  t.after(() => dns.close());
  const resolver = createResolver({ servers: [dns.address], timeoutMs: 5_000 });
  t.after(() => resolver.close());
  const self = () => ({ hostname: 'us.test', listeners: [{ address: '0.0.0.0', port: 25 }] });
  return new Router({ resolver, self, interfaces: () => ['127.0.0.1'], hostsFile: '/dev/null' });
}

async function plan(
  t: TestContext,
  { values = {}, domain = 'x.test', sender = 'anna@our.test' }: Question,
): Promise<Route> {
  const settings = buildSettings(new Map(Object.entries({ ...HOSTS, ...values })));
  const options = { settings, fresh: false, assumedExternal: false, sender };
  return (await router(t)).plan({ type: 'external', domain }, options);
}

const names = (route: Route) => route.hosts.map(({ name, port }) => `${name}:${port}`).join(' ');
const words = (route: Route) => route.steps.map(({ text }) => text).join('\n');
const rules = (text: string) => ({ 'smtp.destinationRules': text });

describe('rules for destinations', () => {
  const cases: readonly (readonly [string, Question, string, string])[] = [
    ['another host', { values: rules('x.test route=host:two.test:2526') }, 'host', 'two.test:2526'],
    [
      'the SMTP hosts',
      { values: rules('x.test route=smtp-host') },
      'smtp-host',
      'one.test:25 two.test:587 three.test:25',
    ],
    ['one SMTP host', { values: rules('x.test route=smtp-host:3') }, 'smtp-host', 'three.test:25'],
    ['a port', { values: rules('x.test port=2526') }, 'mx', 'a.test:2526'],
    [
      'MX although MX resolution is off',
      { values: { ...rules('x.test route=mx'), 'smtp.useMxResolution': 'off' } },
      'mx',
      'a.test:25',
    ],
    ['a wildcard', { values: rules('*.x.test port=2526'), domain: 'sub.x.test' }, 'mx', 'a.test:2526'],
    ['an exception', { values: rules('* route=smtp-host:2,x.test default') }, 'mx', 'a.test:25'],
  ];
  for (const [name, question, via, hosts] of cases) {
    it(`${name}: the route, and the rule as its first step`, async (t) => {
      const route = await plan(t, question);
      assert.equal(route.failure, null);
      assert.equal(route.via, via);
      assert.equal(names(route), hosts);
      assert.match(route.steps[0]?.text ?? '', /^rule for \S+: \S/);
    });
  }

  it('no rule, no word of one', async (t) => {
    assert.doesNotMatch(words(await plan(t, { values: rules('other.test hold') })), /rule for/);
  });

  it('ipv4: addresses of IPv6 are left alone, and say so', async (t) => {
    const route = await plan(t, { values: rules('x.test ipv4') });
    assert.deepEqual(route.hosts[0]?.addresses, ['8.0.0.1']);
    assert.match(words(route), /2a00::1 of a\.test is not dialled on port 25: it is IPv6, and the rule/);
    const six = await plan(t, { values: rules('x.test route=host:six.test ipv4') });
    assert.equal(six.failure?.kind, 'host-unresolved');
    assert.match(six.failure?.text ?? '', /has only IPv6 addresses/);
  });

  it('the TLS level reaches what is dialled', async (t) => {
    const levels = [
      ['none', 'none'],
      ['opportunistic', 'opportunistic'],
      ['encrypt', 'encrypt'],
      ['verify', 'required'],
    ] as const;
    for (const [level, tls] of levels) {
      const route = await plan(t, { values: rules(`x.test tls=${level}`) });
      assert.deepEqual([...new Set(endpointsOf(route).map((endpoint) => endpoint.tls))], [tls], level);
    }
  });

  it('hold: the route is worked out and says that nothing is sent', async (t) => {
    const route = await plan(t, { values: rules('x.test hold') });
    assert.equal(route.held, true);
    assert.match(words(route), /the rule for x\.test holds this mail/);
  });

  it('a host that turns out to be this server is no host', async (t) => {
    const route = await plan(t, { values: rules('x.test route=host:us.test:25') });
    assert.equal(route.failure?.kind, 'host-unresolved');
    assert.equal(route.failure?.status, '4.4.6');
    assert.match(route.failure?.text ?? '', /the rule for x\.test is this server itself/);
  });
});

describe('several SMTP hosts', () => {
  const OFF = { 'smtp.useMxResolution': 'off' };

  it('stand in their order, each with its own credentials and TLS', async (t) => {
    const route = await plan(t, { values: OFF });
    assert.deepEqual(
      endpointsOf(route).map(({ host, port, tls, credentials }) => [host, port, tls, credentials?.username]),
      [
        ['one.test', 25, 'opportunistic', 'first'],
        ['two.test', 587, 'required', 'second'],
        ['three.test', 25, 'opportunistic', undefined],
      ],
    );
  });

  it('one without an address leaves it to the others; all of them fail together', async (t) => {
    const route = await plan(t, { values: { ...OFF, 'smtp.host.name': 'nowhere.test' } });
    assert.equal(names(route), 'two.test:587 three.test:25');
    assert.match(words(route), /the SMTP host nowhere\.test has no address/);
    const none = { 'smtp.host.name': 'n1.test', 'smtp.host2.name': 'n2.test', 'smtp.host3.name': '' };
    const failed = await plan(t, { values: { ...OFF, ...none } });
    assert.equal(failed.failure?.kind, 'smtp-host-unresolved');
    assert.match(failed.failure?.text ?? '', /n1\.test .*; the SMTP host n2\.test /);
  });

  it('step in together when MX fails', async (t) => {
    const route = await plan(t, { domain: 'gone.test', values: { 'smtp.fallbackToSmtpHost': 'on' } });
    assert.equal(route.fallback, 'no-address');
    assert.equal(names(route), 'one.test:25 two.test:587 three.test:25');
  });
});

describe('senders with an SMTP host of their own', () => {
  const own = (text: string, more = {}) => ({ 'smtp.senderHosts': text, ...more });
  const OFF = { 'smtp.useMxResolution': 'off' };
  const cases: readonly (readonly [string, Question, string])[] = [
    ['an address', { values: own('Anna@our.test=2', OFF) }, 'two.test:587'],
    ['a domain', { values: own('@our.test=3', OFF) }, 'three.test:25'],
    ['the address before its domain', { values: own('@our.test=3,anna@our.test=2', OFF) }, 'two.test:587'],
    ['not while MX resolution finds the servers', { values: own('anna@our.test=2') }, 'a.test:25'],
    ['always', { values: own('anna@our.test=2 always') }, 'two.test:587'],
    ['somebody else', { values: own('ben@our.test=2 always') }, 'a.test:25'],
    [
      'the null sender',
      { sender: '', values: own('@our.test=2', OFF) },
      'one.test:25 two.test:587 three.test:25',
    ],
    [
      'a rule for the destination comes first',
      { values: own('anna@our.test=2 always', rules('x.test route=smtp-host:3')) },
      'three.test:25',
    ],
    [
      'where a rule says SMTP host and no number',
      { values: own('anna@our.test=2', rules('x.test route=smtp-host')) },
      'two.test:587',
    ],
    [
      'and at fallback',
      { domain: 'gone.test', values: own('anna@our.test=2', { 'smtp.fallbackToSmtpHost': 'on' }) },
      'two.test:587',
    ],
  ];
  for (const [name, question, hosts] of cases) {
    it(name, async (t) => {
      const route = await plan(t, question);
      assert.equal(names(route), hosts);
      const said = /mail from .*our\.test goes by SMTP host \d/.test(words(route));
      assert.equal(said, hosts === 'two.test:587' || name === 'a domain');
    });
  }

  it('also at fallback after dialling', async (t) => {
    const values = { ...HOSTS, ...own('anna@our.test=2'), 'smtp.fallbackToSmtpHost': 'on' };
    const settings = buildSettings(new Map(Object.entries(values)));
    const route = await (await router(t)).fallback('unreachable', settings, 'anna@our.test');
    assert.equal(route && names(route), 'two.test:587');
  });
});
