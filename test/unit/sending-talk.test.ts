/** Talking to real sockets: TLS, AUTH, the SMTP host's alarms, waits, and the bytes held. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { dial } from '../../src/sending/connect.ts';
import { PeerConnection, type PeerConnectionOptions } from '../../src/sending/talk.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';
import type { NewEvent } from '../../src/storage/contract.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { requireTool } from '../support/require.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeSettings, makeWorld, route, smtpHostRoute } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

/** Certificates for relay.test whose CA this process trusts until the test ends; null without openssl. */
async function makeTrusted(t: TestContext): Promise<Certificates | null> {
  if (requireTool(t, 'openssl') === null) return null;
  const made = await makeCertificates(t, ['relay.test']);
  const usual = getCACertificates('default');
  setDefaultCACertificates([...usual, await readFile(made.caFile, 'utf8')]);
  t.after(() => setDefaultCACertificates(usual));
  return made;
}

function trials(event: NewEvent | undefined): { stage: string; tls: string | null; reply: string }[] {
  return (event?.detail.hosts ?? []) as { stage: string; tls: string | null; reply: string }[];
}

describe('TLS towards MX', () => {
  it('is used when offered, with any certificate', async (t) => {
    const made = await makeTrusted(t);
    if (made === null) return;
    const far = await peer(t, { tls: made.selfSigned });
    const world = makeWorld(t, () => route([host(far)]));
    await world.send({ to: ['x@far.test'] });
    assert.equal(far.messages[0]?.session.tls, true);
    assert.match(String(world.queue.events('delivered')[0]?.detail.tls), /^TLSv1\.\d unverified$/);
    assert.equal(far.sessions[0]?.commands.filter((line) => line.startsWith('EHLO')).length, 2);
  });

  for (const starttls of ['454 4.7.0 Not now', '220 2.0.0 Go ahead, close']) {
    it(`that fails (${starttls}): once more in clear on a new connection`, async (t) => {
      const made = await makeTrusted(t);
      if (made === null) return;
      // The TLS keyword is announced; what follows is not TLS.
      const far = await peer(t, { tls: made, at: { starttls } });
      const world = makeWorld(t, () => route([host(far)]));
      const id = await world.send({ to: ['x@far.test'] });
      assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
      assert.equal(far.sessions.length, 2);
      assert.equal(far.messages[0]?.session.tls, false);
      assert.deepEqual(
        trials(world.queue.events('attempt')[0]).map(({ stage }) => stage),
        ['starttls', 'data-end'],
      );
      assert.match(trials(world.queue.events('attempt')[0])[0]?.reply ?? '', /; called once more, in clear$/);
    });
  }
});

describe('the SMTP host', () => {
  const credentials = { username: 'user', password: 'secret' };

  for (const [tls, mechanism] of [
    ['required', 'PLAIN'],
    ['implicit', 'LOGIN'],
  ] as const) {
    it(`TLS ${tls} with a verified certificate and AUTH ${mechanism}`, async (t) => {
      const made = await makeTrusted(t);
      if (made === null) return;
      const auth = { user: 'user', password: 'secret', mechanisms: [mechanism] };
      const relay = await peer(t, { tls: { ...made, implicit: tls === 'implicit' }, auth });
      const world = makeWorld(t, () => smtpHostRoute(relay, { tls, ...credentials }));
      await world.send({ to: ['x@far.test'] });
      assert.equal(relay.messages[0]?.session.user, 'user');
      assert.match(String(world.queue.events('delivered')[0]?.detail.tls), /^TLSv1\.\d verified$/);
    });
  }

  it('TLS required and not offered: retried, never sent in clear', async (t) => {
    const relay = await peer(t);
    const world = makeWorld(t, () => smtpHostRoute(relay, { tls: 'required' }));
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.lastKind, 'tls');
    assert.equal(relay.messages.length, 0);
    assert.equal(world.notices.length, 0);
  });

  it('wrong credentials hold the mail with an alarm until they are right', async (t) => {
    const relay = await peer(t, { auth: { user: 'user', password: 'other' } });
    const world = makeWorld(t, () => smtpHostRoute(relay, credentials));
    world.settings = { ...world.settings, smtpHost: smtpHostRoute(relay, credentials).smtpHost };
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(world.queue.recipients(id)[0]?.lastKind, 'credentials');
    assert.equal(world.notices.length, 0);
    assert.match(world.sender.alarms()[0] ?? '', /does not let us sign in.*535 5\.7\.8/);
    relay.script({ auth: { user: 'user', password: 'secret' } });
    world.queue.retry();
    world.sender.wake();
    await world.queue.waitForSettled(2);
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.deepEqual(world.sender.alarms(), []);
  });

  it('wrong credentials end in a notice when the queue lifetime does', async (t) => {
    const relay = await peer(t, { at: { mail: '530 5.7.0 Authentication required' } });
    const world = makeWorld(t, () => smtpHostRoute(relay), { queueLifetimeMs: 1_000 });
    await world.send({ to: ['x@far.test'] });
    assert.equal(world.notices.length, 0);
    await world.send({ to: ['y@far.test'], changes: { receivedAt: Date.now() - 2_000 } });
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.7.0');
  });

  it('five different messages refused running with 5.7.x: the fifth is held', async (t) => {
    const relay = await peer(t, { at: { rcpt: '550 5.7.1 Relaying denied' } });
    const world = makeWorld(t, () => smtpHostRoute(relay));
    world.settings = { ...world.settings, smtpHost: smtpHostRoute(relay).smtpHost };
    for (let n = 0; n < 5; n += 1) await world.send({ to: [`x${n}@far.test`] });
    assert.equal(world.notices.length, 4);
    assert.equal(world.sender.alarms().length, 1);
    relay.script({});
    world.queue.retry();
    world.sender.wake();
    await world.queue.waitForSettled(6);
    assert.equal(relay.messages.length, 1);
    assert.deepEqual(world.sender.alarms(), []);
  });

  it('5.7.x from an MX is final every time', async (t) => {
    const far = await peer(t, { at: { rcpt: '550 5.7.1 No' } });
    const world = makeWorld(t, () => route([host(far)]));
    for (let n = 0; n < 6; n += 1) await world.send({ to: [`x${n}@far.test`] });
    assert.equal(world.notices.length, 6);
  });
});

describe('waits', () => {
  it('dialling ends at the socket timeout', async (t) => {
    const full = await startFullBacklog();
    t.after(() => full.close());
    const startedAt = performance.now();
    const endpoint = { ...full, host: 'x', tls: 'none' } as const;
    const dialled = await dial({ endpoint, timeoutMs: 300, signal: new AbortController().signal });
    const tookMs = performance.now() - startedAt;
    assert.equal(dialled.ok, false);
    assert.match(dialled.ok ? '' : dialled.reason, /timed out after 0\.3 s/);
    assert.ok(tookMs >= 290 && tookMs < 2_000, String(tookMs));
  });

  it('implicit TLS counts into the socket timeout', async (t) => {
    const silent = await peer(t, { at: { greeting: 'silent' } });
    const endpoint = { address: silent.address, port: silent.port, host: 'x', tls: 'implicit' } as const;
    const dialled = await dial({ endpoint, timeoutMs: 200, signal: new AbortController().signal });
    assert.deepEqual(dialled, { ok: false, reason: 'TLS handshake timed out', tls: true });
  });

  it('run to the complete reply: a dripping server gains nothing', async (t) => {
    const drip = await peer(t, { dripMs: 40 });
    const world = makeWorld(t, () => route([host(drip)]));
    world.settings = { ...world.settings, timeouts: { ...world.settings.timeouts, greetingMs: 200 } };
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.lastKind, 'unreachable');
    assert.match(world.queue.recipients(id)[0]?.lastReply ?? '', /did not answer within 0\.2 s \(greeting\)/);
  });
});

/** A server that lets a message begin, reads none of it, and shows its socket. */
async function startStalling(t: TestContext): Promise<{ port: number; socket: Promise<Socket> }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('220 x\r\n');
    socket.on('data', (bytes: Buffer) => {
      if (!bytes.includes('DATA\r\n')) {
        socket.write('250-x\r\n250 PIPELINING\r\n');
        return;
      }
      socket.write('250 ok\r\n250 ok\r\n354 go\r\n');
      socket.pause();
    });
  });
  const socket = once(server, 'connection').then(([accepted]) => accepted as Socket);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    (await socket).destroy();
    server.close();
  });
  const bound = server.address();
  return { port: typeof bound === 'object' && bound !== null ? bound.port : 0, socket };
}

async function openTo(port: number, changes: Partial<PeerConnectionOptions>): Promise<PeerConnection> {
  const endpoint = { address: '127.0.0.1', port, host: 'x', tls: 'none' } as const;
  const dialled = await dial({ endpoint, timeoutMs: 5_000, signal: new AbortController().signal });
  assert.ok(dialled.ok);
  const session = new SenderSession({
    ...{
      hostname: 'me.test',
      refuseSelf: true,
      tls: 'none',
      secure: null,
      credentials: null,
      loopback: true,
    },
  });
  const settings = () => makeSettings();
  const connection = new PeerConnection({
    socket: dialled.socket,
    session,
    host: 'x',
    secure: null,
    settings,
    ...changes,
  });
  assert.equal(await connection.open(), null);
  return connection;
}

const MESSAGE = { sender: 'a@b', recipients: ['x@y'], sizeBytes: 1, eightBit: false, smtputf8: false };
const CHUNK = Buffer.alloc(256 * 1024, 'line of text\r\n');

describe('a message on its way', () => {
  for (const bufferSizeBytes of [1024, 65_536]) {
    it(`holds at most ${bufferSizeBytes} bytes the system has not taken`, async (t) => {
      const { port } = await startStalling(t);
      const base = makeSettings();
      const settings = () => ({ ...base, bufferSizeBytes, timeouts: { ...base.timeouts, dataBlockMs: 300 } });
      const connection = await openTo(port, { settings });
      let mostBytes = 0;
      let chunks = 0;
      const sampler = setInterval(() => {
        mostBytes = Math.max(mostBytes, connection.unsentBytes);
      }, 1);
      const { problem } = await connection.transact(MESSAGE, async function* () {
        for (; chunks < 400; chunks += 1) {
          mostBytes = Math.max(mostBytes, connection.unsentBytes);
          yield CHUNK;
        }
      });
      clearInterval(sampler);
      assert.match(problem?.text ?? '', /too slowly/);
      assert.ok(mostBytes > 0 && mostBytes <= bufferSizeBytes, String(mostBytes));
      assert.ok(chunks < 400, 'reading the message stopped with the socket');
    });
  }

  it('must keep the average rate', async (t) => {
    const { port } = await startStalling(t);
    const settings = () => makeSettings({ minDataRate: 1e12 });
    const connection = await openTo(port, { settings, rateGraceMs: 100 });
    const startedAt = performance.now();
    const { problem } = await connection.transact(MESSAGE, async function* () {
      for (;;) yield CHUNK;
    });
    assert.match(problem?.text ?? '', /too slowly/);
    assert.ok(performance.now() - startedAt < 3_000, 'long before the wait for one block');
  });

  it('is taken back until just before its end, and then cannot be', async (t) => {
    const far = await peer(t);
    const lines = Buffer.from('text\r\n'.repeat(1_000));
    const body = async function* () {
      yield lines;
      yield lines;
    };
    // Asked before each of two chunks and once before the end.
    for (const answers of [0, 1, 2, 3]) {
      const connection = await openTo(far.port, { settings: () => makeSettings() });
      let asked = 0;
      const { withdrawn, results, unreadable } = await connection.transact(
        MESSAGE,
        body,
        () => asked++ < answers,
      );
      assert.equal(withdrawn, answers < 3);
      assert.equal(unreadable, null);
      assert.equal(results[0]?.accepted ?? null, answers < 3 ? null : true);
      assert.equal(connection.usable, answers === 3);
      connection.quit();
    }
    assert.deepEqual([far.messages.length, far.refused.length], [1, 0]);
  });

  for (const extensions of ['PIPELINING', 'PIPELINING CHUNKING']) {
    it(`is delivered when the 250 is here before the system says that it took the end (${extensions})`, async () => {
      const message = Buffer.from('x\r\n');
      const far = new Duplex({
        read: () => undefined,
        write: (bytes: Buffer, _encoding, done) => {
          const text = bytes.toString();
          if (text.startsWith('EHLO'))
            far.push(`250-x\r\n250-${extensions.split(' ').join('\r\n250-')}\r\n250 X\r\n`);
          if (text.startsWith('MAIL'))
            far.push(`250 ok\r\n250 ok\r\n${text.includes('DATA') ? '354 go\r\n' : ''}`);
          const isEnd = text.startsWith('x');
          if (isEnd) far.push('250 2.0.0 taken\r\n');
          // As TLS may: it says so in a turn of its own.
          if (isEnd) setTimeout(done, 20);
          else done();
        },
      });
      const options = { hostname: 'me.test', refuseSelf: true, tls: 'none', secure: null } as const;
      const session = new SenderSession({ ...options, credentials: null, loopback: true });
      const settings = () => makeSettings();
      far.push('220 x\r\n');
      const socket = Object.assign(far, { destroySoon: () => far.destroy() }) as unknown as Socket;
      const connection = new PeerConnection({ socket, session, host: 'x', secure: null, settings });
      assert.equal(await connection.open(), null);
      const transaction = { ...MESSAGE, sizeBytes: message.length };
      const { results, problem } = await connection.transact(transaction, async function* () {
        yield message;
      });
      assert.equal(problem, null);
      assert.equal(results[0]?.accepted, true);
      assert.ok(connection.usable);
      connection.destroy('over');
    });
  }

  it('arrives byte for byte, dots, 8-bit and all, with a last line end added', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), { bufferSizeBytes: 1024 });
    const line = Buffer.concat([
      Buffer.from('..dots\r\n.\r\n'),
      Buffer.from([0xe4, 0, 0xff]),
      Buffer.from('\r\n'),
    ]);
    const body = Buffer.concat([...Array.from({ length: 60_000 }, () => line), Buffer.from('.no end')]);
    await world.send({ to: ['x@far.test'], body, changes: { eightBit: true } });
    const message = far.messages[0];
    assert.ok(
      message?.data.equals(Buffer.concat([Buffer.from('Received: here\r\n'), body, Buffer.from('\r\n')])),
    );
    assert.equal(message?.mailParameters, `SIZE=${16 + body.length} BODY=8BITMIME`);
  });

  it('that cannot be read to its end is broken off, not ended, and waits', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]), { queueLifetimeMs: 0 });
    world.queue.failBodies = true;
    const id = await world.send({ to: ['x@far.test'], body: Buffer.alloc(600_000, 'text\r\n') });
    assert.equal(far.messages.length, 0);
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(world.notices.length, 0);
  });
});

describe('LIMITS (RFC 9422)', () => {
  const to = Array.from({ length: 5 }, (_, n) => `x${n}@far.test`);

  it('RCPTMAX: as many recipients in a transaction as the server takes', async (t) => {
    const far = await peer(t, { extensions: ['PIPELINING', 'LIMITS RCPTMAX=2'] });
    const world = makeWorld(t, () => route([host(far)]));
    const id = await world.send({ to });
    assert.ok(world.queue.recipients(id).every(({ state }) => state === 'delivered'));
    assert.deepEqual(
      far.messages.map((message) => message.to.length),
      [2, 2, 1],
    );
    assert.equal(far.sessions.length, 1);
  });

  it('MAILMAX: another connection for what is left, also where some are put off', async (t) => {
    const far = await peer(t, {
      extensions: ['PIPELINING', 'LIMITS MAILMAX=2 RCPTMAX=1'],
      recipients: { 'x1@far.test': '450 4.2.0 Later' },
    });
    const world = makeWorld(t, () => route([host(far)]));
    const id = await world.send({ to });
    const states = world.queue.recipients(id).map(({ state }) => state);
    assert.deepEqual(states, ['delivered', 'queued', 'delivered', 'delivered', 'delivered']);
    assert.equal(far.sessions.length, 3);
    await world.send({ to: ['y@far.test'] });
    const mails = far.sessions.map(
      ({ commands }) => commands.filter((line) => line.startsWith('MAIL')).length,
    );
    assert.ok(
      mails.every((count) => count <= 2),
      mails.join(', '),
    );
  });
});
