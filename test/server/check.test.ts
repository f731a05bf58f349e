/** `cmail check` with the server running and without, against made-up DNS and a far server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CheckFinding } from '../../src/admin/context.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

/** What the machine that runs the test has: its disk and its gateways are not made up. */
const OF_THE_MACHINE = new Set(['disk', 'relay']);

test('check tells the same with the server and without it', async (t) => {
  const certificates = await makeCertificates(t, ['relay.test']);
  const auth = { user: 'me', password: 'right' };
  const relay = await startSmtpPeer({ tls: certificates, auth });
  const far = await startSmtpPeer();
  const dns = await startDnsServer({
    'mail.cmail.test': ['A 127.0.0.9'],
    '9.0.0.127.in-addr.arpa': ['PTR mail.cmail.test'],
    'cmail.test': ['MX 10 mail.cmail.test'],
    'relay.test': ['A 127.0.0.1'],
    'far.test': ['MX 10 mx.far.test'],
    'mx.far.test': ['A 127.0.0.1'],
  });
  t.after(() => Promise.all([relay.close(), far.close(), dns.close()]));
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    env: { NODE_EXTRA_CA_CERTS: certificates.caFile },
    domains: ['cmail.test'],
    accounts: [{ address: 'a@cmail.test' }],
    settings: {
      'smtp.host.name': 'relay.test',
      'smtp.host.port': String(relay.port),
      'smtp.host.tls': 'required',
      'smtp.host.username': 'me',
      'smtp.host.password': 'right',
      'smtp.fallbackToSmtpHost': 'on',
      'smtp.outboundPort': String(far.port),
      'smtp.mx.allowPrivateAddresses': 'on',
    },
  });
  const check = async (...words: string[]) => {
    const { code, stdout, stderr } = await cmail.cli(['check', '--json', ...words]);
    assert.equal(stderr, '');
    const all = JSON.parse(stdout) as CheckFinding[];
    const errors = all.filter(({ level }) => level === 'error').length;
    assert.equal(code, errors > 0 ? 1 : 0);
    const findings = all.filter(({ topic }) => !OF_THE_MACHINE.has(topic));
    assert.ok(all.some(({ topic }) => topic === 'disk'));
    return findings;
  };
  const troubled = (findings: readonly CheckFinding[]) =>
    findings.filter(({ level }) => level !== 'ok').map(({ level, topic }) => `${level} ${topic}`);

  for (const place of ['with the server', 'without it']) {
    if (place === 'without it') await cmail.stop();
    const findings = await check('--probe', 'far.test');
    // The certificate is the one that CMail makes for itself.
    assert.deepEqual(troubled(findings), ['warning tls'], `${place}: ${JSON.stringify(findings)}`);
    const texts = findings.map(({ text }) => text).join('\n');
    assert.match(texts, /^the SMTP host relay\.test .* TLSv1\.3 verified, accepts user name and password$/m);
    assert.match(texts, /^port \d+ is open outward: mx\.far\.test/m);
    assert.match(texts, /^127\.0\.0\.9 leads back to mail\.cmail\.test \(PTR\)$/m);
    assert.match(texts, /^the MX of cmail\.test leads to this server$/m);
    assert.match(texts, /^127\.0\.0\.1:\d+ answers in \d+ ms/m);
    assert.match(texts, /^the clock says .* which fits the store and the program$/m);
  }

  assert.deepEqual(troubled(await check()), ['skipped outbound', 'warning tls']);
  assert.equal(far.sessions.length, 2);
  relay.script({ tls: certificates, auth: { user: 'me', password: 'changed' } });
  assert.deepEqual(troubled(await check()), ['error smtp-host', 'skipped outbound', 'warning tls']);
  const { code, stdout } = await cmail.cli(['check']);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^error +smtp-host +the SMTP host relay\.test .* 535 .*\n +Mail that is to go.*\n +Enter/m,
  );
  const wrong = await cmail.cli(['check', '--probe', 'no domain']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /no domain is not a domain/);
  assert.equal(relay.messages.length + far.messages.length, 0);
});
