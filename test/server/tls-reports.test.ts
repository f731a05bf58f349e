/** A server that counts how TLS went and reports it to the domain that asks for it, once (RFC 8460). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { loadNodeConfig } from '../../src/server/config.ts';
import { openDataFolder } from '../../src/server/data-folder.ts';
import { openStore } from '../../src/server/open-store.ts';
import type { Storage } from '../../src/storage/contract.ts';
import type { DueTlsReport } from '../../src/storage/trust-contract.ts';
import { makeCertificates } from '../support/certificates.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

const AGES_AHEAD = { now: 1e15, until: 2e15 };

/** Works on the store of a server that does not run. */
async function withStoreOf<T>(cmail: Cmail, work: (storage: Storage) => Promise<T>): Promise<T> {
  const { dataDir, configFile } = cmail;
  const input = { dataOption: dataDir, configOption: configFile, env: {}, cwd: process.cwd() };
  const config = loadNodeConfig(input);
  assert.ok(config.ok);
  const folder = openDataFolder(config.value.data, 15_000);
  assert.ok(folder.ok);
  const { storage } = await openStore(config.value, folder.value);
  try {
    return await work(storage);
  } finally {
    await storage.close();
    folder.value.release();
  }
}

/** As if what was counted today had been counted yesterday, and its reports were due; resolves to their domains. */
async function makeItYesterday(storage: Storage): Promise<readonly string[]> {
  const all: DueTlsReport[] = [];
  for (;;) {
    const due = await storage.claimTlsReport(AGES_AHEAD);
    if (due === null) break;
    all.push(due);
  }
  const day = (all[0]?.day ?? 0) - 1;
  for (const { domain, counts, ...claim } of all) {
    assert.ok(await storage.endTlsReport({ ...claim, domain }));
    await storage.addTlsSessions(counts.map((count) => ({ ...count, day, domain, dueAt: 0 })));
  }
  return all.map(({ domain }) => domain);
}

async function send(cmail: Cmail): Promise<void> {
  const client = await greeted(cmail.listeners.smtp);
  const [from, to] = ['boss@our.example', 'x@far.test'];
  const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'x' }) });
  client.destroy();
  assert.ok(sent.id, sent.end?.text);
}

test('a session with a TLS failure and one without make one report, by mail, once', async (t) => {
  const { selfSigned: tls } = await makeCertificates(t, ['mx.far.test']);
  const at = { end: 'ok, close' };
  const far = await startSmtpPeer(
    { tls, at: { ...at, starttls: '454 4.7.0 Not now' } },
    { address: '127.0.62.1' },
  );
  t.after(() => far.close());
  // It has no TLS, which the next report must not tell of.
  const reader = await startSmtpPeer({}, { address: '127.0.62.2', port: far.port });
  t.after(() => reader.close());
  const dns = await startDnsServer({
    'far.test': ['MX 10 mx.far.test'],
    'mx.far.test': [`A ${far.address}`],
    '_smtp._tls.far.test': ['TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"'],
    'reports.test': ['MX 10 mx.reports.test'],
    'mx.reports.test': [`A ${reader.address}`],
    '_smtp._tls.reports.test': ['TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"'],
  });
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example'],
    accounts: [{ address: 'boss@our.example' }],
    settings: { 'smtp.outboundPort': String(far.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  await send(cmail);
  await far.waitForMessages(1, 30_000);
  far.script({ tls, at });
  await send(cmail);
  await far.waitForMessages(2, 30_000);
  await cmail.stop();

  assert.deepEqual(await withStoreOf(cmail, makeItYesterday), ['far.test']);
  await cmail.restart();
  const [message] = await reader.waitForMessages(1, 60_000);
  assert.equal(message?.from, 'postmaster@mail.cmail.test');
  assert.deepEqual(message.to, ['tls@reports.test']);
  const text = message.data.toString();
  const header = (text.split('\r\n\r\n')[0] ?? '').replace(/\r\n[ \t]+/g, ' ');
  assert.match(header, /^Content-Type: multipart\/report; report-type=tlsrpt; boundary=/m);
  assert.match(header, /^TLS-Report-Domain: far\.test\r?$/m);
  assert.match(header, /^TLS-Report-Submitter: mail\.cmail\.test\r?$/m);
  assert.match(
    header,
    /^Subject: Report Domain: far\.test Submitter: mail\.cmail\.test Report-ID: <[^ >]+>\r?$/m,
  );
  const part = text.slice(text.indexOf('Content-Type: application/tlsrpt+gzip'));
  assert.match(part, /filename="?mail\.cmail\.test!far\.test!\d+!\d+!\w+\.json\.gz/);
  const base64 = /\r\n\r\n([A-Za-z0-9+/=\r\n]+)/.exec(part)?.[1] ?? '';
  const report = JSON.parse(gunzipSync(Buffer.from(base64, 'base64')).toString());
  assert.equal(report['contact-info'], 'postmaster@mail.cmail.test');
  assert.deepEqual(report.policies, [
    {
      policy: { 'policy-type': 'no-policy-found', 'policy-domain': 'far.test' },
      summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 1 },
      'failure-details': [
        {
          'result-type': 'validation-failure',
          'sending-mta-ip': '127.0.0.1',
          'receiving-mx-hostname': 'mx.far.test',
          'receiving-ip': '127.0.62.1',
          'failed-session-count': 1,
        },
      ],
    },
  ]);

  await cmail.stop();
  // Neither is the report still due, nor has sending it been counted.
  assert.equal(await withStoreOf(cmail, (storage) => storage.claimTlsReport(AGES_AHEAD)), null);
  assert.equal(reader.messages.length, 1);
});
