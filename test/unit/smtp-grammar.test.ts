import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Failure, Result } from '../../src/mail/failure.ts';
import {
  parseChunkHeader,
  parseCommandLine,
  parseHello,
  parseMail,
  parseRcpt,
} from '../../src/smtp/grammar.ts';

function assertFails<T>(result: Result<T, Failure>, status: string, of: string): void {
  assert.ok(!result.ok, `taken: ${of}`);
  assert.equal(`${result.failure.code} ${result.failure.enhanced}`, status, of);
}

test('a line becomes verb and argument', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['NOOP', 'NOOP', ''],
    ['noop  ', 'NOOP', ''],
    ['Mail FROM:<a@b.example>', 'MAIL', 'FROM:<a@b.example>'],
    ['EHLO \t host \t', 'EHLO', 'host'],
    ['X', 'X', ''],
  ];
  for (const [line, verb, argument] of cases) {
    assert.deepEqual(parseCommandLine(Buffer.from(line)), { ok: true, value: { verb, argument } });
  }
});

test('lines that are no command', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', '500 5.5.2'],
    [' NOOP', '500 5.5.2'],
    ['<>', '500 5.5.2'],
    ['NOOP\0', '500 5.5.2'],
    ['NOOP\n', '550 5.5.2'],
    ['NO\rOP', '550 5.5.2'],
    ['\n', '550 5.5.2'],
    ['EHLO a\nMAIL FROM:<>', '550 5.5.2'],
    ['N\xd6\xd6P', '500 5.5.2'],
    ['NOOP:', '500 5.5.2'],
  ];
  for (const [line, status] of cases) {
    assertFails(parseCommandLine(Buffer.from(line, 'latin1')), status, JSON.stringify(line));
  }
});

test('host names in EHLO', () => {
  for (const name of [
    'a',
    'mail.example.com',
    '[192.0.2.1]',
    '[IPv6:2001:db8::1]',
    'WIN_PC-7',
    'h'.repeat(255),
  ]) {
    assert.deepEqual(parseHello(name), { ok: true, value: name });
  }
  for (const name of ['', 'a b', 'a(b', 'a;b', 'ü', 'a\x01', 'h'.repeat(256)]) {
    assertFails(parseHello(name), '501 5.5.4', name);
  }
});

test('MAIL: paths', () => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['FROM:<>', null],
    ['from:<a@b.example>', 'a@b.example'],
    ['FROM: <a@b.example>', 'a@b.example'],
    ['FROM:<"a>b"@c.example>', '"a>b"@c.example'],
    ['FROM:<"a\\">b"@c.example>', '"a\\">b"@c.example'],
    ['FROM:<@one.example,@two.example:a@b.example>', 'a@b.example'],
    ['FROM:<@[IPv6:2001:db8::1]:a@b.example>', 'a@b.example'],
    ['FROM:<ü@exämple.com> SMTPUTF8', 'ü@xn--exmple-cua.com'],
  ];
  for (const [argument, sender] of cases) {
    const result = parseMail(argument);
    assert.ok(result.ok, argument);
    assert.equal(result.value.sender?.text ?? null, sender, argument);
  }
});

test('MAIL: what is refused', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', '501 5.5.4'],
    ['<a@b.example>', '501 5.5.4'],
    ['TO:<a@b.example>', '501 5.5.4'],
    ['FROM <a@b.example>', '501 5.5.4'],
    ['FROM:', '501 5.1.7'],
    ['FROM:a@b.example', '501 5.1.7'],
    ['FROM:<a@b.example', '501 5.1.7'],
    ['FROM:<"a@b.example>', '501 5.1.7'],
    ['FROM:<a>', '501 5.1.7'],
    ['FROM:<postmaster>', '501 5.1.7'],
    ['FROM:< >', '501 5.1.7'],
    ['FROM:<a@b..example>', '501 5.1.7'],
    ['FROM:<@one.example:>', '501 5.1.7'],
    ['FROM:<@one.example>', '501 5.1.7'],
    ['FROM:<@one..example:a@b.example>', '501 5.1.7'],
    ['FROM:<@one.example,two.example:a@b.example>', '501 5.1.7'],
    ['FROM:<@one.example,@-two.example:a@b.example>', '501 5.1.7'],
    ['FROM:<ü@b.example>', '553 5.6.7'],
    ['FROM:<a@exämple.com>', '553 5.6.7'],
    ['FROM:<\ufffd@b.example> SMTPUTF8', '501 5.1.7'],
    ['FROM:<a@b.example>SIZE=1', '501 5.5.4'],
    ['FROM:<a@b.example>>', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=-1', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=1k', '501 5.5.4'],
    [`FROM:<a@b.example> SIZE=${'1'.repeat(21)}`, '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=1 size=1', '501 5.5.4'],
    ['FROM:<a@b.example> BODY', '501 5.5.4'],
    ['FROM:<a@b.example> BODY=BINARYMIME', '501 5.5.4'],
    ['FROM:<a@b.example> BODY=7BIT BODY=7BIT', '501 5.5.4'],
    ['FROM:<a@b.example> SMTPUTF8=yes', '501 5.5.4'],
    ['FROM:<a@b.example> SMTPUTF8 SMTPUTF8', '501 5.5.4'],
    ['FROM:<a@b.example> -X=1', '501 5.5.4'],
    ['FROM:<a@b.example> X=1=2', '501 5.5.4'],
    ['FROM:<a@b.example> X-OTHER=HDRS', '555 5.5.4'],
    ['FROM:<a@b.example> RET', '501 5.5.4'],
    ['FROM:<a@b.example> RET=ALL', '501 5.5.4'],
    ['FROM:<a@b.example> RET=FULL RET=HDRS', '501 5.5.4'],
    ['FROM:<a@b.example> ENVID', '501 5.5.4'],
    ['FROM:<a@b.example> ENVID=a+2', '501 5.5.4'],
    ['FROM:<a@b.example> ENVID=a+0Ab', '501 5.5.4'],
    ['FROM:<a@b.example> ENVID=a+2b', '501 5.5.4'],
    ['FROM:<a@b.example> ENVID=1 ENVID=2', '501 5.5.4'],
    [`FROM:<a@b.example> ENVID=${'x'.repeat(101)}`, '501 5.5.4'],
    ['FROM:<a@b.example> REQUIRETLS=yes', '501 5.5.4'],
    ['FROM:<a@b.example> AUTH', '501 5.5.4'],
  ];
  for (const [argument, status] of cases) assertFails(parseMail(argument), status, argument);
});

const NOTHING = { dsn: { ret: null, envid: null }, requireTls: false };

test('MAIL: parameters', () => {
  const parameters = (text: string) => {
    const result = parseMail(`FROM:<a@b.example>${text}`);
    assert.ok(result.ok, text);
    return result.value.parameters;
  };
  assert.deepEqual(parameters(''), { ...NOTHING, sizeBytes: null, body: null, smtputf8: false });
  assert.deepEqual(parameters('  size=0 '), { ...NOTHING, sizeBytes: 0, body: null, smtputf8: false });
  assert.deepEqual(parameters(' BODY=8bitMIME SMTPUTF8 SIZE=123'), {
    ...NOTHING,
    sizeBytes: 123,
    body: '8BITMIME',
    smtputf8: true,
  });
  assert.deepEqual(parameters(' ret=hdrs envid=QQ+2B314').dsn, { ret: 'HDRS', envid: 'QQ+2B314' });
  assert.equal(parameters(` ENVID=${'x'.repeat(100)} RET=FULL`).dsn.ret, 'FULL');
  assert.equal(parameters(' requiretls').requireTls, true);
  assert.equal(parameters(' BODY=7BIT').body, '7BIT');
  assert.equal(parameters(` SIZE=${'9'.repeat(20)}`).sizeBytes, 1e20);
});

test('RCPT', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['TO:<a@b.example>', 'a@b.example', 'b.example'],
    ['to: <a@[192.0.2.1]>', 'a@[192.0.2.1]', '[192.0.2.1]'],
    ['TO:<@one.example:a@b.example>', 'a@b.example', 'b.example'],
    ['TO:<a%c@b.example>', 'a%c@b.example', 'b.example'],
    ['TO:<Postmaster>', 'Postmaster', ''],
    ['TO:<postmaster@b.example>', 'postmaster@b.example', 'b.example'],
  ];
  for (const [argument, text, domain] of cases) {
    const result = parseRcpt(argument, false);
    assert.ok(result.ok, argument);
    assert.equal(result.value.recipient.text, text);
    assert.equal(result.value.recipient.domain, domain);
  }
  assert.ok(parseRcpt('TO:<ü@b.example>', true).ok);
  assertFails(parseRcpt('TO:<ü@b.example>', false), '553 5.6.7', 'without SMTPUTF8');
  assertFails(parseRcpt('TO:<>', false), '501 5.1.3', 'null path');
  assertFails(parseRcpt('TO:<user>', false), '501 5.1.3', 'no domain');
  assertFails(parseRcpt('TO:a@b.example', false), '501 5.1.3', 'no brackets');
  assertFails(parseRcpt('FROM:<a@b.example>', false), '501 5.5.4', 'FROM');
  assertFails(parseRcpt('TO:<a@b.example> RET=FULL', false), '555 5.5.4', 'RET');
  assertFails(parseRcpt('TO:<a@b.example> =', false), '501 5.5.4', 'malformed parameter');
});

test('RCPT: what is asked of notices', () => {
  const dsn = (text: string, smtputf8 = false) => {
    const result = parseRcpt(`TO:<a@b.example> ${text}`, smtputf8);
    assert.ok(result.ok, text);
    return result.value.dsn;
  };
  assert.deepEqual(dsn(''), { notify: null, orcpt: null });
  assert.deepEqual(dsn('notify=never').notify, ['NEVER']);
  assert.deepEqual(dsn('NOTIFY=delay,Success').notify, ['DELAY', 'SUCCESS']);
  assert.equal(dsn('ORCPT=rfc822;a+2Bb@b.example').orcpt, 'rfc822;a+2Bb@b.example');
  assert.equal(dsn('ORCPT=x400;/C+3DDE/').orcpt, 'x400;/C+3DDE/');
  // Kept in the form any server takes (RFC 6533 §3).
  assert.equal(dsn('ORCPT=utf-8;jos\\x{E9}\\x{2B}x@b.example').orcpt, 'utf-8;jos\\x{E9}\\x{2B}x@b.example');
  assert.equal(dsn('ORCPT=utf-8;josé@b.example', true).orcpt, 'utf-8;jos\\x{E9}@b.example');
  assert.equal(dsn(`ORCPT=rfc822;${'a'.repeat(493)}`).orcpt?.length, 500);
  const cases = [
    ['NOTIFY', '501 5.5.4'],
    ['NOTIFY=NEVER,DELAY', '501 5.5.4'],
    ['NOTIFY=DELAY,DELAY', '501 5.5.4'],
    ['NOTIFY=SOMETIMES', '501 5.5.4'],
    ['NOTIFY=DELAY,', '501 5.5.4'],
    ['NOTIFY=NEVER NOTIFY=NEVER', '501 5.5.4'],
    ['ORCPT', '501 5.5.4'],
    ['ORCPT=a@b.example', '501 5.5.4'],
    ['ORCPT=rfc822;', '501 5.5.4'],
    ['ORCPT=;a@b.example', '501 5.5.4'],
    ['ORCPT=rfc822;a+2bb@b.example', '501 5.5.4'],
    ['ORCPT=rfc822;a+0D+0AX:y', '501 5.5.4'],
    ['ORCPT=rfc822;a@b ORCPT=rfc822;a@b', '501 5.5.4'],
    [`ORCPT=rfc822;${'a'.repeat(494)}`, '501 5.5.4'],
    ['ORCPT=utf-8;a\\x{D800}', '501 5.5.4'],
    ['ORCPT=utf-8;a\\x{0A}', '501 5.5.4'],
    ['ORCPT=utf-8;a\\y', '501 5.5.4'],
    ['ORCPT=utf-8;josé@b.example', '553 5.6.7'],
  ] as const;
  for (const [text, status] of cases) assertFails(parseRcpt(`TO:<a@b.example> ${text}`, false), status, text);
});

test('BDAT', () => {
  assert.deepEqual(parseChunkHeader('0'), { ok: true, value: { sizeBytes: 0, last: false } });
  assert.deepEqual(parseChunkHeader('1000  last'), { ok: true, value: { sizeBytes: 1000, last: true } });
  for (const text of ['', 'LAST', '-1', '1.5', '0x10', '1 FIRST', '1LAST', '1 LAST x', '1'.repeat(16)]) {
    assertFails(parseChunkHeader(text), '501 5.5.4', text);
  }
});

test('hostile lines are judged in linear time', () => {
  const started = process.cpuUsage().user;
  for (const filler of [' ', '"', '\\', '@a,', 'A=1 ', '.', '@[', 'a.']) {
    const line = `FROM:<${filler.repeat(2000 / filler.length)}`;
    for (let i = 0; i < 50; i++) {
      parseCommandLine(Buffer.from(`MAIL ${line}x`));
      parseMail(line);
      parseMail(`${line}@a>${filler.repeat(100)}`);
      parseRcpt(`TO:<@a:${filler.repeat(500)}>`, true);
    }
  }
  // 400 rounds take some 30 ms; anything quadratic in the line takes seconds.
  assert.ok(process.cpuUsage().user - started < 2_000_000);
});
