import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Maildrop } from '../../src/mailbox/maildrop.ts';
import { MultiLineEncoder } from '../../src/pop3/multi-line.ts';
import {
  LINE_LIMIT_BYTES,
  OUTPUT_LIMIT_BYTES,
  type Pop3Policy,
  Pop3Session,
} from '../../src/pop3/session.ts';

const MESSAGES = new Map<number, string>([
  [3, 'Subject: one\r\n\r\nfirst\r\n'],
  [5, 'Subject: two\r\nX: y\r\n\r\n.dot\r\n..\r\n.\r\nlast\r\n'],
  [9, 'Subject: no end\r\n\r\nhalf'],
]);

const POLICY: Pop3Policy = {
  hostname: 'mail.test',
  login: 'always',
  startTls: false,
  maxErrors: 10,
  maxFailedLogins: 3,
};

function maildrop(): Maildrop {
  return {
    accountId: 1,
    uidValidity: 42,
    uids: [...MESSAGES.keys()],
    sizesBytes: [...MESSAGES.values()].map((text) => text.length),
    truncated: false,
  };
}

/** Runs a session over pieces of input; `ann`/`secret` is let in. Returns all output and what was asked. */
function run(pieces: readonly (string | Uint8Array)[], policy = POLICY, drop = maildrop()) {
  const session = new Pop3Session(policy);
  const asked: string[] = [];
  let output = '';
  let closed: string | null = null;
  const pump = (): void => {
    for (let action = session.next(); action !== null; action = session.next()) {
      asked.push(action.type);
      if (action.type === 'login') {
        const right = action.user === 'ann' && action.password === 'secret';
        session.answerLogin(right ? drop : { failure: 'auth', text: 'wrong name or password' });
      } else if (action.type === 'retrieve') {
        const content = MESSAGES.get(action.uid) ?? '';
        session.beginMessage(content.length);
        for (let at = 0; at < content.length; at += 3) {
          if (!session.messageBytes(Buffer.from(content.slice(at, at + 3)))) break;
        }
        session.endMessage();
      } else if (action.type === 'update') {
        asked.push(action.uids.join(','));
        session.answerUpdate('done');
      } else if (action.type === 'close') {
        closed = action.reason;
      } else {
        output += session.takeOutput().toString('latin1');
      }
    }
    output += session.takeOutput().toString('latin1');
  };
  pump();
  for (const piece of pieces) {
    session.receive(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
    pump();
  }
  return { output, asked, closed, session };
}

const LOGIN = 'USER ann\r\nPASS secret\r\n';
const GREETING = '+OK mail.test CMail POP3 ready\r\n';
const WELCOME = `${GREETING}+OK password please\r\n+OK 3 messages\r\n`;

/** Replies after the login. */
function after(commands: string): string {
  const { output } = run([LOGIN + commands]);
  assert.ok(output.startsWith(WELCOME), output);
  return output.slice(WELCOME.length);
}

describe('POP3 session', () => {
  it('lists sizes, single and all, without the deleted', () => {
    assert.equal(after('STAT\r\n'), '+OK 3 87\r\n');
    assert.equal(after('LIST\r\n'), '+OK 3 messages (87 octets)\r\n1 23\r\n2 41\r\n3 23\r\n.\r\n');
    assert.equal(after('LIST 2\r\n'), '+OK 2 41\r\n');
    assert.equal(
      after('DELE 1\r\nLIST\r\nSTAT\r\nLIST 1\r\nDELE 1\r\nRETR 1\r\n'),
      '+OK message 1 deleted\r\n+OK 2 messages (64 octets)\r\n2 41\r\n3 23\r\n.\r\n+OK 2 64\r\n' +
        '-ERR message 1 is deleted\r\n-ERR message 1 is deleted\r\n-ERR message 1 is deleted\r\n',
    );
    assert.equal(
      after('DELE 1\r\nRSET\r\nSTAT\r\n'),
      '+OK message 1 deleted\r\n+OK 3 messages\r\n+OK 3 87\r\n',
    );
  });

  it('gives unique-ids of uidvalidity and uid', () => {
    assert.equal(after('UIDL\r\n'), '+OK 3 messages (87 octets)\r\n1 42-3\r\n2 42-5\r\n3 42-9\r\n.\r\n');
    assert.equal(after('UIDL 3\r\n'), '+OK 3 42-9\r\n');
  });

  it('retrieves byte for byte with dots doubled', () => {
    assert.equal(after('RETR 1\r\n'), '+OK 23 octets\r\nSubject: one\r\n\r\nfirst\r\n.\r\n');
    assert.equal(
      after('RETR 2\r\n'),
      '+OK 41 octets\r\nSubject: two\r\nX: y\r\n\r\n..dot\r\n...\r\n..\r\nlast\r\n.\r\n',
    );
    assert.equal(after('RETR 3\r\n'), '+OK 23 octets\r\nSubject: no end\r\n\r\nhalf\r\n.\r\n');
  });

  it('sends the header and so many lines with TOP', () => {
    assert.equal(after('TOP 2 0\r\n'), '+OK 41 octets\r\nSubject: two\r\nX: y\r\n\r\n.\r\n');
    assert.equal(after('TOP 2 2\r\n'), '+OK 41 octets\r\nSubject: two\r\nX: y\r\n\r\n..dot\r\n...\r\n.\r\n');
    assert.equal(after('TOP 1 100\r\n'), '+OK 23 octets\r\nSubject: one\r\n\r\nfirst\r\n.\r\n');
    assert.equal(after('TOP 1 -1\r\n'), '-ERR that is not a number of lines\r\n');
    assert.equal(after('TOP 1\r\n'), '-ERR wrong arguments for TOP\r\n');
  });

  it('refuses numbers that are none', () => {
    for (const number of ['0', '4', '-1', '1x', '99999999999999999999', '1.0', '٣']) {
      assert.equal(after(`RETR ${number}\r\n`), '-ERR no such message, there are 3\r\n', number);
    }
    assert.equal(after('LIST 1 2\r\n'), '-ERR wrong arguments for LIST\r\n');
    assert.equal(after('RETR\r\n'), '-ERR wrong arguments for RETR\r\n');
  });

  it('removes at QUIT only, all at once', () => {
    const quit = run([`${LOGIN}DELE 1\r\nDELE 3\r\nQUIT\r\n`]);
    assert.deepEqual(quit.asked, ['login', 'update', '3,9', 'close']);
    assert.ok(quit.output.endsWith('+OK bye\r\n'));
    assert.equal(quit.closed, 'quit');
    assert.deepEqual(run([`${LOGIN}DELE 1\r\nRSET\r\nQUIT\r\n`]).asked, ['login', 'close']);
    assert.deepEqual(run([`${LOGIN}DELE 1\r\n`]).asked, ['login']);
  });

  it('says when the removal failed', () => {
    const { session } = run([`${LOGIN}DELE 1\r\n`]);
    session.receive(Buffer.from('QUIT\r\n'));
    assert.equal(session.next()?.type, 'update');
    session.answerUpdate('sys');
    assert.match(session.takeOutput().toString(), /^-ERR \[SYS\/TEMP\] the deleted messages could not/);
    assert.equal(session.next()?.type, 'close');
  });

  it('announces what it honours', () => {
    const capabilities = (commands: string, policy = POLICY) => {
      const lines = run([`${commands}CAPA\r\n`], policy).output.split('\r\n');
      return lines.slice(lines.indexOf('+OK capabilities follow') + 1, -2);
    };
    const always = ['TOP', 'UIDL', 'PIPELINING', 'RESP-CODES', 'AUTH-RESP-CODE', 'EXPIRE NEVER'];
    assert.deepEqual(capabilities(''), [
      'TOP',
      'UIDL',
      'USER',
      'SASL PLAIN',
      ...always.slice(2),
      'IMPLEMENTATION CMail',
    ]);
    assert.deepEqual(capabilities(LOGIN), [...always, 'IMPLEMENTATION CMail']);
    assert.ok(!capabilities('', { ...POLICY, login: 'under-tls' }).includes('USER'));
  });

  it('closes after three refused logins', () => {
    const bad = 'USER ann\r\nPASS wrong\r\n';
    const { output, closed } = run([bad + bad + bad + LOGIN]);
    assert.equal(output.split('-ERR [AUTH] wrong name or password\r\n').length, 4);
    assert.equal(closed, 'too many failed logins');
    assert.ok(!output.includes('messages'));
    assert.ok(run([bad + bad + LOGIN]).output.endsWith('+OK 3 messages\r\n'));
  });

  it('keeps the order of a login', () => {
    assert.ok(run(['PASS secret\r\n']).output.endsWith('-ERR USER first\r\n'));
    assert.ok(run(['USER ann\r\nPASS x\r\nPASS secret\r\n']).output.endsWith('-ERR USER first\r\n'));
    assert.ok(run(['STAT\r\n']).output.endsWith('-ERR log in first, with USER and PASS\r\n'));
    assert.ok(run([`${LOGIN}USER ann\r\n`]).output.endsWith('-ERR no such command\r\n'));
  });

  it('takes spaces in a password and any case in a keyword', () => {
    const session = new Pop3Session(POLICY);
    session.receive(Buffer.from('user Ann Lee \r\npAsS  two words \r\n'));
    assert.deepEqual(session.next(), { type: 'login', user: 'Ann Lee', password: ' two words ' });
  });

  it('takes no login where it would cross a network in the clear', () => {
    const { output, asked } = run([LOGIN], { ...POLICY, login: 'under-tls' });
    assert.match(output, /\r\n-ERR \[AUTH\] a login needs TLS.*\r\n-ERR \[AUTH\]/);
    assert.deepEqual(asked, []);
  });

  it('keeps a refusal to one line of 512 octets, whatever its text', () => {
    const session = new Pop3Session(POLICY);
    session.takeOutput();
    session.receive(Buffer.from(LOGIN));
    session.next();
    session.takeOutput();
    session.answerLogin({ failure: 'sys', text: `bad\r\n+OK \u00e9${'x'.repeat(2000)}` });
    const reply = session.takeOutput().toString('latin1');
    assert.match(reply, /^-ERR \[SYS\/TEMP\] bad \+OK +x+\r\n$/);
    assert.ok(reply.length <= 512);
  });

  it('drops a line over the limit and goes on', () => {
    const longest = 'x'.repeat(LINE_LIMIT_BYTES - 2);
    assert.ok(run([`${longest}\r\nCAPA\r\n`]).output.includes('-ERR log in first'));
    assert.ok(run([`x${longest}\r\n`]).output.endsWith('-ERR the line is too long\r\n'));
    const pieces = ['y'.repeat(100_000), 'z'.repeat(100_000), `\r\n${LOGIN}`];
    const { output, session } = run(pieces);
    assert.equal(output, WELCOME.replace(GREETING, `${GREETING}-ERR the line is too long\r\n`));
    session.receive(Buffer.alloc(60_000, 'y'));
    assert.equal(session.next(), null);
    assert.equal(session.pendingBytes, 0);
  });

  it('closes after ten senseless commands', () => {
    const { output, closed } = run([`${LOGIN}${'BLAH\r\n'.repeat(11)}STAT\r\n`]);
    assert.equal(closed, 'too many errors');
    assert.equal(output.split('-ERR no such command').length, 11);
    assert.ok(!output.includes('+OK 3 87'));
  });

  it('consumes nothing while a question is open', () => {
    const session = new Pop3Session(POLICY);
    session.receive(Buffer.from(`${LOGIN}STAT\r\n`));
    assert.equal(session.next()?.type, 'login');
    session.takeOutput();
    assert.equal(session.next(), null);
    assert.equal(session.outputBytes, 0);
    session.answerLogin(maildrop());
    assert.equal(session.next(), null);
    assert.equal(session.takeOutput().toString(), '+OK 3 messages\r\n+OK 3 87\r\n');
  });

  it('bounds the output of long and repeated listings', () => {
    const count = 50_000;
    const uids = Array.from({ length: count }, (_, index) => index + 1);
    const drop = { ...maildrop(), uids, sizesBytes: uids.map(() => 1000), truncated: true };
    const session = new Pop3Session(POLICY);
    session.receive(Buffer.from(`${LOGIN}${'UIDL\r\n'.repeat(20)}STAT\r\n`));
    let lines = 0;
    let text = '';
    for (let action = session.next(); action !== null; action = session.next()) {
      assert.ok(session.outputBytes <= 3 * OUTPUT_LIMIT_BYTES, `${session.outputBytes} bytes wait`);
      if (action.type === 'login') session.answerLogin(drop);
      else assert.equal(action.type, 'flush');
      text = session.takeOutput().toString();
      lines += text.split('\r\n').length - 1;
    }
    text += session.takeOutput().toString();
    assert.ok(text.endsWith('.\r\n+OK 50000 50000000\r\n'));
    assert.ok(lines >= 20 * count, `${lines} lines`);
  });

  it('gives the host its turn in listings that produce nothing', () => {
    const uids = Array.from({ length: 20_000 }, (_, index) => index + 1);
    const drop = { ...maildrop(), uids, sizesBytes: uids.map(() => 1) };
    const deletions = uids.map((uid) => `DELE ${uid}\r\n`).join('');
    const { asked, output } = run([LOGIN, deletions, 'NOOP\r\n'], POLICY, drop);
    assert.ok(output.endsWith('+OK\r\n'));
    const before = asked.length;
    const listed = run([LOGIN, deletions, 'LIST\r\n'], POLICY, drop);
    assert.ok(listed.output.endsWith('+OK 0 messages (0 octets)\r\n.\r\n'));
    assert.ok(listed.asked.length - before >= 4);
  });

  it('gives the same replies for every split of the stream', () => {
    const script = Buffer.from(
      `CAPA\r\n${LOGIN}STAT\r\nLIST\r\nUIDL 2\r\nTOP 2 1\r\nRETR 2\r\nRETR 3\r\nDELE 2\r\nBAD\r\n` +
        `${'w'.repeat(600)}\r\nNOOP\nRSET\r\nDELE 1\r\nQUIT\r\nSTAT\r\n`,
    );
    const whole = run([script]);
    const single = run([...script].map((byte) => Uint8Array.of(byte)));
    assert.equal(single.output, whole.output);
    for (let cut = 1; cut < script.length; cut += 1) {
      const parts = run([script.subarray(0, cut), script.subarray(cut)]);
      assert.equal(parts.output, whole.output, `cut at ${cut}`);
      assert.deepEqual(parts.asked, whole.asked);
    }
  });
});

/** The obvious way, on the whole text. */
function stuffed(text: string): string {
  const body = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
  const lines = body.split('\r\n');
  const last = lines.pop() ?? '';
  return `${lines.map((line) => (line.startsWith('.') ? `.${line}` : line)).join('\r\n')}${
    lines.length > 0 ? '\r\n' : ''
  }${last}.\r\n`;
}

/** Header, blank line and so many lines of the body. */
function top(text: string, bodyLines: number): string {
  const end = text.startsWith('\r\n') ? 2 : text.indexOf('\r\n\r\n') + 4;
  if (end < 4 && !text.startsWith('\r\n')) return text;
  let stop = end;
  for (let line = 0; line < bodyLines; line += 1) {
    const next = text.indexOf('\r\n', stop);
    if (next < 0) return text;
    stop = next + 2;
  }
  return text.slice(0, stop);
}

describe('POP3 multi-line encoding', () => {
  const piece = fc.constantFrom('.', '\r\n', '\r', '\n', 'a', '..', '\r\n.', 'Subject: x\r\n');
  const content = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

  function encode(text: string, sizes: readonly number[], bodyLines: number | null): string {
    const encoder = new MultiLineEncoder(bodyLines);
    const parts: Uint8Array[] = [];
    let at = 0;
    for (let turn = 0; at < text.length && !encoder.done; turn += 1) {
      const size = sizes[turn % sizes.length] ?? 1;
      parts.push(...encoder.encode(Buffer.from(text.slice(at, at + size), 'latin1')));
      at += size;
    }
    return Buffer.concat(parts).toString('latin1') + encoder.end();
  }

  it('is the same in whatever pieces the content comes', () => {
    fc.assert(
      fc.property(content, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (text, sizes) => {
        assert.equal(encode(text, sizes, null), stuffed(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('cuts at the same line in whatever pieces the content comes', () => {
    fc.assert(
      fc.property(
        content,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.nat(4),
        (text, sizes, bodyLines) => {
          assert.equal(encode(text, sizes, bodyLines), stuffed(top(text, bodyLines)));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
