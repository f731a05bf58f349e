/** The part of `check` that connects, against scripted peers with and without TLS and credentials. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { CheckFinding } from '../../src/admin/context.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { Router } from '../../src/routing/router.ts';
import type { Endpoint } from '../../src/sending/connect.ts';
import { checkHosts, judgePrivacy, mendFor } from '../../src/server/check-hosts.ts';
import type { Settings, SmtpHost } from '../../src/settings/values.ts';
import type { SessionProblem } from '../../src/smtp/sender-contract.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startDnsServer, type Zones } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { makeSettings } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}, address = '127.0.0.1'): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script, { address });
  t.after(() => started.close());
  return started;
}

interface Input {
  readonly host?: Partial<SmtpHost> | null;
  readonly settings?: Partial<Settings>;
  readonly zones?: Zones;
  readonly probe?: string;
  readonly wholeMs?: number;
  readonly stepMs?: number;
}

async function check(t: TestContext, input: Input): Promise<readonly CheckFinding[]> {
  const dns = await startDnsServer(input.zones ?? {});
  const resolver = createResolver({ servers: [dns.address], timeoutMs: 2_000 });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  const base: SmtpHost = {
    which: 1,
    name: '127.0.0.1',
    port: 25,
    tls: 'opportunistic',
    username: '',
    password: '',
  };
  const smtpHost = input.host ? { ...base, ...input.host } : null;
  const settings = makeSettings({ useMxResolution: false, smtpHost, ...input.settings });
  const routes = new Router({
    resolver,
    self: () => ({ hostname: 'me.test', listeners: [] }),
    hostsFile: '/dev/null',
  });
  const { wholeMs, stepMs } = input;
  const findings = await checkHosts(
    { hostname: 'me.test', settings: () => settings, routes, wholeMs, stepMs },
    input.probe ?? null,
  );
  for (const { level, text, meaning, mend } of findings) {
    if (level !== 'ok') assert.ok(meaning && mend, `"${text}" says neither what it means nor what to do`);
  }
  return findings;
}

const lines = (findings: readonly CheckFinding[]) =>
  findings.map(({ level, topic, text }) => `${level} ${topic}: ${text}`);

/** The commands of a session that has ended. */
async function commandsOf(far: SmtpPeer): Promise<readonly string[]> {
  while (far.sessions[0]?.endedAt === undefined) await new Promise((done) => setImmediate(done));
  return far.sessions[0].commands.map((line) => line.split(' ')[0] ?? '');
}

const AUTH = { user: 'me', password: 'right' };
const SIGN_IN = { username: 'me', password: 'right' };

describe('the SMTP host', () => {
  it('that takes the credentials under TLS is well, and gets no mail', async (t) => {
    const far = await peer(t, { tls: await makeCertificates(t, ['127.0.0.1']), auth: AUTH });
    const found = lines(await check(t, { host: { port: far.port, ...SIGN_IN } }));
    assert.match(
      found[0] ?? '',
      /^ok smtp-host: the SMTP host 127\.0\.0\.1 port \d+ answers in \d+ ms, with TLSv1\.3 \w+, accepts user name and password$/,
    );
    assert.match(found[1] ?? '', /^ok outbound: MX resolution is off/);
    assert.equal(found.length, 2);
    assert.deepEqual(await commandsOf(far), ['EHLO', 'STARTTLS', 'EHLO', 'AUTH', 'QUIT']);
    assert.equal(far.messages.length, 0);
  });

  it('that speaks TLS from the start is well', async (t) => {
    const tls = { ...(await makeCertificates(t, ['127.0.0.1'])), implicit: true };
    const far = await peer(t, { tls, auth: AUTH });
    const [line] = lines(await check(t, { host: { port: far.port, tls: 'implicit', ...SIGN_IN } }));
    assert.match(line ?? '', /^ok smtp-host: .* with TLSv1\.3 \w+, accepts user name and password$/);
  });

  it('that wants no credentials is well', async (t) => {
    const far = await peer(t);
    const [line] = lines(await check(t, { host: { port: far.port } }));
    assert.match(line ?? '', /^ok smtp-host: .* answers in \d+ ms, without TLS$/);
    assert.deepEqual(await commandsOf(far), ['EHLO', 'QUIT']);
  });

  it('whose TLS fails is called in clear, and that is warned of', async (t) => {
    const tls = await makeCertificates(t, ['127.0.0.1']);
    const far = await peer(t, { tls, at: { starttls: '454 4.7.0 Not now' } });
    const found = lines(await check(t, { host: { port: far.port } }));
    assert.match(found[0] ?? '', /^ok smtp-host: .* without TLS$/);
    assert.match(found[1] ?? '', /^warning smtp-host: TLS with .* failed.*454 4\.7\.0 Not now/);
  });

  it('further ones are tried each by itself, and what is to be mended is in their own settings', async (t) => {
    const [first, second] = [await peer(t), await peer(t, { auth: AUTH })];
    const further: SmtpHost = {
      ...{ which: 2, name: '127.0.0.1', port: second.port, tls: 'opportunistic' },
      ...{ username: 'me', password: 'wrong' },
    };
    const settings = { furtherSmtpHosts: [further] };
    const findings = await check(t, { host: { port: first.port }, settings });
    const [one, other] = findings;
    assert.deepEqual([one?.level, other?.level], ['ok', 'error']);
    assert.match(other?.text ?? '', new RegExp(`port ${second.port}: .*535`));
    assert.match(other?.mend ?? '', /smtp\.host2\.username and smtp\.host2\.password/);
  });

  const failures: readonly [string, PeerScript, Partial<SmtpHost>, RegExp, RegExp][] = [
    [
      'refuses the password',
      { auth: AUTH },
      { username: 'me', password: 'wrong' },
      /refused the user name or password: 535/,
      /smtp\.host\.password/,
    ],
    [
      'cannot judge the password now',
      { auth: AUTH, at: { auth: '432 Later' } },
      SIGN_IN,
      /432 Later/,
      /^Wait/,
    ],
    ['offers no sign-in', {}, SIGN_IN, /offers no way to sign in/, /sign-in/],
    ['offers no TLS', {}, { tls: 'required' }, /TLS is required/, /smtp\.host\.tls/],
    ['does not speak TLS', {}, { tls: 'implicit' }, /port \d+: /, /465/],
    ['refuses to talk', { at: { greeting: '554 5.7.1 Go away' } }, {}, /554 5\.7\.1 Go away/, /firewall/],
    ['refuses EHLO and HELO', { at: { ehlo: '550 No', helo: '550 No' } }, {}, /550 No/, /operator/],
    ['hangs up', { at: { ehlo: 'close', helo: 'close' } }, {}, /closed the connection/, /operator/],
    ['is this server', { hostname: 'me.test' }, {}, /our own name/, /another server/],
  ];
  for (const [what, script, host, text, mend] of failures) {
    it(`that ${what} is an error`, async (t) => {
      const far = await peer(t, script);
      const [finding] = await check(t, { host: { port: far.port, ...host } });
      assert.equal(finding?.level, 'error');
      assert.match(finding.text, text);
      assert.match(finding.mend ?? '', mend);
      assert.doesNotMatch(JSON.stringify(finding), /wrong"|right"/);
      assert.equal(far.messages.length, 0);
    });
  }

  it('that is not there is an error when mail needs it, else a warning', async (t) => {
    const host = { port: await freePort('127.0.0.1') };
    const [needed] = await check(t, { host });
    assert.match(lines(needed ? [needed] : [])[0] ?? '', /^error smtp-host: .*connection refused/);
    const [idle] = await check(t, { host, settings: { useMxResolution: true } });
    assert.equal(idle?.level, 'warning');
    const settings = { useMxResolution: true, fallbackToSmtpHost: true };
    const [fallback] = await check(t, { host, settings });
    assert.equal(fallback?.level, 'error');
  });

  it('that is silent is not waited for longer than a check may take', async (t) => {
    const far = await peer(t, { at: { greeting: 'silent' } });
    const startedAt = performance.now();
    const [finding] = await check(t, { host: { port: far.port }, stepMs: 300 });
    assert.equal(finding?.level, 'error');
    assert.ok(performance.now() - startedAt < 4_000, 'long before the wait of the settings');
  });

  it('that drips is ended when the time for all is over', async (t) => {
    const far = await peer(t, { dripMs: 200 });
    const startedAt = performance.now();
    const [finding] = await check(t, { host: { port: far.port }, wholeMs: 500 });
    assert.match(finding?.text ?? '', /the check waited long enough$/);
    assert.ok(performance.now() - startedAt < 4_000);
  });

  it('whose name is unknown is an error', async (t) => {
    const [line] = lines(await check(t, { host: { name: 'gone.test' } }));
    assert.match(line ?? '', /^error smtp-host: the SMTP host gone\.test has no address/);
  });

  it('with a dead address beside a good one is well, with a warning', async (t) => {
    const far = await peer(t, {}, '127.0.0.12');
    const zones = { 'relay.test': ['A 127.0.0.11', 'A 127.0.0.12'] };
    const found = lines(await check(t, { host: { name: 'relay.test', port: far.port }, zones }));
    assert.match(
      found[0] ?? '',
      /^warning smtp-host: the SMTP host relay\.test \(127\.0\.0\.11\) .*connection refused/,
    );
    assert.match(found[1] ?? '', /^ok smtp-host: the SMTP host relay\.test \(127\.0\.0\.12\)/);
  });

  it('is signed in to once when it refuses, whatever number of addresses it has', async (t) => {
    const first = await peer(t, { auth: AUTH }, '127.0.0.13');
    const second = await startSmtpPeer({ auth: AUTH }, { address: '127.0.0.14', port: first.port });
    t.after(() => second.close());
    const zones = { 'relay.test': ['A 127.0.0.13', 'A 127.0.0.14'] };
    const host = { name: 'relay.test', port: first.port, username: 'me', password: 'wrong' };
    const found = await check(t, { host, zones });
    assert.equal(found.filter(({ level }) => level === 'error').length, 1);
    assert.equal(first.sessions.length + second.sessions.length, 1);
  });
});

describe('what is said of TLS', () => {
  const at = (address: string) =>
    ({ host: 'relay.test', port: 587, address, tls: 'opportunistic' }) as unknown as Endpoint;
  const cases: readonly [SmtpHost['tls'], string | null, boolean, RegExp | null][] = [
    ['opportunistic', 'TLSv1.3 verified', true, null],
    ['opportunistic', 'TLSv1.3 unverified', true, /certificate .* is not trusted/],
    ['none', null, true, /offers TLS, and smtp\.host\.tls is none/],
    ['none', null, false, /offers no TLS/],
  ];
  for (const [mode, tls, offered, text] of cases) {
    it(`${mode}, ${tls ?? 'in clear'}, ${offered ? '' : 'not '}offered`, () => {
      const finding = judgePrivacy(at('192.0.2.1'), mode, tls, offered);
      if (text === null) assert.equal(finding, null);
      else assert.match(finding?.text ?? '', text);
      assert.equal(judgePrivacy(at('127.0.0.1'), mode, tls, offered), null);
    });
  }

  it('and of a password that was not sent', () => {
    const problem: SessionProblem = { kind: 'credentials', phase: 'ehlo', reply: null, text: 'not sent' };
    assert.match(mendFor(problem, at('192.0.2.1')), /certificate is trusted/);
  });
});

describe('the way out', () => {
  const mxOnly = { useMxResolution: true } as const;

  it('is not tried without being asked, and nothing is dialled or looked up for it', async (t) => {
    const far = await peer(t);
    const settings = { ...mxOnly, outboundPort: far.port };
    const found = lines(await check(t, { settings, zones: { 'far.test': ['A 127.0.0.1'] } }));
    assert.deepEqual(found, [
      'ok smtp-host: no SMTP host is entered',
      `skipped outbound: whether port ${far.port} is open outward was not tried`,
    ]);
    assert.equal(far.sessions.length, 0);
  });

  it('towards the SMTP host is mentioned when that is on the same port', async (t) => {
    const far = await peer(t);
    const found = lines(
      await check(t, { host: { port: far.port }, settings: { ...mxOnly, outboundPort: far.port } }),
    );
    assert.match(found.at(-1) ?? '', /^skipped outbound: .*, but towards the SMTP host it is$/);
  });

  const probe = (t: TestContext, port: number, records: readonly string[] = ['MX 10 mx.far.test']) => {
    const zones = { 'far.test': records, 'mx.far.test': ['A 127.0.0.1'] };
    return check(t, { settings: { ...mxOnly, outboundPort: port }, zones, probe: 'far.test', stepMs: 1_000 });
  };

  it('is open when a host of the domain answers; it is told EHLO and QUIT', async (t) => {
    const far = await peer(t, { tls: await makeCertificates(t, ['mx.far.test']) });
    const line = lines(await probe(t, far.port)).at(-1) ?? '';
    assert.match(
      line,
      /^ok outbound: port \d+ is open outward: mx\.far\.test \(127\.0\.0\.1\) port \d+ of far\.test/,
    );
    assert.deepEqual(await commandsOf(far), ['EHLO', 'QUIT']);
  });

  it('is closed when no host takes a connection', async (t) => {
    const line = lines(await probe(t, await freePort('127.0.0.1'))).at(-1) ?? '';
    assert.match(
      line,
      /^error outbound: no host of far\.test can be reached: mx\.far\.test .*connection refused/,
    );
  });

  for (const greeting of ['554 5.7.1 Blocked', 'close', 'silent']) {
    it(`is doubtful when a host takes connections and greets with "${greeting}"`, async (t) => {
      const far = await peer(t, { at: { greeting } });
      const line = lines(await probe(t, far.port)).at(-1) ?? '';
      assert.match(line, /^warning outbound: port \d+ takes connections, but no host of far\.test talks to/);
    });
  }

  it('cannot be tried by a domain without mail', async (t) => {
    const line = lines(await probe(t, 25, ['MX 0 .'])).at(-1) ?? '';
    assert.match(line, /^warning outbound: the way out could not be tried by far\.test: /);
  });

  it('does not lead through the SMTP host, even when MX fails', async (t) => {
    const relay = await peer(t);
    const settings = { ...mxOnly, fallbackToSmtpHost: true };
    const found = lines(await check(t, { host: { port: relay.port }, settings, probe: 'gone.test' }));
    assert.match(found.at(-1) ?? '', /^warning outbound: .*gone\.test does not exist in DNS$/);
    assert.equal(relay.sessions.length, 1);
  });
});
