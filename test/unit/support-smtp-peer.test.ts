import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { makeCertificates } from '../support/certificates.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { requireTool } from '../support/require.ts';
import { connect, greeted, letter, SmtpClient } from '../support/smtp-client.ts';
import { type PeerScript, startSmtpPeer } from '../support/smtp-peer.ts';

async function peerFor(t: TestContext, script: PeerScript = {}, address = '127.0.0.1') {
  const peer = await startSmtpPeer(script, { address });
  t.after(() => peer.close());
  return peer;
}

const at = (peer: { address: string; port: number }) => ({ host: peer.address, port: peer.port });

test('client and peer carry a message byte for byte', async (t) => {
  const peer = await peerFor(t);
  const client = await greeted({ ...at(peer), localAddress: '127.0.0.2' });
  const data = `${letter({ from: 'a@x.test', to: 'b@y.test', subject: 'dots', body: '.one\r\n..two\r\n.' })}`;
  const sent = await client.sendMessage({ from: 'a@x.test', to: ['b@y.test'], data });
  assert.equal(sent.end?.code, 250);
  const second = await client.sendMessage({ from: '', to: ['b@y.test'], data: '' });
  assert.equal(second.end?.code, 250);
  await client.quit();
  assert.equal(peer.messages[0]?.data.toString(), data);
  assert.deepEqual(peer.messages[0]?.to, ['b@y.test']);
  assert.equal(peer.messages[1]?.data.toString(), '\r\n');
  assert.equal(peer.sessions[0]?.remoteAddress, '127.0.0.2');
});

test('a message in many pieces arrives whole', async (t) => {
  const peer = await peerFor(t);
  const client = await greeted(at(peer));
  await client.pipeline(['MAIL FROM:<a@x.test>', 'RCPT TO:<b@y.test>', 'DATA']);
  const data = `Subject: pieces\r\n\r\n${'0123456789\r\n'.repeat(20)}`;
  for (const byte of `${data}.\r\n`) await client.write(byte);
  assert.equal((await client.reply()).code, 250);
  client.destroy();
  assert.equal(peer.messages[0]?.data.toString(), data);
});

test('the peer replies as told, by stage, recipient and turn', async (t) => {
  const peer = await peerFor(t, {
    hostname: 'odd.test',
    extensions: ['SIZE 10'],
    at: { mail: ['450 4.3.0 Later', 'ok'], end: '554 5.6.0 No\nreally' },
    recipients: { 'gone@y.test': '550 5.1.1 Gone' },
  });
  const client = await connect(at(peer));
  assert.equal((await client.greeting()).text, 'odd.test ESMTP');
  assert.deepEqual((await client.command('EHLO me')).lines, ['odd.test', 'SIZE 10']);
  assert.equal((await client.command('MAIL FROM:<a@x.test>')).enhanced, '4.3.0');
  const sent = await client.sendMessage({ from: 'a@x.test', to: ['gone@y.test', 'b@y.test'], data: 'x' });
  assert.deepEqual(
    sent.rcpt.map((reply) => reply.code),
    [550, 250],
  );
  assert.deepEqual(sent.end?.lines, ['5.6.0 No', 'really']);
  assert.equal(peer.messages.length, 0);
  assert.deepEqual(peer.refused[0]?.to, ['b@y.test']);
  client.destroy();
});

test('the peer drops, stays silent and drips', async (t) => {
  const peer = await peerFor(t, { at: { greeting: 'close' } });
  const ended = await connect(at(peer));
  await assert.rejects(ended.greeting(), /closed/);

  peer.script({ at: { greeting: '554 5.3.2 No service' } });
  const refused = await connect(at(peer));
  assert.equal((await refused.greeting()).code, 554);
  refused.destroy();

  peer.script({ at: { mail: 'ok, close' } });
  const after = await greeted(at(peer));
  assert.equal((await after.command('MAIL FROM:<>')).code, 250);
  await after.ended();

  peer.script({ at: { greeting: 'silent' } });
  const silent = await connect({ ...at(peer), replyLimitMs: 100 });
  await assert.rejects(silent.greeting(), /nothing from the server within 100 ms/);
  silent.destroy();

  peer.script({ dripMs: 2 });
  const dripped = await connect(at(peer));
  assert.ok((await dripped.greeting()).tookMs > 20);
  dripped.destroy();
});

test('the peer offers STARTTLS and AUTH', async (t) => {
  if (requireTool(t, 'openssl') === null) return;
  const certificates = await makeCertificates(t, ['peer.test', '127.0.0.1']);
  const peer = await peerFor(t, { tls: certificates, auth: { user: 'u', password: 'p' } });
  const plain = await greeted(at(peer));
  assert.equal((await plain.command('STARTTLS')).code, 220);
  const socket = connectTls({ socket: plain.socket, rejectUnauthorized: false });
  const client = new SmtpClient(socket, 5_000);
  assert.match((await client.command('EHLO me')).text, /AUTH PLAIN LOGIN/);
  const wrong = Buffer.from('\0u\0x').toString('base64');
  assert.equal((await client.command(`AUTH PLAIN ${wrong}`)).code, 535);
  assert.equal((await client.command('AUTH LOGIN')).text, 'VXNlcm5hbWU6');
  assert.equal((await client.command(Buffer.from('u').toString('base64'))).code, 334);
  assert.equal((await client.command(Buffer.from('p').toString('base64'))).code, 235);
  await client.sendMessage({ from: 'a@x.test', to: ['b@y.test'], data: 'x' });
  assert.equal(peer.messages[0]?.session.tls, true);
  assert.equal(peer.messages[0]?.session.user, 'u');
  client.destroy();
});

test('the peer hands a message back', async (t) => {
  const origin = await peerFor(t, { at: { end: '554 5.4.6 Loop' } });
  const peer = await peerFor(t, { handBackTo: at(origin) }, '127.0.0.3');
  const client = await greeted(at(peer));
  await client.sendMessage({ from: 'a@x.test', to: ['b@y.test'], data: 'again\r\n' });
  while (peer.handedBack.length === 0) await delay(5);
  assert.deepEqual(peer.handedBack, ['554 5.4.6 Loop']);
  assert.equal(origin.refused[0]?.data.toString(), 'again\r\n');
  client.destroy();
});

test('a full backlog neither accepts nor refuses', { skip: process.platform !== 'linux' }, async (t) => {
  const listener = await startFullBacklog({ address: '127.0.0.3' });
  t.after(() => listener.close());
  const socket = connectSocket({ host: listener.address, port: listener.port });
  t.after(() => socket.destroy());
  const outcome = await Promise.race([
    new Promise((done) => socket.once('connect', () => done('connected'))),
    new Promise((done) => socket.once('error', () => done('refused'))),
    delay(500, 'nothing'),
  ]);
  assert.equal(outcome, 'nothing');
});
