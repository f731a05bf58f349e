import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/mail/failure.ts';
import { reply } from '../../src/mail/reply.ts';
import type { ReceiverPolicy } from '../../src/smtp/receiver-contract.ts';
import { ReceiverSession } from '../../src/smtp/receiver-session.ts';
import { Driver, POLICY, run } from './smtp-receiver-driver.ts';

const HELLO = 'EHLO client.example.com\r\n';
const MAIL = 'MAIL FROM:<sender@example.com>\r\n';
const RCPT = 'RCPT TO:<rcpt@example.org>\r\n';
const ENVELOPE = HELLO + MAIL + RCPT;
const LOOSE: ReceiverPolicy = { ...POLICY, maxMessageBytes: 0 };

/** Status codes of the last replies, `code` or `code enhanced`. */
function statuses(output: string): string[] {
  return output
    .split('\r\n')
    .filter((line) => /^\d{3} /.test(line))
    .map((line) => /^\d{3}(?: [245]\.\d+\.\d+)?/.exec(line)![0]);
}

/** Feeds `before`, then tells what `command` is answered. */
function answer(before: string, command: string, policy: ReceiverPolicy = POLICY): string {
  const driver = new Driver(policy);
  driver.feed(before);
  return statuses(driver.feed(`${command}\r\n`)).join(', ');
}

test('greeting and EHLO announce what is honoured, and no more', () => {
  const session = new ReceiverSession(() => POLICY);
  assert.equal(session.takeOutput().length, 0);
  session.greet();
  assert.equal(session.takeOutput().toString(), '220 mx.example.org ESMTP CMail\r\n');
  assert.equal(
    new Driver().feed(HELLO),
    '250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 500\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n' +
      '250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250 DSN\r\n',
  );
  assert.match(new Driver(LOOSE).feed(HELLO), /^250-SIZE 0\r$/m);
  assert.equal(new Driver().feed('HELO client\r\n'), '250 mx.example.org\r\n');
});

test('tells the host of a MAIL or RCPT it refuses itself, and of no other command', () => {
  const driver = new Driver();
  driver.feed(HELLO);
  driver.feed('MAIL FROM:<a@b.example> SIZE=501\r\nNONSENSE\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<a b>\r\n');
  const refused = driver.log.filter((line) => line.includes('"refused"')).map((line) => JSON.parse(line));
  assert.deepEqual(
    refused.map(({ verb, argument, reply: { code } }) => [verb, argument, code]),
    [
      ['MAIL', 'FROM:<a@b.example> SIZE=501', 552],
      ['RCPT', 'TO:<a b>', 501],
    ],
  );
});

test('each command in each state', () => {
  const refusedBdat = 'EHLO c\r\nMAIL FROM:<nodata@example.com>\r\nRCPT TO:<r@example.org>\r\nBDAT 1\r\nx';
  const states: readonly (readonly [string, string])[] = [
    ['start', ''],
    ['hello', HELLO],
    ['mail', HELLO + MAIL],
    ['none valid', `${HELLO + MAIL}RCPT TO:<unknown@example.org>\r\n`],
    ['rcpt', ENVELOPE],
    ['chunks', `${ENVELOPE}BDAT 1\r\nx`],
    ['refused', refusedBdat],
  ];
  const table: readonly (readonly [string, ...string[]])[] = [
    ['EHLO c', '250', '250', '250', '250', '250', '250', '250'],
    ['HELO c', '250', '250', '250', '250', '250', '250', '250'],
    ['EHLO', ...Array<string>(7).fill('501 5.5.4')],
    ['MAIL FROM:<a@b.example>', '503 5.5.1', '250 2.0.0', ...Array<string>(5).fill('503 5.5.1')],
    ['MAIL FROM:<a@b', '503 5.5.1', '501 5.1.7', ...Array<string>(5).fill('503 5.5.1')],
    [
      'RCPT TO:<a@b.example>',
      '503 5.5.1',
      '503 5.5.1',
      '250 2.0.0',
      '250 2.0.0',
      '250 2.0.0',
      '503 5.5.1',
      '503 5.5.1',
    ],
    ['RCPT TO:<>', '503 5.5.1', '503 5.5.1', '501 5.1.3', '501 5.1.3', '501 5.1.3', '503 5.5.1', '503 5.5.1'],
    ['DATA', '503 5.5.1', '503 5.5.1', '503 5.5.1', '554 5.5.1', '354', '503 5.5.1', '503 5.5.1'],
    ['DATA x', ...Array<string>(7).fill('501 5.5.4')],
    ['BDAT 0', '503 5.5.1', '503 5.5.1', '503 5.5.1', '554 5.5.1', '250 2.0.0', '250 2.0.0', '451 4.3.1'],
    [
      'BDAT 0 LAST',
      '503 5.5.1',
      '503 5.5.1',
      '503 5.5.1',
      '554 5.5.1',
      '250 2.0.0',
      '250 2.0.0',
      '451 4.3.1',
    ],
    ['BDAT', ...Array<string>(7).fill('501 5.5.4, 421 4.5.0')],
    ['RSET', ...Array<string>(7).fill('250 2.0.0')],
    ['RSET x', ...Array<string>(7).fill('501 5.5.4')],
    ['NOOP', ...Array<string>(7).fill('250 2.0.0')],
    ['NOOP anything', ...Array<string>(7).fill('250 2.0.0')],
    ['VRFY user', ...Array<string>(7).fill('252 2.0.0')],
    ['VRFY', ...Array<string>(7).fill('501 5.5.4')],
    ['EXPN list', ...Array<string>(7).fill('502 5.5.1')],
    ['HELP', ...Array<string>(7).fill('214 2.0.0')],
    ['HELP MAIL', ...Array<string>(7).fill('214 2.0.0')],
    ['STARTTLS', ...Array<string>(7).fill('502 5.5.1')],
    ['AUTH PLAIN AA==', ...Array<string>(7).fill('502 5.5.1')],
    ['QUIT', ...Array<string>(7).fill('221 2.0.0')],
    ['QUIT now', ...Array<string>(7).fill('501 5.5.4')],
    ['WHAT', ...Array<string>(7).fill('500 5.5.2')],
    ['', ...Array<string>(7).fill('500 5.5.2')],
  ];
  for (const [command, ...expected] of table) {
    for (const [index, [name, before]] of states.entries()) {
      assert.equal(answer(before, command), expected[index], `${command} in ${name}`);
    }
  }
});

const PLAIN =
  '{"sizeBytes":null,"body":null,"smtputf8":false,"dsn":{"ret":null,"envid":null},"requireTls":false}';

test('a message by DATA: dots, order of actions, and what is pipelined behind it', () => {
  const outcome = run([`${ENVELOPE}DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n${MAIL}NOOP\r\nQUIT\r\n`]);
  assert.deepEqual(outcome.messages, ['Subject: x\r\n\r\n.dot\r\n']);
  assert.deepEqual(statuses(outcome.output), [
    '250',
    '250 2.0.0',
    '250 2.0.0',
    '354',
    ...Array<string>(3).fill('250 2.0.0'),
    '221 2.0.0',
  ]);
  assert.deepEqual(outcome.log, [
    '{"type":"hello","name":"client.example.com","extended":true}',
    `mail sender@example.com ${PLAIN}`,
    'rcpt rcpt@example.org',
    'data false',
    '{"type":"end","sizeBytes":20,"eightBit":false,"failure":null}',
    `mail sender@example.com ${PLAIN}`,
    '{"type":"reset"}',
    '{"type":"close","reason":"QUIT"}',
  ]);
});

test('size: SIZE= above the limit, and growing past it', () => {
  assert.equal(answer(HELLO, 'MAIL FROM:<a@b.example> SIZE=501'), '552 5.3.4');
  assert.equal(answer(HELLO, 'MAIL FROM:<a@b.example> SIZE=500'), '250 2.0.0');
  assert.equal(answer(HELLO, 'MAIL FROM:<a@b.example> SIZE=99999999999', LOOSE), '250 2.0.0');

  const message = (bytes: number): string => `${ENVELOPE}DATA\r\n${'x'.repeat(bytes - 2)}\r\n.\r\nNOOP\r\n`;
  assert.deepEqual(statuses(run([message(500)]).output).slice(-2), ['250 2.0.0', '250 2.0.0']);
  const outcome = run([message(501)]);
  assert.deepEqual(statuses(outcome.output).slice(-2), ['552 5.3.4', '250 2.0.0']);
  assert.deepEqual(outcome.messages, []);
  // Stuffed dots and the end mark do not count (RFC 1870 §6.2).
  const dots = run([`${ENVELOPE}DATA\r\n${'..\r\n'.repeat(166)}.\r\n`]);
  assert.equal(dots.messages[0]?.length, 498);
  assert.equal(run([message(5000)], LOOSE).messages[0]?.length, 5000);
});

test('size: nothing more is handed on once the limit is passed, however much follows', () => {
  const driver = new Driver();
  driver.feed(`${ENVELOPE}DATA\r\n`);
  for (let i = 0; i < 100; i++) driver.feed('0123456789abcdef\r\n'.repeat(100));
  assert.ok(driver.bodyBytes <= 500);
  assert.deepEqual(statuses(driver.feed('.\r\n')), ['552 5.3.4']);
  assert.match(driver.log.at(-1) ?? '', /"type":"end","sizeBytes":180000.*"code":552/);
  assert.deepEqual(statuses(driver.feed(`${MAIL}${RCPT}DATA\r\nx\r\n.\r\n`)).at(-1), '250 2.0.0');
});

test('a changed limit is in force for the next command', () => {
  let policy = POLICY;
  const session = new ReceiverSession(() => policy);
  const ask = (text: string): string => {
    session.receive(Buffer.from(text));
    for (let action = session.next(); action !== null; action = session.next()) {
      if (action.type === 'data') session.answerAccept();
      else if (['mail', 'rcpt'].includes(action.type)) session.answer(reply(250, '2.0.0', 'Ok'));
    }
    return statuses(session.takeOutput().toString()).join(', ');
  };
  ask(ENVELOPE);
  assert.equal(ask('BDAT 4\r\nabcd'), '250 2.0.0');
  policy = { ...POLICY, maxMessageBytes: 6 };
  assert.equal(ask('BDAT 3\r\nefg'), '552 5.3.4');
  policy = { ...POLICY, maxMessageBytes: 0 };
  assert.equal(ask('BDAT 0 LAST\r\n'), '552 5.3.4', 'what was dropped stays dropped');
  session.receive(Buffer.from(HELLO));
  assert.equal(session.next()?.type, 'hello');
  assert.match(session.takeOutput().toString(), /SIZE 0/);
});

test('BDAT: chunks, refusals and their bytes', () => {
  const chunked = run([`${ENVELOPE}BDAT 7\r\nQUIT\r\n.BDAT 4 LAST\r\n\r\n..QUIT\r\n`]);
  assert.deepEqual(chunked.messages, ['QUIT\r\n.\r\n..\r\n']);
  assert.equal(chunked.closed, true);
  // The bytes of a chunk are read before it is refused, so they are never taken for commands.
  assert.deepEqual(statuses(run([`${HELLO}BDAT 6\r\nQUIT\r\nNOOP\r\n`]).output).slice(1), [
    '503 5.5.1',
    '250 2.0.0',
  ]);
  // Too large: said at each chunk, and the rest is dropped until LAST.
  const large = run([`${ENVELOPE}BDAT 501\r\n${'x'.repeat(501)}BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n`]);
  assert.deepEqual(statuses(large.output).slice(3), ['552 5.3.4', '552 5.3.4', '552 5.3.4', '250 2.0.0']);
  // The CRLF a last line lacks is part of what would be stored.
  const exact = (bytes: number): string => `${ENVELOPE}BDAT ${bytes} LAST\r\n${'x'.repeat(bytes)}`;
  assert.equal(run([exact(498)]).messages[0]?.length, 500);
  assert.deepEqual(statuses(run([exact(499)]).output).slice(-1), ['552 5.3.4']);
  // An announced size is enough to know: nothing of the chunk is handed on.
  const driver = new Driver();
  driver.feed(`${ENVELOPE}BDAT 501\r\nxxx`);
  assert.equal(driver.bodyBytes, 0);
  // RSET within: a new message starts empty.
  const reset = run([`${ENVELOPE}BDAT 3\r\noldRSET\r\n${MAIL}${RCPT}BDAT 5 LAST\r\nnew\r\n`]);
  assert.deepEqual(reset.messages, ['new\r\n']);
  assert.equal(reset.log.filter((entry) => entry.includes('reset')).length, 1);
});

test('BDAT without a size that can be read ends the session: its octets are no commands', () => {
  for (const argument of ['', ' x', ' -1', ' 5 MORE', ' 0x10', ` ${'9'.repeat(16)}`]) {
    const outcome = run([`${ENVELOPE}BDAT${argument}\r\nMAIL FROM:<other@example.com>\r\nNOOP\r\n`]);
    assert.deepEqual(statuses(outcome.output).slice(-2), ['501 5.5.4', '421 4.5.0'], argument);
    assert.deepEqual(outcome.messages, []);
  }
});

test('BDAT the host refuses: each chunk is told so until LAST or RSET, then a new message may begin', () => {
  const envelope = 'MAIL FROM:<nodata@example.com>\r\nRCPT TO:<r@example.org>\r\n';
  const refused = 'BDAT 6\r\nQUIT\r\nBDAT 0\r\n';
  for (const end of ['BDAT 6 LAST\r\nQUIT\r\n', 'RSET\r\n']) {
    const outcome = run([`${HELLO}${envelope}${refused}${end}${MAIL}${RCPT}BDAT 2 LAST\r\n\r\n`]);
    const answers = statuses(outcome.output).slice(3);
    assert.deepEqual(answers, [
      '451 4.3.1',
      '451 4.3.1',
      end === 'RSET\r\n' ? '250 2.0.0' : '451 4.3.1',
      ...Array<string>(3).fill('250 2.0.0'),
    ]);
    assert.equal(outcome.log.filter((entry) => entry.includes('reset')).length, 1);
    assert.deepEqual(outcome.messages, ['\r\n']);
  }
});

test('bare CR or LF: refused after the true end, repaired where the policy says so', () => {
  const text = `${ENVELOPE}DATA\r\na\n.\nQUIT\n\r\n.\r\nNOOP\r\n`;
  const refused = run([text]);
  assert.deepEqual(statuses(refused.output).slice(4), ['550 5.5.2', '250 2.0.0']);
  assert.deepEqual(refused.messages, []);
  assert.equal(refused.closed, false);
  const repaired = run([text], { ...POLICY, bareNewline: 'normalise' });
  assert.deepEqual(repaired.messages, ['a\r\n.\r\nQUIT\r\n\r\n']);
  // Too large as well: which showed first must not matter.
  const large = `${ENVELOPE}DATA\r\na\n${'x'.repeat(600)}\r\n.\r\n`;
  assert.deepEqual(statuses(run([large]).output).slice(-1), ['552 5.3.4']);
  // In a command it costs the line, and the session goes on.
  assert.equal(answer(HELLO, 'NOOP\nNOOP'), '550 5.5.2');
  assert.equal(answer(HELLO, 'NO\rOP'), '550 5.5.2');
  assert.equal(answer(HELLO, 'NOOP\r'), '550 5.5.2');
  assert.equal(answer(HELLO, 'MAIL FROM:<a@b.example>\nRCPT TO:<a@b.example>'), '550 5.5.2');
  assert.equal(new Driver().feed('QUIT\n'), '');
});

test('command lines: 2,048 octets are taken, a longer one is dropped without being kept', () => {
  // Octets of the line with its CRLF.
  const fill = (bytes: number): string => `NOOP ${'x'.repeat(bytes - 7)}`;
  assert.equal(answer('', fill(2048)), '250 2.0.0');
  assert.equal(answer('', fill(2049)), '500 5.5.2');
  const split = new Driver();
  assert.equal(split.feed(`${fill(2048)}\r`), '');
  assert.deepEqual(statuses(split.feed('\n')), ['250 2.0.0']);
  const driver = new Driver();
  // The driver checks after each read that no more than a line is held.
  for (let i = 0; i < 50; i++) assert.equal(driver.feed('x'.repeat(65_536)), '');
  assert.ok(driver.session.bufferedBytes <= 1);
  assert.equal(driver.feed('\n\r'), '');
  assert.deepEqual(statuses(driver.feed('\nNOOP\r\n')), ['500 5.5.2', '250 2.0.0']);
});

test('of a read only an unfinished line is kept, as a copy', () => {
  const driver = new Driver();
  const read = Buffer.from('NOOP\r\nNO');
  driver.feed(read);
  read.fill(0);
  assert.equal(driver.feed('OP\r\n'), '250 2.0.0 Ok\r\n');
});

test('recipients beyond the limit get 452 and may be sent later', () => {
  const driver = new Driver();
  driver.feed(ENVELOPE + RCPT);
  assert.deepEqual(statuses(driver.feed(`RCPT TO:<unknown@example.org>\r\n${RCPT}${RCPT}${RCPT}`)), [
    '550 5.1.1',
    '250 2.0.0',
    '452 4.5.3',
    '452 4.5.3',
  ]);
  assert.equal(driver.log.filter((entry) => entry.startsWith('rcpt')).length, 4);
  assert.deepEqual(statuses(driver.feed(`DATA\r\n.\r\n${MAIL}${RCPT}`)).slice(-1), ['250 2.0.0']);
});

test('too many errors: 421 4.7.0 and close; a delivered message clears the count, 4yz does not add to it', () => {
  const policy = { ...POLICY, maxErrors: 3 };
  assert.deepEqual(statuses(run(['A\r\nB\r\nC\r\nNOOP\r\n'], policy).output), [
    ...Array<string>(3).fill('500 5.5.2'),
    '421 4.7.0',
  ]);
  const refusals = run([`${HELLO}${MAIL}${'RCPT TO:<unknown@example.org>\r\n'.repeat(3)}`], policy);
  assert.deepEqual(refusals.log.slice(-2), [
    '{"type":"reset"}',
    '{"type":"close","reason":"421 4.7.0 Too many errors, closing the connection"}',
  ]);
  const soft = run([`${HELLO}${MAIL}${'RCPT TO:<later@example.org>\r\n'.repeat(9)}`], policy);
  assert.equal(soft.closed, false);
  const mended = run([`A\r\nB\r\n${ENVELOPE}DATA\r\n.\r\nA\r\nB\r\nNOOP\r\n`], policy);
  assert.equal(mended.closed, false);
  const chunks = `BDAT 501\r\n${'x'.repeat(501)}${'BDAT 0\r\n'.repeat(9)}`;
  assert.equal(run([ENVELOPE + chunks], policy).closed, false, 'chunks sent ahead are one error');
});

test('commands that move no mail are limited too', () => {
  const policy = { ...POLICY, maxErrors: 2 };
  const noops = (count: number): string => 'NOOP\r\n'.repeat(count);
  assert.equal(run([noops(POLICY.maxIdleCommands + 1)], policy).closed, false);
  const outcome = run([noops(10_000)], policy);
  assert.equal(outcome.closed, true);
  assert.equal(statuses(outcome.output).length, POLICY.maxIdleCommands + 3);
  const busy = `RSET\r\n${MAIL}${RCPT}DATA\r\n.\r\n`.repeat(300);
  assert.equal(run([HELLO + busy], policy).messages.length, 300);
});

test('what moved no mail is told to the host once', () => {
  const driver = new Driver(POLICY);
  driver.feed(
    `${HELLO}FOO\r\nNOOP\r\n${MAIL}RCPT TO:<unknown@example.org>\r\nRCPT TO:<later@example.org>\r\n`,
  );
  assert.deepEqual(driver.session.takeFruitless(), { errors: 2, idleCommands: 2 });
  assert.deepEqual(driver.session.takeFruitless(), { errors: 0, idleCommands: 0 });
  driver.feed(`A\r\n${RCPT}DATA\r\n.\r\n`);
  assert.deepEqual(
    driver.session.takeFruitless(),
    { errors: 1, idleCommands: 0 },
    'a message takes nothing back',
  );
});

test('SMTPUTF8: addresses beyond ASCII, and replies that name them', () => {
  assert.equal(answer(HELLO, 'MAIL FROM:<gr\xc3\xbc\xc3\x9fe@example.com>'), '553 5.6.7');
  assert.equal(answer(HELLO, 'MAIL FROM:<gr\xc3\xbc\xc3\x9fe@example.com> SMTPUTF8'), '250 2.0.0');
  assert.equal(answer(HELLO + MAIL, 'RCPT TO:<\xc3\xbc@example.org>'), '553 5.6.7');
  const session = new ReceiverSession(() => POLICY);
  const ask = (text: string): string => {
    session.receive(Buffer.from(text));
    for (let action = session.next(); action !== null; action = session.next()) {
      if (action.type === 'mail') session.answer(reply(250, '2.1.0', 'Ok'));
      if (action.type === 'rcpt') session.answer(failure(550, '5.1.1', `No ${action.recipient.text}`));
    }
    return session.takeOutput().toString();
  };
  ask(`${HELLO}MAIL FROM:<> SMTPUTF8\r\n`);
  assert.equal(ask('RCPT TO:<ü@example.org>\r\n'), '550 5.1.1 No ü@example.org\r\n');
});

test('deadlines, and nothing consumed while a question is open', () => {
  const session = new ReceiverSession(() => POLICY);
  assert.equal(session.deadline, 'command');
  session.receive(Buffer.from(`${ENVELOPE}DATA\r\n`));
  assert.equal(session.next()?.type, 'hello');
  assert.equal(session.next()?.type, 'mail');
  assert.equal(session.deadline, 'none');
  const held = session.bufferedBytes;
  assert.equal(held, RCPT.length + 'DATA\r\n'.length);
  assert.equal(session.next(), null);
  session.receive(Buffer.from('x\r\n'));
  assert.equal(session.next(), null);
  assert.equal(session.bufferedBytes, held + 3);
  session.answer(reply(250, '2.1.0', 'Ok'));
  assert.equal(session.next()?.type, 'rcpt');
  session.answer(failure(451, '4.3.0', 'Later'));
  assert.equal(session.next(), null);
  session.receive(Buffer.from(`${RCPT}DATA\r\n`));
  assert.equal(session.next()?.type, 'rcpt');
  session.answer(reply(250, '2.1.5', 'Ok'));
  assert.equal(session.next()?.type, 'data');
  session.answerAccept();
  assert.equal(session.deadline, 'data-block');
  session.receive(Buffer.from('.\r\n'));
  assert.equal(session.next()?.type, 'end');
  assert.equal(session.deadline, 'none');
  session.answer(reply(250, '2.0.0', 'Ok: queued'));
  assert.equal(session.deadline, 'command');
});

test('an answer to an end that failed is ignored; one to nothing is a fault', () => {
  const session = new ReceiverSession(() => POLICY);
  const next = (): string | undefined => session.next()?.type;
  session.receive(Buffer.from(`${HELLO}MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n\n\r\n.\r\n${MAIL}`));
  next();
  next();
  session.answer(reply(250, '2.1.0', 'Ok'));
  next();
  session.answer(reply(250, '2.1.5', 'Ok'));
  next();
  session.answerAccept();
  assert.equal(next(), 'end');
  session.answer(reply(250, '2.0.0', 'Ok: queued'));
  assert.deepEqual(statuses(session.takeOutput().toString()).slice(-1), ['550 5.5.2']);
  assert.equal(next(), 'mail');
  session.answer(reply(250, '2.1.0', 'Ok'));
  assert.throws(() => session.answer(reply(250, '2.1.0', 'Ok')), /no question/);
  assert.throws(() => session.answerAccept(), /no data question/);
});

test('fail: reply, close, and nothing after', () => {
  const session = new ReceiverSession(() => POLICY);
  session.receive(Buffer.from(ENVELOPE));
  assert.equal(session.next()?.type, 'hello');
  assert.equal(session.next()?.type, 'mail');
  session.takeOutput();
  session.fail(reply(421, '4.3.2', 'Shutting down'));
  assert.equal(session.takeOutput().toString(), '421 4.3.2 Shutting down\r\n');
  assert.deepEqual(session.next(), { type: 'close', reason: '421 4.3.2 Shutting down' });
  session.answer(reply(250, '2.1.0', 'late'));
  session.fail(reply(421, '4.3.2', 'again'));
  session.receive(Buffer.from('NOOP\r\n'));
  assert.equal(session.next(), null);
  assert.equal(session.takeOutput().length, 0);
  assert.equal(session.bufferedBytes, 0);
  assert.equal(session.deadline, 'none');
});
