/**
 * The store goes away and comes back, under everything that needs it: clients are put off, nothing is bounced or
 * sent twice, and all goes on by itself.
 */
import assert from 'node:assert/strict';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { OperationError } from '../../src/admin/context.ts';
import { operationFailure } from '../../src/admin/operation.ts';
import { Directory } from '../../src/directory/directory.ts';
import { DnsHealth } from '../../src/dns/health.ts';
import { Pop3Server } from '../../src/pop3/server.ts';
import { NoticeRate } from '../../src/receiving/notice-rate.ts';
import { createRedecide } from '../../src/receiving/redecide.ts';
import { SmtpServer } from '../../src/receiving/smtp-server.ts';
import { Srs } from '../../src/receiving/srs.ts';
import { Submission } from '../../src/receiving/submission.ts';
import { Trace } from '../../src/receiving/trace.ts';
import { Sender, type SenderOptions } from '../../src/sending/sender.ts';
import { createAdminContext } from '../../src/server/admin-context.ts';
import type { Core } from '../../src/server/core.ts';
import { noticeMaker } from '../../src/server/notice-maker.ts';
import { type Storage, StorageError } from '../../src/storage/contract.ts';
import { guardStore } from '../../src/storage/guard.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { accept, local, makeAccount, queued } from '../contract/storage-fixture.ts';
import { poll, temporaryFolder } from '../support/cmail.ts';
import { moodyStorage } from '../support/moody-storage.ts';
import { connect, greeted, letter } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeSettings, route } from './sending-world.ts';

/** What hangs is given up after this long. */
const LIMIT_MS = 200;

async function makeWorld(t: TestContext) {
  const inner = await openSqliteStorage({ path: join(await temporaryFolder(t), 'cmail.db') });
  // Threads start when they are first asked, which may take longer than a call is waited for here.
  await inner.counts();
  const anna = await makeAccount(inner, 'anna@here.test');
  await makeAccount(inner, 'bob@here.test');
  const moody = moodyStorage(inner);
  const { storage, awayMs } = guardStore(moody.storage, { place: 'database', limitMs: LIMIT_MS });
  t.after(async () => {
    moody.set('well');
    await inner.close();
  });
  const settings = () => makeSettings();
  const decision = {
    directory: new Directory(storage),
    noticeRate: new NoticeRate(),
    askForwardHost: async () => 'unreachable' as const,
    srs: new Srs(Buffer.alloc(32, 7)),
    isOwnLiteral: () => false,
  };
  const logged: string[] = [];
  const log = (level: string, message: string) => void logged.push(`${level} ${message}`);
  return { inner, anna, moody, storage, awayMs, settings, decision, log, logged };
}

type World = Awaited<ReturnType<typeof makeWorld>>;

async function smtpPort(t: TestContext, world: World, storeAwayMs = world.awayMs): Promise<number> {
  const { settings, storage, decision, log } = world;
  const trace = new Trace(Buffer.alloc(32));
  const server = new SmtpServer({
    ...{ hostname: 'mail.here.test', settings, storage, storeAwayMs, trace, decision, log },
    makeNotices: async () => [],
    ...{ tls: null, signIn: null, submission: new Submission(decision.directory, settings) },
  });
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(() => server.close(0));
  return port;
}

async function sendingTo(
  t: TestContext,
  world: World,
  far: SmtpPeer,
  options: Partial<SenderOptions> = {},
): Promise<{ sender: Sender; notices: number }> {
  const { storage, settings, decision, log } = world;
  const made = { notices: 0 };
  const plan = async () => route([host(far)]);
  const sender = new Sender(
    {
      store: storage,
      settings,
      routes: { plan, fallback: async () => null },
      redecide: createRedecide(decision, settings),
      makeNotices: async () => {
        made.notices += 1;
        return [];
      },
      ...{ hostname: 'mail.here.test', log },
    },
    { pollMs: 100, ...options },
  );
  t.after(() => sender.stop(100));
  sender.start();
  return Object.assign(made, { sender });
}

async function farPeer(t: TestContext, script: Parameters<typeof startSmtpPeer>[0] = {}): Promise<SmtpPeer> {
  const far = await startSmtpPeer(script);
  t.after(() => far.close());
  return far;
}

const MAIL = { from: 'x@far.test', data: letter({ from: 'x@far.test', to: 'anna@here.test', subject: 'x' }) };

describe('receiving while the store is away', () => {
  for (const mood of ['fails', 'hangs'] as const) {
    it(`answers 451 4.3.0 at RCPT and at the end of the data when it ${mood}, and 250 in the same session after`, async (t) => {
      const world = await makeWorld(t);
      const client = await greeted({ host: '127.0.0.1', port: await smtpPort(t, world) });
      t.after(() => client.destroy());
      const say = async (line: string) => {
        const { code, enhanced } = await client.command(line);
        return `${code} ${enhanced}`;
      };
      world.moody.set(mood);
      assert.equal(await say('MAIL FROM:<x@far.test>'), '250 2.1.0');
      assert.equal(await say('RCPT TO:<anna@here.test>'), '451 4.3.0');
      assert.equal(await say('RCPT TO:<postmaster>'), '451 4.3.0');
      world.moody.set('well');
      assert.equal(await say('RCPT TO:<anna@here.test>'), '250 2.1.5');
      assert.equal((await client.command('DATA')).code, 354);
      world.moody.set(mood);
      assert.equal(await say(`${MAIL.data}.`), '451 4.3.0');
      world.moody.set('well');
      const sent = await client.sendMessage({ ...MAIL, to: ['anna@here.test'] });
      assert.equal(sent.end?.code, 250, sent.end?.text);
      assert.equal(world.inner.handedOnBytes(), 0);
    });
  }

  it('refuses new sessions with 421 once it has been away for 10 s, and takes them when it is back', async (t) => {
    const world = await makeWorld(t);
    let awayMs = 9_900;
    const port = await smtpPort(t, world, () => awayMs);
    const place = { host: '127.0.0.1', port };
    const before = await greeted(place);
    awayMs = 10_100;
    const refused = await connect(place);
    const { code, enhanced, text } = await refused.reply();
    assert.equal(`${code} ${enhanced}`, '421 4.3.0', text);
    assert.doesNotMatch(text, /database|store|sqlite|disk/i, 'what we stand on is nobody else’s business');
    await refused.ended();
    assert.equal((await before.command('NOOP')).code, 250, 'open sessions go on');
    awayMs = 0;
    await (await greeted(place)).quit();
    await before.quit();
  });

  it('a notice of how long it is away comes from the calls themselves', async (t) => {
    const world = await makeWorld(t);
    const client = await greeted({ host: '127.0.0.1', port: await smtpPort(t, world) });
    t.after(() => client.destroy());
    world.moody.set('hangs');
    await client.command('MAIL FROM:<>');
    await client.command('RCPT TO:<anna@here.test>');
    assert.ok(world.awayMs() >= LIMIT_MS * 0.9);
    world.moody.set('well');
    await client.command('RCPT TO:<anna@here.test>');
    assert.equal(world.awayMs(), 0);
  });
});

describe('POP3 while the store is away', () => {
  for (const mood of ['fails', 'hangs'] as const) {
    it(`answers [SYS/TEMP] when it ${mood}, keeps what was to be deleted, and goes on after`, async (t) => {
      const world = await makeWorld(t);
      await accept(world.inner, [local(world.anna)]);
      const server = new Pop3Server({
        mailboxes: world.storage,
        authenticate: async () => {
          const account = await world.storage.account('anna@here.test');
          return account === null ? { failure: 'auth', text: 'nobody' } : { accountId: account.id };
        },
        ...{ hostname: 'mail.here.test', log: world.log },
      });
      t.after(() => server.close(0));
      const { port } = await server.listen('127.0.0.1', 0);
      const say = await pop3(t, port);
      world.moody.set(mood);
      await say('USER anna@here.test');
      assert.match(await say('PASS x'), /^-ERR \[SYS\/TEMP\]/);
      world.moody.set('well');
      await say('USER anna@here.test');
      assert.match(await say('PASS x'), /^\+OK 1 messages/);
      world.moody.set(mood);
      assert.match(await say('RETR 1'), /^-ERR \[SYS\/TEMP\]/);
      assert.match(await say('DELE 1'), /^\+OK/);
      assert.match(await say('QUIT'), /^-ERR \[SYS\/TEMP\]/);
      world.moody.set('well');
      // Given back by itself, and with everything in it.
      const logIn = async () => {
        const again = await pop3(t, port);
        await again('USER anna@here.test');
        const answer = await again('PASS x');
        return /^\+OK 1 messages/.test(answer) && answer;
      };
      await poll('the mailbox to be free', logIn, 5_000);
    });
  }
});

/** A POP3 client, greeted. */
async function pop3(t: TestContext, port: number): Promise<(line: string) => Promise<string>> {
  const socket: Socket = connectTcp(port, '127.0.0.1');
  t.after(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more;
  });
  socket.on('error', () => undefined);
  const line = () =>
    poll('an answer', async () => {
      const end = text.indexOf('\r\n');
      if (end < 0) return undefined;
      const found = text.slice(0, end);
      text = text.slice(end + 2);
      return found;
    });
  await line();
  return (command) => {
    socket.write(`${command}\r\n`);
    return line();
  };
}

describe('sending while the store is away', () => {
  for (const mood of ['fails', 'hangs'] as const) {
    it(`records what went out meanwhile when it ${mood}, sends it once, and goes on by itself`, async (t) => {
      const world = await makeWorld(t);
      const far = await farPeer(t, {
        beforeTaken: () => world.moody.set(mood),
      });
      const made = await sendingTo(t, world, far);
      const id = await accept(world.inner, [queued('x@far.test')]);
      await far.waitForMessages(1);
      far.script({});
      const later = await accept(world.inner, [queued('y@far.test')]);
      await new Promise((done) => setTimeout(done, 600));
      assert.equal(far.messages.length, 1, 'nothing is claimed while the store is away');
      world.moody.set('well');
      const startedAt = performance.now();
      const stateOf = async (message: number) =>
        (await world.inner.message(message))?.message.recipients[0]?.state;
      const both = async () => (await stateOf(id)) === 'delivered' && (await stateOf(later)) === 'delivered';
      await poll('both to be recorded as delivered', both, 8_000);
      assert.ok(performance.now() - startedAt < 6_000);
      assert.deepEqual([far.messages.length, made.notices], [2, 0]);
    });

    it(`ends no message when it ${mood} for longer than the lease, and sends it once after`, async (t) => {
      const world = await makeWorld(t);
      // Every reply takes 25 ms a byte: the lease is over long before the data could be.
      const far = await farPeer(t, { dripMs: 25 });
      const made = await sendingTo(t, world, far, { leaseMs: 1_000, renewMs: 100 });
      const id = await accept(world.inner, [queued('x@far.test')]);
      await poll('a session', async () => far.sessions.length > 0);
      world.moody.set(mood);
      await poll('it to be broken off', async () => far.sessions[0]?.endedAt !== undefined);
      assert.deepEqual([far.messages.length, far.refused.length], [0, 0]);
      far.script({});
      world.moody.set('well');
      await far.waitForMessages(1);
      const found = () => world.inner.message(id);
      await poll(
        'delivered',
        async () => (await found())?.message.recipients[0]?.state === 'delivered',
        8_000,
      );
      assert.deepEqual([far.messages.length, made.notices], [1, 0]);
    });
  }

  it('stops in time although what it delivered cannot be recorded and the queue not be read', async (t) => {
    const world = await makeWorld(t);
    const { storage } = guardStore(world.moody.storage, { place: 'database', limitMs: 60_000 });
    const far = await farPeer(t, { beforeTaken: () => world.moody.set('hangs') });
    const { sender } = await sendingTo(t, { ...world, storage }, far);
    await accept(world.inner, [queued('x@far.test')]);
    await far.waitForMessages(1);
    const startedAt = performance.now();
    await sender.stop(100);
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 5_500, `${tookMs} ms`);
  });

  it('puts off for seconds, not for the whole retry interval, what could not be read', async (t) => {
    const world = await makeWorld(t);
    const far = await farPeer(t);
    const onlyBodies = moodyStorage(world.inner, ['openBody']);
    onlyBodies.set('fails');
    await sendingTo(
      t,
      { ...world, storage: guardStore(onlyBodies.storage, { place: 'database' }).storage },
      far,
    );
    const id = await accept(world.inner, [queued('x@far.test')]);
    const recipient = await poll('the attempt', async () => {
      const found = (await world.inner.message(id))?.message.recipients[0];
      return found?.lastKind === 'local' && found;
    });
    assert.equal(recipient.state, 'queued');
    const waitMs = (recipient.nextAttemptAt ?? 0) - Date.now();
    assert.ok(waitMs > 5_000 && waitMs <= 10_000, `${waitMs} ms`);
    assert.equal(far.messages.length, 0);
  });
});

describe('a failure while the store is away', () => {
  it('waits until its notice can be addressed, and is then told to its sender', async (t) => {
    const world = await makeWorld(t);
    const far = await farPeer(t, { at: { rcpt: '550 5.1.1 Unknown' } });
    const directory = moodyStorage(world.inner, ['domain', 'entry', 'postmaster']);
    const decision = { ...world.decision, directory: new Directory(directory.storage) };
    const { settings, storage, log } = world;
    const makeNotices = noticeMaker({ hostname: 'mail.here.test', storage, settings, decision, log });
    // At the first attempt the directory goes away between the decision and the notice.
    let attempts = 0;
    const plan = async () => {
      if (attempts++ === 0) directory.set('fails');
      return route([host(far)]);
    };
    const redecide = createRedecide(world.decision, settings);
    const sender = new Sender(
      {
        ...{ store: storage, settings, redecide, makeNotices, hostname: 'mail.here.test', log },
        routes: { plan, fallback: async () => null },
      },
      { pollMs: 100 },
    );
    t.after(() => sender.stop(100));
    const id = await accept(world.inner, [queued('x@far.test')], 'Subject: x\r\n\r\n', {
      sender: 'anna@here.test',
    });
    sender.start();
    const recipientOf = async () => (await world.inner.message(id))?.message.recipients[0];
    const waiting = await poll('the attempt', async () => {
      const found = await recipientOf();
      return found?.state === 'queued' && found.attempts === 1 && found;
    });
    assert.equal(waiting.lastKind, 'local');
    const anna = { afterUid: 0, limit: 10 };
    assert.deepEqual((await world.inner.inbox(world.anna.id, anna)).entries, []);
    directory.set('well');
    await world.inner.retry({ all: true }, 'root');
    await poll('the failure', async () => (await recipientOf())?.state === 'failed');
    assert.equal((await world.inner.inbox(world.anna.id, anna)).entries.length, 1);
  });
});

describe('administration while the store is away', () => {
  it('status still tells what this process knows, and why it does not know more', async (t) => {
    const world = await makeWorld(t);
    const core: Partial<Core> = { storage: world.storage, dnsHealth: new DnsHealth() };
    const config = { hostname: 'mail.here.test', data: '/nowhere' } as Core['config'];
    const { status } = createAdminContext({ ...core, config } as Core, null);
    const well = (await status()) as { queue: unknown; nodes: unknown; alarms: string[] };
    assert.deepEqual([well.alarms, well.nodes], [[], []]);
    assert.notEqual(well.queue, null);
    world.moody.set('fails');
    const away = (await status()) as { queue: unknown; nodes: unknown; alarms: string[] };
    assert.deepEqual([away.queue, away.nodes], [null, null]);
    assert.match(away.alarms[0] ?? '', /connection is lost.*look at the database of store\.url/);
  });

  it('status tells of a node that was started again once', async (t) => {
    const world = await makeWorld(t);
    const node = (id: string, name: string, alive: boolean, seenAt: number) => ({
      ...{ id, name, alive, seenAt, startedAt: 0, version: '1', listeners: {}, destinations: 0 },
    });
    const nodes = async () => [
      node('1', 'b.example', false, 10),
      node('2', 'b.example', false, 30),
      node('3', 'a.example', true, 20),
      node('4', 'a.example', false, 25),
      node('5', 'a.example', true, 40),
    ];
    const counts = () => world.inner.counts();
    const part: Partial<Storage> = { nodes, nodeId: '3', counts, handedOnBytes: () => 0, alarms: () => [] };
    const storage = part as Storage;
    const config = { hostname: 'mail.here.test', data: '/nowhere' } as Core['config'];
    const { status } = createAdminContext({ storage, config, dnsHealth: new DnsHealth() } as Core, null);
    const told = (await status()) as { nodes: { id: string }[] };
    assert.deepEqual(told.nodes.map(({ id }) => id).sort(), ['2', '3', '5']);
  });

  it('a refused operation names the place to look at', () => {
    const trouble = (place: 'disk' | 'database') =>
      operationFailure(new StorageError('unavailable', 'gone', { place })).mend;
    assert.match(trouble('database') ?? '', /^Look at the database of store\.url/);
    assert.match(trouble('disk') ?? '', /^Look at the disk that holds the data folder/);
    assert.equal(operationFailure(new OperationError('no', 'do')).mend, 'do');
  });
});
