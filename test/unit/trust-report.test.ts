/** TLS reports (RFC 8460): the record, counting, the JSON, handing in by HTTPS, and when what is sent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { createResolver } from '../../src/dns/resolver.ts';
import { failed, ok, type Result } from '../../src/mail/failure.ts';
import { TlsReports } from '../../src/server/tls-reports.ts';
import type { DueTlsReport, TlsSessionCount } from '../../src/storage/trust-contract.ts';
import type { TlsOutcome } from '../../src/trust/contract.ts';
import { combine } from '../../src/trust/policies.ts';
import { makeTlsReport } from '../../src/trust/report.ts';
import { reportPoster } from '../../src/trust/report-post.ts';
import { reportTargets } from '../../src/trust/report-record.ts';
import { DAY_MS, TlsTally } from '../../src/trust/report-tally.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startDnsServer } from '../support/dns-server.ts';

const DAY = 20_400;
const NOON = (DAY + 0.5) * DAY_MS;
const STS: TlsOutcome = {
  policy: {
    ...{ domain: 'company-y.example', policyDomain: 'company-y.example', type: 'sts', failure: null },
    strings: ['version: STSv1', 'mode: testing', 'mx: *.mail.company-y.example', 'max_age: 86400'],
    mx: ['*.mail.company-y.example'],
  },
  ...{
    mxHost: 'mx1.mail.company-y.example',
    mxAddress: '::ffff:203.0.113.56',
    sendingAddress: '2001:db8:abcd:12::1',
  },
  failure: null,
};

describe('the record of TLS reports', () => {
  for (const [records, wanted] of [
    [['v=TLSRPTv1;rua=mailto:reports@example.com'], ['mailto:reports@example.com']],
    [
      ['v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt;'],
      ['https://reporting.example.com/v1/tlsrpt'],
    ],
    [
      ['v=TLSRPTv1; rua=mailto:a@x.example , https://y.example/;', 'other'],
      ['mailto:a@x.example', 'https://y.example/'],
    ],
    [['v=TLSRPTv1; x=1; rua=mailto:a%2Bb@x.example?subject=y'], ['mailto:a%2Bb@x.example?subject=y']],
    [['v=TLSRPTv1; rua=mailto:a@x.example', 'v=TLSRPTv1; rua=mailto:b@x.example'], []],
    [['v=TLSRPTv10; rua=mailto:a@x.example'], []],
    [['v=TLSRPTv1;'], []],
    [['v=TLSRPTv1; rua=http://x.example/,mailto:postmaster,mailto:%zz,https://a:b@x.example/,ftp://x'], []],
    [[], []],
  ] as const) {
    it(JSON.stringify(records), () =>
      assert.deepEqual(
        reportTargets(records).map(({ uri }) => uri),
        wanted,
      ),
    );
  }

  it('an address is taken out of its coding', () => {
    const [target] = reportTargets(['v=TLSRPTv1; rua=mailto:a%2Bb@x.example']);
    assert.equal(target?.kind === 'mailto' && target.address, 'a+b@x.example');
  });

  it('no text throws, and what is found is few and of the two kinds', () => {
    const piece = fc.constantFrom(
      'v=TLSRPTv1',
      ';',
      'rua=',
      'mailto:',
      'https://',
      ',',
      '%',
      '%41',
      '@',
      'x.example',
      ' ',
      '\r\n',
      '[::1]',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 40 }).map((all) => `v=TLSRPTv1;${all.join('')}`),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 3 }), (records) => {
        const targets = reportTargets(records);
        assert.ok(targets.length <= 4);
        for (const target of targets) {
          assert.match(target.uri, /^[!-~]+$/);
          if (target.kind === 'https') assert.equal(target.url.protocol, 'https:');
          else assert.match(target.address, /^[^\r\n]+@[^\r\n]+$/);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('counting sessions', () => {
  it('adds up what went the same way, apart by day, and holds nothing after it was taken', () => {
    const tally = new TlsTally('mail.example');
    const wrong: TlsOutcome = { ...STS, failure: 'certificate-expired' };
    for (const one of [STS, STS, { ...STS, mxHost: 'mx2.mail.company-y.example' }, wrong, wrong])
      tally.count(one, NOON);
    tally.count(STS, NOON + DAY_MS);
    const taken = tally.take(NOON);
    assert.deepEqual(
      taken.map(({ day, sessions }) => [day, sessions]),
      [
        [DAY, 3],
        [DAY, 2],
        [DAY + 1, 1],
      ],
    );
    for (const { day, dueAt } of taken) {
      const hours = (dueAt - (day + 1) * DAY_MS) / 3_600_000;
      assert.ok(hours >= 1 && hours < 5, `${hours} h after the end of the day`);
    }
    assert.deepEqual(tally.take(NOON), []);
    tally.giveBack(taken);
    tally.count(STS, NOON);
    assert.equal(tally.take(NOON)[0]?.sessions, 4);
    tally.giveBack(taken);
    assert.deepEqual(
      tally.take((DAY + 1) * DAY_MS + 3_600_000).map(({ day }) => day),
      [DAY + 1],
      'too late for a report',
    );
  });

  it('holds 10,000 different counts at most', () => {
    const tally = new TlsTally('mail.example');
    for (let n = 0; n < 10_100; n += 1)
      tally.count({ ...STS, failure: 'validation-failure', mxHost: `mx${n}` }, NOON);
    assert.equal(tally.take(NOON).length, 10_000);
  });
});

function dueOf(counts: readonly TlsSessionCount[], sent: readonly string[] = []): DueTlsReport {
  return { day: DAY, domain: 'company-y.example', dueAt: 0, sent, counts };
}

describe('a report', () => {
  it('has the fields of RFC 8460, appendix B', () => {
    const tally = new TlsTally('mail.example');
    tally.count(STS, NOON);
    for (let n = 0; n < 3; n += 1) tally.count({ ...STS, failure: 'certificate-expired' }, NOON);
    tally.count({ ...STS, failure: 'starttls-not-supported', sendingAddress: null }, NOON);
    const report = makeTlsReport(dueOf(tally.take(NOON)), {
      hostname: 'mail.example',
      contact: 'p@mail.example',
    });
    const { 'report-id': id, ...rest } = JSON.parse(report.json);
    assert.equal(id, report.reportId);
    assert.match(
      report.fileName,
      /^mail\.example!company-y\.example!1762560000!1762646399![0-9a-f]{16}\.json\.gz$/,
    );
    const where = { 'receiving-mx-hostname': STS.mxHost, 'receiving-ip': '203.0.113.56' };
    assert.deepEqual(rest, {
      'organization-name': 'mail.example',
      'date-range': { 'start-datetime': '2025-11-08T00:00:00Z', 'end-datetime': '2025-11-08T23:59:59Z' },
      'contact-info': 'p@mail.example',
      policies: [
        {
          policy: {
            'policy-type': 'sts',
            'policy-string': STS.policy.strings,
            'policy-domain': 'company-y.example',
            'mx-host': ['*.mail.company-y.example'],
          },
          summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 4 },
          'failure-details': [
            {
              'result-type': 'certificate-expired',
              'sending-mta-ip': STS.sendingAddress,
              ...where,
              'failed-session-count': 3,
            },
            { 'result-type': 'starttls-not-supported', ...where, 'failed-session-count': 1 },
          ],
        },
      ],
    });
  });
});

describe('what a policy is reported as', () => {
  const question = { domain: 'far.test', host: 'mx.far.test', port: 25, mxAuthenticated: true, rule: null };
  const record = { usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(2, 0xab) };
  const nothing = { found: 'nothing', text: '-' } as const;
  const noSts = { policy: null, note: null };
  const testing = (mx: string) => ({
    ...noSts,
    policy: { mode: 'testing', maxAgeSeconds: 9, mx: [mx] } as const,
  });
  for (const [what, dane, sts, wanted] of [
    ['no policy', nothing, noSts, 'no-policy-found far.test  null'],
    [
      'DANE',
      { found: 'records', base: 'b.test', records: [record], text: '-' },
      noSts,
      'tlsa b.test 3 1 1 abab null',
    ],
    ['TLSA of no use', { found: 'unusable', text: '-' }, noSts, 'tlsa mx.far.test  tlsa-invalid'],
    ['TLSA not to be had', { found: 'trouble', text: '-' }, noSts, 'tlsa mx.far.test  dnssec-invalid'],
    [
      'MTA-STS',
      nothing,
      testing('mx.far.test'),
      'sts far.test version: STSv1,mode: testing,mx: mx.far.test,max_age: 9 null',
    ],
    [
      'MTA-STS, another host',
      nothing,
      testing('x.test'),
      'sts far.test version: STSv1,mode: testing,mx: x.test,max_age: 9 validation-failure',
    ],
    [
      'MTA-STS not fetched',
      nothing,
      { ...noSts, failure: 'sts-webpki-invalid' },
      'sts far.test  sts-webpki-invalid',
    ],
  ] as const) {
    it(what, () => {
      const { reported } = combine(question, dane, sts);
      assert.ok(reported);
      const { type, policyDomain, strings, failure, domain } = reported;
      assert.equal(`${type} ${policyDomain} ${strings.join()} ${failure}`, wanted);
      assert.equal(domain, 'far.test');
    });
  }
});

describe('handing a report in over HTTPS', () => {
  async function world(t: TestContext, status: number) {
    const made = await makeCertificates(t, ['reports.test']);
    const posted: { readonly type: string; readonly url: string; readonly body: Buffer }[] = [];
    const server = createServer({ cert: made.cert, key: made.key }, async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      posted.push({ type: request.headers['content-type'] ?? '', url: request.url ?? '', body });
      response.writeHead(status).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dns = await startDnsServer({ 'reports.test': ['A 127.0.0.1'], 'other.test': ['A 127.0.0.1'] });
    const resolver = createResolver({ servers: [dns.address] });
    t.after(async () => {
      resolver.close();
      await dns.close();
      server.close();
    });
    const ca = await readFile(made.caFile, 'utf8');
    const { port } = server.address() as AddressInfo;
    const hand = (name: string, options: { ca?: string; mayDial?: () => boolean } = { ca }) => {
      const post = reportPoster({ resolver, mayDial: () => true, timeoutMs: 15_000, ...options });
      return post(
        new URL(`https://${name}:${port}/in?a=1`),
        Buffer.from('zipped'),
        new AbortController().signal,
      );
    };
    return { hand, posted };
  }

  it('posts it, to a host with a trusted certificate for its name only', async (t) => {
    const { hand, posted } = await world(t, 201);
    assert.deepEqual(await hand('reports.test'), ok(null));
    assert.deepEqual(posted, [
      { type: 'application/tlsrpt+gzip', url: '/in?a=1', body: Buffer.from('zipped') },
    ]);
    for (const refused of [
      await hand('other.test'),
      await hand('reports.test', {}),
      await hand('reports.test', { mayDial: () => false }),
      await hand('127.0.0.1'),
      await hand('nowhere.test'),
    ])
      assert.equal(refused.ok, false);
    assert.equal(posted.length, 1);
  });

  it('an answer other than 2xx is a failure', async (t) => {
    const { hand } = await world(t, 500);
    assert.deepEqual(await hand('reports.test'), failed('reports.test answered 500'));
  });
});

describe('the daily round', () => {
  /** One report in a store of one row. */
  function world(txt: readonly string[] | 'no-answer') {
    const mailed: string[] = [];
    const posted: string[] = [];
    const w = {
      ...{
        mailed,
        posted,
        now: (DAY + 1) * DAY_MS + 6 * 3_600_000,
        on: true,
        stored: [] as TlsSessionCount[],
      },
      postResult: ok(null) as Result<null, string>,
      due: dueOf([{ day: DAY, domain: '', dueAt: 0, detail: detail(), sessions: 2 }]) as DueTlsReport | null,
    };
    const same = ({ dueAt }: { dueAt: number }) => w.due !== null && w.due.dueAt === dueAt;
    const reports = new TlsReports({
      store: {
        addTlsSessions: async (counts) => void w.stored.push(...counts),
        claimTlsReport: async ({ now, until }) => {
          if (w.due === null || w.due.dueAt > now) return null;
          w.due = { ...w.due, dueAt: until };
          return w.due;
        },
        endTlsReport: async (claim) => {
          if (!same(claim)) return false;
          w.due = null;
          return true;
        },
        putOffTlsReport: async (claim) => {
          if (w.due === null || !same(claim)) return false;
          w.due = { ...w.due, sent: claim.sent };
          return true;
        },
      },
      resolver: {
        txt: async () =>
          txt === 'no-answer'
            ? { status: 'no-answer', detail: '-' }
            : {
                ...{ status: 'ok', records: txt, ttlSeconds: 1, canonicalName: '' },
                authenticated: false,
                cached: false,
              },
      },
      hostname: 'mail.example',
      settings: () => ({ on: w.on, contact: '' }),
      mail: async (report, gzipped, { from, to }) => {
        assert.equal(gunzipSync(gzipped).toString(), report.json);
        mailed.push(`${from} ${to}`);
        return ok(null);
      },
      post: async (url) => {
        posted.push(url.href);
        return w.postResult;
      },
      log: () => undefined,
      now: () => w.now,
    });
    return { w, reports };
  }

  function detail(): string {
    const tally = new TlsTally('x');
    tally.count(STS, NOON);
    return tally.take(NOON)[0]?.detail ?? '';
  }

  it('sends to every place once; what failed is tried again in an hour, and given up after a day', async () => {
    const { w, reports } = world(['v=TLSRPTv1; rua=mailto:a@y.example,https://y.example/']);
    w.postResult = failed('away');
    await reports.round();
    await reports.round();
    assert.deepEqual(w.mailed, ['postmaster@mail.example a@y.example']);
    assert.equal(w.posted.length, 1);
    w.now += 3_600_000;
    w.postResult = ok(null);
    await reports.round();
    assert.equal(w.posted.length, 2);
    assert.equal(w.mailed.length, 1);
    assert.equal(w.due, null);

    const late = world(['v=TLSRPTv1; rua=https://y.example/']);
    late.w.now += DAY_MS;
    await late.reports.round();
    assert.equal(late.w.due, null);
    assert.deepEqual(late.w.posted, []);
  });

  it('a domain that asks for none gets none; without an answer of DNS it is asked again', async () => {
    const none = world(['v=spf1 -all']);
    await none.reports.round();
    assert.equal(none.w.due, null);
    const away = world('no-answer');
    await away.reports.round();
    assert.ok(away.w.due);
    assert.deepEqual([...none.w.mailed, ...away.w.mailed], []);
  });

  it('switched off, nothing is counted and nothing sent', async () => {
    const { w, reports } = world(['v=TLSRPTv1; rua=mailto:a@y.example']);
    w.on = false;
    reports.count(STS);
    await reports.round();
    assert.deepEqual([w.stored, w.mailed, w.due], [[], [], null]);
  });

  it('what was counted is stored at the end too', async () => {
    const { w, reports } = world([]);
    reports.count(STS);
    await reports.close();
    assert.equal(w.stored[0]?.sessions, 1);
  });
});
