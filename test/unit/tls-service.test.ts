import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect, TLSSocket } from 'node:tls';
import { checkTls } from '../../src/server/check-tls.ts';
import type { NodeConfig } from '../../src/server/config.ts';
import { certificateHasName } from '../../src/server/tls-certificate.ts';
import { type TlsConfig, TlsService } from '../../src/server/tls-service.ts';
import { makeCertificates } from '../support/certificates.ts';
import { poll, temporaryFolder } from '../support/cmail.ts';
import { runChecked } from '../support/command.ts';

async function open(t: TestContext, config: TlsConfig, dataFolder: string, issued: string | null = null) {
  const lines: string[] = [];
  const log = (level: string, message: string) => lines.push(`${level} ${message}`);
  const result = await TlsService.open({ config, dataFolder, issued, hostname: 'mail.a.test', log });
  if (result.ok) t.after(() => result.value.close());
  return { result, lines };
}

function serverWith(service: TlsService): Server {
  return createServer((socket) => {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: service.contextFor(null),
      SNICallback: (name, done) => done(null, service.contextFor(name)),
    });
    secured.on('error', () => secured.destroy()).resume();
  });
}

/** The certificate a client is shown that asks for `servername`. */
async function shown(service: TlsService, servername?: string): Promise<X509Certificate> {
  const server = serverWith(service);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({
    ...{ host: '127.0.0.1', port, rejectUnauthorized: false },
    ...(servername === undefined ? {} : { servername }),
  });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  server.close();
  assert.ok(certificate !== undefined);
  return certificate;
}

async function pair(t: TestContext, folder: string, name: string, hosts: readonly string[]) {
  const made = await makeCertificates(t, hosts);
  const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  await writeFile(files.cert, made.cert);
  await writeFile(files.key, made.key);
  return files;
}

describe('without [tls]', () => {
  it('a certificate is made once, for the owner alone, and says of itself that it is not trusted', async (t) => {
    const folder = await temporaryFolder(t);
    const { result, lines } = await open(t, { main: null, extra: [] }, folder);
    assert.ok(result.ok);
    const [state] = result.value.state();
    assert.ok(state !== undefined);
    assert.deepEqual(state.names, ['mail.a.test']);
    assert.match(state.warning ?? '', /mail programs warn of it.*tls\.cert and tls\.key/);
    result.value.announce();
    assert.ok(lines.some((line) => /^warn TLS uses a certificate that CMail made for itself/.test(line)));
    assert.deepEqual(result.value.alarms(), []);
    assert.equal((await stat(join(folder, 'tls', 'self-signed.key'))).mode & 0o077, 0);
    const text = await runChecked('openssl', ['x509', '-noout', '-text', '-in', state.file]);
    const words = text.stdout.toString();
    for (const part of [
      /DNS:mail\.a\.test/,
      /CA:FALSE/,
      /Digital Signature/,
      /TLS Web Server Auth/,
      /ecdsa-with-SHA256/,
    ])
      assert.match(words, part);
    await runChecked('openssl', ['verify', '-CAfile', state.file, state.file]);
    const again = await open(t, { main: null, extra: [] }, folder);
    assert.ok(again.result.ok);
    assert.equal(again.result.value.state()[0]?.fingerprint, state.fingerprint);
    assert.equal(
      (await shown(result.value)).fingerprint256.replaceAll(':', '').toLowerCase(),
      state.fingerprint,
    );
  });
});

describe('certificates from files', () => {
  it('are chosen by the name that is asked for, the main one for any other', async (t) => {
    const folder = await temporaryFolder(t);
    const main = await pair(t, folder, 'main', ['mail.a.test']);
    const second = await pair(t, folder, 'second', ['mail.b.test', '*.c.test']);
    const config = { main, extra: [{ ...second, names: ['alias.test'] }] };
    const { result } = await open(t, config, folder);
    assert.ok(result.ok);
    const nameOf = async (asked?: string) => (await shown(result.value, asked)).subject;
    assert.equal(await nameOf(), 'CN=mail.a.test');
    assert.equal(await nameOf('mail.a.test'), 'CN=mail.a.test');
    for (const name of ['mail.b.test', 'x.c.test', 'ALIAS.test'])
      assert.equal(await nameOf(name), 'CN=mail.b.test');
    assert.equal(await nameOf('elsewhere.test'), 'CN=mail.a.test');
  });

  it('a name with a star stands for one label', () => {
    const names = { names: ['*.c.test'] };
    assert.ok(certificateHasName(names, 'A.c.test'));
    for (const other of ['c.test', 'a.b.c.test', 'test']) assert.ok(!certificateHasName(names, other));
  });

  it('are read again when they change; a bad one leaves the old in use, with an alarm', async (t) => {
    const folder = await temporaryFolder(t);
    const main = await pair(t, folder, 'main', ['one.test']);
    const { result } = await open(t, { main, extra: [] }, folder);
    assert.ok(result.ok);
    const service = result.value;
    const old = await readFile(main.cert);
    await writeFile(main.cert, 'nothing of the kind');
    await service.reload();
    assert.match(service.alarms().join(), /not used: .*main\.pem holds no certificate.*stays in use/);
    assert.equal((await shown(service)).subject, 'CN=one.test');
    await writeFile(main.cert, old);
    // Nobody asks for it: the change is noticed.
    await poll('the alarm to go', async () => !/not used/.test(service.alarms().join()));
    const other = await pair(t, folder, 'other', ['two.test']);
    await copyFile(other.key, main.key);
    await copyFile(other.cert, main.cert);
    await poll('the new certificate', async () => (await shown(service)).subject === 'CN=two.test');
    assert.doesNotMatch(service.alarms().join(), /not used/);
  });

  it('that cannot be used are named with what is wrong', async (t) => {
    const folder = await temporaryFolder(t);
    const one = await pair(t, folder, 'one', ['one.test']);
    const two = await pair(t, folder, 'two', ['two.test']);
    const text = join(folder, 'text');
    await writeFile(text, 'text');
    const locked = join(folder, 'locked.key');
    await runChecked('openssl', ['ec', '-in', one.key, '-aes128', '-passout', 'pass:x', '-out', locked]);
    const table: [string, { cert: string; key: string }, RegExp][] = [
      [
        'missing',
        { cert: join(folder, 'none'), key: one.key },
        /certificate file .*none cannot be read: ENOENT/,
      ],
      [
        'missing key',
        { cert: one.cert, key: join(folder, 'none') },
        /key file .*none cannot be read: ENOENT/,
      ],
      ['a folder', { cert: folder, key: one.key }, /cannot be read: EISDIR/],
      ['no certificate', { cert: text, key: one.key }, /text holds no certificate in PEM form/],
      ['no key', { cert: one.cert, key: text }, /text holds no private key/],
      ['a passphrase', { cert: one.cert, key: locked }, /without a passphrase/],
      [
        'another key',
        { cert: one.cert, key: two.key },
        /two\.key is not that of the certificate in .*one\.pem/,
      ],
    ];
    for (const [what, main, words] of table) {
      const { result } = await open(t, { main, extra: [] }, folder);
      assert.ok(!result.ok, what);
      assert.match(result.failure, words, what);
    }
  });
});

describe('check', () => {
  it('warns before the end, of a missing file, and of a certificate of its own', async (t) => {
    const folder = await temporaryFolder(t);
    const config = (tls: TlsConfig, more: Partial<NodeConfig> = {}) =>
      ({ tls, data: folder, hostname: 'mail.a.test', acme: null, admin: null, ...more }) as NodeConfig;
    const none = { main: null, extra: [] };
    const [before] = await checkTls(config(none), null);
    assert.match(`${before?.level} ${before?.text}`, /^warning a self-signed certificate will be made/);
    const { result } = await open(t, none, folder);
    assert.ok(result.ok);
    const [own] = await checkTls(config(none), result.value.state());
    assert.match(`${own?.level} ${own?.text}`, /^warning TLS uses a certificate that CMail made/);

    const inClear = await checkTls(config(none, { admin: { host: '0.0.0.0', port: 80 } }), null);
    assert.match(
      inClear.map(({ level, text }) => `${level} ${text}`).join('\n'),
      /warning the admin listener 0\.0\.0\.0:80 speaks HTTP in clear/,
    );
    const onLoopback = await checkTls(config(none, { admin: { host: '127.0.0.9', port: 80 } }), null);
    assert.equal(onLoopback.length, 1);

    // The tests' certificates last two days.
    const main = await pair(t, folder, 'main', ['mail.a.test']);
    const [soon] = await checkTls(config({ main, extra: [] }), null);
    assert.match(`${soon?.level} ${soon?.text}`, /^warning .*main\.pem ends at .* in 1 day/);
    const near = await open(t, { main, extra: [] }, folder);
    assert.ok(near.result.ok);
    assert.match(near.result.value.alarms().join(), /in 1 day\. Put the renewed/);
    await rm(main.cert);
    const [gone] = await checkTls(config({ main, extra: [] }), near.result.value.state());
    assert.match(`${gone?.level} ${gone?.meaning}`, /^error The running server goes on/);
  });
});

it('a client of TLS 1.2 cannot make the server begin the handshake anew', async (t) => {
  const folder = await temporaryFolder(t);
  const main = await pair(t, folder, 'main', ['mail.a.test']);
  const { result } = await open(t, { main, extra: [] }, folder);
  assert.ok(result.ok);
  const server = serverWith(result.value);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  const problem = await new Promise<Error | null>((done) => {
    socket.on('error', done);
    socket.renegotiate({ rejectUnauthorized: false }, done);
  });
  assert.match(String(problem), /no renegotiation/i);
});

it('the advice beside its own certificate knows whether another one is being obtained', async (t) => {
  const folder = await temporaryFolder(t);
  const issued = join(folder, 'not-there-yet.pem');
  for (const [where, advice] of [
    [null, /or have one obtained with \[tls\.acme\]/],
    [issued, /The one that \[tls\.acme\] is to obtain takes its place/],
  ] as const) {
    const { result } = await open(t, { main: null, extra: [] }, folder, where);
    assert.ok(result.ok);
    assert.match(result.value.state()[0]?.warning ?? '', advice);
  }
});
