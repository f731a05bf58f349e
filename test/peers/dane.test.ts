/** Mail under DANE and MTA-STS: a real unbound that validates a signed zone, real TLS, the sender as it runs. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { createResolver } from '../../src/dns/resolver.ts';
import { Router } from '../../src/routing/router.ts';
import type { StsPolicy } from '../../src/trust/contract.ts';
import { tlsPolicies } from '../../src/trust/policies.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { freePort } from '../support/free-port.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { startValidatingResolver } from '../support/validating-resolver.ts';
import { makeWorld } from '../unit/sending-world.ts';

const WRONG = '00'.repeat(32);

function spki(pem: string): string {
  const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}

interface Far {
  readonly made: Certificates;
  readonly port: number;
  /** With a certificate of its own making; and without TLS. */
  readonly tls: SmtpPeer;
  readonly clear: SmtpPeer;
}

const TLS_AT = '127.0.0.9';
const CLEAR_AT = '127.0.0.10';

async function farSide(t: TestContext): Promise<Far> {
  const alone = await makeCertificates(t, ['mx.ta.signed.test', 'mx.plain.test']);
  // With the CA's behind it, as a server must send it for usage 2 (RFC 7671 §5.2.2).
  const made = { ...alone, cert: `${alone.cert}${await readFile(alone.caFile, 'utf8')}` };
  const port = await freePort(TLS_AT);
  const tls = await startSmtpPeer({ tls: made }, { address: TLS_AT, port });
  t.after(() => tls.close());
  const clear = await startSmtpPeer({}, { address: CLEAR_AT, port });
  t.after(() => clear.close());
  return { made, port, tls, clear };
}

/** The zones of the tests; each name below is a destination. */
async function zones({ made, port }: Far) {
  const right = spki(made.cert);
  const ca = new X509Certificate(await readFile(made.caFile));
  const anchor = createHash('sha256').update(ca.raw).digest('hex');
  const host = (name: string, at: string, ...tlsa: string[]) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${at}`,
    ...tlsa.map((data) => `_${port}._tcp.mx.${name} TLSA ${data}`),
  ];
  return {
    signed: [
      ...host('right', TLS_AT, `3 1 1 ${right}`),
      ...host('wrong', TLS_AT, `3 1 1 ${WRONG}`),
      ...host('none', TLS_AT),
      ...host('bogus', TLS_AT, `3 1 1 ${'ab'.repeat(32)}`),
      ...host('ta', TLS_AT, `2 0 1 ${anchor}`),
      ...host('ta-name', TLS_AT, `2 0 1 ${anchor}`),
      ...host('unusable', TLS_AT, `1 1 1 ${right}`),
      ...host('unusable-clear', CLEAR_AT, `1 1 1 ${right}`),
      ...host('no-tls', CLEAR_AT, `3 1 1 ${right}`),
      // The second host is right.
      'two MX 10 mx.wrong',
      'two MX 20 mx.right',
      // An alias whose target has the records.
      'alias MX 10 mx.alias',
      'mx.alias CNAME mx.right',
      // Protected aliases that lead to what is not: with records of their own, which are wrong, and without.
      'out MX 10 mx.out',
      'mx.out CNAME mx.plain.test.',
      `_${port}._tcp.mx.out TLSA 3 1 1 ${WRONG}`,
      'out-none MX 10 mx.out-none',
      'mx.out-none CNAME mx.plain.test.',
    ],
    plain: host('@', TLS_AT, `3 1 1 ${WRONG}`).map((line) => line.replaceAll('.@', '')),
    tamper: (zone: string) => zone.replace('ab'.repeat(32), right),
  };
}

interface Options {
  readonly sts?: Readonly<Record<string, StsPolicy>>;
  /** As `dns.trusted`. */
  readonly trusted?: readonly string[];
}

async function start(t: TestContext, { sts = {}, trusted }: Options = {}) {
  const far = await farSide(t);
  const dns = await startValidatingResolver(t, await zones(far));
  if (dns === null) return null;
  const resolver = createResolver({ servers: [dns], ...(trusted === undefined ? {} : { trusted }) });
  t.after(async () => resolver.close());
  const router = new Router({ resolver, self: () => ({ hostname: 'me.test', listeners: [] }) });
  const world = makeWorld(
    t,
    (target) => router.plan(target, { settings: world.settings, fresh: false, assumedExternal: false }),
    { outboundPort: far.port },
  );
  world.tlsPolicies = tlsPolicies({
    resolver,
    sts: { find: async (domain) => ({ policy: sts[domain] ?? null, note: null }) },
  });
  const send = async (domain: string) => {
    const id = await world.send({ to: [`x@${domain}`] });
    const recipient = world.queue.recipients(id)[0];
    const attempt = JSON.stringify(world.queue.events('attempt').at(-1)?.detail);
    const tls = world.queue.events('delivered').at(-1)?.detail.tls;
    return {
      state: recipient?.state,
      reply: recipient?.lastReply ?? '',
      kind: recipient?.lastKind,
      attempt,
      tls,
    };
  };
  return { far, world, send };
}

describe('DANE', () => {
  it('what DNS says of a certificate decides, and what forbids clear text is never sent in clear', async (t) => {
    const started = await start(t);
    if (started === null) return;
    const { far, send } = started;
    for (const [domain, state, words] of [
      ['right.signed.test', 'delivered', /^TLSv1\.3, verified by DANE$/],
      ['ta.signed.test', 'delivered', /^TLSv1\.3, verified by DANE$/],
      ['alias.signed.test', 'delivered', /^TLSv1\.3, verified by DANE$/],
      ['two.signed.test', 'delivered', /^TLSv1\.3, verified by DANE$/],
      ['none.signed.test', 'delivered', /^TLSv1\.3 unverified$/],
      ['out-none.signed.test', 'delivered', /^TLSv1\.3 unverified$/],
      ['out.signed.test', 'queued', /not the one that DANE asks for/],
      ['unusable.signed.test', 'delivered', /^TLSv1\.3 unverified$/],
      // Nobody vouches for what an unsigned zone says.
      ['plain.test', 'delivered', /^TLSv1\.3 unverified$/],
      [
        'wrong.signed.test',
        'queued',
        /not the one that DANE asks for: .*not the one that the TLSA records name/,
      ],
      ['ta-name.signed.test', 'queued', /is not for mx\.ta-name\.signed\.test/],
      [
        'bogus.signed.test',
        'queued',
        /the TLSA records of mx\.bogus\.signed\.test could not be had .*SERVFAIL/,
      ],
      ['no-tls.signed.test', 'queued', /TLS is required and the server does not offer it/],
      ['unusable-clear.signed.test', 'queued', /TLS is required and the server does not offer it/],
    ] as const) {
      const messages = far.tls.messages.length + far.clear.messages.length;
      const sent = await send(domain);
      assert.equal(sent.state, state, `${domain}: ${sent.reply} ${sent.attempt}`);
      assert.match(state === 'delivered' ? String(sent.tls) : sent.reply, words, domain);
      if (state === 'queued') {
        assert.equal(sent.kind, 'tls', domain);
        assert.equal(far.tls.messages.length + far.clear.messages.length, messages, domain);
      }
    }
    assert.ok(far.tls.messages.every(({ session }) => session.tls));
    assert.equal(far.clear.messages.length, 0);
    // Not even called: nothing is known of the certificate it should have.
    const calls = far.tls.sessions.length;
    assert.match((await send('bogus.signed.test')).attempt, /not used now/);
    assert.equal(far.tls.sessions.length, calls);
  });

  it('a resolver that is not trusted is not believed', async (t) => {
    const started = await start(t, { trusted: ['192.0.2.53'] });
    if (started === null) return;
    const sent = await started.send('wrong.signed.test');
    assert.equal(sent.state, 'delivered', sent.reply);
    assert.match(String(sent.tls), /unverified$/);
  });

  it('never falls back to the SMTP host', async (t) => {
    const started = await start(t);
    if (started === null) return;
    const { world, send } = started;
    let asked = 0;
    world.fallback = () => {
      asked += 1;
      return null;
    };
    world.settings = { ...world.settings, fallbackToSmtpHost: true };
    assert.equal((await send('wrong.signed.test')).state, 'queued');
    assert.equal(asked, 0);
  });
});

const POLICY: StsPolicy = { mode: 'enforce', maxAgeSeconds: 86_400, mx: ['mx.plain.test'] };

describe('MTA-STS', () => {
  for (const [what, policy, trusted, state, words] of [
    ['enforced, trusted certificate', POLICY, true, 'delivered', /^TLSv1\.3, verified by MTA-STS$/],
    [
      'enforced, certificate of nobody known',
      POLICY,
      false,
      'queued',
      /not trusted for this name, as MTA-STS demands/,
    ],
    [
      'enforced, another MX',
      { ...POLICY, mx: ['mx.else.test'] },
      true,
      'queued',
      /allows only mx\.else\.test/,
    ],
    [
      'testing, another MX',
      { ...POLICY, mode: 'testing', mx: ['mx.else.test'] },
      false,
      'delivered',
      /unverified$/,
    ],
    ['none', { ...POLICY, mode: 'none' }, false, 'delivered', /unverified$/],
  ] as const) {
    it(`${what}: ${state}`, async (t) => {
      const started = await start(t, { sts: { 'plain.test': policy } });
      if (started === null) return;
      const { far, send } = started;
      if (trusted) {
        const usual = getCACertificates('default');
        setDefaultCACertificates([...usual, await readFile(far.made.caFile, 'utf8')]);
        t.after(() => setDefaultCACertificates(usual));
      }
      const sent = await send('plain.test');
      assert.equal(sent.state, state, `${sent.reply} ${sent.attempt}`);
      assert.match(state === 'delivered' ? String(sent.tls) : sent.reply, words);
      assert.equal(far.tls.messages.length, state === 'delivered' ? 1 : 0);
    });
  }

  it('a connection from before is not used under a policy it was not opened under', async (t) => {
    const sts: Record<string, StsPolicy> = {};
    const started = await start(t, { sts });
    if (started === null) return;
    const { far, send } = started;
    assert.equal((await send('plain.test')).state, 'delivered');
    assert.equal((await send('plain.test')).state, 'delivered');
    sts['plain.test'] = POLICY;
    assert.equal((await send('plain.test')).state, 'queued');
    assert.equal(far.tls.messages.length, 2);
  });

  it('does not make up for a certificate that DANE does not accept', async (t) => {
    const policy: StsPolicy = { ...POLICY, mode: 'testing', mx: ['mx.wrong.signed.test'] };
    const started = await start(t, { sts: { 'wrong.signed.test': policy } });
    if (started === null) return;
    assert.match((await started.send('wrong.signed.test')).reply, /DANE/);
  });
});
