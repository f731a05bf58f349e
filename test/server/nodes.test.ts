/** Two servers on one PostgreSQL: what is done at one of them counts at the other, and what one leaves is taken over. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Cmail, type Endpoint, poll } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { startNodes, type TestNode } from '../support/nodes.ts';
import { type Postgres, startPostgres } from '../support/postgres-server.ts';
import { requirePostgres } from '../support/require.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const FROM = 'anna@here.test';
/** A change is polled for twice a second; the rest is for a busy machine. */
const WITHIN_MS = 2_500;
const TAKEOVER_MS = 30_000;

interface World {
  readonly a: TestNode;
  /** Starts the second node on the first call. */
  b(): Promise<TestNode>;
  readonly peer: SmtpPeer;
  readonly database: Postgres;
}

/** `mx` is the server of far.test; the peer by default. */
async function startWorld(t: TestContext, mx?: { address: string; port: number }): Promise<World> {
  const database = await startPostgres();
  t.after(() => database.close());
  const peer = await startSmtpPeer({}, { address: '127.0.0.8' });
  t.after(() => peer.close());
  const { address, port } = mx ?? peer;
  const dns = await startDnsServer({
    'far.test': ['MX 10 mx.far.test'],
    'mx.far.test': [`A ${address}`],
  });
  t.after(() => dns.close());
  const { nodes, add } = await startNodes(t, database, {
    count: 1,
    config: { dns: { servers: [dns.address] } },
    domains: ['here.test'],
    accounts: [{ address: FROM }],
    settings: { 'smtp.outboundPort': String(port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  const [a] = nodes;
  assert.ok(a);
  let second: Promise<TestNode> | undefined;
  return { a, b: () => (second ??= add()), peer, database };
}

/** A server that lets its first session wait for 354 until it is told to go on, and takes all else at once. */
async function startLatePeer(t: TestContext, address: string) {
  const gate = Promise.withResolvers<void>();
  const state = { address, port: 0, asked: 0, messages: 0, firstEnded: false, goOn: () => gate.resolve() };
  let sessions = 0;
  const server = createServer((socket) => {
    const first = ++sessions === 1;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (first) state.firstEnded = true;
    });
    t.after(() => socket.destroy());
    let text = '';
    let inData = false;
    const answer = async (line: string): Promise<void> => {
      if (line === 'DATA') {
        state.asked += 1;
        if (first) await gate.promise;
        inData = true;
      }
      const code = line === 'DATA' ? 354 : line === 'QUIT' ? 221 : 250;
      if (!socket.destroyed) socket.write(`${code} ok\r\n`);
    };
    socket.setEncoding('latin1').on('data', (more: string) => {
      text += more;
      for (;;) {
        const mark = inData ? '\r\n.\r\n' : '\r\n';
        const end = text.indexOf(mark);
        if (end < 0) return;
        const line = text.slice(0, end);
        text = text.slice(end + mark.length);
        if (inData) state.messages += 1;
        inData = false;
        void answer(line);
      }
    });
    socket.write('220 late.test\r\n');
  });
  server.listen(0, address);
  await once(server, 'listening');
  t.after(() => void server.close());
  const bound = server.address();
  state.port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return state;
}

interface Status {
  readonly queue: { readonly queued: number; readonly sending: number } | null;
  readonly alarms: readonly string[];
  readonly nodes:
    | readonly { name: string; alive: boolean; self: boolean; listeners: { smtp: string[] } }[]
    | null;
}

async function submit({ listeners }: Cmail, to: string): Promise<string> {
  const client = await greeted(listeners.smtp);
  const data = letter({ from: FROM, to, subject: 'hello' });
  const sent = await client.sendMessage({ from: FROM, to: [to], data });
  await client.quit();
  assert.ok(sent.id !== undefined, sent.end?.text ?? 'not accepted');
  return sent.id;
}

async function rcpt(place: Endpoint, to: string): Promise<number> {
  const client = await greeted(place);
  await client.command('MAIL FROM:<>');
  const { code } = await client.command(`RCPT TO:<${to}>`);
  await client.quit();
  return code;
}

/** Logs in; resolves to the answer and the way to end. */
async function logIn(t: TestContext, { host, port }: Endpoint) {
  const socket = connectTcp(port, host);
  t.after(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more;
  });
  socket.on('error', () => undefined);
  const line = () =>
    poll('a POP3 answer', async () => {
      const end = text.indexOf('\r\n');
      if (end < 0) return undefined;
      const found = text.slice(0, end);
      text = text.slice(end + 2);
      return found;
    });
  const say = (command: string) => {
    socket.write(`${command}\r\n`);
    return line();
  };
  await line();
  await say(`USER ${FROM}`);
  return { answer: await say('PASS secret-password'), say, drop: () => socket.destroy() };
}

test('two nodes on one PostgreSQL', { timeout: 300_000 }, async (t) => {
  if (!requirePostgres(t)) return;
  const world = await startWorld(t);
  const [a, b] = [world.a.cmail, (await world.b()).cmail];

  await t.test('each shows both in its status', async () => {
    for (const node of [a, b]) {
      const { nodes } = await node.json<Status>(['status']);
      const found = (nodes ?? []).map(({ name, alive, listeners }) => [name, alive, listeners.smtp.length]);
      assert.deepEqual(found.sort(), [
        ['node1.cmail.test', true, 1],
        ['node2.cmail.test', true, 1],
      ]);
      assert.equal(nodes?.filter(({ self }) => self).length, 1);
      const text = await node.run(['status']);
      assert.match(text, /node1\.cmail\.test.*: alive, seen .*smtp 127\.0\.0\.1:\d+/);
      assert.match(text, /node2\.cmail\.test.*: alive, seen .*smtp 127\.0\.0\.1:\d+/);
    }
  });

  await t.test('a setting changed at one is in force at the other within a second', async () => {
    await a.set({ 'smtp.maxIncomingSize': '1MB' });
    const startedAt = performance.now();
    const sizeOf = async () => {
      const client = await greeted(b.listeners.smtp);
      const { text } = await client.command('EHLO client.test');
      await client.quit();
      return /SIZE 1048576\b/.test(text);
    };
    await poll('the new size in EHLO of the other', sizeOf, WITHIN_MS);
    t.diagnostic(`in force after ${Math.round(performance.now() - startedAt)} ms`);
  });

  await t.test('of two that change the same at the same moment none is lost without a word', async () => {
    const set = async (node: Cmail, hops: string) =>
      (await node.cli(['settings', 'set', 'smtp.hopLimit', hops])).code === 0;
    const done = await Promise.all([set(a, '41'), set(b, '42')]);
    interface Entry {
      readonly key: string;
      readonly old: string;
      readonly new: string;
    }
    const history = await b.json<Entry[]>(['settings', 'history']);
    const changes = history.filter(({ key }) => key === 'smtp.hopLimit').reverse();
    assert.equal(changes.length, done.filter((ok) => ok).length);
    assert.equal(changes[0]?.old, '100');
    if (changes.length === 2) assert.equal(changes[1]?.old, changes[0]?.new);
    for (const node of [a, b]) {
      const inForce = async () =>
        String((await node.json<{ value: number }>(['settings', 'get', 'smtp.hopLimit'])).value);
      await poll(
        'the last change in force',
        async () => (await inForce()) === changes.at(-1)?.new,
        WITHIN_MS,
      );
    }
  });

  await t.test('an account made at one gets mail by the other, which had refused it before', async () => {
    assert.equal(await rcpt(b.listeners.smtp, 'new@here.test'), 550);
    await a.run(['account', 'add', 'new@here.test', '--password-stdin'], { input: 'a good password\n' });
    const known = async () => (await rcpt(b.listeners.smtp, 'new@here.test')) === 250;
    await poll('the new account to be known', known, WITHIN_MS);
    await submit(b, 'new@here.test');
    assert.equal((await a.json<unknown[]>(['mail', 'list', 'new@here.test'])).length, 1);
    await b.run(['account', 'remove', 'new@here.test']);
    const gone = async () => (await rcpt(a.listeners.smtp, 'new@here.test')) === 550;
    await poll('the removed account to be unknown', gone, WITHIN_MS);
  });

  await t.test('a mailbox open at one is in use at the other, until that session ends', async () => {
    const first = await logIn(t, a.listeners.pop3);
    assert.match(first.answer, /^\+OK/);
    const refused = await logIn(t, b.listeners.pop3);
    assert.match(refused.answer, /^-ERR \[IN-USE\]/);
    refused.drop();
    assert.match(await first.say('QUIT'), /^\+OK/);
    const second = await logIn(t, b.listeners.pop3);
    assert.match(second.answer, /^\+OK/);
    second.drop();
    const free = async () => {
      const again = await logIn(t, a.listeners.pop3);
      again.drop();
      return again.answer.startsWith('+OK');
    };
    await poll('the dropped session to have given it back', free, WITHIN_MS);
  });

  await t.test('what is held, released and retried at one is done by whichever has it', async () => {
    world.peer.script({ at: { rcpt: '450 4.2.1 Not now' } });
    const id = await submit(a, 'x@far.test');
    interface Message {
      readonly recipients: readonly { readonly state: string; readonly attempts: number }[];
    }
    const recipient = async (node: Cmail) => (await node.json<Message>(['message', id])).recipients[0];
    await poll('the first attempt', async () => {
      const found = await recipient(b);
      return found?.attempts === 1 && found.state === 'queued';
    });
    world.peer.script({});
    await b.run(['queue', 'hold', id]);
    assert.equal((await recipient(a))?.state, 'held');
    await b.run(['queue', 'release', id]);
    await b.run(['queue', 'retry', id]);
    await world.peer.waitForMessages(1, 5_000);
    await poll('delivered', async () => (await recipient(a))?.state === 'delivered');
  });
});

test('what a killed node had claimed is delivered by the other within 30 s', {
  timeout: 180_000,
}, async (t) => {
  if (!requirePostgres(t)) return;
  const { a, b, peer } = await startWorld(t);
  // It holds the transaction of the first node for as long as that lives.
  peer.script({ at: { end: ['silent', 'ok'] } });
  const id = await submit(a.cmail, 'x@far.test');
  await poll('the first node to wait for the last reply', async () =>
    peer.sessions.some(({ commands }) => commands.at(-1) === 'DATA'),
  );
  const session = await logIn(t, a.cmail.listeners.pop3);
  assert.match(session.answer, /^\+OK/);
  const other = (await b()).cmail;
  await a.cmail.kill9();
  const startedAt = performance.now();
  await peer.waitForMessages(1, TAKEOVER_MS);
  t.diagnostic(`delivered ${Math.round(performance.now() - startedAt)} ms after the kill`);
  interface Message {
    readonly recipients: readonly { readonly state: string }[];
  }
  const stateOf = async () => (await other.json<Message>(['message', id])).recipients[0]?.state;
  await poll('it to be recorded', async () => (await stateOf()) === 'delivered');
  assert.equal(peer.messages.length, 1);
  const free = async () => {
    const again = await logIn(t, other.listeners.pop3);
    again.drop();
    return again.answer.startsWith('+OK');
  };
  await poll('the mailbox of the dead node’s session to be free', free, TAKEOVER_MS);
  const { nodes } = await other.json<Status>(['status']);
  const dead = nodes?.find(({ name }) => name === a.name);
  assert.ok(dead === undefined || !dead.alive);
});

/** Ways for a node to lose its claims while it lives, and back. */
const LOSSES = {
  'cut off from the database': [({ way }: TestNode) => way.stall(), ({ way }: TestNode) => way.heal()],
  'stopped for a while': [
    ({ cmail }: TestNode) => process.kill(cmail.pid, 'SIGSTOP'),
    ({ cmail }: TestNode) => process.kill(cmail.pid, 'SIGCONT'),
  ],
} as const;

for (const [how, [lose, regain]] of Object.entries(LOSSES)) {
  test(`a node ${how} in mid-message does not end what another one has delivered`, {
    timeout: 180_000,
  }, async (t) => {
    if (!requirePostgres(t)) return;
    const far = await startLatePeer(t, '127.0.0.9');
    const { a, b } = await startWorld(t, far);
    await submit(a.cmail, 'x@far.test');
    await poll('the first node to say DATA', async () => far.asked === 1);
    await b();
    lose(a);
    const startedAt = performance.now();
    // What hangs is bounded: nobody waits for the database for ever.
    if (how.startsWith('cut')) assert.equal(await rcpt(a.cmail.listeners.smtp, 'somebody@here.test'), 451);
    await poll('the other node to deliver', async () => far.messages === 1, TAKEOVER_MS);
    t.diagnostic(`delivered ${Math.round(performance.now() - startedAt)} ms after it was lost`);
    far.goOn();
    if (how.startsWith('stopped')) regain(a);
    await poll('the first node to hang up', async () => far.firstEnded);
    assert.equal(far.messages, 1);
    regain(a);
    const takes = async () => (await rcpt(a.cmail.listeners.smtp, FROM).catch(() => 0)) === 250;
    await poll('it to take mail again', takes, 40_000);
    await submit(a.cmail, 'y@far.test');
    await poll('its next message', async () => far.messages === 2, 20_000);
    await new Promise((done) => setTimeout(done, 2_000));
    assert.equal(far.messages, 2);
  });
}

test('a node cut off from the database serves nobody, sends nothing, and is back by itself', {
  timeout: 180_000,
}, async (t) => {
  if (!requirePostgres(t)) return;
  const { a, b, peer } = await startWorld(t);
  await b();
  a.way.drop();
  const place = a.cmail.listeners.smtp;
  assert.equal(await rcpt(place, 'somebody@here.test'), 451);
  const { queue, nodes, alarms } = await a.cmail.json<Status>(['status']);
  assert.deepEqual([queue, nodes], [null, null]);
  assert.match(alarms.join('\n'), /database/);
  const refused = await a.cmail.cli(['domain', 'list']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Look at the database of store\.url/);
  a.way.heal();
  await poll(
    'it to take mail again',
    async () => {
      const client = await greeted(place).catch(() => undefined);
      if (client === undefined) return false;
      await client.command('MAIL FROM:<>');
      const { code } = await client.command(`RCPT TO:<${FROM}>`);
      client.destroy();
      return code === 250;
    },
    15_000,
  );
  await submit(a.cmail, 'y@far.test');
  await peer.waitForMessages(1, 15_000);
  const quiet = async () => (await a.cmail.json<Status>(['status'])).alarms.length === 0;
  await poll('the alarm to be over', quiet, 5_000);
});
