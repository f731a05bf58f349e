import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { MAILDROP_LIMIT, openMaildrop } from '../../src/mailbox/maildrop.ts';
import { type Pop3Dependencies, Pop3Server } from '../../src/pop3/server.ts';
import { FakeMailboxes } from '../support/fake-mailboxes.ts';
import { requireTool } from '../support/require.ts';

const run = promisify(execFile);

const ACCOUNTS: Readonly<Record<string, number>> = { 'ann@example.com': 1, 'bob@example.com': 2 };
const MESSAGE = 'From: a@example.org\r\nSubject: hello\r\n\r\n.hidden dot\r\n\r\n..\r\nend\r\n';

interface LogLine {
  level: string;
  message: string;
  fields: Record<string, unknown> | undefined;
}

/** A server over a fake store; closed when the test ends. */
async function start(t: TestContext, more: Partial<Pop3Dependencies> = {}) {
  const store = new FakeMailboxes();
  const logged: LogLine[] = [];
  const server = new Pop3Server({
    mailboxes: store,
    authenticate: async ({ user, password }) => {
      const accountId = ACCOUNTS[user];
      if (accountId === undefined || password !== 'secret') {
        return { failure: 'auth', text: 'wrong name or password' };
      }
      return { accountId };
    },
    hostname: 'mail.test',
    log: (level, message, fields) => logged.push({ level, message, fields }),
    loginDelayMs: 1,
    ...more,
  });
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(() => server.close(0));
  return { store, server, port, logged };
}

/** A client that reads line by line. */
class Client {
  readonly socket: net.Socket;
  #text = '';
  #ended = false;
  #wake: () => void = () => {};

  constructor(port: number, localAddress = '127.0.0.1', allowHalfOpen = false) {
    this.socket = net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen });
    this.socket.on('data', (bytes) => {
      this.#text += bytes.toString('latin1');
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    this.socket.on('error', end);
    this.socket.on('close', end);
  }

  /** Everything up to and including `mark`; rejects when the connection ends before. */
  async until(mark: string): Promise<string> {
    for (;;) {
      const at = this.#text.indexOf(mark);
      if (at >= 0) {
        const found = this.#text.slice(0, at + mark.length);
        this.#text = this.#text.slice(at + mark.length);
        return found;
      }
      if (this.#ended) throw new Error(`closed after ${JSON.stringify(this.#text.slice(-200))}`);
      await this.#more();
    }
  }

  line(): Promise<string> {
    return this.until('\r\n');
  }

  /** Sends a command and returns the first line of the answer. */
  say(command: string): Promise<string> {
    this.socket.write(`${command}\r\n`);
    return this.line();
  }

  async login(user = 'ann@example.com'): Promise<string> {
    await this.line();
    await this.say(`USER ${user}`);
    return this.say('PASS secret');
  }

  /** What is left until the server closes. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.#text;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

describe('POP3 server', () => {
  it('serves a session and removes what was deleted at QUIT, in one transaction', async (t) => {
    const { store, port } = await start(t);
    for (const uid of [2, 4, 7]) store.add(1, uid, MESSAGE);
    const client = new Client(port);
    assert.equal(await client.login(), '+OK 3 messages\r\n');
    assert.equal(await client.say('RETR 1'), `+OK ${MESSAGE.length} octets\r\n`);
    assert.equal(await client.until('\r\n.\r\n'), `${MESSAGE.replaceAll('\r\n.', '\r\n..')}.\r\n`);
    await client.say('DELE 1');
    await client.say('DELE 3');
    assert.deepEqual(store.removals, []);
    assert.equal(await client.say('QUIT'), '+OK bye\r\n');
    assert.deepEqual(store.removals, [{ accountId: 1, uids: [2, 7] }]);
    assert.equal(await client.rest(), '');
  });

  it('forgets deletions when the client goes without QUIT', async (t) => {
    const { store, port, server } = await start(t);
    store.add(1, 1, MESSAGE);
    const client = new Client(port);
    await client.login();
    await client.say('DELE 1');
    client.socket.end();
    await client.rest();
    await server.close(0);
    assert.deepEqual(store.removals, []);
  });

  it('answers pipelined commands in order, also when the client closes its side at once', async (t) => {
    const { store, port } = await start(t);
    store.add(1, 1, 'A: b\r\n\r\nc\r\n');
    const client = new Client(port);
    client.socket.end('USER ann@example.com\r\nPASS secret\r\nRETR 1\r\nSTAT\r\nQUIT\r\n');
    assert.equal(
      await client.rest(),
      '+OK mail.test CMail POP3 ready\r\n+OK password please\r\n+OK 1 messages\r\n' +
        '+OK 11 octets\r\nA: b\r\n\r\nc\r\n.\r\n+OK 1 11\r\n+OK bye\r\n',
    );
  });

  it('takes one session a mailbox at a time', async (t) => {
    const { port } = await start(t);
    const first = new Client(port, '127.0.0.1', true);
    await first.login();
    const second = new Client(port);
    assert.match(await second.login(), /^-ERR \[IN-USE\] /);
    const other = new Client(port);
    assert.match(await other.login('bob@example.com'), /^\+OK/);
    assert.equal(await first.say('QUIT'), '+OK bye\r\n');
    // Free at once, although the first client does not close its side.
    await second.say('USER ann@example.com');
    assert.match(await second.say('PASS secret'), /^\+OK/);
    first.socket.destroy();
  });

  it('refuses a mailbox that has a session on another node, and gives its own back to all', async (t) => {
    const { store, port } = await start(t);
    store.locked.add(1);
    const client = new Client(port);
    assert.match(await client.login(), /^-ERR \[IN-USE\] /);
    store.locked.clear();
    await client.say('USER ann@example.com');
    assert.match(await client.say('PASS secret'), /^\+OK/);
    assert.deepEqual([...store.locked], [1]);
    client.socket.destroy();
    while (store.locked.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('gives a mailbox back when the store can be used again', async (t) => {
    const { store, port } = await start(t);
    const client = new Client(port);
    await client.login();
    store.keepsLocks = true;
    assert.equal(await client.say('QUIT'), '+OK bye\r\n');
    const second = new Client(port);
    assert.match(await second.login(), /^-ERR \[IN-USE\] /);
    store.keepsLocks = false;
    // By itself, without anybody asking for it.
    while (store.locked.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await second.say('USER ann@example.com');
    assert.match(await second.say('PASS secret'), /^\+OK/);
    store.keepsLocks = true;
    assert.equal(await second.say('QUIT'), '+OK bye\r\n');
    store.keepsLocks = false;
    const third = new Client(port);
    assert.match(await third.login(), /^\+OK/);
    assert.deepEqual([...store.locked], [1]);
  });

  it('closes after three refused logins, each slower, and logs no password', async (t) => {
    const { port, logged } = await start(t, { loginDelayMs: 30 });
    const client = new Client(port);
    await client.line();
    const startedAt = performance.now();
    const waits: number[] = [];
    for (const password of ['hunter2', 'hunter3', 'hunter4']) {
      await client.say('USER ann@example.com');
      const sentAt = performance.now();
      assert.equal(await client.say(`PASS ${password}`), '-ERR [AUTH] wrong name or password\r\n');
      waits.push(performance.now() - sentAt);
    }
    assert.equal(await client.rest(), '');
    assert.ok(performance.now() - startedAt >= 200, `${waits}`);
    for (const [index, least] of [29, 59, 119].entries()) {
      assert.ok((waits[index] ?? 0) >= least, `wait ${index} was ${waits[index]} ms`);
    }
    assert.equal(logged.filter((line) => line.message === 'POP3 login refused').length, 3);
    assert.ok(!JSON.stringify(logged).includes('hunter'));
  });

  it('takes no cleartext login from elsewhere', async (t) => {
    const { port } = await start(t, { cleartextLogin: (address) => address === '127.0.0.1' });
    const stranger = new Client(port, '127.0.0.2');
    await stranger.line();
    assert.match(await stranger.say('USER ann@example.com'), /^-ERR \[AUTH\] a login needs TLS/);
    assert.match(await new Client(port).login(), /^\+OK/);
  });

  it('bounds sessions in all and per address, and says so', async (t) => {
    const { port, server } = await start(t, { limits: () => ({ total: 3, perAddress: 2 }) });
    const refusal = '-ERR [SYS/TEMP] too many sessions, please try again later\r\n';
    const first = new Client(port);
    await first.line();
    await new Client(port).line();
    assert.equal(await new Client(port).rest(), refusal);
    assert.match(await new Client(port, '127.0.0.2').line(), /^\+OK/);
    assert.equal(await new Client(port, '127.0.0.3').rest(), refusal);
    assert.equal(server.sessions, 3);
    await first.say('QUIT');
    await first.rest();
    while (server.sessions === 3) await new Promise(setImmediate);
    assert.match(await new Client(port).line(), /^\+OK/);
  });

  it('closes a silent session without deleting', async (t) => {
    const { store, port } = await start(t, { idleTimeoutMs: 300 });
    store.add(1, 1, MESSAGE);
    const client = new Client(port);
    await client.login();
    await client.say('DELE 1');
    assert.equal(await client.rest(), '');
    assert.deepEqual(store.removals, []);
  });

  it('reads a long message only as fast as the client takes it', async (t) => {
    const { store, port } = await start(t);
    const chunks = 400;
    const line = `${'x'.repeat(62)}\r\n`;
    store.chunkBytes = 65_536;
    store.add(1, 1, Buffer.from(line.repeat((chunks * 65_536) / line.length)));
    const client = new Client(port);
    await client.login();
    client.socket.pause();
    client.socket.write('RETR 1\r\n');
    // Wait until the reader has come to rest: kernel buffers are full.
    let seen = -1;
    while (store.chunksRead === 0 || seen !== store.chunksRead) {
      seen = store.chunksRead;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(seen < chunks / 2, `${seen} of ${chunks} chunks were read for a client that takes nothing`);
    let size = 0;
    client.socket.removeAllListeners('data').on('data', (bytes) => {
      size += bytes.length;
    });
    client.socket.end('QUIT\r\n');
    client.socket.resume();
    await once(client.socket, 'close');
    const replies = `+OK ${chunks * 65_536} octets\r\n.\r\n+OK bye\r\n`;
    assert.equal(size, chunks * 65_536 + replies.length);
    assert.equal(store.chunksRead, chunks);
  });

  it('ends a client that stops taking a message', async (t) => {
    const { store, port, server } = await start(t, { idleTimeoutMs: 300 });
    store.add(1, 1, Buffer.alloc(32 * 1024 * 1024, 'y'));
    const client = new Client(port);
    await client.login();
    client.socket.pause();
    client.socket.write('RETR 1\r\n');
    while (server.sessions > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    client.socket.destroy();
  });

  it('stops reading from a client that sends ahead while a login is checked', async (t) => {
    const gate = Promise.withResolvers<{ accountId: number }>();
    const { port } = await start(t, { authenticate: () => gate.promise });
    const client = new Client(port);
    await client.line();
    await client.say('USER ann@example.com');
    client.socket.write('PASS secret\r\n');
    const flood = Buffer.from('NOOP\r\n'.repeat(5_000_000 / 6));
    for (let part = 0; part < 8; part += 1) client.socket.write(flood);
    let before = -1;
    while (before !== client.socket.bytesWritten - client.socket.writableLength) {
      before = client.socket.bytesWritten - client.socket.writableLength;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(client.socket.writableLength > 0, 'the whole flood was read');
    gate.resolve({ accountId: 1 });
    assert.match(await client.line(), /^\+OK 0 messages/);
    assert.equal(await client.line(), '+OK\r\n');
    client.socket.destroy();
  });

  it('answers trouble with the store without ending the session', async (t) => {
    const { store, port, logged } = await start(t);
    store.add(1, 1, MESSAGE);
    store.add(1, 2, MESSAGE);
    const client = new Client(port);
    store.broken = true;
    assert.match(await client.login(), /^-ERR \[SYS\/TEMP\] the mailbox cannot be opened/);
    store.broken = false;
    await client.say('USER ann@example.com');
    assert.equal(await client.say('PASS secret'), '+OK 2 messages\r\n');
    store.broken = true;
    assert.match(await client.say('RETR 1'), /^-ERR \[SYS\/TEMP\] the message cannot be read/);
    store.broken = false;
    store.messages.get(1)?.delete(2);
    assert.match(await client.say('RETR 2'), /^-ERR that message has been removed/);
    await client.say('DELE 1');
    store.broken = true;
    assert.match(await client.say('QUIT'), /^-ERR \[SYS\/TEMP\] the deleted messages could not be removed/);
    assert.equal(logged.filter((line) => line.level === 'error').length, 3);
  });

  it('cuts a message it cannot read to its end, so that nobody takes it for whole', async (t) => {
    const { store, port } = await start(t);
    store.chunkBytes = 100_000;
    store.failAfterChunks = 2;
    store.add(1, 1, Buffer.from(`${'z'.repeat(98)}\r\n`.repeat(5_000)));
    const client = new Client(port);
    await client.login();
    client.socket.write('RETR 1\r\nQUIT\r\n');
    const got = await client.rest();
    assert.ok(!got.includes('\r\n.\r\n'));
    assert.ok(!got.includes('bye'));
  });

  it('lets a removal at work finish when the server stops, and closes the waiting at once', async (t) => {
    const { store, port, server } = await start(t);
    store.add(1, 1, MESSAGE);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    store.beforeRemoval = () => {
      begun.resolve();
      return gate.promise;
    };
    const waiting = new Client(port);
    await waiting.login('bob@example.com');
    const client = new Client(port);
    await client.login();
    await client.say('DELE 1');
    client.socket.write('QUIT\r\n');
    await begun.promise;
    const closed = server.close(10_000);
    assert.equal(await waiting.rest(), '');
    gate.resolve();
    await closed;
    assert.equal(await client.rest(), '+OK bye\r\n');
    assert.equal(store.removals.length, 1);
    await assert.rejects(once(net.connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
  });

  it('stops even when the store never answers', async (t) => {
    const never = Promise.withResolvers<{ accountId: number }>();
    const { port, server } = await start(t, { authenticate: () => never.promise });
    const client = new Client(port);
    await client.line();
    client.socket.write('USER ann@example.com\r\nPASS secret\r\n');
    await client.line();
    await server.close(10);
    assert.equal(await client.rest(), '');
    never.resolve({ accountId: 1 });
  });

  it('names a port in use', async (t) => {
    const { server, port } = await start(t);
    await assert.rejects(server.listen('127.0.0.1', port), { code: 'EADDRINUSE' });
  });
});

describe('maildrop', () => {
  it('reads the listing in pages', async () => {
    const store = new FakeMailboxes();
    for (let uid = 1; uid <= 2_500; uid += 1) store.add(1, uid * 2, 'x'.repeat(uid % 5));
    const maildrop = await openMaildrop(store, 1);
    assert.equal(maildrop.uids.length, 2_500);
    assert.equal(maildrop.uids[2_499], 5_000);
    assert.equal(maildrop.sizesBytes[3], 4);
    assert.equal(maildrop.uidValidity, 77);
    assert.equal(maildrop.truncated, false);
  });

  it('shows the oldest messages of one over the limit', async () => {
    const store = new FakeMailboxes();
    for (let uid = 1; uid <= 1_001; uid += 1) store.add(1, uid, '');
    const cut = await openMaildrop(store, 1, 1_000);
    assert.deepEqual([cut.uids.length, cut.uids.at(-1), cut.truncated], [1_000, 1_000, true]);
    store.messages.get(1)?.delete(1);
    const whole = await openMaildrop(store, 1, 1_000);
    assert.deepEqual([whole.uids.length, whole.uids.at(-1), whole.truncated], [1_000, 1_001, false]);
    assert.equal(MAILDROP_LIMIT, 50_000);
  });
});

/** Messages that clients get wrong first: dots, long lines, eight-bit bytes, empty bodies, an open end. */
function awkwardMessages(): Buffer[] {
  const eightBit = Buffer.from(
    Array.from({ length: 256 }, (_, byte) => byte).filter((b) => b > 13 || b === 9),
  );
  const header =
    'From: a@example.org\r\nTo: ann@example.com\r\nSubject: t\r\nMessage-ID: <ID@example.org>\r\n\r\n';
  const bodies = [
    Buffer.from('.\r\n..\r\n.a\r\n\r\n.\r\n'),
    Buffer.from(`${'long '.repeat(190)}\r\n`),
    Buffer.concat([eightBit, Buffer.from('\r\n')]),
    Buffer.from(''),
    Buffer.from(`${'0123456789abcdef'.repeat(4)}\r\n`.repeat(20_000)),
  ];
  return bodies.map((body, index) => Buffer.concat([Buffer.from(header.replace('ID@', `${index}@`)), body]));
}

describe('POP3 with real clients', () => {
  it('curl lists and collects byte for byte', async (t) => {
    const curl = requireTool(t, 'curl');
    if (curl === null) return;
    const { store, port } = await start(t);
    store.chunkBytes = 4_099;
    const messages = awkwardMessages();
    for (const [index, content] of messages.entries()) store.add(1, index + 1, content);
    const base = ['-sS', '--user', 'ann@example.com:secret', '--max-time', '10'];
    const { stdout: list } = await run(curl, [...base, `pop3://127.0.0.1:${port}/`]);
    assert.deepEqual(
      list.trim().split('\r\n'),
      messages.map((content, index) => `${index + 1} ${content.length}`),
    );
    for (const [index, content] of messages.entries()) {
      const { stdout } = await run(curl, [...base, `pop3://127.0.0.1:${port}/${index + 1}`], {
        encoding: 'buffer',
        maxBuffer: 8 * 1024 * 1024,
      });
      assert.ok(stdout.equals(content), `message ${index + 1} differs`);
    }
    await run(curl, [...base, '--request', 'DELE 2', '-I', `pop3://127.0.0.1:${port}/`]);
    assert.deepEqual([...(store.messages.get(1)?.keys() ?? [])], [1, 3, 4, 5]);
    const refused = run(curl, ['-sS', '--user', 'ann@example.com:wrong', `pop3://127.0.0.1:${port}/`]);
    await assert.rejects(refused, { code: 67 });
  });

  it('fetchmail collects byte for byte and deletes', async (t) => {
    const fetchmail = requireTool(t, 'fetchmail');
    if (fetchmail === null) return;
    const { store, port } = await start(t);
    const messages = awkwardMessages();
    for (const [index, content] of messages.entries()) store.add(1, index + 1, content);
    const folder = await mkdtemp(path.join(tmpdir(), 'cmail-fetchmail-'));
    t.after(() => rm(folder, { recursive: true }));
    const rcFile = path.join(folder, 'rc');
    // The MDA keeps each message in a file of its own, in the order they come.
    const mda = path.join(folder, 'mda');
    await writeFile(mda, `#!/bin/sh\nn=$(ls ${folder} | grep -c out)\ncat > ${folder}/out$n\n`);
    await chmod(mda, 0o700);
    await writeFile(
      rcFile,
      `set no bouncemail\npoll 127.0.0.1 protocol pop3 port ${port} uidl\n` +
        `user "ann@example.com" password "secret" is "root" here mda "${mda}" no keep no rewrite stripcr sslproto ''\n`,
      { mode: 0o600 },
    );
    await run(
      fetchmail,
      [
        '-f',
        rcFile,
        '--nodetach',
        '--pidfile',
        `${folder}/pid`,
        '--nosyslog',
        '--invisible',
        '-i',
        `${folder}/ids`,
      ],
      {
        env: { ...process.env, HOME: folder, FETCHMAILHOME: folder },
        timeout: 15_000,
      },
    );
    for (const [index, content] of messages.entries()) {
      const got = await readFile(path.join(folder, `out${index}`), 'latin1');
      // `stripcr` hands on lines ending in LF, as local files have them.
      assert.equal(got, content.toString('latin1').replaceAll('\r\n', '\n'), `message ${index + 1}`);
    }
    assert.equal(store.messages.get(1)?.size, 0);
  });
});
