/** Messages by BDAT (RFC 3030) over real sockets: what arrives, what a failure in the middle means, what is held. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { dial } from '../../src/sending/connect.ts';
import { PeerConnection, type PeerConnectionOptions } from '../../src/sending/talk.ts';
import type { Settings } from '../../src/settings/values.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';
import type { NewEvent } from '../../src/storage/contract.ts';
import { makeCertificates } from '../support/certificates.ts';
import { requireTool } from '../support/require.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeSettings, makeWorld, route, type World } from './sending-world.ts';

const EXTENSIONS = ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'ENHANCEDSTATUSCODES', 'CHUNKING'];
/** Beyond what sockets of loopback hold, so that it is surely not all written before somebody reads. */
const LARGE = Buffer.alloc(25 * 1024 * 1024, `${'0123456789'.repeat(7)}\r\n`);
const HEADER_BYTES = 'Received: here\r\n'.length;

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer({ extensions: EXTENSIONS, ...script });
  t.after(() => started.close());
  return started;
}

function worldTo(t: TestContext, far: SmtpPeer, changes: Partial<Settings> = {}): World {
  return makeWorld(t, () => route([host(far)]), changes);
}

function verbs(far: SmtpPeer): string[] {
  return far.sessions.flatMap(({ commands }) => commands.map((line) => line.split(' ')[0] ?? ''));
}

interface Told {
  readonly stage: string;
  readonly reply: string;
  readonly possiblyDuplicate?: boolean;
}

function lastTrial(world: World): Told | undefined {
  const event: NewEvent | undefined = world.queue.events('attempt').at(-1);
  return ((event?.detail.hosts ?? []) as Told[]).at(-1);
}

/** A server that says what it is told to and reads of a chunk what `onChunk` lets it. */
async function startOdd(
  t: TestContext,
  onChunk: (socket: Socket) => void,
): Promise<{ port: number; read: () => string }> {
  let read = '';
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    socket.write('220 x\r\n');
    let chunkBegun = false;
    socket.on('data', (bytes: Buffer) => {
      read += bytes.toString('latin1');
      if (chunkBegun) return;
      if (read.includes('BDAT')) {
        chunkBegun = true;
        onChunk(socket);
      } else if (bytes.includes('RCPT')) socket.write('250 ok\r\n250 ok\r\n');
      else if (bytes.includes('EHLO')) socket.write('250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const bound = server.address();
  return { port: typeof bound === 'object' && bound !== null ? bound.port : 0, read: () => read };
}

async function openTo(port: number, changes: Partial<PeerConnectionOptions> = {}): Promise<PeerConnection> {
  const endpoint = { address: '127.0.0.1', port, host: 'x', tls: 'none' } as const;
  const dialled = await dial({ endpoint, timeoutMs: 5_000, signal: new AbortController().signal });
  assert.ok(dialled.ok);
  const options = { hostname: 'me.test', refuseSelf: true, tls: 'none', secure: null } as const;
  const session = new SenderSession({ ...options, credentials: null, loopback: true });
  const { socket } = dialled;
  const settings = () => makeSettings();
  const connection = new PeerConnection({ socket, session, host: 'x', secure: null, settings, ...changes });
  assert.equal(await connection.open(), null);
  return connection;
}

function messageOf(sizeBytes: number) {
  return { sender: 'a@b', recipients: ['x@y'], sizeBytes, eightBit: false, smtputf8: false };
}

async function* pieces(...all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}

describe('a message to a server with CHUNKING', () => {
  for (const extensions of [EXTENSIONS, ['CHUNKING', '8BITMIME']]) {
    it(`arrives octet for octet by one BDAT (${extensions.join(', ')})`, async (t) => {
      const far = await peer(t, { extensions });
      const world = worldTo(t, far, { bufferSizeBytes: 1024 });
      const line = Buffer.concat([Buffer.from('..dots\r\n.\r\n'), Buffer.from([0xe4, 0, 0xff, 13, 10])]);
      const body = Buffer.concat(Array.from({ length: 60_000 }, () => line));
      await world.send({ to: ['x@far.test'], body, changes: { eightBit: true } });
      const [message] = far.messages;
      assert.ok(message?.data.equals(Buffer.concat([Buffer.from('Received: here\r\n'), body])));
      assert.match(message?.mailParameters ?? '', /BODY=8BITMIME$/);
      const size = HEADER_BYTES + body.length;
      assert.deepEqual(far.sessions[0]?.commands.slice(-1), [`BDAT ${size} LAST`]);
      assert.ok(!verbs(far).includes('DATA'));
    });
  }

  it('goes by BDAT under TLS as well, by what the EHLO after it offers', async (t) => {
    if (requireTool(t, 'openssl') === null) return;
    const { selfSigned } = await makeCertificates(t, ['relay.test']);
    const far = await peer(t, { tls: selfSigned });
    const world = worldTo(t, far);
    const body = `Subject: x\r\n\r\n${'.line\r\n'.repeat(50_000)}`;
    for (let n = 0; n < 3; n += 1) await world.send({ to: [`x${n}@far.test`], body });
    const arrived = far.messages.map(({ session, data }) => [session.tls, data.length]);
    assert.deepEqual(arrived, Array(3).fill([true, HEADER_BYTES + body.length]));
    assert.equal(verbs(far).filter((verb) => verb === 'BDAT').length, 3);
  });

  it('goes by DATA where it is not offered', async (t) => {
    const far = await peer(t, { extensions: ['PIPELINING'] });
    await worldTo(t, far).send({ to: ['x@far.test'] });
    assert.deepEqual(verbs(far).slice(-1), ['DATA']);
  });

  const bodies: [string, string][] = [
    ['without a last CRLF keeps its end as it is', 'Subject: x\r\n\r\n.no end'],
    ['without a body is its header', ''],
    ['of one dot is no end of data', '.\r\n'],
  ];
  for (const [what, body] of bodies) {
    it(what, async (t) => {
      const far = await peer(t);
      const world = worldTo(t, far);
      await world.send({ to: ['x@far.test'], body });
      await world.send({ to: ['y@far.test'], body });
      const data = far.messages.map((message) => message.data.toString());
      assert.deepEqual(data, Array(2).fill(`Received: here\r\n${body}`));
      assert.equal(far.sessions.length, 1, 'the next one finds the connection in order');
    });
  }

  it('without a single octet goes by DATA', async (t) => {
    const far = await peer(t);
    await worldTo(t, far).send({ to: ['x@far.test'], body: '', changes: { header: '' } });
    assert.deepEqual([verbs(far).at(-1), far.messages[0]?.data.length], ['DATA', 0]);
  });

  it('is not sent when everybody was refused, and the next one is', async (t) => {
    const far = await peer(t, { recipients: { 'no@far.test': '550 5.1.1 No' } });
    const world = worldTo(t, far);
    const id = await world.send({ to: ['no@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
    await world.send({ to: ['x@far.test'] });
    assert.deepEqual(verbs(far), ['EHLO', 'MAIL', 'RCPT', 'RSET', 'MAIL', 'RCPT', 'BDAT']);
    assert.deepEqual([far.messages.length, far.refused.length], [1, 0]);
  });
});

describe('a failure of BDAT', () => {
  for (const [reply, state, lastKind] of [
    ['554 5.6.0 No such thing', 'failed', 'refused'],
    ['452 4.3.1 Full', 'queued', 'spoke'],
  ] as const) {
    it(`${reply}: ${state}, RSET, and the next message over the same connection`, async (t) => {
      const far = await peer(t, { at: { end: [reply, 'ok'] } });
      const world = worldTo(t, far);
      const id = await world.send({ to: ['x@far.test'] });
      const [recipient] = world.queue.recipients(id);
      assert.deepEqual([recipient?.state, recipient?.lastKind], [state, lastKind]);
      assert.match(recipient?.lastReply ?? '', new RegExp(reply));
      assert.equal(world.notices.length, state === 'failed' ? 1 : 0);
      await world.send({ to: ['y@far.test'] });
      assert.deepEqual(verbs(far), ['EHLO', 'MAIL', 'RCPT', 'BDAT', 'RSET', 'MAIL', 'RCPT', 'BDAT']);
      assert.deepEqual([far.messages.length, far.refused.length, far.sessions.length], [1, 1, 1]);
    });

    it(`${reply} in the middle of the octets: ${state}, and the connection is closed`, async (t) => {
      const far = await peer(t, { at: { bdat: [reply, 'ok'] } });
      const world = worldTo(t, far);
      const id = await world.send({ to: ['x@far.test'], body: LARGE });
      assert.equal(world.queue.recipients(id)[0]?.state, state);
      assert.match(world.queue.recipients(id)[0]?.lastReply ?? '', new RegExp(reply));
      assert.equal(lastTrial(world)?.stage, 'data-block');
      assert.equal(lastTrial(world)?.possiblyDuplicate, undefined);
      await world.send({ to: ['y@far.test'] });
      assert.deepEqual([far.messages.length, far.refused.length, far.sessions.length], [1, 0, 2]);
    });
  }

  for (const how of ['421 4.3.2 Closing', 'close', 'reset']) {
    it(`${how} in the middle of the octets: put off, surely not there, and sent once more`, async (t) => {
      const far = await peer(t, { at: { bdat: [how, 'ok'] } });
      const world = worldTo(t, far);
      const id = await world.send({ to: ['x@far.test'], body: LARGE });
      const [recipient] = world.queue.recipients(id);
      assert.deepEqual([recipient?.state, recipient?.lastKind], ['queued', 'spoke']);
      assert.deepEqual(
        [lastTrial(world)?.stage, lastTrial(world)?.possiblyDuplicate],
        ['data-block', undefined],
      );
      assert.equal(far.messages.length, 0);
      world.queue.retry();
      world.sender.wake();
      await world.queue.waitForSettled(2);
      assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
      assert.deepEqual([far.messages.length, far.messages[0]?.data.length], [1, HEADER_BYTES + LARGE.length]);
    });
  }

  it('lost after the last octet: put off, and said to be possibly there', async (t) => {
    const far = await peer(t, { at: { end: 'close' } });
    const world = worldTo(t, far);
    const id = await world.send({ to: ['x@far.test'] });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.match(world.queue.recipients(id)[0]?.lastReply ?? '', /so it may have arrived all the same/);
    assert.deepEqual([lastTrial(world)?.stage, lastTrial(world)?.possiblyDuplicate], ['data-end', true]);
  });
});

describe('the octets of a chunk', () => {
  for (const bufferSizeBytes of [4096, 65_536]) {
    it(`25 MB to a server that stops reading: at most ${bufferSizeBytes} bytes are held`, async (t) => {
      const { port } = await startOdd(t, (socket) => socket.pause());
      const base = makeSettings();
      const settings = () => ({ ...base, bufferSizeBytes, timeouts: { ...base.timeouts, dataBlockMs: 300 } });
      const connection = await openTo(port, { settings });
      let mostBytes = 0;
      let chunks = 0;
      const measure = () => {
        mostBytes = Math.max(mostBytes, connection.unsentBytes);
      };
      const sampler = setInterval(measure, 1);
      const { problem, results } = await connection.transact(messageOf(LARGE.length), async function* () {
        for (let from = 0; from < LARGE.length; from += 256 * 1024) {
          measure();
          chunks += 1;
          yield LARGE.subarray(from, from + 256 * 1024);
        }
      });
      clearInterval(sampler);
      assert.match(problem?.text ?? '', /too slowly/);
      assert.deepEqual(results, [null]);
      assert.ok(mostBytes > 0 && mostBytes <= bufferSizeBytes, String(mostBytes));
      assert.ok(chunks < 100, 'reading the message stopped with the socket');
    });
  }

  it('must keep the average rate', async (t) => {
    const { port } = await startOdd(t, (socket) => socket.pause());
    const settings = () => makeSettings({ minDataRate: 1e12 });
    const connection = await openTo(port, { settings, rateGraceMs: 100 });
    const startedAt = performance.now();
    const { problem } = await connection.transact(messageOf(LARGE.length), () => pieces(LARGE));
    assert.match(problem?.text ?? '', /too slowly/);
    assert.ok(performance.now() - startedAt < 3_000, 'long before the wait for one block');
  });

  it('are waited for after the last one as after the final dot', async (t) => {
    const { port } = await startOdd(t, () => undefined);
    const base = makeSettings();
    const settings = () => ({ ...base, timeouts: { ...base.timeouts, dataEndMs: 200 } });
    const connection = await openTo(port, { settings });
    const { problem } = await connection.transact(messageOf(3), () => pieces(Buffer.from('x\r\n')));
    assert.match(problem?.text ?? '', /did not answer within 0\.2 s \(data-end\)/);
  });

  it('are taken back until just before the last one, and then cannot be', async (t) => {
    const far = await peer(t);
    const lines = Buffer.from('text\r\n'.repeat(1_000));
    // Asked before each of two pieces and once before the end.
    for (const answers of [0, 1, 2, 3]) {
      const connection = await openTo(far.port);
      let asked = 0;
      const { withdrawn, results, unreadable } = await connection.transact(
        messageOf(2 * lines.length),
        () => pieces(lines, lines),
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

  it('of a message that cannot be read to its end are broken off, and it waits', async (t) => {
    const far = await peer(t);
    const world = worldTo(t, far, { queueLifetimeMs: 0 });
    world.queue.failBodies = true;
    const id = await world.send({ to: ['x@far.test'], body: Buffer.alloc(600_000, 'text\r\n') });
    assert.deepEqual([far.messages.length, far.refused.length], [0, 0]);
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(world.notices.length, 0);
  });

  const text = Buffer.from('QUIT\r\n'.repeat(2_000));
  const sizes: [string, number, readonly Uint8Array[]][] = [
    ['fewer than', text.length + 1, [text]],
    ['none instead of', text.length, []],
    ['more than', text.length - 1, [text]],
    ['a piece more than', text.length, [text, text]],
  ];
  for (const [what, sizeBytes, body] of sizes) {
    it(`${what} the message should have: never complete, and none read as a command`, async (t) => {
      const far = await startOdd(t, () => undefined);
      const connection = await openTo(far.port);
      const { unreadable, problem, results } = await connection.transact(messageOf(sizeBytes), () =>
        pieces(...body),
      );
      assert.equal(unreadable, `it does not have the ${sizeBytes} bytes it should have`);
      assert.deepEqual([results, problem?.phase], [[null], 'data-block']);
      await new Promise<void>((closed) => connection.whenClosed(closed));
      const [, octets = ''] = far.read().split(' LAST\r\n');
      assert.ok(octets.length < sizeBytes, `${octets.length} of ${sizeBytes}`);
    });
  }
});
