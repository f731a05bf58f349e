/**
 * ACME with implementations that are not ours: our client with Pebble (the test server of the Let's Encrypt
 * people), and lego and certbot with the server our other tests use, so that both halves are measured by others.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Acme } from '../../src/acme/acme.ts';
import type { AcmeConfig, AcmeTimings } from '../../src/acme/contract.ts';
import { startAcmeServer } from '../support/acme-server.ts';
import { makeCertificates } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { runChecked } from '../support/command.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { requireTool } from '../support/require.ts';
import { SHORT, until } from '../unit/acme-support.ts';

const MAC = Buffer.from('a key of thirty-two octets, yes!').toString('base64url');

interface Pebble {
  readonly directory: string;
  readonly caFile: string;
  /** Where it looks for the challenge. */
  readonly httpPort: number;
  readonly tlsPort: number;
  said(): string;
}

/** Pebble refusing one nonce in two, its names resolved by a DNS server of the test. */
async function startPebble(
  t: TestContext,
  program: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Pebble> {
  const folder = await temporaryFolder(t);
  const { caFile, cert, key } = await makeCertificates(t, ['localhost', '127.0.0.1']);
  await writeFile(join(folder, 'cert.pem'), cert);
  await writeFile(join(folder, 'key.pem'), key);
  const [port, httpPort, tlsPort] = [
    await freePort('127.0.0.1'),
    await freePort('127.0.0.1'),
    await freePort('127.0.0.1'),
  ];
  const config = {
    ...{ listenAddress: `127.0.0.1:${port}`, managementListenAddress: '', httpPort, tlsPort },
    ...{ certificate: join(folder, 'cert.pem'), privateKey: join(folder, 'key.pem') },
    ...{ ocspResponderURL: '', externalAccountBindingRequired: false, ...more },
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify({ pebble: config }));
  const dns = await startDnsServer({
    'mail.example.test': ['A 127.0.0.1'],
    'mx.example.test': ['A 127.0.0.1'],
  });
  t.after(() => dns.close());
  // One nonce in ten: six refused in a row, which the client takes for a broken CA, do not come by chance.
  const child = spawn(program, ['-config', join(folder, 'config.json'), '-dnsserver', dns.address], {
    env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '10', PEBBLE_AUTHZREUSE: '0' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-100_000);
    });
  }
  t.after(() => ended(child));
  await until('Pebble', () => said.includes('ACME directory available'));
  return { directory: `https://127.0.0.1:${port}/dir`, caFile, httpPort, tlsPort, said: () => said };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}

async function client(
  t: TestContext,
  pebble: Pebble,
  change: Partial<AcmeConfig> = {},
  timings: Partial<AcmeTimings> = {},
): Promise<Acme> {
  const challenge = change.challenge ?? 'http-01';
  const acme = await Acme.open({
    folder: join(await temporaryFolder(t), 'acme'),
    timings: { ...SHORT, ...timings },
    ports: { log: () => undefined, installed: () => undefined },
    config: {
      ...{ directory: pebble.directory, contact: ['admin@example.test'], agreeToTerms: true, challenge },
      ...{ names: ['mail.example.test', 'mx.example.test'], externalAccount: null },
      trustedCas: await readFile(pebble.caFile, 'utf8'),
      listen: [{ host: '127.0.0.1', port: challenge === 'http-01' ? pebble.httpPort : pebble.tlsPort }],
      ...change,
    },
  });
  assert.ok(acme.ok);
  t.after(() => acme.value.close());
  await acme.value.start();
  return acme.value;
}

for (const challenge of ['http-01', 'tls-alpn-01'] as const) {
  test(`a certificate from Pebble by ${challenge}, though it refuses nonces`, async (t) => {
    const program = requireTool(t, 'pebble');
    if (program === null) return;
    const pebble = await startPebble(t, program);
    const acme = await client(t, pebble, { challenge });
    const { cert } = await until('a certificate', () => {
      assert.equal(acme.view().failure, null);
      return acme.certificate();
    });
    assert.equal(new X509Certificate(cert).subjectAltName, 'DNS:mail.example.test, DNS:mx.example.test');
    assert.match(acme.view().certificate?.issuer ?? '', /Pebble/);
  });
}

test('Pebble with an external account, and a renewal', async (t) => {
  const program = requireTool(t, 'pebble');
  if (program === null) return;
  const pebble = await startPebble(t, program, {
    ...{ externalAccountBindingRequired: true, externalAccountMACKeys: { 'kid-1': MAC } },
    certificateValidityPeriod: 12,
  });
  const hmacKey = Buffer.from(MAC, 'base64url');
  const acme = await client(
    t,
    pebble,
    { externalAccount: { kid: 'kid-1', hmacKey } },
    { betweenOrdersMs: 0 },
  );
  const first = await until('a certificate', () => acme.certificate());
  await until('the next', () => acme.certificate()?.cert !== first.cert);
  await acme.close();

  const wrong = await client(t, pebble, { externalAccount: { kid: 'kid-1', hmacKey: Buffer.alloc(32) } });
  const failure = await until('the refusal', () => wrong.view().failure);
  assert.equal(failure.kind, 'external-account');
});

test('Pebble finds nobody: its words come through', async (t) => {
  const program = requireTool(t, 'pebble');
  if (program === null) return;
  const pebble = await startPebble(t, program);
  const listen = [{ host: '127.0.0.1', port: await freePort('127.0.0.1') }];
  const acme = await client(t, pebble, { listen, names: ['mail.example.test'] });
  const failure = await until('the failure', () => acme.view().failure);
  assert.equal(failure.kind, 'validation');
  assert.match(
    failure.text,
    /http:\/\/mail\.example\.test\/\.well-known\/acme-challenge\/.*connection refused/,
  );
});

test('lego obtains certificates from the server of our tests, by both challenges', async (t) => {
  const program = requireTool(t, 'lego');
  if (program === null) return;
  const server = await startAcmeServer(t);
  server.behaviour.externalAccounts = { 'kid-1': MAC };
  server.behaviour.termsOfService = 'https://ca.test/terms';
  const path = await temporaryFolder(t);
  for (const [flag, name] of [
    ['http', 'one.example.test'],
    ['tls', 'two.example.test'],
  ] as const) {
    const port = await freePort('127.0.0.1');
    server.behaviour.httpPort = port;
    server.behaviour.tlsPort = port;
    const who = ['--email', 'a@example.test', '--accept-tos', '--eab', '--kid', 'kid-1', '--hmac', MAC];
    const how = [`--${flag}`, `--${flag}.port`, `127.0.0.1:${port}`, '--path', path, '--domains', name];
    await runChecked(program, ['--server', server.directory, ...who, ...how, 'run'], {
      env: { LEGO_CA_CERTIFICATES: server.caFile },
    });
    const cert = await readFile(join(path, 'certificates', `${name}.crt`));
    assert.equal(new X509Certificate(cert).subjectAltName, `DNS:${name}`);
  }
});

test('certbot obtains a certificate from the server of our tests', async (t) => {
  const program = requireTool(t, 'certbot');
  if (program === null) return;
  const server = await startAcmeServer(t);
  const folder = await temporaryFolder(t);
  server.behaviour.httpPort = await freePort('127.0.0.1');
  const place = ['config', 'work', 'logs'].flatMap((name) => [`--${name}-dir`, join(folder, name)]);
  await mkdir(join(folder, 'config'));
  const how = [
    '--standalone',
    '--http-01-address',
    '127.0.0.1',
    '--http-01-port',
    `${server.behaviour.httpPort}`,
  ];
  const who = [
    '--agree-tos',
    '-m',
    'a@example.test',
    '-n',
    '-d',
    'mail.example.test',
    '--server',
    server.directory,
  ];
  await runChecked(program, ['certonly', ...how, ...who, ...place], {
    env: { PATH: process.env.PATH, REQUESTS_CA_BUNDLE: server.caFile },
  });
  const cert = await readFile(join(folder, 'config/live/mail.example.test/cert.pem'));
  assert.equal(new X509Certificate(cert).subjectAltName, 'DNS:mail.example.test');
});
