/** A whole server that sends to a real Postfix under DANE and MTA-STS; DNS is a real unbound that validates. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { makeCertificates } from '../support/certificates.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { requirePolicyServer, servePolicies } from '../support/policy-server.ts';
import { requirePostfix, startPostfix } from '../support/postfix.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startValidatingResolver } from '../support/validating-resolver.ts';

const POLICY_AT = '127.0.60.1';
const POLICY = 'version: STSv1\nmode: enforce\nmx: mx.plain.test\nmax_age: 86400\n';

interface Story {
  readonly recipients: readonly { readonly state: string; readonly lastReply: string | null }[];
}

async function send(cmail: Cmail, to: string): Promise<string> {
  const client = await greeted(cmail.listeners.smtp);
  const from = 'boss@our.example';
  const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: 'x' }) });
  client.destroy();
  assert.ok(sent.id, sent.end?.text);
  const { id } = sent;
  await cmail.waitFor(
    `an attempt for ${to}`,
    async () => {
      const [recipient] = (await cmail.json<Story>(['message', id])).recipients;
      return recipient !== undefined && recipient.state !== 'sending' && recipient.lastReply !== null;
    },
    30_000,
  );
  return cmail.run(['message', id]);
}

test('DANE and MTA-STS with Postfix as the far side', async (t) => {
  if (!requirePostfix(t) || !(await requirePolicyServer(t))) return;
  const made = await makeCertificates(t, ['mx.plain.test', 'mta-sts.plain.test']);
  const postfix = await startPostfix(t, { address: '127.0.60.5', tls: made });
  const key = new X509Certificate(made.cert).publicKey.export({ type: 'spki', format: 'der' });
  const right = createHash('sha256').update(key).digest('hex');
  const far = (name: string, digest: string) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${postfix.host}`,
    `_${postfix.port}._tcp.mx.${name} TLSA 3 1 1 ${digest}`,
  ];
  const dns = await startValidatingResolver(t, {
    signed: [...far('right', right), ...far('wrong', '00'.repeat(32))],
    plain: [
      ...['@ MX 10 mx', `mx A ${postfix.host}`, '_mta-sts TXT "v=STSv1; id=1;"', `mta-sts A ${POLICY_AT}`],
      ...['sub MX 10 mx', '_mta-sts.sub TXT "v=STSv1; id=1;"'],
    ],
  });
  if (dns === null) return;
  await servePolicies(t, { address: POLICY_AT, certificate: made, policies: { 'plain.test': POLICY } });
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns] } },
    domains: ['our.example'],
    accounts: [{ address: 'boss@our.example' }],
    settings: { 'smtp.outboundPort': String(postfix.port), 'smtp.mx.allowPrivateAddresses': 'on' },
    env: { NODE_EXTRA_CA_CERTS: made.caFile },
  });

  assert.match(
    await send(cmail, 'x@right.signed.test'),
    /delivered to mx\.right.*TLSv1\.3, verified by DANE: 250/,
  );
  assert.match(
    await send(cmail, 'x@plain.test'),
    /delivered to mx\.plain.*TLSv1\.3, verified by MTA-STS: 250/,
  );
  await postfix.waitForCount(2);
  for (const message of await postfix.messages()) assert.match(message, /using TLSv1\.3/);

  const waits = await send(cmail, 'x@wrong.signed.test');
  assert.match(waits, /TLS policy: mx\.wrong\.signed\.test: the certificate is checked by DANE/);
  assert.match(waits, /waits: The certificate is not the one that DANE asks for/);
  // Its policy cannot be fetched, and there is none from before.
  assert.match(await send(cmail, 'x@sub.plain.test'), /delivered to mx\.plain.*TLSv1\.3 verified: 250/);
  await postfix.waitForCount(3);
  await postfix.waitForEmptyQueue();
  assert.equal(await postfix.count(), 3);

  const explained = async (to: string) =>
    cmail.run(['explain', `x@${to}`, '--client', '127.0.0.1', '--connect']);
  assert.match(
    await explained('right.signed.test'),
    /mx\.right\.signed\.test: the certificate is checked by DANE/,
  );
  assert.match(await explained('wrong.signed.test'), /not the one that the TLSA records name/);
  assert.match(await explained('plain.test'), /required by the MTA-STS policy of plain\.test/);
  assert.match(await explained('sub.plain.test'), /MTA-STS policy could not be fetched/);
});
