/** The receiving server towards people and strangers: TLS, sign-in, submission, greet delay. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { Directory } from '../../src/directory/directory.ts';
import { hashPassword } from '../../src/directory/password.ts';
import { SignIn } from '../../src/directory/sign-in.ts';
import { NoticeRate } from '../../src/receiving/notice-rate.ts';
import { type ListenerOptions, SmtpServer, type SmtpServerOptions } from '../../src/receiving/smtp-server.ts';
import { Srs } from '../../src/receiving/srs.ts';
import { Submission } from '../../src/receiving/submission.ts';
import { Trace } from '../../src/receiving/trace.ts';
import { buildSettings } from '../../src/settings/build.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { makeCertificates } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cmail.ts';

const AUTH = `AUTH PLAIN ${Buffer.from('\0ann@here.test\0right one').toString('base64')}`;

async function start(
  t: TestContext,
  values: Record<string, string> = {},
  listener: ListenerOptions = {},
  options: SmtpServerOptions = {},
) {
  const storage = await openSqliteStorage({
    path: join(await temporaryFolder(t), 'store.db'),
    takeOver: true,
  });
  await storage.addDomain('here.test');
  const passwordHash = await hashPassword('right one');
  const ann = await storage.addAccount({ address: 'ann@here.test', passwordHash, quotaBytes: null });
  await storage.addAccount({ address: 'bob@here.test', passwordHash, quotaBytes: null });
  await storage.addAlias({ address: 'sales@here.test', targets: ['team@here.test'] });
  await storage.addAlias({
    address: 'team@here.test',
    targets: ['x@else.test', 'ann@here.test', 'sales@here.test'],
  });
  let settings = buildSettings(new Map(Object.entries(values)));
  const directory = new Directory(storage);
  const pair = await makeCertificates(t, ['localhost']);
  const context = createSecureContext({ cert: pair.cert, key: pair.key });
  const submission = new Submission(directory, () => settings);
  const server = new SmtpServer(
    {
      ...{ hostname: 'mail.here.test', settings: () => settings, storage, storeAwayMs: () => 0 },
      decision: {
        directory,
        noticeRate: new NoticeRate(),
        askForwardHost: async () => 'unreachable',
        srs: new Srs(Buffer.alloc(32, 7)),
        isOwnLiteral: () => false,
      },
      ...{
        trace: new Trace(Buffer.alloc(32)),
        makeNotices: async () => [],
        log: () => undefined,
        submission,
      },
      tls: { contextFor: () => context },
      signIn: new SignIn(storage, () => undefined),
    },
    options,
  );
  const { port } = await server.listen('127.0.0.1', 0, listener);
  t.after(async () => {
    await server.close(0);
    await storage.close();
  });
  const set = (changed: Record<string, string>): void => {
    settings = buildSettings(new Map(Object.entries(changed)));
  };
  const mailOf = async (n: number): Promise<string> => {
    const reader = await storage.openEntry(ann.id, n);
    const parts: Uint8Array[] = [];
    for await (const chunk of reader?.chunks() ?? []) parts.push(chunk);
    return Buffer.concat(parts).toString();
  };
  return { server, port, submission, set, mailOf, storage };
}

/** A client that says one thing after the other, in clear or under TLS. */
class Talk {
  #stream: NodeJS.ReadWriteStream & { destroy(): void };
  #text = '';
  ended = false;

  constructor(port: number, localAddress = '127.0.0.2') {
    this.#stream = connectTcp({ port, host: '127.0.0.1', localAddress });
    this.#listen();
  }

  #listen(): void {
    this.#stream.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString();
    });
    this.#stream.on('error', () => undefined);
    this.#stream.on('close', () => {
      this.ended = true;
    });
  }

  /** The text of the next whole reply. */
  async reply(): Promise<string> {
    for (let n = 0; n < 1_000; n += 1) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(this.#text)?.[0];
      if (whole !== undefined) {
        this.#text = this.#text.slice(whole.length);
        return whole.trim();
      }
      assert.ok(!this.ended, `closed after ${JSON.stringify(this.#text)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return assert.fail('no reply');
  }

  async say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  write(text: string): void {
    this.#stream.write(text);
  }

  async tls(): Promise<void> {
    const clear = this.#stream;
    clear.removeAllListeners('data');
    const secured = connectTls({ socket: clear as never, rejectUnauthorized: false });
    await once(secured, 'secureConnect');
    this.#stream = secured;
    this.#listen();
  }

  async closed(): Promise<void> {
    for (let n = 0; !this.ended; n += 1) {
      assert.ok(n < 1_000, 'still open');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

async function greeted(
  t: TestContext,
  port: number,
  hello = 'EHLO client.test',
  localAddress?: string,
): Promise<Talk> {
  const talk = new Talk(port, localAddress);
  t.after(() => talk.destroy());
  assert.match(await talk.reply(), /^220 /);
  await talk.say(hello);
  return talk;
}

async function underTls(t: TestContext, port: number): Promise<Talk> {
  const talk = await greeted(t, port);
  assert.match(await talk.say('STARTTLS'), /^220 /);
  await talk.tls();
  await talk.say('EHLO client.test');
  return talk;
}

async function send(talk: Talk, from: string, text: string): Promise<string> {
  for (const line of [`MAIL FROM:<${from}>`, 'RCPT TO:<ann@here.test>']) {
    const answer = await talk.say(line);
    if (!answer.startsWith('2')) return answer;
  }
  await talk.say('DATA');
  talk.write(text);
  return talk.say('.');
}

describe('STARTTLS on a real socket', () => {
  it('what is sent in clear behind it does nothing, in the same packet or in the next', async (t) => {
    const { port, storage } = await start(t);
    const injected =
      'EHLO evil\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<ann@here.test>\r\nDATA\r\nevil\r\n.\r\n';
    const talk = await greeted(t, port);
    talk.write(`STARTTLS\r\n${injected}`);
    assert.match(await talk.reply(), /^220 /);
    await talk.tls();
    assert.match(await talk.say('MAIL FROM:<>'), /^503 5\.5\.1 Send EHLO/);
    const late = await greeted(t, port);
    assert.match(await late.say('STARTTLS'), /^220 /);
    late.write(injected);
    await late.closed();
    assert.deepEqual((await storage.inbox(1, { afterUid: 0, limit: 5 })).entries, []);
  });

  it('a client that does not finish the handshake is closed, and counted no more', async (t) => {
    const { port, server } = await start(t, { 'smtp.timeout.tls': '1' });
    const talk = await greeted(t, port);
    await talk.say('STARTTLS');
    talk.write('\x16\x03\x01');
    await talk.closed();
    assert.equal(server.sessions, 0);
  });

  it('messages come whole under it, large ones too, and trace says so', async (t) => {
    const { port, mailOf } = await start(t);
    const talk = await underTls(t, port);
    const body = `Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(30_000)}`;
    assert.match(await send(talk, 's@else.test', body), /^250 2\.0\.0 Ok: queued/);
    const stored = await mailOf(1);
    assert.ok(stored.endsWith(body));
    assert.match(
      stored,
      /Received: from client\.test \(\[127\.0\.0\.2\]\)\r\n\t\(using TLSv1\.3 TLS_\w+\)\r\n\tby mail\.here\.test with ESMTPS id/,
    );
  });

  it('a connection holds no more under TLS than in clear while the message is not taken', async (t) => {
    const { port, server } = await start(t);
    const talk = await underTls(t, port);
    await talk.say('MAIL FROM:<>');
    await talk.say('RCPT TO:<ann@here.test>');
    await talk.say('DATA');
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, server.sessionList()[0]?.heldBytes ?? 0);
    }, 1);
    talk.write(`${'y'.repeat(998)}\r\n`.repeat(20_000));
    assert.match(await talk.say('.'), /^250 /);
    clearInterval(watch);
    assert.ok(most <= 4096 + 64 * 1024, `held ${most} bytes`);
  });
});

describe('submission', () => {
  const submission: ListenerOptions = { service: 'submission' };

  it('adds what is missing, and leaves alone what is there', async (t) => {
    const { port, mailOf } = await start(t, {}, submission);
    const talk = await underTls(t, port);
    assert.match(await talk.say(AUTH), /^235 /);
    await send(talk, 'ann@here.test', 'Subject: bare\r\n\r\nhello\r\n');
    const whole =
      'date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMESSAGE-ID : <a@b>\r\nFrom: Ann <ann@here.test>\r\n\r\nhello\r\n';
    await send(talk, 'ann@here.test', whole);
    assert.match(
      await mailOf(1),
      /with ESMTPSA id .*\r\nDate: [^\r]+ \+0000\r\nMessage-ID: <[^>]+@mail\.here\.test>\r\nFrom: <ann@here\.test>\r\nSubject: bare\r\n\r\nhello\r\n$/s,
    );
    assert.equal((await mailOf(2)).match(/^(?:date|message-id|from)\b/gim)?.length, 3);
  });

  it('takes senders that lead to the account, through aliases and with tags, and no others', async (t) => {
    const { port, set } = await start(t, {}, submission);
    const talk = await underTls(t, port);
    await talk.say(AUTH);
    const table: [string, RegExp][] = [
      ['ann@here.test', /^250/],
      ['ANN+x@here.test', /^250/],
      ['team@here.test', /^250/],
      ['sales+y@here.test', /^250/],
      ['', /^250/],
      ['bob@here.test', /^550 5\.7\.1 <bob@here\.test> is not an address of ann@here\.test/],
      ['nobody@here.test', /^550 5\.7\.1/],
      ['x@else.test', /^550 5\.7\.1/],
    ];
    for (const [from, answer] of table) {
      assert.match(await talk.say(`MAIL FROM:<${from}>`), answer, from);
      await talk.say('RSET');
    }
    set({ 'submission.anySender': 'Ann@here.test' });
    assert.match(await talk.say('MAIL FROM:<x@else.test>'), /^250/);
  });

  it('puts off who sends too much, and says so in status', async (t) => {
    const { port, submission: rules } = await start(
      t,
      { 'submission.messagesPerHour': '2', 'submission.recipientsPerMessage': '1' },
      submission,
    );
    const talk = await underTls(t, port);
    await talk.say(AUTH);
    await talk.say('MAIL FROM:<ann@here.test>');
    await talk.say('RCPT TO:<ann@here.test>');
    assert.match(await talk.say('RCPT TO:<bob@here.test>'), /^452 4\.5\.3 ann@here\.test may name 1 recip/);
    await talk.say('RSET');
    for (let n = 0; n < 2; n += 1) assert.match(await send(talk, 'ann@here.test', 'x\r\n'), /^250/);
    assert.deepEqual(rules.alarms(), []);
    assert.match(
      await talk.say('MAIL FROM:<ann@here.test>'),
      /^450 4\.7\.1 ann@here\.test may send 2 messages an hour, and has; try again in 6\d minutes/,
    );
    assert.match(rules.alarms().join(), /ann@here\.test may send no more for now: 2 messages an hour/);
  });
});

describe('a client that signed in on the smtp listener', () => {
  it('is a local client, and is none again after STARTTLS', async (t) => {
    const { port } = await start(t);
    const talk = await greeted(t, port);
    await talk.say('MAIL FROM:<ann@here.test>');
    assert.match(await talk.say('RCPT TO:<x@else.test>'), /^550 5\.7\.1/);
    await talk.say('RSET');
    assert.match(await talk.say(AUTH), /^235/);
    await talk.say('MAIL FROM:<ann@here.test>');
    assert.match(await talk.say('RCPT TO:<x@else.test>'), /^250/);
    assert.match(await talk.say('STARTTLS'), /^220/);
    await talk.tls();
    await talk.say('EHLO client.test');
    await talk.say('MAIL FROM:<ann@here.test>');
    assert.match(await talk.say('RCPT TO:<x@else.test>'), /^550 5\.7\.1/);
  });
});

describe('strangers', () => {
  it('who speak before the greeting are refused; who wait are greeted, relay networks at once', async (t) => {
    const { port } = await start(t, { 'smtp.greetDelay': '1' });
    const early = new Talk(port);
    early.write('EHLO client.test\r\n');
    assert.match(await early.reply(), /^554 5\.5\.1 A client waits for the greeting/);
    await early.closed();
    const started = Date.now();
    const patient = new Talk(port);
    t.after(() => patient.destroy());
    assert.match(await patient.reply(), /^220 /);
    assert.ok(Date.now() - started >= 950);
    const local = new Talk(port, '127.0.0.1');
    t.after(() => local.destroy());
    const asked = Date.now();
    assert.match(await local.reply(), /^220 /);
    assert.ok(Date.now() - asked < 900);
  });

  it('cannot relay, in whatever form they name the recipient', async (t) => {
    const { port, set } = await start(t);
    // As nmap's smtp-open-relay and the older lists have them.
    const forms: [string, string][] = [
      ['', 'relaytest@else.test'],
      ['ann@here.test', 'relaytest@else.test'],
      ['relaytest@else.test', 'relaytest@else.test'],
      ['ann@[127.0.0.1]', 'relaytest@else.test'],
      ['ann@mail.here.test', 'relaytest@else.test'],
      ['ann@here.test', '@here.test:relaytest@else.test'],
      ['ann@here.test', '@[127.0.0.1],@here.test:relaytest@else.test'],
      ['ann@here.test', 'relaytest%else.test@here.test'],
      ['ann@here.test', 'relaytest%else.test@[127.0.0.1]'],
      ['ann@here.test', 'relaytest%else.test'],
      ['ann@here.test', '"relaytest@else.test"'],
      ['ann@here.test', '"relaytest%else.test"'],
      ['ann@here.test', '"relaytest@else.test"@here.test'],
      ['ann@here.test', 'relaytest@else.test@here.test'],
      ['ann@here.test', 'else.test!relaytest'],
      ['ann@here.test', 'else.test!relaytest@here.test'],
      ['ann@here.test', 'else.test!relaytest@[127.0.0.1]'],
      ['ann@here.test', 'relaytest@else.test@[127.0.0.1]'],
      ['ann@here.test', 'relaytest@[192.0.2.1]'],
    ];
    for (const refuse of ['on', 'off']) {
      for (const assume of ['off', 'on']) {
        set({ 'smtp.refuseUnknownUsers': refuse, 'smtp.assumeExternal': assume });
        const strict = refuse === 'on' && assume === 'off';
        // Unknown users of our own domain are what the two settings are about.
        for (const [from, to] of forms.filter(([, one]) => strict || !one.endsWith('@here.test'))) {
          const again = await greeted(t, port);
          await again.say(`MAIL FROM:<${from}>`);
          assert.match(await again.say(`RCPT TO:<${to}>`), /^5/, `${refuse} ${assume} ${from} ${to}`);
          again.destroy();
        }
      }
    }
  });

  describe('with errors in several sessions', () => {
    const LIMITS = { 'smtp.errors.perAddress': '3', 'smtp.errors.perNetwork': '5' };
    const OVER =
      /^421 4\.7\.0 mail\.here\.test too many refused commands and recipients from \S+ within an hour; try again in \d+ minutes$/;
    const unknown = (talk: Talk) => talk.say('RCPT TO:<nobody@here.test>');
    /** A client as a proxy tells of it. */
    const behindProxy = async (t: TestContext, port: number, address: string) => {
      const talk = new Talk(port, '127.0.0.9');
      t.after(() => talk.destroy());
      talk.write(`PROXY ${address === '' ? 'UNKNOWN' : `TCP4 ${address} 127.0.0.1 4000 25`}\r\n`);
      return { talk, greeting: await talk.reply() };
    };
    const proxied = { isProxy: (address: string) => address === '127.0.0.9' };

    const lastReply = async (talk: Talk) => {
      assert.match(await talk.reply(), OVER);
      await talk.closed();
    };

    it('are told when to come back: in that session, at the next MAIL of others, at the greeting', async (t) => {
      const { port, set, server } = await start(t, LIMITS);
      const [first, other] = [await greeted(t, port), await greeted(t, port)];
      await first.say('MAIL FROM:<>');
      for (let n = 0; n < 2; n += 1) assert.match(await unknown(first), /^550 5\.1\.1/);
      first.destroy();
      const second = await greeted(t, port);
      assert.match(await second.say('FOO'), /^500 /);
      await lastReply(second);
      other.write('MAIL FROM:<>\r\n');
      await lastReply(other);
      const third = new Talk(port);
      await lastReply(third);
      const listed = server.strangers.list().map(({ client }) => client);
      assert.deepEqual(listed, ['127.0.0.2']);
      set({ ...LIMITS, 'smtp.errors.perAddress': '100', 'smtp.errors.perNetwork': '0' });
      await greeted(t, port);
    });

    it('are counted by network too, also behind a proxy, which is not counted itself', async (t) => {
      const { port } = await start(t, LIMITS, {}, proxied);
      for (const last of [1, 2]) {
        const { talk } = await behindProxy(t, port, `192.0.2.${last}`);
        for (let n = 0; n < 2; n += 1) assert.match(await talk.say('FOO'), /^500 /);
      }
      const { talk } = await behindProxy(t, port, '192.0.2.3');
      assert.match(await talk.say('FOO'), /^500 /);
      await lastReply(talk);
      assert.match((await behindProxy(t, port, '192.0.2.4')).greeting, / from 192\.0\.2\.0\/24 within/);
      assert.match((await behindProxy(t, port, '192.0.3.1')).greeting, /^220 /);
      const own = await behindProxy(t, port, '');
      for (let n = 0; n < 9; n += 1) assert.match(await own.talk.say('FOO'), /^500 /);
      assert.match((await behindProxy(t, port, '')).greeting, /^220 /);
    });

    it('name recipients without a message, and that counts; a message takes errors back', async (t) => {
      const { port } = await start(t, LIMITS);
      const sender = await greeted(t, port);
      for (let round = 0; round < 5; round += 1) {
        await sender.say('MAIL FROM:<>');
        for (let n = 0; n < 2; n += 1) assert.match(await unknown(sender), /^550 /);
        await sender.say('RSET');
        assert.match(await send(sender, '', 'Subject: x\r\n\r\n'), /^250 /);
      }
      const asker = await greeted(t, port);
      let rounds = 0;
      for (let answer = '250'; answer.startsWith('250'); rounds += 1) {
        await asker.say('MAIL FROM:<>');
        assert.match(await asker.say('RCPT TO:<ann@here.test>'), /^250 /);
        answer = await asker.say('RSET');
        if (rounds > 13) break;
      }
      assert.equal(rounds, 14, 'thirty tenths, two a round, and EHLO');
      await lastReply(asker);
    });

    it('are not counted on the relay networks, once signed in, and where people sign in', async (t) => {
      const { port } = await start(t, LIMITS);
      const relay = await greeted(t, port, 'EHLO client.test', '127.0.0.1');
      const person = await greeted(t, port);
      assert.match(await person.say(AUTH), /^235/);
      for (const talk of [relay, person])
        for (let n = 0; n < 9; n += 1) assert.match(await talk.say('FOO'), /^500 /);
      await greeted(t, port);
      await greeted(t, port, 'EHLO client.test', '127.0.0.1');
      const submission = await start(t, LIMITS, { service: 'submission' });
      const early = await greeted(t, submission.port);
      for (let n = 0; n < 9; n += 1) assert.match(await early.say('FOO'), /^500 /);
      await greeted(t, submission.port);
    });

    it('shut out nobody who is on the relay networks or signed in already', async (t) => {
      const { port, set } = await start(t, LIMITS);
      const person = await greeted(t, port);
      assert.match(await person.say(AUTH), /^235/);
      const stranger = await greeted(t, port);
      for (let n = 0; n < 3; n += 1) assert.match(await stranger.say('FOO'), /^500 /);
      await lastReply(stranger);
      set({ ...LIMITS, 'smtp.relayNetworks': '127.0.0.2/32' });
      await greeted(t, port);
      set(LIMITS);
      assert.match(await send(person, 'ann@here.test', 'Subject: x\r\n\r\n'), /^250 /);
    });
  });
});
