/** The parts of ACME that can be looked at alone: requests, the challenge's answers, the rules of time. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ChallengeType, DEFAULT_TIMINGS, MAX_NAMES } from '../../src/acme/contract.ts';
import { integer, oid, readElements, time } from '../../src/acme/der.ts';
import { keyAuthorization, publicJwk } from '../../src/acme/jws.ts';
import { retryAfterMs } from '../../src/acme/problem.ts';
import { ChallengeResponder } from '../../src/acme/responder.ts';
import { isAlarm, renewalOf, waitAfter } from '../../src/acme/schedule.ts';
import { certificateRequest, challengeCertificate, newKey, readCertificate } from '../../src/acme/x509.ts';
import { thumbprint } from '../support/acme-jws.ts';
import { makeCertificates } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { runChecked } from '../support/command.ts';

async function openResponder(t: TestContext, type: ChallengeType) {
  const responder = new ChallengeResponder(type, [{ host: '127.0.0.1', port: 0 }]);
  t.after(() => responder.close());
  const opened = await responder.open();
  assert.ok(opened.ok);
  const port = Number(responder.addresses[0]?.split(':').at(-1));
  return { responder, port };
}

/** Sends one text over TCP and resolves to all that comes until the end. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.on('error', () => undefined); // refused or reset: what came until then is the answer
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

const challenge = { name: 'mail.example.test', token: 'token-1', keyAuthorization: 'token-1.print' };

test('openssl reads the request: its signature, a hundred names, a common name only where it fits', async (t) => {
  const folder = await temporaryFolder(t);
  const text = async (names: readonly string[]) => {
    const file = join(folder, 'csr');
    await writeFile(file, certificateRequest(names, await newKey()));
    const said = await runChecked('openssl', [
      'req',
      '-inform',
      'DER',
      '-in',
      file,
      '-verify',
      '-text',
      '-noout',
    ]);
    assert.match(said.stderr, /verify OK/);
    return said.stdout.toString();
  };
  const names = Array.from({ length: 100 }, (_, index) => `host-${index}.example.test`);
  const many = await text(names);
  assert.equal(many.match(/DNS:/g)?.length, 100);
  assert.match(many, /Subject: CN = host-0\.example\.test/);
  assert.match(many, /Version: 1 \(0x0\)/);
  const long = `${'a'.repeat(60)}.example.test`;
  const one = await text([long]);
  assert.match(one, /Subject: *\n/);
  assert.match(one, new RegExp(`DNS:${long}`));
});

test('openssl reads the certificate of a TLS-ALPN-01 challenge', async (t) => {
  const file = join(await temporaryFolder(t), 'pem');
  const pem = challengeCertificate('mail.example.test', 'token.print', await newKey(), Date.now());
  await writeFile(file, pem);
  const said = (await runChecked('openssl', ['x509', '-in', file, '-text', '-noout'])).stdout.toString();
  const digest = createHash('sha256').update('token.print').digest('hex').toUpperCase();
  assert.match(said, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
  assert.match(said, /DNS:mail\.example\.test\n/);
  const raw = new X509Certificate(pem).raw.toString('hex').toUpperCase();
  assert.ok(raw.includes(`0420${digest}`));
});

test('the thumbprint is that of RFC 7638', async () => {
  const key = await newKey();
  assert.equal(keyAuthorization('abc', key), `abc.${thumbprint(publicJwk(key) as never)}`);
});

test('DER: lengths, numbers, identifiers and dates at their edges', () => {
  assert.equal(integer(Buffer.from([0, 0, 0x80])).toString('hex'), '02020080');
  assert.equal(integer(Buffer.from([0, 0])).toString('hex'), '020100');
  assert.equal(oid('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302');
  assert.equal(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1'), '\x17\x0d491231235959Z');
  assert.equal(time(Date.UTC(2050, 0, 1)).toString('latin1'), '\x18\x0f20500101000000Z');
  for (const broken of ['30', '3005', '3080', '308500000000', '3f0100', '30820001']) {
    assert.equal(readElements(Buffer.from(broken, 'hex')), undefined, broken);
  }
  assert.deepEqual(
    readElements(Buffer.from('0201053000', 'hex'))?.map(({ tag }) => tag),
    [0x02, 0x30],
  );
});

test('a certificate for another key, other names or without end is not used', async (t) => {
  const { cert, key } = await makeCertificates(t, ['mail.example.test']);
  const { createPrivateKey } = await import('node:crypto');
  const own = createPrivateKey(key);
  assert.ok(readCertificate(cert, own, ['mail.example.test']).ok);
  const failure = (chain: string, of = own, names: string[] = []) => {
    const read = readCertificate(chain, of, names);
    return read.ok ? 'used' : read.failure;
  };
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.match(failure(cert, privateKey), /for another key/);
  assert.match(failure(cert, own, ['mail.example.test', 'mx.example.test']), /is not for mx\.example\.test$/);
  assert.match(failure(cert.repeat(11)), /more than 10/);
  assert.match(failure('x'.repeat(300_000)), /too long/);
  assert.match(failure(''), /no certificate/);
  assert.match(failure('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'), /cannot be read/);
});

test('when to renew: the moment in the window of this very certificate, never in the last tenth of its life', () => {
  const certificate = { notBeforeMs: 0, notAfterMs: 90_000, ariId: 'this' } as never;
  const window = { id: 'this', startMs: 0, endMs: 0, explanation: null };
  assert.deepEqual(renewalOf(certificate, null), { atMs: 60_000, by: 'two-thirds' });
  assert.deepEqual(renewalOf(certificate, { ...window, chosenMs: 5 }), { atMs: 5, by: 'ari' });
  assert.deepEqual(renewalOf(certificate, { ...window, chosenMs: 999_999 }), { atMs: 81_000, by: 'ari' });
  assert.deepEqual(renewalOf(certificate, { ...window, id: 'other', chosenMs: 5 }).by, 'two-thirds');
});

test('how long to wait: doubling with jitter, up to a bound, at least what the CA asks', () => {
  const minutes = (failures: number, asked: number | null, random: number) =>
    Math.round(waitAfter(failures, asked, DEFAULT_TIMINGS, random) / 60_000);
  assert.deepEqual([minutes(1, null, 0), minutes(1, null, 1)], [8, 12]);
  assert.deepEqual([minutes(2, null, 0.5), minutes(5, null, 0.5)], [20, 160]);
  assert.equal(minutes(1_000, null, 0.5), 720);
  assert.equal(minutes(1, 3_600_000, 0), 60);
  assert.equal(minutes(1, 1_000, 0.5), 10);
});

test('a failure is an alarm at once without a certificate, else at the third or in the last quarter', () => {
  const certificate = { notBeforeMs: 0, notAfterMs: 100 } as never;
  assert.equal(isAlarm(null, 1, 0), true);
  assert.equal(isAlarm(certificate, 1, 67), false);
  assert.equal(isAlarm(certificate, 3, 67), true);
  assert.equal(isAlarm(certificate, 1, 76), true);
});

test('Retry-After in seconds, as a date and as nonsense', () => {
  const of = (value: string) =>
    retryAfterMs({ status: 429, headers: { 'retry-after': value } } as never, 1_000_000);
  assert.equal(of('120'), 120_000);
  assert.equal(of(new Date(1_060_000).toUTCString()), 60_000);
  assert.equal(of(new Date(0).toUTCString()), 0);
  assert.equal(of('soon'), null);
});

test('HTTP-01: the token is answered, everything else is not', async (t) => {
  const { responder, port } = await openResponder(t, 'http-01');
  await responder.expect(challenge);
  const ask = (line: string) => exchange(port, `${line}\r\nHost: mail.example.test\r\n\r\n`);
  const right = await ask('GET /.well-known/acme-challenge/token-1 HTTP/1.1');
  assert.match(right, /^HTTP\/1\.1 200 .*\r\n\r\ntoken-1\.print$/s);
  assert.match(right, /content-type: application\/octet-stream/i);
  for (const path of [
    '/',
    '/.well-known/acme-challenge/',
    '/.well-known/acme-challenge/token-2',
    '/token-1',
    '/.well-known/acme-challenge/../acme-challenge/token-1',
  ]) {
    assert.match(await ask(`GET ${path} HTTP/1.1`), /^HTTP\/1\.1 404 .*\r\n\r\n$/s, path);
  }
  assert.match(await ask('POST /.well-known/acme-challenge/token-1 HTTP/1.1'), /^HTTP\/1\.1 405 /);
  assert.match(await ask('CONNECT example.org:25 HTTP/1.1'), /^(HTTP\/1\.1 4\d\d |$)/);
  assert.match(await ask('rubbish'), /^HTTP\/1\.1 400 /);
  assert.match(await ask(`GET / HTTP/1.1\r\nX-Long: ${'x'.repeat(9_000)}`), /^HTTP\/1\.1 431 /);
  assert.deepEqual(responder.forget(challenge), { count: 1, lastFrom: '127.0.0.1' });
  assert.match(await ask('GET /.well-known/acme-challenge/token-1 HTTP/1.1'), /^HTTP\/1\.1 404 /);
});

test('TLS-ALPN-01: only acme-tls/1, only for a name that waits', async (t) => {
  const { responder, port } = await openResponder(t, 'tls-alpn-01');
  await responder.expect(challenge);
  const shake = (servername: string, ALPNProtocols: string[]) =>
    new Promise<string>((resolve) => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        servername,
        ALPNProtocols,
        rejectUnauthorized: false,
      });
      socket.on('error', (error) => resolve(error.message));
      socket.on('secureConnect', () => resolve(`${socket.alpnProtocol}`));
      t.after(() => void socket.destroy());
    });
  assert.equal(await shake('mail.example.test', ['acme-tls/1']), 'acme-tls/1');
  assert.equal(await shake('MAIL.example.test', ['h2', 'acme-tls/1']), 'acme-tls/1');
  assert.match(await shake('mail.example.test', ['h2', 'http/1.1']), /no application protocol/i);
  assert.notEqual(await shake('other.example.test', ['acme-tls/1']), 'acme-tls/1');
  assert.equal(responder.forget(challenge).count, 2);
  assert.notEqual(await shake('mail.example.test', ['acme-tls/1']), 'acme-tls/1');
});

for (const type of ['http-01', 'tls-alpn-01'] as const) {
  test(`${type}: a hundred connections that say nothing are all there are, and are ended after ten seconds`, async (t) => {
    const { port } = await openResponder(t, type);
    const sockets: Socket[] = [];
    for (let index = 0; index < 100; index++) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined); // reset at the end: awaited below
      sockets.push(socket);
      await once(socket, 'connect');
    }
    const ends = sockets.map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.resume();
    assert.equal(await exchange(port, 'GET / HTTP/1.1\r\n\r\n'), '', 'the next one is refused');
    const begunMs = performance.now();
    await Promise.all(ends);
    assert.ok(performance.now() - begunMs < 14_000);
  });
}

test('more challenges at once than names in a certificate are refused', async (t) => {
  const { responder } = await openResponder(t, 'http-01');
  for (let index = 0; index < MAX_NAMES; index++) {
    assert.ok((await responder.expect({ ...challenge, token: `t${index}` })).ok);
  }
  const refused = await responder.expect({ ...challenge, token: 'one-more' });
  assert.ok(!refused.ok && /More than 100/.test(refused.failure.text));
});

test('all listeners or none, and closing ends open connections', async (t) => {
  const { responder, port } = await openResponder(t, 'http-01');
  const both = new ChallengeResponder('http-01', [
    { host: '127.0.0.1', port: 0 },
    { host: '127.0.0.1', port },
  ]);
  const opened = await both.open();
  assert.ok(!opened.ok && /the port is in use/.test(opened.failure.text));
  assert.deepEqual(both.addresses, []);
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const ended = once(socket, 'close');
  await responder.close();
  await ended;
});
