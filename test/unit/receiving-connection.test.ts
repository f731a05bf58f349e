/** One client's connection on real sockets and a real store: what it holds, how long it waits, how it ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { Directory } from '../../src/directory/directory.ts';
import type { CrowdLimits } from '../../src/listening/crowd.ts';
import { NoticeRate } from '../../src/receiving/notice-rate.ts';
import { SmtpServer } from '../../src/receiving/smtp-server.ts';
import { Srs } from '../../src/receiving/srs.ts';
import { Submission } from '../../src/receiving/submission.ts';
import { Trace } from '../../src/receiving/trace.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type { Settings } from '../../src/settings/values.ts';
import { HANDED_ON_LIMIT_BYTES, type Storage } from '../../src/storage/contract.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { connect, greeted, type SmtpClient } from '../support/smtp-client.ts';

interface Bench {
  readonly server: SmtpServer;
  readonly storage: Storage;
  readonly port: number;
  readonly databaseFile: string;
  /** For how long the store is said to be away. */
  readonly away: { ms: number };
  set(values: Record<string, string>): void;
}

async function start(
  t: TestContext,
  values: Record<string, string> = {},
  limits?: Partial<CrowdLimits>,
): Promise<Bench> {
  const databaseFile = join(await temporaryFolder(t), 'cmail.db');
  const storage = await openSqliteStorage({ path: databaseFile, busyTimeoutMs: 60_000 });
  await storage.addDomain('here.test');
  await storage.addAccount({ address: 'anna@here.test', passwordHash: null, quotaBytes: null });
  let settings: Settings = buildSettings(new Map(Object.entries(values)));
  const away = { ms: 0 };
  const decision = {
    directory: new Directory(storage),
    noticeRate: new NoticeRate(),
    askForwardHost: async () => 'unreachable' as const,
    srs: new Srs(Buffer.alloc(32, 7)),
    isOwnLiteral: () => false,
  };
  const deps = {
    hostname: 'mail.here.test',
    settings: () => settings,
    storage,
    storeAwayMs: () => away.ms,
    trace: new Trace(Buffer.alloc(32)),
    makeNotices: async () => [],
    decision,
    log: () => undefined,
    ...{ tls: null, signIn: null, submission: new Submission(decision.directory, () => settings) },
  };
  const server = new SmtpServer(deps, limits === undefined ? {} : { limits });
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(async () => {
    await server.close(0);
    await storage.close();
  });
  const set = (changed: Record<string, string>): void => {
    settings = buildSettings(new Map(Object.entries(changed)));
  };
  return { server, storage, port, databaseFile, set, away };
}

async function inData(bench: Bench, t: TestContext): Promise<SmtpClient> {
  const client = await greeted({ host: '127.0.0.1', port: bench.port, replyLimitMs: 30_000 });
  t.after(() => client.destroy());
  const replies = await client.pipeline(['MAIL FROM:<>', 'RCPT TO:<anna@here.test>', 'DATA']);
  assert.deepEqual(
    replies.map((reply) => reply.code),
    [250, 250, 354],
  );
  return client;
}

/** Lets the event loop turn until nothing changes any more. */
async function settled(value: () => number): Promise<number> {
  let last = -1;
  for (let same = 0; same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = value();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}

describe('Buffer Size', () => {
  /** The database is locked from outside and 32 MB wait for it; then one connection sends in small pieces. */
  async function heldWhenStalled(t: TestContext, bufferSizeKb: string): Promise<number> {
    const bench = await start(t, { 'smtp.bufferSize': bufferSizeKb });
    const lock = new DatabaseSync(bench.databaseFile);
    lock.exec('BEGIN IMMEDIATE');
    const fillers = await Promise.all(Array.from({ length: 4 }, () => inData(bench, t)));
    const block = Buffer.from(`${'f'.repeat(1022)}\r\n`.repeat(12 * 1024));
    for (const filler of fillers) filler.socket.write(block);
    const handedOn = await settled(() => bench.storage.handedOnBytes());
    assert.ok(
      handedOn <= HANDED_ON_LIMIT_BYTES && handedOn > HANDED_ON_LIMIT_BYTES - 64 * 1024,
      `${handedOn}`,
    );

    const client = await inData(bench, t);
    const mine = () => bench.server.sessionList().at(-1) ?? assert.fail('no session');
    const before = mine().bytesRead;
    const piece = Buffer.from(`${'p'.repeat(254)}\r\n`.repeat(4));
    // One read for each piece: the next one is written when the server has taken the last, or takes no more.
    for (let sent = 0; sent < 300; sent += 1) {
      client.socket.write(piece);
      const due = before + (sent + 1) * piece.length;
      for (let wait = 0; wait < 10 && mine().bytesRead < due; wait += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (mine().bytesRead < due) break;
    }
    // The fillers may have left a little room in the 32 MB; what went there was handed on and is not held.
    const inRoomLeft = bench.storage.handedOnBytes() - handedOn;
    const taken = (await settled(() => mine().bytesRead)) - before - inRoomLeft;

    // The store moves again: everything that waited is taken and answered.
    lock.exec('ROLLBACK');
    lock.close();
    await client.write('\r\n.\r\n');
    assert.equal((await client.reply()).code, 250);
    for (const filler of fillers) {
      await filler.write('\r\n.\r\n');
      assert.equal((await filler.reply()).code, 250);
    }
    return taken;
  }

  it('at 4 KB a connection takes 4 KB when the store is stalled, at 64 KB it takes 64', {
    timeout: 60_000,
  }, async (t) => {
    const at4 = await heldWhenStalled(t, '4');
    const at64 = await heldWhenStalled(t, '64');
    assert.ok(at4 >= 4 * 1024 && at4 <= 4 * 1024 + 1024, `at 4 KB it took ${at4} bytes`);
    assert.ok(at64 >= 64 * 1024 && at64 <= 64 * 1024 + 1024, `at 64 KB it took ${at64} bytes`);
  });
});

describe('time limits', () => {
  it('ends a client that gives no command, counted to the complete line', async (t) => {
    const bench = await start(t, { 'smtp.timeout.command': '1' });
    const client = await greeted({ host: '127.0.0.1', port: bench.port });
    const drip = setInterval(() => client.socket.write('N'), 100);
    t.after(() => clearInterval(drip));
    const reply = await client.reply();
    assert.match(reply.text, /^4\.4\.2 .*timeout/);
    assert.equal(reply.code, 421);
    await client.ended();
  });

  it('ends data that drips, and lets data go on that is slow but above the rate', async (t) => {
    const bench = await start(t, { 'smtp.timeout.dataBlock': '1', 'smtp.minDataRate': '500' });
    const slow = await inData(bench, t);
    const dripping = await inData(bench, t);
    const timer = setInterval(() => {
      slow.socket.write(`${'s'.repeat(98)}\r\n`);
      dripping.socket.write('d');
    }, 50);
    t.after(() => clearInterval(timer));
    const reply = await dripping.reply();
    assert.equal(reply.code, 421);
    assert.match(reply.text, /too slowly/);
    assert.ok(!slow.closed);
    clearInterval(timer);
    await slow.write('\r\n.\r\n');
    assert.equal((await slow.reply()).code, 250);
  });
});

describe('sessions', () => {
  it('are bounded for one address and in all, and said so', async (t) => {
    const bench = await start(t, {}, { total: 3, perAddress: 2 });
    const open = (localAddress: string) => connect({ host: '127.0.0.1', port: bench.port, localAddress });
    const first = await open('127.0.0.2');
    const second = await open('127.0.0.2');
    assert.equal((await first.greeting()).code, 220);
    assert.equal((await second.greeting()).code, 220);
    const third = await open('127.0.0.2');
    const refusal = await third.greeting();
    assert.equal(refusal.code, 421);
    assert.match(refusal.text, /4\.7\.0.*too many sessions/);
    const other = await open('127.0.0.3');
    assert.equal((await other.greeting()).code, 220);
    assert.equal((await (await open('127.0.0.4')).greeting()).code, 421);
    await second.quit();
    await settled(() => bench.server.sessions);
    const again = await open('127.0.0.2');
    assert.equal((await again.greeting()).code, 220);
    for (const client of [first, other, again]) client.destroy();
  });

  it('a client that never reads its replies is not read from any more', { timeout: 60_000 }, async (t) => {
    const bench = await start(t);
    const long = `${['a', 'b', 'c'].map((letter) => letter.repeat(60)).join('.')}.test`;
    await bench.storage.addDomain(long);
    await bench.storage.setCatchAll(long, 'anna@here.test');
    const client = await greeted({ host: '127.0.0.1', port: bench.port });
    t.after(() => client.destroy());
    client.socket.pause();
    const block = Buffer.from(
      `MAIL FROM:<>\r\n${`RCPT TO:<${'u'.repeat(60)}@${long}>\r\n`.repeat(1000)}RSET\r\n`,
    );
    for (let n = 0; n < 90; n += 1) client.socket.write(block);
    const taken = await settled(() => bench.server.sessionList()[0]?.bytesRead ?? 0);
    assert.ok(
      taken > block.length && taken < 90 * block.length,
      `${taken} of ${90 * block.length} were read`,
    );
  });

  it('a client that only makes noise is told and closed', async (t) => {
    const bench = await start(t);
    const client = await greeted({ host: '127.0.0.1', port: bench.port });
    client.socket.write('NOOP\r\n'.repeat(10_000));
    let replies = 0;
    let last = await client.reply();
    for (; last.code !== 421; replies += 1) last = await client.reply();
    assert.match(last.text, /^4\.7\.0/);
    assert.ok(replies < 200, `${replies} replies`);
    await client.ended();
  });

  it('half-closed by the client still gets its answers', async (t) => {
    const bench = await start(t);
    const client = await connect({ host: '127.0.0.1', port: bench.port });
    await client.greeting();
    client.socket.end('EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<anna@here.test>\r\nDATA\r\n');
    const codes = [];
    for (let n = 0; n < 4; n += 1) codes.push((await client.reply()).code);
    assert.deepEqual(codes, [250, 250, 250, 354]);
    await client.ended();
  });

  it('a setting changed is in force for the next command of an open session', async (t) => {
    const bench = await start(t);
    const client = await greeted({ host: '127.0.0.1', port: bench.port });
    assert.equal((await client.command('MAIL FROM:<> SIZE=2000')).code, 250);
    assert.equal((await client.command('RSET')).code, 250);
    bench.set({ 'smtp.maxIncomingSize': '1KB' });
    const refused = await client.command('MAIL FROM:<> SIZE=2000');
    assert.match(`${refused.code} ${refused.text}`, /^552 5\.3\.4/);
    await client.quit();
  });
});

describe('closing', () => {
  it('says 421 to idle sessions and lets an open transaction finish', async (t) => {
    const bench = await start(t);
    const idle = await greeted({ host: '127.0.0.1', port: bench.port });
    const busy = await inData(bench, t);
    const closed = bench.server.close(10_000);
    assert.equal((await idle.reply()).code, 421);
    await busy.write('Subject: last\r\n\r\nwords\r\n.\r\n');
    assert.equal((await busy.reply()).code, 250);
    assert.equal((await busy.reply()).code, 421);
    await closed;
    await assert.rejects(connect({ host: '127.0.0.1', port: bench.port }));
  });

  it('ends a transaction that does not finish in time', async (t) => {
    const bench = await start(t);
    const busy = await inData(bench, t);
    const gone = once(busy.socket, 'close');
    await bench.server.close(50);
    await gone;
  });
});
