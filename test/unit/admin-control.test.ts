import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ControlClient } from '../../src/admin/control-client.ts';
import { LineReader } from '../../src/admin/control-protocol.ts';
import { ControlServer, type ControlServerOptions } from '../../src/admin/control-server.ts';
import { openWorld, type World } from './admin-support.ts';

async function serve(t: TestContext, world: World, dataDir: string, options?: ControlServerOptions) {
  const server = await ControlServer.open(dataDir, world.context, options);
  t.after(() => server.close());
  return server;
}

async function connected(t: TestContext, dataDir: string): Promise<ControlClient> {
  const client = await ControlClient.connect(dataDir, 'caller');
  assert.ok(client);
  t.after(() => client.close());
  return client;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Writes raw bytes and gives back everything answered until the server closes or `lines` lines came. */
async function raw(path: string, text: string, lines = Number.POSITIVE_INFINITY): Promise<string> {
  const socket: Socket = createConnection(path);
  let answer = '';
  socket.on('error', () => undefined);
  socket.write(text);
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.split('\n').length > lines) break;
  }
  socket.destroy();
  return answer;
}

test('an operation runs in the server, with the author of the caller', async (t) => {
  const world = await openWorld(t);
  const server = await serve(t, world, world.folder);
  assert.equal(server.path, join(world.folder, 'cmail.sock'));
  assert.equal((await stat(server.path)).mode & 0o777, 0o600);
  const client = await connected(t, world.folder);
  await client.call('settings.set', { changes: [{ key: 'smtp.hopLimit', value: '50' }] });
  assert.equal(world.context.settings.current().hopLimit, 50);
  assert.equal((await world.context.settings.history(1))[0]?.author, 'caller');
  await assert.rejects(client.call('settings.get', { key: 'smtp.hoplimit' }), {
    name: 'OperationError',
    exit: 1,
    mend: 'Did you mean smtp.hopLimit?',
  });
  await assert.rejects(client.call('domain.add', {}), { exit: 2 });
});

test('without a server there is no connection; after close no socket', async (t) => {
  const world = await openWorld(t);
  assert.equal(await ControlClient.connect(world.folder, 'caller'), null);
  assert.equal(await ControlClient.connect(join(world.folder, 'nowhere'), 'caller'), null);
  const server = await ControlServer.open(world.folder, world.context);
  await server.close();
  assert.equal(await exists(server.path), false);
  assert.equal(await ControlClient.connect(world.folder, 'caller'), null);
});

test('a socket left behind by a dead server is replaced', async (t) => {
  const world = await openWorld(t);
  const path = join(world.folder, 'cmail.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawn } = await import('node:child_process');
  await once(spawn(process.execPath, ['-e', script]), 'exit');
  assert.ok(await exists(path));
  assert.equal(await ControlClient.connect(world.folder, 'caller'), null, 'nobody answers there');
  await serve(t, world, world.folder);
  await (await connected(t, world.folder)).call('settings.list', {});
});

test('a long path is replaced by a short private one that is recorded', async (t) => {
  const world = await openWorld(t);
  const dataDir = join(world.folder, 'd'.repeat(100));
  await mkdir(dataDir);
  const server = await ControlServer.open(dataDir, world.context);
  assert.ok(server.path.length <= 100);
  assert.equal((await stat(dirname(server.path))).mode & 0o777, 0o700);
  assert.equal((await stat(server.path)).mode & 0o777, 0o600);
  const record = join(dataDir, 'cmail.sock.path');
  assert.equal((await readFile(record, 'utf8')).trim(), server.path);
  await (await connected(t, dataDir)).call('settings.list', {});
  await server.close();
  assert.equal(await exists(dirname(server.path)), false);
  assert.equal(await exists(record), false);
});

test('a record that does not look like ours removes nothing', async (t) => {
  const world = await openWorld(t);
  const other = join(world.folder, 'other');
  await mkdir(other);
  await writeFile(join(other, 'cmail.sock'), 'precious');
  await writeFile(join(world.folder, 'cmail.sock.path'), `${join(other, 'cmail.sock')}\n`);
  await serve(t, world, world.folder);
  assert.ok(await exists(join(other, 'cmail.sock')));
  assert.equal(await exists(join(world.folder, 'cmail.sock.path')), false);
});

test('a request that is not one is answered; one over 1 MB is refused and closed', async (t) => {
  const world = await openWorld(t);
  const { path } = await serve(t, world, world.folder);
  const answers = await raw(path, 'hello\n{"op":"x"}\n[]\n{"op":"no.such","args":{},"author":"a"}\n', 4);
  assert.deepEqual(
    answers
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).error.message),
    [
      'the request is not understood',
      'the request is not understood',
      'the request is not understood',
      'there is no operation no.such',
    ],
  );
  assert.match(await raw(path, 'x'.repeat(1024 * 1024 + 1)), /longer than 1024 KB/);
});

test('connections are bounded: one more is told so and closed', async (t) => {
  const world = await openWorld(t);
  const { path } = await serve(t, world, world.folder, { maxConnections: 2 });
  const one = await connected(t, world.folder);
  const two = await connected(t, world.folder);
  await Promise.all([one.call('settings.list', {}), two.call('settings.list', {})]);
  assert.match(await raw(path, ''), /too many commands at once/);
  two.close();
  // The place is free once the server has seen the close; ask until then.
  for (let answer = 'too many'; answer.includes('too many'); ) {
    answer = await raw(path, '{"op":"verify","args":{},"author":"a"}\n', 1);
  }
});

test('a connection without a request is closed after the idle time', async (t) => {
  const world = await openWorld(t);
  const { path } = await serve(t, world, world.folder, { idleMs: 20 });
  assert.equal(await raw(path, ''), '');
});

test('a call is told when the server goes away', async (t) => {
  const world = await openWorld(t);
  const reached = Promise.withResolvers<void>();
  const status = async (): Promise<object> => {
    reached.resolve();
    return new Promise(() => undefined);
  };
  const server = await ControlServer.open(world.folder, { ...world.context, status });
  const client = await connected(t, world.folder);
  const lost = assert.rejects(client.call('status', {}), /connection to the server was lost/);
  await reached.promise;
  await server.close();
  await lost;
  await assert.rejects(client.call('status', {}), /connection to the server was lost/);
});

test('a server that answers without end is cut off', async (t) => {
  const world = await openWorld(t);
  const flood = createServer((socket) => {
    socket.on('error', () => undefined);
    const block = Buffer.alloc(1024 * 1024, 0x20);
    const pour = () => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', pour);
    pour();
  }).listen(join(world.folder, 'cmail.sock'));
  t.after(() => flood.close());
  await once(flood, 'listening');
  const client = await connected(t, world.folder);
  await assert.rejects(client.call('status', {}), /too long|lost/);
});

test('lines are cut wherever the stream is split, and bounded', () => {
  const reader = new LineReader(5);
  assert.deepEqual(reader.push(Buffer.from('ab')), []);
  assert.deepEqual(reader.push(Buffer.from('c\nde\n\nf')), ['abc', 'de', '']);
  assert.deepEqual(reader.push(Buffer.from('ghij\n')), ['fghij']);
  assert.equal(reader.push(Buffer.from('123456')), null);
});
