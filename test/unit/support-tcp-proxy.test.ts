import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTcpProxy } from '../support/tcp-proxy.ts';

/** Answers each piece with its name and the piece; resolves to its port. */
async function echo(t: TestContext, name: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (piece) => socket.write(`${name}:${piece}`));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('a proxy passes bytes, slows them, holds them, ends connections and turns to another server', async (t) => {
  const proxy = await startTcpProxy(await echo(t, 'one'));
  t.after(() => proxy.close());
  const connect = () => createConnection({ host: '127.0.0.1', port: proxy.port });
  const client = connect();
  const ask = async (text: string) => {
    client.write(text);
    return String((await once(client, 'data'))[0]);
  };
  assert.equal(await ask('a'), 'one:a');
  assert.equal(proxy.connections, 1);

  proxy.delay(100);
  const from = performance.now();
  assert.equal(await ask('b'), 'one:b');
  assert.ok(performance.now() - from >= 195, 'a delay of 100 ms each way');
  proxy.delay(0);

  proxy.stall();
  const held = ask('c');
  assert.equal(await Promise.race([held, sleep(200, 'nothing')]), 'nothing');
  proxy.heal();
  assert.equal(await held, 'one:c');

  const closed = once(client, 'close');
  proxy.drop();
  await closed;
  await once(
    connect().on('error', () => undefined),
    'close',
  );
  proxy.target(await echo(t, 'two'));
  proxy.heal();
  const other = connect();
  other.write('d');
  assert.equal(String((await once(other, 'data'))[0]), 'two:d');
  other.destroy();
});
