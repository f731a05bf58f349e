/** A connection before its protocol begins: PROXY headers, counting, implicit TLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';
import { type Arrival, proxyList, receiveArrival } from '../../src/listening/arrival.ts';
import { Crowd } from '../../src/listening/crowd.ts';
import { parseProxyHeader } from '../../src/listening/proxy-header.ts';

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const v2 = (command: number, family: number, body: number[]): Buffer =>
  Buffer.concat([
    Buffer.from(SIGNATURE, 'latin1'),
    Buffer.of(0x20 + command, family, body.length >> 8, body.length & 0xff, ...body),
  ]);
const V4 = [192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x34, 0, 25];
const V6 = [0x20, 1, 0x0d, 0xb8, ...Array<number>(11).fill(0), 7, ...Array<number>(16).fill(0), 1, 2, 0, 25];

describe('a PROXY header', () => {
  const good: [string, Buffer, string | null][] = [
    ['v1 over IPv4', Buffer.from('PROXY TCP4 192.0.2.9 127.0.0.1 4660 25\r\n'), '192.0.2.9'],
    ['v1 over IPv6', Buffer.from('PROXY TCP6 2001:db8::7 ::1 4660 25\r\n'), '2001:db8::7'],
    ['v1 unknown', Buffer.from('PROXY UNKNOWN ffff:f::1 ::2 65535 65535\r\n'), null],
    ['v2 over IPv4', v2(1, 0x11, V4), '192.0.2.9'],
    ['v2 over IPv4 with additions', v2(1, 0x11, [...V4, 4, 0, 1, 9]), '192.0.2.9'],
    ['v2 over IPv6', v2(1, 0x21, V6), '2001:db8:0:0:0:0:0:7'],
    ['v2 local', v2(0, 0, []), null],
  ];
  for (const [what, bytes, client] of good) {
    it(`${what}, and each part of it asks for more`, () => {
      const whole = parseProxyHeader(Buffer.concat([bytes, Buffer.from('EHLO x\r\n')]));
      assert.deepEqual(whole, { ok: true, value: { client, sizeBytes: bytes.length } });
      for (let end = 0; end < bytes.length; end += 1)
        assert.equal(parseProxyHeader(bytes.subarray(0, end)), null, `${end} bytes`);
    });
  }

  const bad: [string, Buffer][] = [
    ['none', Buffer.from('EHLO client.test\r\n')],
    ['lower case', Buffer.from('proxy TCP4 192.0.2.9 127.0.0.1 1 25\r\n')],
    ['an address of the other family', Buffer.from('PROXY TCP4 ::1 127.0.0.1 1 25\r\n')],
    ['a port out of range', Buffer.from('PROXY TCP4 192.0.2.9 127.0.0.1 70000 25\r\n')],
    ['a word too many', Buffer.from('PROXY TCP4 192.0.2.9 127.0.0.1 1 25 x\r\n')],
    ['a line without end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['v2 of another version', Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), Buffer.of(0x31, 0x11, 0, 0)])],
    ['v2 over UDP', v2(1, 0x12, V4)],
    ['v2 too short', v2(1, 0x11, V4.slice(0, 8))],
    ['v2 too long', Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), Buffer.of(0x21, 0x11, 0xff, 0xff)])],
  ];
  for (const [what, bytes] of bad) {
    it(`is refused: ${what}`, () => assert.equal(parseProxyHeader(bytes)?.ok, false));
  }
});

/** A server that says `hello` and the client's address, then echoes. */
async function start(
  t: TestContext,
  proxies: readonly string[],
  limits = { total: 10, perAddress: 10, perNetwork: 10 },
) {
  const crowd = new Crowd();
  const refused: string[] = [];
  const arrivals: (Arrival | null)[] = [];
  const server = createServer((socket) => {
    void receiveArrival(socket, {
      crowd,
      limits,
      isProxy: proxyList(proxies),
      implicitTls: null,
      refuse: (one, _, limit) => {
        refused.push(limit);
        one.end('full\r\n');
      },
      log: () => undefined,
    }).then((arrival) => {
      arrivals.push(arrival);
      if (arrival === null) return;
      arrival.socket.on('close', () => crowd.leave(arrival.address));
      arrival.socket.on('data', (bytes) => arrival.socket.write(bytes));
      arrival.socket.resume();
      arrival.socket.write(`hello ${arrival.address}\r\n`);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = (localAddress: string, first = ''): { socket: Socket; text: () => string } => {
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', localAddress });
    sockets.push(socket);
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    socket.on('error', () => undefined);
    if (first !== '') socket.write(first);
    return { socket, text: () => text };
  };
  return { open, crowd, refused, arrivals };
}

async function until(what: () => boolean): Promise<void> {
  for (let n = 0; !what(); n += 1) {
    assert.ok(n < 500, 'waited long enough');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('an arrival', () => {
  it('behind a named proxy has its own address; what follows the header is not lost', async (t) => {
    const { open } = await start(t, ['127.0.0.2']);
    const { text } = open('127.0.0.2', 'PROXY TCP4 192.0.2.9 127.0.0.1 1 25\r\nfirst words');
    await until(() => text().includes('first words'));
    assert.equal(text(), 'hello 192.0.2.9\r\nfirst words');
  });

  it('from anybody else is itself, whatever it says', async (t) => {
    const { open } = await start(t, ['127.0.0.2', '10.0.0.0/8']);
    const { text } = open('127.0.0.3', 'PROXY TCP4 192.0.2.9 127.0.0.1 1 25\r\n');
    await until(() => text().includes('25\r\n'));
    assert.match(text(), /^hello 127\.0\.0\.3\r\nPROXY TCP4/);
  });

  it('of a proxy without a header is closed', async (t) => {
    const { open, arrivals, crowd } = await start(t, ['127.0.0.2']);
    const { socket } = open('127.0.0.2', 'EHLO client.test\r\n');
    await once(socket, 'close');
    assert.deepEqual(arrivals, [null]);
    assert.equal(crowd.total, 0);
  });

  it('is counted by address, network and in all; whoever leaves makes room', async (t) => {
    const { open, refused, crowd } = await start(t, ['127.0.0.2'], {
      total: 4,
      perAddress: 2,
      perNetwork: 3,
    });
    const proxied = (address: string) => open('127.0.0.2', `PROXY TCP4 ${address} 127.0.0.1 1 25\r\n`);
    const first = proxied('192.0.2.1');
    await until(() => first.text() !== '');
    const second = proxied('192.0.2.1');
    await until(() => second.text() !== '');
    const third = proxied('192.0.2.1');
    await until(() => third.text() === 'full\r\n');
    await until(() => crowd.total === 2);
    const other = proxied('192.0.2.2');
    await until(() => other.text() !== '');
    const neighbour = proxied('192.0.2.3');
    await until(() => neighbour.text() === 'full\r\n');
    const far = proxied('198.51.100.1');
    await until(() => far.text() !== '');
    const last = open('127.0.0.3');
    await until(() => last.text() === 'full\r\n');
    assert.deepEqual(refused, ['perAddress', 'perNetwork', 'total']);
    first.socket.destroy();
    await until(() => crowd.total === 3);
    const again = open('127.0.0.3');
    await until(() => again.text().startsWith('hello'));
  });
});

describe('a handshake that is never finished', () => {
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  const clients: [string, (socket: Socket) => void][] = [
    ['nothing is sent', () => undefined],
    ['half a ClientHello', (socket) => void socket.write(hello)],
    ['a byte now and then', drip],
    ['what is no TLS', (socket) => void socket.write('EHLO client.test\r\n')],
  ];

  function drip(socket: Socket): void {
    let at = 0;
    const timer = setInterval(() => socket.write(hello.subarray(at, ++at)), 40);
    socket.on('close', () => clearInterval(timer));
  }

  for (const [what, send] of clients) {
    it(`${what}: both sockets are closed, and it counts until then only`, { timeout: 30_000 }, async (t) => {
      const crowd = new Crowd();
      const logged: string[] = [];
      const accepted: Socket[] = [];
      const server = createServer((socket) => {
        accepted.push(socket);
        void receiveArrival(socket, {
          ...{ crowd, limits: { total: 10, perAddress: 10, perNetwork: 10 }, isProxy: proxyList([]) },
          ...{ implicitTls: { contextFor: () => createSecureContext() }, handshakeLimitMs: 300 },
          refuse: () => undefined,
          log: (_, message) => logged.push(message),
        });
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      // Does not close by itself when the server has: only the server's socket tells who closed.
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      t.after(() => {
        socket.destroy();
        server.close();
      });
      socket.on('error', () => undefined).resume();
      await once(socket, 'connect');
      send(socket);
      await until(() => crowd.total === 1 || logged.length > 0);
      await until(() => accepted[0]?.destroyed === true);
      await until(() => crowd.total === 0);
      assert.deepEqual(logged, ['a TLS handshake failed']);
      // The kernel holds nothing of it either.
      await until(() => socket.readableEnded || socket.destroyed);
    });
  }
});
