import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, it, type TestContext } from 'node:test';
import { decode, encode } from 'dns-packet';
import { createResolver, type ResolverOptions } from '../../src/dns/resolver.ts';
import {
  type DnsServer,
  type DnsServerOptions,
  startDnsServer,
  type Trouble,
  type Zones,
} from '../support/dns-server.ts';

/** A wait that a reply on loopback never needs, for tests that expect one. */
const PATIENT_MS = 5_000;
/** For tests in which a server stays silent. */
const SHORT_MS = 300;

async function server(t: TestContext, zones: Zones, options?: DnsServerOptions): Promise<DnsServer> {
  const dns = await startDnsServer(zones, options);
  t.after(() => dns.close());
  return dns;
}

function resolverFor(t: TestContext, servers: readonly DnsServer[], options: ResolverOptions = {}) {
  const addresses = servers.map(({ address }) => address);
  const resolver = createResolver({ servers: addresses, timeoutMs: PATIENT_MS, ...options });
  t.after(() => resolver.close());
  return resolver;
}

describe('answers', () => {
  it('gives MX records in lower case without the final dot', async (t) => {
    const dns = await server(t, {
      'example.test': ['60 MX 10 MX1.Example.Test.', '90 MX 5 mx2.example.test'],
    });
    assert.deepEqual(await resolverFor(t, [dns]).mx('Example.TEST.'), {
      status: 'ok',
      records: [
        { preference: 10, exchange: 'mx1.example.test' },
        { preference: 5, exchange: 'mx2.example.test' },
      ],
      ttlSeconds: 60,
      authenticated: false,
      canonicalName: 'example.test',
      cached: false,
    });
  });

  it('gives null MX as an empty exchange', async (t) => {
    const dns = await server(t, { 'null.test': ['MX 0 .'] });
    const answer = await resolverFor(t, [dns]).mx('null.test');
    assert.deepEqual(answer.status === 'ok' && answer.records, [{ preference: 0, exchange: '' }]);
  });

  it('gives IPv6 and IPv4 addresses together', async (t) => {
    const dns = await server(t, { 'host.test': ['30 A 127.0.0.9', '20 AAAA 2001:db8::1'] });
    const answer = await resolverFor(t, [dns]).addresses('host.test');
    assert.ok(answer.status === 'ok');
    assert.equal(answer.ttlSeconds, 20);
    assert.deepEqual(answer.records, [
      { address: '2001:db8::1', family: 6 },
      { address: '127.0.0.9', family: 4 },
    ]);
  });

  it('gives reverse names of both families', async (t) => {
    const dns = await server(t, {
      '9.2.0.192.in-addr.arpa': ['PTR Host.Test.'],
      '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': ['PTR six.test'],
    });
    const resolver = resolverFor(t, [dns]);
    const four = await resolver.ptr('::ffff:192.0.2.9');
    const six = await resolver.ptr('2001:db8::1');
    assert.deepEqual(four.status === 'ok' && four.records, ['host.test']);
    assert.deepEqual(six.status === 'ok' && six.records, ['six.test']);
    assert.equal((await resolver.ptr('nonsense')).status, 'no-answer');
  });

  it('tells a name that does not exist from one without such records', async (t) => {
    const dns = await server(t, { 'empty.test': [], 'host.test': ['A 127.0.0.1'] });
    const resolver = resolverFor(t, [dns]);
    assert.deepEqual(await resolver.mx('none.test'), { status: 'nxdomain', cached: false });
    assert.deepEqual(await resolver.addresses('none.test'), { status: 'nxdomain', cached: false });
    const nodata = { status: 'nodata', canonicalName: 'host.test', cached: false };
    assert.deepEqual(await resolver.mx('host.test'), nodata);
    assert.equal((await resolver.addresses('empty.test')).status, 'nodata');
  });

  it('needs one family only, and says no-answer when neither has records and one got no answer', async (t) => {
    const dns = await server(t, { 'four.test': ['A 127.0.0.1'], 'half.test': [] });
    dns.behaviour('four.test', 'servfail', { type: 'AAAA' });
    dns.behaviour('half.test', 'servfail', { type: 'AAAA' });
    const resolver = resolverFor(t, [dns]);
    assert.equal((await resolver.addresses('four.test')).status, 'ok');
    assert.equal((await resolver.addresses('half.test')).status, 'no-answer');
  });

  it('asks nobody for what cannot be a name', async (t) => {
    const dns = await server(t, {});
    const resolver = resolverFor(t, [dns]);
    for (const name of [
      '',
      '.',
      'a..test',
      `${'a'.repeat(64)}.test`,
      'a b.test',
      'ä.test',
      `${'a.'.repeat(127)}test`,
    ]) {
      assert.equal((await resolver.mx(name)).status, 'nxdomain', name);
    }
    assert.equal(dns.queries.length, 0);
  });

  it('asks for the AD bit with EDNS 1232 and passes on what it gets', async (t) => {
    const dns = await server(t, { 'signed.test': ['MX 1 a.test', '!authenticated'] });
    const answer = await resolverFor(t, [dns]).mx('signed.test');
    assert.equal(answer.status === 'ok' && answer.authenticated, true);
    assert.equal(dns.queries[0]?.edns, 1232);
    assert.equal(dns.queries[0]?.wantsAd, true);
  });

  it('does without EDNS for a server that does not know it', async (t) => {
    const dns = await server(t, { 'old.test': ['MX 1 a.test', '!no-edns'] });
    assert.equal((await resolverFor(t, [dns]).mx('old.test')).status, 'ok');
    assert.deepEqual(
      dns.queries.map(({ edns }) => edns),
      [1232, null],
    );
  });
});

describe('truncated answers', () => {
  it('are asked for again by TCP', async (t) => {
    const many = Array.from(
      { length: 80 },
      (_, index) => `MX ${index} a-rather-long-host-name-${index}.big.test`,
    );
    const dns = await server(t, { 'cut.test': ['MX 1 a.test', '!truncated'], 'big.test': many });
    const resolver = resolverFor(t, [dns]);
    assert.equal((await resolver.mx('cut.test')).status, 'ok');
    const big = await resolver.mx('big.test');
    assert.equal(big.status === 'ok' && big.records.length, 80);
    assert.deepEqual(
      dns.queries.map(({ transport }) => transport),
      ['udp', 'tcp', 'udp', 'tcp'],
    );
  });

  it('without the whole by TCP are no answer', async (t) => {
    const dns = await server(t, { 'cut.test': ['MX 1 a.test', '!truncated-only'] });
    const answer = await resolverFor(t, [dns]).mx('cut.test');
    assert.match(answer.status === 'no-answer' ? answer.detail : '', /TCP connection was closed/);
  });
});

describe('aliases', () => {
  const chain = (length: number): Zones => ({
    ...Object.fromEntries(
      Array.from({ length }, (_, index) => [`c${index}.test`, [`${100 - index} CNAME c${index + 1}.test`]]),
    ),
    [`c${length}.test`]: ['500 MX 10 mx.test'],
  });

  for (const [form, bare] of [
    ['in one answer', false],
    ['one a question', true],
  ] as const) {
    it(`are followed, ${form}, up to eight`, async (t) => {
      const dns = await server(t, chain(8));
      if (bare) dns.behaviour('*', 'bare-cname');
      const answer = await resolverFor(t, [dns]).mx('c0.test');
      assert.ok(answer.status === 'ok', JSON.stringify(answer));
      assert.equal(answer.canonicalName, 'c8.test');
      assert.equal(answer.ttlSeconds, 93);
      assert.equal(dns.queries.length, bare ? 9 : 1);
    });

    it(`more than eight, ${form}, are no answer`, async (t) => {
      const dns = await server(t, chain(9));
      if (bare) dns.behaviour('*', 'bare-cname');
      const answer = await resolverFor(t, [dns]).mx('c0.test');
      assert.match(answer.status === 'no-answer' ? answer.detail : '', /more than 8 aliases/);
    });

    it(`in a circle, ${form}, are no answer`, async (t) => {
      const dns = await server(t, { 'a.test': ['CNAME b.test'], 'b.test': ['CNAME a.test'] });
      if (bare) dns.behaviour('*', 'bare-cname');
      const answer = await resolverFor(t, [dns]).mx('a.test');
      assert.match(answer.status === 'no-answer' ? answer.detail : '', /lead back to a\.test/);
    });
  }

  it('to nothing have the outcome of their target', async (t) => {
    const dns = await server(t, {
      'a.test': ['CNAME none.test'],
      'b.test': ['CNAME empty.test'],
      'empty.test': [],
    });
    const resolver = resolverFor(t, [dns]);
    assert.equal((await resolver.mx('a.test')).status, 'nxdomain');
    assert.deepEqual(await resolver.mx('b.test'), {
      status: 'nodata',
      canonicalName: 'empty.test',
      cached: false,
    });
    assert.equal(dns.queries.length, 2, 'one answer says it all');
  });

  it('to an impossible name are no answer', async (t) => {
    const dns = await server(t, { 'a.test': ['CNAME b b.test', '!bare-cname'] });
    assert.equal((await resolverFor(t, [dns]).mx('a.test')).status, 'no-answer');
  });
});

describe('servers in trouble', () => {
  const answered: readonly Trouble[] = [
    'servfail',
    'refused',
    'formerr',
    'notimp',
    'garbage',
    'referral',
    'truncated-only',
  ];
  for (const trouble of answered) {
    it(`${trouble}: the next one is asked at once, and alone it is no answer`, async (t) => {
      const bad = await server(t, { 'x.test': ['MX 1 bad.test', `!${trouble}`] });
      const good = await server(t, { 'x.test': ['MX 1 good.test'] });
      const answer = await resolverFor(t, [bad, good]).mx('x.test');
      assert.deepEqual(answer.status === 'ok' && answer.records, [{ preference: 1, exchange: 'good.test' }]);
      const alone = await resolverFor(t, [bad]).mx('x.test');
      assert.ok(alone.status === 'no-answer');
      assert.equal(alone.detail.split('; ').length, 2, 'both rounds are told');
      assert.match(alone.detail, new RegExp(`^${bad.address} `));
    });
  }

  for (const trouble of ['timeout', 'wrong-id', 'wrong-question'] as const) {
    it(`${trouble}: the next one is asked after the time-out, and alone it is no answer`, async (t) => {
      const bad = await server(t, { 'x.test': ['MX 1 bad.test', `!${trouble}`] });
      const good = await server(t, { 'x.test': ['MX 1 good.test'] });
      const answer = await resolverFor(t, [bad, good], { timeoutMs: SHORT_MS }).mx('x.test');
      assert.deepEqual(answer.status === 'ok' && answer.records, [{ preference: 1, exchange: 'good.test' }]);
      const alone = await resolverFor(t, [bad], { timeoutMs: SHORT_MS, attempts: 1 }).mx('x.test');
      assert.match(alone.status === 'no-answer' ? alone.detail : '', /timed out after 300 ms/);
    });
  }

  it('that answer in the second round have answered', async (t) => {
    const dns = await server(t, { 'x.test': ['MX 1 a.test'] });
    dns.behaviour('x.test', 'servfail', { times: 1 });
    assert.equal((await resolverFor(t, [dns]).mx('x.test')).status, 'ok');
  });

  it('out of reach are no answer, told with the reason', async (t) => {
    const dns = await startDnsServer();
    await dns.close();
    const answer = await resolverFor(t, [dns]).mx('x.test');
    assert.match(answer.status === 'no-answer' ? answer.detail : '', /out of reach \(.*ECONNREFUSED/);
  });

  it('that were silent are asked after the others for a while', async (t) => {
    const silent = await server(t, { 'x.test': ['MX 1 a.test'] });
    silent.behaviour('*', 'timeout');
    const good = await server(t, { 'x.test': ['MX 1 a.test'], 'y.test': ['MX 1 a.test'] });
    let nowMs = 0;
    const resolver = resolverFor(t, [silent, good], { timeoutMs: SHORT_MS, nowMs: () => nowMs });
    await resolver.mx('x.test');
    await resolver.mx('y.test');
    assert.equal(silent.queries.length, 1);
    nowMs = 30_001;
    await resolver.mx('y.test');
    assert.equal(silent.queries.length, 2);
  });

  it('get no more time than there is for the whole lookup', async (t) => {
    const servers = await Promise.all([1, 2, 3].map(() => server(t, {})));
    for (const dns of servers) dns.behaviour('*', 'timeout');
    const answer = await resolverFor(t, servers, { timeoutMs: 100, overallMs: 150 }).mx('x.test');
    assert.match(answer.status === 'no-answer' ? answer.detail : '', /time is up$/);
    const asked = servers.reduce((sum, { queries }) => sum + queries.length, 0);
    assert.ok(asked <= 3, `${asked} of the six tries there would be time for without the limit`);
  });

  it('must be addresses', () => {
    assert.throws(() => createResolver({ servers: ['ns.test'] }), RangeError);
  });
});

describe('forged answers', () => {
  it('are passed over until the true one comes', async (t) => {
    const socket = createSocket('udp4');
    t.after(() => socket.close());
    socket.on('message', (bytes, from) => {
      const query = decode(bytes);
      const reply = (id: number, name: string, exchange: string) => {
        const answers = [{ name, type: 'MX', class: 'IN', ttl: 5, data: { preference: 1, exchange } }];
        const questions = [{ name, type: 'MX', class: 'IN' }];
        socket.send(
          encode({ type: 'response', id, flags: 0x180, questions, answers }),
          from.port,
          from.address,
        );
      };
      reply(query.id ^ 1, 'x.test', 'forged.test');
      reply(query.id, 'y.test', 'forged.test');
      socket.send(bytes, from.port, from.address);
      socket.send(Buffer.from([1, 2, 3]), from.port, from.address);
      reply(query.id, 'x.test', 'true.test');
    });
    const listening = once(socket, 'listening');
    socket.bind(0, '127.0.0.1');
    await listening;
    const resolver = createResolver({
      servers: [`127.0.0.1:${socket.address().port}`],
      timeoutMs: PATIENT_MS,
    });
    const answer = await resolver.mx('x.test');
    assert.deepEqual(answer.status === 'ok' && answer.records, [{ preference: 1, exchange: 'true.test' }]);
  });

  it('are hard to make: ids and source ports differ from query to query', async (t) => {
    const dns = await server(t, {});
    const resolver = resolverFor(t, [dns]);
    await Promise.all(Array.from({ length: 20 }, (_, index) => resolver.mx(`n${index}.test`)));
    assert.equal(new Set(dns.queries.map(({ sourcePort }) => sourcePort)).size, 20);
    assert.ok(new Set(dns.queries.map(({ id }) => id)).size > 15);
  });
});

describe('the cache', () => {
  it('keeps an answer for its TTL, and fresh goes past it and replaces it', async (t) => {
    const dns = await server(t, { 'x.test': ['60 MX 1 a.test'] });
    let nowMs = 0;
    const resolver = resolverFor(t, [dns], { nowMs: () => nowMs });
    await resolver.mx('x.test');
    nowMs = 59_500;
    const kept = await resolver.mx('x.test');
    assert.ok(kept.status === 'ok' && kept.cached && kept.ttlSeconds === 1);
    assert.equal(dns.queries.length, 1);
    dns.set('x.test', '60 MX 1 b.test');
    const fresh = await resolver.mx('x.test', { fresh: true });
    assert.ok(fresh.status === 'ok' && !fresh.cached && fresh.records[0]?.exchange === 'b.test');
    nowMs = 60_001;
    const after = await resolver.mx('x.test');
    assert.ok(after.status === 'ok' && after.cached && after.records[0]?.exchange === 'b.test');
    nowMs = 119_501;
    const expired = await resolver.mx('x.test');
    assert.ok(expired.status === 'ok' && !expired.cached);
  });

  it('keeps nothing whose TTL is 0 and nothing for longer than a day', async (t) => {
    const dns = await server(t, { 'zero.test': ['MX 1 a.test'], 'long.test': ['9999999 MX 1 a.test'] });
    let nowMs = 0;
    const resolver = resolverFor(t, [dns], { nowMs: () => nowMs });
    for (const name of ['zero.test', 'zero.test', 'long.test', 'long.test']) await resolver.mx(name);
    assert.equal(dns.queries.length, 3);
    nowMs = 86_400_000;
    await resolver.mx('long.test');
    assert.equal(dns.queries.length, 4);
  });

  it('forgets an older answer when the newer one may not be kept', async (t) => {
    const dns = await server(t, { 'x.test': ['60 MX 1 a.test'] });
    const resolver = resolverFor(t, [dns]);
    await resolver.mx('x.test');
    dns.remove('x.test');
    assert.equal((await resolver.mx('x.test', { fresh: true })).status, 'nxdomain');
    assert.equal((await resolver.mx('x.test')).status, 'nxdomain');
  });

  for (const [ttl, keptMs] of [
    [60, 60_000],
    [3_600, 300_000],
  ] as const) {
    it(`keeps "there is none" for the SOA's ${ttl} s, five minutes at most`, async (t) => {
      const dns = await server(t, { 'empty.test': [] }, { negativeTtlSeconds: ttl });
      let nowMs = 0;
      const resolver = resolverFor(t, [dns], { nowMs: () => nowMs });
      await resolver.mx('none.test');
      await resolver.mx('empty.test');
      nowMs = keptMs - 1;
      assert.deepEqual(await resolver.mx('none.test'), { status: 'nxdomain', cached: true });
      assert.equal((await resolver.mx('empty.test')).status, 'nodata');
      assert.equal(dns.queries.length, 2);
      nowMs = keptMs;
      await resolver.mx('none.test');
      assert.equal(dns.queries.length, 3);
    });
  }

  it('never keeps trouble', async (t) => {
    const dns = await server(t, { 'x.test': ['60 MX 1 a.test', '!servfail'] });
    const resolver = resolverFor(t, [dns]);
    assert.equal((await resolver.mx('x.test')).status, 'no-answer');
    dns.behaviour('x.test', null);
    assert.equal((await resolver.mx('x.test')).status, 'ok');
  });

  it('is bounded: what was unused for longest goes', async (t) => {
    const record = ['60 MX 1 m.test'];
    const dns = await server(t, { 'a.test': record, 'b.test': record, 'c.test': record });
    const resolver = resolverFor(t, [dns], { cacheEntries: 2 });
    for (const name of ['a.test', 'b.test', 'a.test', 'c.test', 'a.test', 'b.test']) await resolver.mx(name);
    assert.deepEqual(
      dns.queries.map(({ name }) => name),
      ['a.test', 'b.test', 'c.test', 'b.test'],
    );
  });
});

describe('many questions', () => {
  it('that are the same share one query', async (t) => {
    const dns = await server(t, { 'x.test': ['MX 1 a.test'] });
    const resolver = resolverFor(t, [dns]);
    const answers = await Promise.all(Array.from({ length: 50 }, () => resolver.mx('x.test')));
    assert.ok(answers.every(({ status }) => status === 'ok'));
    assert.equal(dns.queries.length, 1);
    await resolver.mx('x.test');
    assert.equal(dns.queries.length, 2);
  });

  it('wait in turn, and those beyond the bound get no answer at once', async (t) => {
    const dns = await server(t, { 'b.test': ['MX 1 m.test'] });
    dns.behaviour('a.test', 'timeout');
    const limits = { maxQueries: 1, maxWaiting: 1, timeoutMs: SHORT_MS, attempts: 1 };
    const resolver = resolverFor(t, [dns], limits);
    const first = resolver.mx('a.test');
    const second = resolver.mx('b.test');
    const third = await resolver.mx('c.test');
    assert.match(third.status === 'no-answer' ? third.detail : '', /too many DNS questions wait/);
    assert.equal((await first).status, 'no-answer');
    assert.equal((await second).status, 'ok');
    assert.equal((await resolver.mx('c.test')).status, 'nxdomain');
  });
});

describe('close', () => {
  it('ends what is under way and answers nothing afterwards', async () => {
    const dns = await startDnsServer();
    after(() => dns.close());
    dns.behaviour('*', 'timeout');
    const resolver = createResolver({ servers: [dns.address], timeoutMs: PATIENT_MS });
    const lookup = resolver.mx('x.test');
    while (dns.queries.length === 0) await new Promise((resolve) => setImmediate(resolve));
    resolver.close();
    const answer = await lookup;
    assert.match(answer.status === 'no-answer' ? answer.detail : '', /closed/);
    assert.equal((await resolver.mx('y.test')).status, 'no-answer');
  });
});
