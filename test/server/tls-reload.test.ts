/** Certificates of a running server: bad ones at start, renewed ones while sessions go on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { makeCertificates } from '../support/certificates.ts';
import { type Endpoint, runCmail, startCmail, temporaryFolder, writeConfig } from '../support/cmail.ts';

async function pair(t: TestContext, folder: string, name: string) {
  const { cert, key } = await makeCertificates(t, [`${name}.test`]);
  const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  return files;
}

async function open(t: TestContext, endpoint: Endpoint): Promise<TLSSocket> {
  const socket = connect({ ...endpoint, rejectUnauthorized: false });
  t.after(() => socket.destroy());
  await once(socket, 'data');
  return socket;
}

const subject = (socket: TLSSocket) => socket.getPeerX509Certificate()?.subject;

it('a certificate that cannot be used stops the start, in one line that says what to mend', async (t) => {
  const folder = await temporaryFolder(t);
  const one = await pair(t, folder, 'one');
  const two = await pair(t, folder, 'two');
  const data = join(folder, 'data');
  const config = await writeConfig(folder, data, { tls: { cert: one.cert, key: two.key } });
  const { code, stderr } = await runCmail(['start', '--data', data, '--config', config]);
  assert.equal(code, 1);
  assert.match(stderr, /^cmail: The key in .*two\.key is not that of the certificate in .*one\.pem/);
  assert.equal(stderr.trim().split('\n').length, 1);
});

it('SIGHUP takes over a renewed certificate, a bad one raises an alarm, and no session notices', async (t) => {
  const folder = await temporaryFolder(t);
  const used = await pair(t, folder, 'used');
  const renewed = await pair(t, folder, 'renewed');
  const cmail = await startCmail(t, {
    config: { listen: { submissions: ['127.0.0.1:0'] }, tls: { cert: used.cert, key: used.key } },
  });
  const listener = cmail.listeners.submissions ?? assert.fail('no listener');
  const before = await open(t, listener);
  assert.equal(subject(before), 'CN=used.test');
  await writeFile(used.cert, 'nothing of the kind');
  process.kill(cmail.pid, 'SIGHUP');
  const alarms = async () => (await cmail.json<{ alarms: string[] }>(['status'])).alarms.join();
  await cmail.waitFor('the alarm', async () => /TLS certificate on disk is not used/.test(await alarms()));
  assert.equal(subject(await open(t, listener)), 'CN=used.test');
  await copyFile(renewed.key, used.key);
  await copyFile(renewed.cert, used.cert);
  process.kill(cmail.pid, 'SIGHUP');
  await cmail.waitFor('the renewed one', async () => subject(await open(t, listener)) === 'CN=renewed.test');
  assert.doesNotMatch(await alarms(), /not used/);
  before.write('NOOP\r\n');
  assert.match(String(await once(before, 'data')), /^250 2\.0\.0/);
});
