/** `check` against made-up DNS and a made-up machine. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext, test } from 'node:test';
import { checkAll } from '../../src/admin/check.ts';
import { checkClock, checkDisk } from '../../src/admin/check-machine.ts';
import { checkDomains, checkHostname } from '../../src/admin/check-names.ts';
import { checkNodes } from '../../src/admin/check-nodes.ts';
import { checkResolvers } from '../../src/admin/check-resolver.ts';
import type { AdminContext, CheckFinding } from '../../src/admin/context.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { machineOf } from '../../src/server/admin-context.ts';
import type { NodeInfo } from '../../src/storage/nodes-contract.ts';
import { type DnsServer, startDnsServer, type Zones } from '../support/dns-server.ts';
import { openWorld, putMessage } from './admin-support.ts';

const MB = 1024 ** 2;
const GB = 1024 ** 3;
const YEAR_2020_MS = Date.UTC(2020, 5, 1);

const lines = (findings: readonly CheckFinding[]) =>
  findings.map(({ level, topic, text }) => `${level} ${topic}: ${text}`);

/** What every finding that is not well must have. */
function assertHelpful(findings: readonly CheckFinding[]): void {
  for (const { level, text, meaning, mend } of findings) {
    if (level === 'ok') continue;
    assert.ok(meaning !== undefined && meaning !== '', `"${text}" does not say what it means`);
    assert.ok(mend !== undefined && mend !== '', `"${text}" does not say what to do`);
  }
}

async function dnsOf(t: TestContext, zones: Zones): Promise<DnsServer> {
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  return dns;
}

async function contextOn(t: TestContext, zones: Zones, domains: readonly string[] = []) {
  const world = await openWorld(t);
  const dns = await dnsOf(t, zones);
  const resolver = createResolver({ servers: [dns.address], timeoutMs: 300, attempts: 1 });
  t.after(() => resolver.close());
  for (const name of domains) await world.storage.addDomain(name);
  const context: AdminContext = { ...world.context, resolver, dnsServers: async () => [dns.address] };
  return { world, dns, context };
}

const HOME: Zones = {
  'mail.example.com': ['A 127.0.0.9'],
  '9.0.0.127.in-addr.arpa': ['PTR mail.example.com'],
};

describe('the host name', () => {
  it('that leads to an address and back is well', async (t) => {
    const { context } = await contextOn(t, HOME);
    assert.deepEqual(lines(await checkHostname(context)), [
      'ok dns: mail.example.com, this server, has 127.0.0.9',
      'ok dns: 127.0.0.9 leads back to mail.example.com (PTR)',
    ]);
  });

  const cases: readonly [string, Zones, RegExp][] = [
    [
      'without an address',
      {},
      /^warning dns: mail\.example\.com, this server, has no address in DNS: the name/,
    ],
    [
      'whose address has another reverse name',
      { ...HOME, '9.0.0.127.in-addr.arpa': ['PTR dsl-9.provider.example'] },
      /^warning dns: 127\.0\.0\.9 leads back to dsl-9\.provider\.example \(PTR\), not to mail\.example\.com$/,
    ],
    [
      'whose address has no reverse name',
      { 'mail.example.com': ['A 127.0.0.9'] },
      /^warning dns: 127\.0\.0\.9 has no reverse name \(PTR\): the name does not exist$/,
    ],
    [
      'whose reverse name gets no answer',
      { 'mail.example.com': ['A 127.0.0.9'], '9.0.0.127.in-addr.arpa': ['!servfail'] },
      /^warning dns: 127\.0\.0\.9 has no reverse name \(PTR\): .*answered SERVFAIL/,
    ],
  ];
  for (const [what, zones, expected] of cases) {
    it(`${what} is warned of`, async (t) => {
      const { context } = await contextOn(t, zones);
      const findings = await checkHostname(context);
      assert.match(lines(findings).at(-1) ?? '', expected);
      assertHelpful(findings);
    });
  }

  it('and every address others see us with must lead back', async (t) => {
    const { world, context } = await contextOn(t, HOME);
    await world.context.settings.set([{ key: 'smtp.ownAddresses', value: '203.0.113.5' }], 'tester');
    const found = lines(await checkHostname(context));
    assert.ok(found.includes('warning dns: 203.0.113.5 has no reverse name (PTR): the name does not exist'));
  });

  it('without a dot is warned of', async (t) => {
    const { context } = await contextOn(t, {});
    const findings = await checkHostname({ ...context, hostname: 'mail' });
    assert.match(lines(findings)[0] ?? '', /^warning dns: the host name mail is not fully qualified$/);
    assertHelpful(findings);
  });
});

describe('the MX of a hosted domain', () => {
  const cases: readonly [string, readonly string[], RegExp][] = [
    ['names us', ['MX 10 mail.example.com'], /^ok dns: the MX of d\.test leads to this server$/],
    ['leads to our address', ['MX 10 other.test'], /^ok dns: the MX of d\.test leads to this server$/],
    [
      'names us after another',
      ['MX 5 far.test', 'MX 10 mail.example.com'],
      /^ok dns: the MX of d\.test leads to this server when far\.test is not there$/,
    ],
    [
      'is another',
      ['MX 5 far.test'],
      /^warning dns: the MX of d\.test is far\.test, not mail\.example\.com$/,
    ],
    ['is null', ['MX 0 .'], /^warning dns: d\.test has a null MX record/],
    [
      'is not there, and the domain is here',
      ['A 127.0.0.9'],
      /^ok dns: d\.test has no MX, and its own address/,
    ],
    ['is not there', ['A 127.0.0.8'], /^warning dns: d\.test has no MX: the name has no such record$/],
    ['gets no answer', ['!servfail'], /^warning dns: d\.test has no MX: .*SERVFAIL/],
  ];
  for (const [what, records, expected] of cases) {
    it(`${what}`, async (t) => {
      const zones = {
        ...HOME,
        'd.test': records,
        'far.test': ['A 127.0.0.8'],
        'other.test': ['A 127.0.0.9'],
      };
      const { context } = await contextOn(t, zones, ['d.test']);
      const findings = await checkDomains(context, () => 0);
      assert.match(lines(findings).join('\n'), expected);
      assertHelpful(findings);
    });
  }

  it('names us, and our name has no address', async (t) => {
    const { context } = await contextOn(t, { 'd.test': ['MX 10 mail.example.com'] }, ['d.test']);
    const [line] = lines(await checkDomains(context, () => 0));
    assert.match(line ?? '', /^warning dns: the MX of d\.test is mail\.example\.com, which has no address/);
  });

  it('of too many domains, or when time is up, is said not to have been looked up', async (t) => {
    const names = Array.from({ length: 25 }, (_, n) => `d${n}.test`);
    const { context, dns } = await contextOn(t, HOME, names);
    let calls = 0;
    const findings = await checkDomains(context, () => (calls++ > 1 ? 60_000 : 0));
    assert.equal(dns.queries.filter(({ type }) => type === 'MX').length, 10);
    assert.match(
      lines(findings).at(-1) ?? '',
      /^skipped dns: 15 of 25 hosted domains were not looked up: DNS was too slow$/,
    );
    assertHelpful(findings);
  });
});

describe('each resolver', () => {
  const hostname = 'mail.example.com';

  it('that answers is told with its time', async (t) => {
    const dns = await dnsOf(t, HOME);
    const findings = await checkResolvers({ servers: [dns.address], hostname });
    assert.equal(findings.length, 1);
    assert.match(
      lines(findings)[0] ?? '',
      /^ok resolver: 127\.0\.0\.1:\d+ answers in \d+ ms, and says of a name/,
    );
    assert.ok(dns.queries.some(({ name }) => name.endsWith('.invalid')));
  });

  it('that is slow is warned of', async (t) => {
    const dns = await dnsOf(t, HOME);
    const findings = await checkResolvers({ servers: [dns.address], hostname, slowMs: -1 });
    assert.match(lines(findings).join('\n'), /^warning resolver: 127\.0\.0\.1:\d+ answers slowly: \d+ ms$/);
    assertHelpful(findings);
  });

  it('that is silent is warned of while another answers', async (t) => {
    const silent = await dnsOf(t, {});
    silent.behaviour('*', 'timeout');
    const good = await dnsOf(t, HOME);
    const servers = [silent.address, good.address];
    const findings = await checkResolvers({ servers, hostname, timeoutMs: 300 });
    const found = lines(findings);
    assert.match(found[0] ?? '', /^warning resolver: .* gives no answer: .*timed out/);
    assert.match(found[1] ?? '', /^ok resolver/);
    assert.equal(found.length, 2);
    assertHelpful(findings);
  });

  it('being silent is an error', async (t) => {
    const dns = await dnsOf(t, {});
    dns.behaviour('*', 'refused');
    const findings = await checkResolvers({ servers: [dns.address, 'no address'], hostname });
    assert.equal(lines(findings).at(-1), 'error resolver: no DNS server answers');
    assertHelpful(findings);
  });

  it('that answers for our name only is warned of', async (t) => {
    const dns = await dnsOf(t, {});
    dns.behaviour('mail.example.com', 'servfail');
    const findings = await checkResolvers({ servers: [dns.address], hostname });
    assert.match(
      lines(findings).join('\n'),
      /^warning resolver: .* answers only some questions: .*SERVFAIL$/,
    );
    assertHelpful(findings);
  });

  it('that knows a name which cannot exist is an error', async () => {
    const { createSocket } = await import('node:dgram');
    const { decode, encode } = await import('dns-packet');
    const liar = createSocket('udp4');
    liar.on('message', (bytes, from) => {
      const { id, questions } = decode(bytes);
      const name = questions[0]?.name ?? '';
      const answers = [{ name, type: 'A', class: 'IN', ttl: 0, data: '127.0.0.7' }];
      liar.send(
        encode({ type: 'response', id, flags: 0x180, questions: [...questions], answers }),
        from.port,
      );
    });
    await new Promise<void>((done) => liar.bind(0, '127.0.0.1', done));
    try {
      const servers = [`127.0.0.1:${liar.address().port}`];
      const findings = await checkResolvers({ servers, hostname });
      assert.match(
        lines(findings).join('\n'),
        /^error resolver: .* says that a name which cannot exist does/,
      );
      assertHelpful(findings);
    } finally {
      liar.close();
    }
  });
});

describe('the nodes', () => {
  const node = (id: string, name: string, more: Partial<NodeInfo> = {}): NodeInfo => ({
    ...{ id, name, version: '1.0.0', listeners: {}, startedAt: 0, seenAt: 0, alive: true, destinations: 0 },
    ...more,
  });
  const own = node('1', 'a.example.com');
  const check = (nodes: readonly NodeInfo[], ownNames: readonly string[] = []) =>
    checkNodes({ hostname: own.name, ownNames, nodeId: own.id, nodes });

  it('are not worth a word when there is one, or the others are gone', () => {
    assert.deepEqual(check([own]), []);
    assert.deepEqual(check([own, node('2', 'b.example.com', { alive: false })]), []);
    assert.deepEqual(check([]), []);
  });

  it('are on smtp.ownNames, with names and versions that fit', () => {
    const b = node('2', 'b.example.com');
    const unknown = check([own, b], ['c.example.com']);
    assert.match(
      lines(unknown).join(),
      /^warning nodes: b\.example\.com is a node of this store, and not on/,
    );
    assert.match(unknown[0]?.mend ?? '', /smtp\.ownNames c\.example\.com,b\.example\.com"/);
    assert.deepEqual(lines(check([own, b], ['b.example.com'])), [
      'ok nodes: the other nodes of this store are b.example.com',
    ]);
    const twin = check([own, node('2', own.name)]);
    assert.match(lines(twin).join(), /^warning nodes: another node is called a\.example\.com too$/);
    const older = check([own, node('2', 'b.example.com', { version: '0.9.0' })], ['b.example.com']);
    assert.match(
      lines(older).join(),
      /^warning nodes: b\.example\.com runs version 0\.9\.0, this node 1\.0\.0$/,
    );
    for (const findings of [unknown, twin, older]) assertHelpful(findings);
  });
});

describe('the disk', () => {
  const cases: readonly [number, number, CheckFinding['level'], RegExp][] = [
    [50 * GB, 100 * GB, 'ok', /^the disk of \/data has 50\.0 GB free of 100\.0 GB \(50 %\)$/],
    [GB - 1, 2 * GB, 'warning', /has 1023 MB free of 2\.0 GB/],
    [4 * GB, 100 * GB, 'warning', /\(4 %\)/],
    [5 * GB, 100 * GB, 'ok', /\(5 %\)/],
    [100 * MB, GB, 'warning', /has 100 MB free/],
    [100 * MB - 1, GB, 'error', /has 99 MB free/],
    [0, 0, 'error', /has 0 MB free of 0 MB \(0 %\)/],
  ];
  for (const [freeBytes, totalBytes, level, text] of cases) {
    it(`with ${freeBytes} of ${totalBytes} bytes free: ${level}`, () => {
      const finding = checkDisk('/data', { freeBytes, totalBytes });
      assert.equal(finding.level, level);
      assert.match(finding.text, text);
      assertHelpful([finding]);
    });
  }
});

test('the disk is that of the data folder, as far as we may fill it', async () => {
  const asked: string[] = [];
  const machine = machineOf('/data', async (folder) => {
    asked.push(folder);
    return { bsize: 4096, blocks: 262_144, bfree: 200_000, bavail: 25_000 };
  });
  assert.deepEqual(await machine.diskSpace(), { freeBytes: 25_000 * 4096, totalBytes: GB });
  assert.equal(checkDisk('/data', await machine.diskSpace()).level, 'error');
  assert.deepEqual([...new Set(asked)], ['/data']);
});

describe('the clock', () => {
  const nowMs = Date.UTC(2027, 0, 2);
  it('that fits is well', () => {
    for (const newestMs of [null, nowMs - 1, nowMs + 59_000]) {
      assert.equal(checkClock({ nowMs, newestMs, builtAtMs: nowMs + 86_400_000 }).level, 'ok');
    }
  });

  it('before the newest time in the store is an error', () => {
    const finding = checkClock({ nowMs, newestMs: nowMs + 61_000, builtAtMs: 0 });
    assert.equal(finding.level, 'error');
    assert.match(finding.text, /says 2027-01-02 00:00:00 UTC, before .* store, 2027-01-02 00:01:01 UTC$/);
    assertHelpful([finding]);
  });

  it('before the year of the build is an error', () => {
    const finding = checkClock({ nowMs, newestMs: null, builtAtMs: Date.UTC(2028, 0, 1) });
    assert.equal(finding.level, 'error');
    assert.match(finding.text, /before the year in which this program was built, 2028$/);
    assertHelpful([finding]);
  });
});

test('the whole check takes machine and store together, and no part hides another', async (t) => {
  const { world, context } = await contextOn(t, HOME, ['d.test']);
  await putMessage(world, ['x@far.test']);
  const dnsServers = async () => {
    throw new Error('made-up fault');
  };
  const machine = {
    ...context.machine,
    diskSpace: async () => ({ freeBytes: 10 * MB, totalBytes: GB }),
    nowMs: () => YEAR_2020_MS,
  };
  const checkPorts = () => new Promise<never>(() => undefined);
  const checkHosts = async (probe: string | null): Promise<CheckFinding[]> => [
    { level: 'ok', topic: 'outbound', text: `asked with ${probe}` },
  ];
  const odd: AdminContext = { ...context, machine, dnsServers, checkPorts, checkHosts };
  const findings = await checkAll(odd, { probe: 'far.test', partMs: 4_000 });
  const found = lines(findings).join('\n');
  assert.match(found, /^error disk: the disk of .* has 10 MB free/m);
  assert.match(found, /^error clock: the clock says 2020-06-01 00:00:00 UTC, before the newest time/m);
  assert.match(found, /^error resolver: this part of the check could not be done: made-up fault$/m);
  assert.match(found, /^warning ports: this part of the check was not done after 4 s$/m);
  assert.match(found, /^ok outbound: asked with far\.test$/m);
  assert.match(found, /^ok dns: 127\.0\.0\.9 leads back/m);
  assert.match(found, /^warning directory: there is no account yet$/m);
  assertHelpful(findings);
});
