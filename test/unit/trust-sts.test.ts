import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createResolver } from '../../src/dns/resolver.ts';
import type { KeptStsPolicy, TrustStore } from '../../src/storage/trust-contract.ts';
import { MtaSts } from '../../src/trust/mta-sts.ts';
import { stsFetcher } from '../../src/trust/sts-fetch.ts';
import { isMxOf, parseStsPolicy, stsId } from '../../src/trust/sts-policy.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startDnsServer } from '../support/dns-server.ts';

const ENFORCE =
  'version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n';

describe('the TXT record of MTA-STS', () => {
  for (const [records, id] of [
    [['v=STSv1; id=20261101T000000;'], '20261101T000000'],
    [['v=STSv1;id=a', 'something else'], 'a'],
    [['v=STSv1; id=a;', 'v=STSv1; id=b;'], null],
    [['v=STSv1; id=a; id=b'], null],
    [['v=STSv1;'], null],
    [['v=STSv1; id=a-b'], null],
    [['v=STSv10; id=a'], null],
    [[], null],
  ] as const) {
    it(JSON.stringify(records), () => assert.equal(stsId(records), id));
  }
});

describe('an MTA-STS policy', () => {
  it('is read, with line ends of both kinds', () => {
    const wanted = { mode: 'enforce', maxAgeSeconds: 604_800, mx: ['mx1.example.com', '*.example.net'] };
    for (const text of [ENFORCE, ENFORCE.replaceAll('\r\n', '\n')]) {
      assert.deepEqual(parseStsPolicy(text), { ok: true, value: wanted });
    }
  });

  it('the first of two fields counts, unknown ones do not, and max_age has an end', () => {
    const text =
      'version: STSv1\nmode: testing\nmode: enforce\nx-new: y\nmx: MX.Example.COM\nmax_age: 9999999999\n';
    const wanted = { mode: 'testing', maxAgeSeconds: 31_557_600, mx: ['mx.example.com'] };
    assert.deepEqual(parseStsPolicy(text), { ok: true, value: wanted });
  });

  for (const text of [
    '',
    'mode: enforce\nmx: a.test\nmax_age: 1\n',
    'version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n',
    'version: STSv1\nmode: on\nmx: a.test\nmax_age: 1\n',
    'version: STSv1\nmode: enforce\nmx: a.test\n',
    'version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n',
    'version: STSv1\nmode: enforce\nmax_age: 1\n',
    'version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n',
    'version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n',
    '<html>nothing here</html>',
  ]) {
    it(`is refused: ${JSON.stringify(text)}`, () => assert.equal(parseStsPolicy(text).ok, false));
  }

  it('whatever a server sends is read or refused, never thrown at', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('version: STSv1', 'mode: enforce', 'mx: *.a.test', 'max_age: 5', 'mode: none'),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const read = parseStsPolicy(lines.join('\n'));
        if (read.ok) assert.ok(read.value.mode === 'none' || read.value.mx.length > 0);
        stsId(lines);
      }),
    );
  });

  for (const [host, fits] of [
    ['mx1.example.com', true],
    ['mx2.example.com', false],
    ['a.example.net', true],
    ['a.b.example.net', false],
    ['example.net', false],
    ['a.example.net.test', false],
  ] as const) {
    it(`${host} ${fits ? 'fits' : 'does not fit'}`, () => {
      assert.equal(isMxOf({ mx: ['mx1.example.com', '*.example.net'] }, host), fits);
    });
  }
});

class FakeStore implements Pick<TrustStore, 'stsPolicy' | 'keepStsPolicy'> {
  readonly kept = new Map<string, KeptStsPolicy>();
  away = false;
  async stsPolicy(domain: string): Promise<KeptStsPolicy | null> {
    if (this.away) throw new Error('the store is away');
    return this.kept.get(domain) ?? null;
  }
  async keepStsPolicy(domain: string, policy: KeptStsPolicy): Promise<void> {
    this.kept.set(domain, policy);
  }
}

interface Answer {
  status: number;
  type: string;
  body: string;
  headers?: Record<string, string>;
}

/** A domain with a policy on a real HTTPS server, DNS and a clock by hand. */
async function world(t: TestContext, certificateFor = 'mta-sts.example.com') {
  const made = await makeCertificates(t, [certificateFor]);
  const answer: Answer = { status: 200, type: 'text/plain; charset=utf-8', body: ENFORCE };
  const asked: string[] = [];
  const server = createServer({ cert: made.cert, key: made.key }, (request, response) => {
    asked.push(`${request.headers.host} ${request.url}`);
    response.writeHead(answer.status, { 'content-type': answer.type, ...answer.headers });
    response.end(answer.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  let id = 'a';
  let txt: (() => string[]) | null = () => [`v=STSv1; id=${id};`];
  const dns = await startDnsServer({ 'mta-sts.example.com': ['A 127.0.0.1'] });
  const resolver = createResolver({ servers: [dns.address] });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  const store = new FakeStore();
  let now = 1_790_000_000_000;
  const fetch = stsFetcher({
    resolver,
    mayDial: () => true,
    port: (server.address() as AddressInfo).port,
    ca: await readFile(made.caFile, 'utf8'),
  });
  const base = { ttlSeconds: 0, authenticated: false, canonicalName: '', cached: false } as const;
  const open = () =>
    new MtaSts({
      resolver: {
        txt: async () =>
          txt === null ? { status: 'nxdomain', cached: false } : { status: 'ok', records: txt(), ...base },
      },
      store,
      fetch,
      log: () => undefined,
      now: () => now,
    });
  return {
    ...{ answer, asked, store, fetch, open },
    sts: open(),
    later: (ms: number) => {
      now += ms;
    },
    newId: (next: string) => {
      id = next;
    },
    noRecord: () => {
      txt = null;
    },
  };
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

describe('finding an MTA-STS policy', () => {
  it('is fetched over HTTPS once, kept in the store, and known after a restart', async (t) => {
    const { sts, open, asked, store } = await world(t);
    const [one, two] = await Promise.all([sts.find('example.com'), sts.find('example.com')]);
    assert.equal(one.policy?.mode, 'enforce');
    assert.equal(two.policy?.mode, 'enforce');
    assert.deepEqual(asked, ['mta-sts.example.com /.well-known/mta-sts.txt']);
    assert.equal(store.kept.get('example.com')?.id, 'a');
    assert.equal((await open().find('example.com')).policy?.mode, 'enforce');
    assert.equal(asked.length, 1);
  });

  it('a new id brings the new policy, and a failing fetch leaves the last one in force until it ends', async (t) => {
    const w = await world(t);
    await w.sts.find('example.com');
    w.answer.body = ENFORCE.replace('enforce', 'testing');
    w.newId('b');
    w.later(2 * MINUTE_MS);
    assert.equal((await w.sts.find('example.com')).policy?.mode, 'testing');
    w.answer.status = 500;
    w.newId('c');
    w.later(2 * MINUTE_MS);
    const stale = await w.sts.find('example.com');
    assert.equal(stale.policy?.mode, 'testing');
    assert.match(stale.note ?? '', /answered 500.*the last policy counts/);
    w.later(8 * DAY_MS);
    const ended = await w.sts.find('example.com');
    assert.equal(ended.policy, null);
    assert.match(ended.note ?? '', /could not be fetched/);
  });

  it('stays in force when its TXT record is gone', async (t) => {
    const w = await world(t);
    await w.sts.find('example.com');
    w.noRecord();
    w.later(2 * MINUTE_MS);
    assert.equal((await w.sts.find('example.com')).policy?.mode, 'enforce');
    w.later(8 * DAY_MS);
    assert.equal((await w.sts.find('example.com')).policy, null);
  });

  it('is refreshed before it ends', async (t) => {
    const w = await world(t);
    await w.sts.find('example.com');
    w.later(6.5 * DAY_MS);
    await w.sts.find('example.com');
    assert.equal(w.asked.length, 2);
    w.later(DAY_MS);
    assert.equal((await w.sts.find('example.com')).policy?.mode, 'enforce');
  });

  it('mode none takes the place of what was in force', async (t) => {
    const w = await world(t);
    await w.sts.find('example.com');
    w.answer.body = 'version: STSv1\nmode: none\nmax_age: 86400\n';
    w.newId('b');
    w.later(2 * MINUTE_MS);
    assert.equal((await w.sts.find('example.com')).policy?.mode, 'none');
  });

  it('when the store cannot say, it is an error and not "no policy"', async (t) => {
    const w = await world(t);
    w.store.away = true;
    await assert.rejects(w.sts.find('example.com'), /away/);
  });

  for (const [what, change] of [
    ['redirects', { status: 302, headers: { location: '/elsewhere' } }],
    ['another type', { type: 'text/html' }],
    ['more than 64 KB', { body: ENFORCE + 'x: y\r\n'.repeat(11_000) }],
    ['no policy', { body: 'hello' }],
  ] as const) {
    it(`is not taken from a server that gives ${what}`, async (t) => {
      const w = await world(t);
      Object.assign(w.answer, change);
      const found = await w.sts.find('example.com');
      assert.equal(found.policy, null);
      assert.match(found.note ?? '', /could not be fetched/);
      assert.equal(found.failure, what === 'no policy' ? 'sts-policy-invalid' : 'sts-policy-fetch-error');
      assert.equal(w.asked.length, 1);
    });
  }

  it('is not taken from a server whose certificate is for another name', async (t) => {
    const w = await world(t, 'www.example.com');
    const { note, failure } = await w.sts.find('example.com');
    assert.match(note ?? '', /mta-sts\.example\.com.*(?:altname|Hostname)/i);
    assert.equal(failure, 'sts-webpki-invalid');
    assert.deepEqual(w.asked, []);
  });
});
