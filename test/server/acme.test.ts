/** [tls.acme] in the whole server, with a real ACME server on loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { AcmeView } from '../../src/acme/contract.ts';
import type { CertificateState } from '../../src/server/tls-service.ts';
import { type AcmeServer, startAcmeServer } from '../support/acme-server.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { freePort } from '../support/free-port.ts';

interface Status {
  readonly tls: readonly CertificateState[];
  readonly acme: AcmeView | null;
  readonly alarms: readonly string[];
}

interface Finding {
  readonly level: string;
  readonly topic: string;
  readonly text: string;
  readonly mend?: string;
}

const status = (cmail: Cmail) => cmail.json<Status>(['status']);

/** This machine has no DNS here, so `check` exits with 1 whatever it finds of TLS. */
async function findings(cmail: Cmail): Promise<readonly Finding[]> {
  return JSON.parse((await cmail.cli(['check', '--json'])).stdout) as Finding[];
}

function tlsOf(all: readonly Finding[]): string[] {
  return all.filter(({ topic }) => topic === 'tls').map(({ level, text }) => `${level} ${text}`);
}

/** A POP3 session under TLS, greeted. */
async function collecting(t: TestContext, cmail: Cmail, more: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ ...cmail.listeners.pop3s, servername: 'mail.example.test', ...more });
  t.after(() => void socket.destroy());
  assert.match(await reply(socket), /^\+OK/);
  return socket;
}

async function reply(socket: TLSSocket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString('latin1');
}

async function start(t: TestContext, server: AcmeServer, port: number): Promise<Cmail> {
  server.behaviour.httpPort = port;
  const acme = { directory: server.directory, listen: [`127.0.0.1:${port}`], caFile: server.caFile };
  const listen = { pop3s: ['127.0.0.1:0'] };
  return startCmail(t, { config: { hostname: 'mail.example.test', listen, tls: { acme } } });
}

test('from the self-signed certificate to that of the CA without a restart, and kept over one', async (t) => {
  const server = await startAcmeServer(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.behaviour.hold = promise;
  const cmail = await start(t, server, await freePort('127.0.0.1'));
  const before = await status(cmail);
  assert.equal(before.tls[0]?.ownMade, true);
  assert.equal(before.acme?.certificate, null);
  const old = await collecting(t, cmail, { rejectUnauthorized: false });
  resolve();
  const after = await cmail.waitFor('the certificate', async () => {
    const now = await status(cmail);
    return now.tls[0]?.obtained === true && now;
  });
  const fresh = await collecting(t, cmail, { ca: server.root });
  assert.ok(fresh.authorized);
  old.write('NOOP\r\nQUIT\r\n');
  assert.match(await reply(old), /^(\+OK|-ERR)/, 'a session under way goes on');

  assert.deepEqual(after.tls[0]?.names, ['mail.example.test']);
  assert.match(after.tls[0]?.issuer ?? '', /ACME test CA/);
  assert.equal(after.acme?.renewal?.by, 'two-thirds');
  assert.deepEqual(after.alarms, []);
  const running = tlsOf(await findings(cmail));
  assert.match(
    running.join('\n'),
    /^ok the certificate .*certificate\.pem .* is good until .*\nok .* is renewed at .*, at two thirds of its life$/,
  );

  await cmail.restart();
  const again = await status(cmail);
  assert.equal(again.tls[0]?.fingerprint, after.tls[0]?.fingerprint);
  assert.equal(server.count('POST /new-order'), 1);
  await cmail.stop();
  assert.deepEqual(tlsOf(await findings(cmail)), running);
});

test('killed again and again in the middle, it does not trouble the CA again and again', async (t) => {
  const server = await startAcmeServer(t);
  server.behaviour.hold = new Promise(() => undefined);
  const cmail = await start(t, server, await freePort('127.0.0.1'));
  await cmail.waitFor('the challenge', async () => server.count('POST /challenge/') === 1);
  for (let round = 0; round < 3; round++) {
    await cmail.kill9();
    await cmail.restart();
    await sleep(500);
  }
  assert.equal(server.count('POST /new-order'), 1);
  assert.equal(server.count('POST /new-account'), 1);
  assert.match((await status(cmail)).alarms.join('\n'), /no certificate for mail\.example\.test .* cut off/);
});

test('what fails is said by status and check with what to do; SIGHUP tries at once', async (t) => {
  const server = await startAcmeServer(t);
  server.behaviour.injected.push({
    ...{ on: 'POST /new-order', times: 1, status: 400, type: 'caa', detail: 'CAA says no' },
  });
  const cmail = await start(t, server, await freePort('127.0.0.1'));
  const failed = await cmail.waitFor('the failure', async () => {
    const now = await status(cmail);
    return now.acme?.failure != null && now;
  });
  assert.match(failed.alarms.join('\n'), /CAA says no A CAA record in DNS forbids/);
  assert.equal(failed.tls[0]?.ownMade, true, 'the server goes on');
  const finding = (await findings(cmail)).find(({ text }) => text.includes('CAA says no'));
  assert.equal(finding?.level, 'error');
  assert.match(finding?.mend ?? '', /SIGHUP/);
  process.kill(cmail.pid, 'SIGHUP');
  // Not within a minute of the last attempt: a script that sends it over and over does no harm.
  await sleep(1_000);
  assert.equal(server.count('POST /new-order'), 1);
});

test('files of [tls.acme] that are not there are told at the start', async (t) => {
  const server = await startAcmeServer(t);
  const acme = { directory: server.directory, listen: ['127.0.0.1:0'], caFile: '/nowhere/ca.pem' };
  await assert.rejects(
    startCmail(t, { config: { hostname: 'mail.example.test', tls: { acme } } }),
    /tls\.acme\.caFile = .*nowhere.*cannot be read/,
  );
});
