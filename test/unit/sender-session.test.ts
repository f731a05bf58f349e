/** The sending engine: replies in any pieces, dot-stuffing, and the conversation. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DotStuffer, END_OF_DATA_BYTES } from '../../src/smtp/dot-stuffing.ts';
import { ReplyParser } from '../../src/smtp/reply-parser.ts';
import type { SenderAction, SenderSessionOptions, Transaction } from '../../src/smtp/sender-contract.ts';
import { limitsOf, unsendable } from '../../src/smtp/sender-extensions.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';

describe('ReplyParser', () => {
  it('reads replies in any pieces', () => {
    const stream = Buffer.from(
      '220 mx.test ESMTP\r\n250-mx.test\r\n250-PIPELINING\r\n250 SIZE\r\n550-5.1.1 no such\r\n550 5.1.1 user\r\n354\r\n',
    );
    const expected = [
      { code: 220, lines: ['mx.test ESMTP'] },
      { code: 250, lines: ['mx.test', 'PIPELINING', 'SIZE'] },
      { code: 550, enhanced: '5.1.1', lines: ['no such', 'user'] },
      { code: 354, lines: [''] },
    ];
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const parser = new ReplyParser();
      const replies = [];
      for (const piece of [stream.subarray(0, cut), stream.subarray(cut)]) {
        parser.push(piece);
        for (let reply = parser.next(); reply !== null; reply = parser.next()) replies.push(reply);
      }
      assert.deepEqual(replies, expected);
      assert.equal(parser.heldBytes, 0);
    }
  });

  const malformed: [string, string][] = [
    ['not SMTP', 'HTTP/1.1 400 Bad Request\r\n'],
    ['codes that differ', '250-a\r\n251 b\r\n'],
    ['an endless line', `250 ${'x'.repeat(5000)}`],
    ['an endless reply', '250-x\r\n'.repeat(201)],
    ['a flood', '2'.repeat(200_000)],
  ];
  for (const [what, text] of malformed) {
    it(`gives up on ${what}, for good and holding nothing`, () => {
      const parser = new ReplyParser();
      parser.push(Buffer.from(text));
      assert.equal(parser.next(), 'malformed');
      parser.push(Buffer.from('250 ok\r\n'));
      assert.equal(parser.next(), 'malformed');
      assert.equal(parser.heldBytes, 0);
    });
  }

  it('takes an enhanced code only of the reply’s own class, and control characters out', () => {
    const parser = new ReplyParser();
    parser.push(Buffer.from('550 4.1.1 odd\u0007\u001b[1mwords\r\n'));
    assert.deepEqual(parser.next(), { code: 550, lines: ['4.1.1 odd [1mwords'] });
  });
});

/** The encoder's output through a buffer of `size`, and the longest fill seen. */
function stuff(chunks: readonly Buffer[], size: number): string {
  const stuffer = new DotStuffer();
  const buffer = Buffer.alloc(size);
  let out = '';
  let filled = 0;
  for (const chunk of chunks) {
    let from = 0;
    while (from < chunk.length) {
      const { read, written } = stuffer.encode(chunk.subarray(from), buffer, filled);
      from += read;
      filled += written;
      if (from < chunk.length) {
        assert.ok(filled > 0, 'no progress');
        out += buffer.toString('latin1', 0, filled);
        filled = 0;
      }
    }
  }
  if (size - filled < END_OF_DATA_BYTES) {
    out += buffer.toString('latin1', 0, filled);
    filled = 0;
  }
  filled += stuffer.end(buffer, filled);
  return out + buffer.toString('latin1', 0, filled);
}

describe('DotStuffer', () => {
  it('is the plain rule for any text, any pieces and any buffer', () => {
    const piece = fc
      .array(fc.constantFrom('.', '\r\n', '\r', '\n', 'a', 'bc'), { maxLength: 12 })
      .map((a) => a.join(''));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), fc.integer({ min: 5, max: 20 }), (pieces, size) => {
        const lines = pieces.join('').split('\r\n');
        const whole = lines.map((line) => (line.startsWith('.') ? `.${line}` : line)).join('\r\n');
        const ended = whole === '' || whole.endsWith('\r\n') ? whole : `${whole}\r\n`;
        assert.equal(
          stuff(
            pieces.map((text) => Buffer.from(text)),
            size,
          ),
          `${ended}.\r\n`,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it('doubles dots at line starts only', () => {
    const text = '.a\r\n..b\r\nc.\r\n.\r\n\n.x\r\n';
    assert.equal(stuff([Buffer.from(text)], 64), '..a\r\n...b\r\nc.\r\n..\r\n\n.x\r\n.\r\n');
  });
});

const OPTIONS: SenderSessionOptions = {
  ...{
    hostname: 'me.test',
    refuseSelf: true,
    tls: 'opportunistic',
    secure: null,
    credentials: null,
    loopback: false,
  },
};
const MESSAGE: Transaction = {
  ...{ sender: 'a@me.test', recipients: ['b@far.test'], sizeBytes: 100, eightBit: false, smtputf8: false },
};

/** Feeds lines and collects what the session wrote and did. */
class Driver {
  readonly session: SenderSession;
  constructor(options: Partial<SenderSessionOptions> = {}) {
    this.session = new SenderSession({ ...OPTIONS, ...options });
  }
  says(...lines: string[]): string {
    for (const line of lines) this.session.receive(Buffer.from(`${line}\r\n`));
    return this.session.takeOutput().toString();
  }
  ready(...extensions: string[]): this {
    const words = ['me', ...extensions];
    this.says('220 far.test', ...words.map((word, at) => `250${at === words.length - 1 ? ' ' : '-'}${word}`));
    assert.deepEqual(this.action(), { type: 'ready' });
    return this;
  }
  begin(changes: Partial<Transaction> = {}): string {
    this.session.begin({ ...MESSAGE, ...changes });
    return this.session.takeOutput().toString();
  }
  action(): SenderAction | null {
    return this.session.next();
  }
  problem(): string {
    const action = this.action();
    return action?.type === 'failed' ? action.problem.kind : `${action?.type}`;
  }
}

describe('SenderSession', () => {
  it('sends one message command by command without PIPELINING', () => {
    const driver = new Driver();
    assert.equal(driver.says('220 far.test'), 'EHLO me.test\r\n');
    driver.says('250 far.test');
    assert.deepEqual(driver.action(), { type: 'ready' });
    assert.equal(driver.begin({ recipients: ['b@x', 'c@x'] }), 'MAIL FROM:<a@me.test>\r\n');
    assert.equal(driver.says('250 ok'), 'RCPT TO:<b@x>\r\n');
    assert.equal(driver.says('550 5.1.1 no'), 'RCPT TO:<c@x>\r\n');
    assert.equal(driver.says('250 ok'), 'DATA\r\n');
    driver.says('354 go');
    assert.deepEqual(driver.action(), { type: 'send-body' });
    driver.session.bodySent();
    assert.equal(driver.session.phase, 'data-end');
    driver.says('250 2.0.0 taken');
    const done = driver.action();
    assert.equal(done?.type, 'done');
    assert.deepEqual(done?.type === 'done' && done.results.map(({ accepted, stage }) => [accepted, stage]), [
      [false, 'rcpt'],
      [true, 'data-end'],
    ]);
    assert.equal(driver.begin(), 'MAIL FROM:<a@me.test>\r\n', 'no RSET between messages');
  });

  it('writes MAIL, RCPTs and DATA at once with PIPELINING, with what the server offers', () => {
    const driver = new Driver().ready('PIPELINING', 'SIZE 1000', '8BITMIME', 'SMTPUTF8');
    const written = driver.begin({ recipients: ['b@x', 'c@x'], eightBit: true, smtputf8: true });
    assert.equal(
      written,
      'MAIL FROM:<a@me.test> SIZE=100 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n',
    );
  });

  it('answers 354 without an accepted recipient with a lone dot', () => {
    const driver = new Driver().ready('PIPELINING');
    driver.begin();
    assert.equal(driver.says('250 ok', '550 no', '354 go'), '.\r\n');
    driver.says('554 no valid recipients');
    const done = driver.action();
    assert.equal(done?.type === 'done' && done.results[0]?.stage, 'rcpt');
    assert.ok(driver.begin().startsWith('MAIL'));
  });

  it('resets a transaction that was left open', () => {
    const driver = new Driver().ready();
    driver.begin();
    driver.says('250 ok', '550 no');
    assert.equal(driver.action()?.type, 'done');
    assert.equal(driver.begin(), 'RSET\r\n');
    assert.equal(driver.says('250 ok'), 'MAIL FROM:<a@me.test>\r\n');
  });

  it('a refused MAIL is the refusal of every recipient, pipelined or not', () => {
    for (const extensions of [['PIPELINING'], []]) {
      const driver = new Driver().ready(...extensions);
      driver.begin();
      driver.says('550 5.7.1 no', ...(extensions.length > 0 ? ['503 bad order', '503 bad order'] : []));
      const done = driver.action();
      assert.deepEqual(done?.type === 'done' && done.results.map(({ stage, reply }) => [stage, reply.code]), [
        ['mail', 550],
      ]);
    }
  });

  const ends: [string, string[], string][] = [
    ['refusing greeting', ['554 no'], 'not-greeted'],
    ['421 greeting', ['421 later'], 'not-greeted'],
    ['greeting that is not SMTP', ['hello'], 'not-greeted'],
    ['our own name', ['220 ME.test ESMTP'], 'self'],
    ['EHLO and HELO refused', ['220 x', '500 no', '500 no'], 'hello-refused'],
    ['421 to EHLO', ['220 x', '421 later'], 'lost'],
    ['STARTTLS refused', ['220 x', '250-x', '250 STARTTLS', '454 no'], 'tls-failed'],
    ['words nobody asked for', ['220 x', '250 x', '421 idle'], 'lost'],
  ];
  for (const [what, lines, kind] of ends) {
    it(`${what} ends it: ${kind}`, () => {
      const driver = new Driver();
      driver.says(...lines);
      const first = driver.problem();
      assert.equal(first === 'ready' ? driver.problem() : first, kind);
      assert.equal(driver.session.phase, 'ended');
    });
  }

  it('falls back to HELO', () => {
    const driver = new Driver();
    driver.says('220 x');
    assert.equal(driver.says('502 what'), 'HELO me.test\r\n');
    driver.says('250 x');
    assert.deepEqual(driver.action(), { type: 'ready' });
  });

  it('says EHLO again after STARTTLS and forgets what came before it', () => {
    const driver = new Driver();
    assert.equal(
      driver.says('220 x', '250-x', '250-AUTH PLAIN', '250 STARTTLS').endsWith('STARTTLS\r\n'),
      true,
    );
    driver.says('220 go', '250 injected');
    assert.deepEqual(driver.action(), { type: 'start-tls' });
    driver.session.tlsStarted({ verified: false });
    assert.equal(driver.session.takeOutput().toString(), 'EHLO me.test\r\n');
    assert.equal(driver.action(), null);
    driver.says('250 x');
    assert.deepEqual(driver.action(), { type: 'ready' });
    assert.equal(driver.session.extensions.size, 0);
  });

  it('requires TLS where it is required', () => {
    const driver = new Driver({ tls: 'required' });
    driver.says('220 x', '250 x');
    assert.equal(driver.problem(), 'tls-unavailable');
  });

  it('any certificate will do for encrypt, and only a verified one for required', () => {
    for (const [tls, verified, problem] of [
      ['encrypt', false, null],
      ['required', false, 'tls-failed'],
      ['required', true, null],
      ['implicit', false, null],
    ] as const) {
      const driver = new Driver({ tls });
      driver.says('220 x', '250-x\r\n250 STARTTLS', '220 go');
      driver.action();
      driver.session.tlsStarted({ verified });
      if (problem === null) driver.says('250 x');
      const action = driver.action();
      assert.equal(action?.type === 'failed' ? action.problem.kind : null, problem, `${tls} ${verified}`);
    }
  });

  it('530 to MAIL is about the connection when it is in clear because TLS failed, else about the message', () => {
    for (const tlsFailed of [true, false])
      for (const extension of ['PIPELINING', 'SIZE']) {
        const driver = new Driver({ tls: 'none', tlsFailed }).ready(extension);
        driver.begin({ recipients: ['b@x'] });
        driver.says('530 5.7.0 Must issue a STARTTLS command first');
        if (extension === 'PIPELINING') driver.says('530 5.7.0 Must', '530 5.7.0 Must');
        const action = driver.action();
        if (!tlsFailed) assert.equal(action?.type === 'done' && action.results[0]?.reply.code, 530);
        else assert.equal(action?.type === 'failed' && action.problem.kind, 'tls-failed');
      }
  });

  it('lost in the middle keeps the refusals known and calls nothing delivered', () => {
    const driver = new Driver().ready('PIPELINING');
    driver.begin({ recipients: ['b@x', 'c@x'] });
    driver.says('250 ok', '550 5.1.1 no', '250 ok', '354 go');
    driver.action();
    driver.session.bodySent();
    driver.session.lost('closed');
    const failed = driver.action();
    assert.equal(failed?.type, 'failed');
    if (failed?.type !== 'failed') return;
    assert.equal(failed.problem.phase, 'data-end');
    assert.deepEqual(
      failed.results.map((result) => result?.accepted ?? null),
      [false, null],
    );
  });

  it('an answer before the end of the message refuses it and ends the connection', () => {
    const driver = new Driver().ready('PIPELINING');
    driver.begin();
    driver.says('250 ok', '250 ok', '354 go');
    driver.action();
    driver.says('552 5.3.4 too big');
    const failed = driver.action();
    assert.equal(failed?.type === 'failed' && failed.results[0]?.reply.code, 552);
  });

  it('a probe asks MAIL and RCPT and never DATA', () => {
    const driver = new Driver({ probe: true }).ready('PIPELINING');
    assert.equal(driver.begin({ sender: '' }), 'MAIL FROM:<>\r\n');
    driver.says('250 ok');
    assert.equal(driver.says('250 ok'), '');
    assert.equal(driver.action()?.type, 'done');
  });
});

describe('AUTH', () => {
  const credentials = { username: 'u', password: 'p' };
  const base64 = (text: string) => Buffer.from(text).toString('base64');

  it('PLAIN with an initial response', () => {
    const driver = new Driver({ credentials, loopback: true });
    const written = driver.says('220 x', '250-x', '250 AUTH LOGIN PLAIN');
    assert.ok(written.endsWith(`AUTH PLAIN ${base64('\0u\0p')}\r\n`), written);
    driver.says('235 ok');
    assert.deepEqual(driver.action(), { type: 'ready' });
  });

  it('LOGIN in steps', () => {
    const driver = new Driver({ credentials, loopback: true });
    assert.ok(driver.says('220 x', '250-x', '250 AUTH=LOGIN').endsWith('AUTH LOGIN\r\n'));
    assert.equal(driver.says('334 VXNlcm5hbWU6'), `${base64('u')}\r\n`);
    assert.equal(driver.says('334 UGFzc3dvcmQ6'), `${base64('p')}\r\n`);
    driver.says('235 ok');
    assert.deepEqual(driver.action(), { type: 'ready' });
  });

  it('cancels when the server asks without end', () => {
    const driver = new Driver({ credentials, loopback: true });
    driver.says('220 x', '250-x', '250 AUTH LOGIN', '334 a', '334 b');
    assert.equal(driver.says('334 c'), '*\r\n');
  });

  const outcomes: [string, string][] = [
    ['535 5.7.8 wrong', 'credentials'],
    ['534 5.7.9 too weak', 'credentials'],
    ['530 5.7.0 needed', 'credentials'],
    ['454 4.7.0 not now', 'credentials'],
    ['432 4.7.12 password expired', 'auth-deferred'],
    ['421 4.7.0 bye', 'lost'],
  ];
  for (const [answer, kind] of outcomes) {
    it(`${answer}: ${kind}`, () => {
      const driver = new Driver({ credentials, loopback: true });
      driver.says('220 x', '250-x', '250 AUTH PLAIN', answer);
      assert.equal(driver.problem(), kind);
    });
  }

  it('never sends the password without a verified certificate, unless to loopback', () => {
    for (const secure of [null, { verified: false }]) {
      const driver = new Driver({ credentials, secure });
      assert.ok(!driver.says('220 x', '250-x', '250 AUTH PLAIN').includes('AUTH'));
      assert.equal(driver.problem(), 'credentials');
    }
    const verified = new Driver({ credentials, secure: { verified: true } });
    assert.ok(verified.says('220 x', '250-x', '250 AUTH PLAIN').includes('AUTH PLAIN'));
  });

  it('not offered is a refusal of credentials', () => {
    const driver = new Driver({ credentials, loopback: true });
    driver.says('220 x', '250 x');
    assert.equal(driver.problem(), 'credentials');
  });
});

describe('what a server cannot take', () => {
  const offers = (...words: [string, string][]) => new Map(words);
  const cases: [string, Partial<Transaction>, Map<string, string>, string | null][] = [
    ['larger than its SIZE', { sizeBytes: 1001 }, offers(['SIZE', '1000']), '5.3.4'],
    ['as large as its SIZE', { sizeBytes: 1000 }, offers(['SIZE', '1000']), null],
    ['SIZE without a number', { sizeBytes: 1e9 }, offers(['SIZE', '']), null],
    ['8-bit without 8BITMIME', { eightBit: true }, offers(), '5.6.3'],
    ['8-bit with 8BITMIME', { eightBit: true }, offers(['8BITMIME', '']), null],
    ['a UTF-8 address without SMTPUTF8', { recipients: ['jürgen@x'] }, offers(), '5.6.7'],
    ['a UTF-8 sender without SMTPUTF8', { sender: 'jürgen@x' }, offers(), '5.6.7'],
    ['SMTPUTF8 with ASCII addresses only', { smtputf8: true }, offers(), null],
    ['a UTF-8 address with SMTPUTF8', { recipients: ['jürgen@x'] }, offers(['SMTPUTF8', '']), null],
  ];
  for (const [what, changes, extensions, enhanced] of cases) {
    it(`${what}: ${enhanced ?? 'goes'}`, () => {
      assert.equal(unsendable({ ...MESSAGE, ...changes }, extensions)?.enhanced ?? null, enhanced);
    });
  }
});

describe('limitsOf', () => {
  const none = Number.POSITIVE_INFINITY;
  const cases: [string | null, number, number][] = [
    [null, none, none],
    ['', none, none],
    ['MAILMAX 5 RCPTMAX 20', 5, 20],
    ['rcptmax 20 RCPTDOMAINMAX 1', none, 20],
    ['MAILMAX 0 RCPTMAX x', none, none],
    ['MAILMAX', none, none],
    ['MAILMAX 1000000', none, none],
  ];
  for (const [offered, mailMax, rcptMax] of cases) {
    it(String(offered), () => {
      const extensions = new Map(offered === null ? [] : [['LIMITS', offered]]);
      assert.deepEqual(limitsOf(extensions), { mailMax, rcptMax });
    });
  }
});
