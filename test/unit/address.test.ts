import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalDomain,
  formatAddressLiteral,
  isAddressLiteral,
  parseAddress,
  parseAddressLiteral,
} from '../../src/mail/address.ts';

const label63 = 'd'.repeat(63);
/** 253 octets: the longest name DNS can hold. */
const name253 = `${label63}.${label63}.${label63}.${'d'.repeat(61)}`;

/** Text, canonical text, unquoted local part. */
const VALID: readonly (readonly [string, string, string])[] = [
  ['user@example.com', 'user@example.com', 'user'],
  ['User@EXAMPLE.Com', 'User@example.com', 'User'],
  ['first.last+tag@example.com', 'first.last+tag@example.com', 'first.last+tag'],
  ["!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~"],
  ['a%b!c@example.com', 'a%b!c@example.com', 'a%b!c'],
  ['user@localhost', 'user@localhost', 'user'],
  ['user@1and1.example', 'user@1and1.example', 'user'],
  ['"needless"@example.com', 'needless@example.com', 'needless'],
  ['"a b"@example.com', '"a b"@example.com', 'a b'],
  ['"a@b"@example.com', '"a@b"@example.com', 'a@b'],
  ['"a\\"b\\\\c"@example.com', '"a\\"b\\\\c"@example.com', 'a"b\\c'],
  ['"\\a"@example.com', 'a@example.com', 'a'],
  ['".dots..here."@example.com', '".dots..here."@example.com', '.dots..here.'],
  ['""@example.com', '""@example.com', ''],
  ['user@[192.0.2.1]', 'user@[192.0.2.1]', 'user'],
  ['user@[192.000.002.001]', 'user@[192.0.2.1]', 'user'],
  ['user@[IPv6:2001:DB8:0:0::1]', 'user@[IPv6:2001:db8::1]', 'user'],
  ['user@[ipv6:::ffff:192.0.2.1]', 'user@[IPv6:::ffff:192.0.2.1]', 'user'],
  ['user@exämple.com', 'user@xn--exmple-cua.com', 'user'],
  ['user@XN--EXMPLE-CUA.com', 'user@xn--exmple-cua.com', 'user'],
  ['grüße@example.com', 'grüße@example.com', 'grüße'],
  ['"用 户"@例子.example', '"用 户"@xn--fsqu00a.example', '用 户'],
  [`${'l'.repeat(64)}@example.com`, `${'l'.repeat(64)}@example.com`, 'l'.repeat(64)],
  [`user@${label63}.com`, `user@${label63}.com`, 'user'],
];

const INVALID: readonly string[] = [
  '',
  'user',
  '@example.com',
  'user@',
  'user@@example.com',
  'user@one@example.com',
  '.user@example.com',
  'user.@example.com',
  'us..er@example.com',
  'us er@example.com',
  'user @example.com',
  'user@ example.com',
  'user@example.com ',
  'us\ter@example.com',
  'us\0er@example.com',
  '"\0"@example.com',
  '"a\tb"@example.com',
  'user@exam\rple.com',
  'us(er)@example.com',
  'us,er@example.com',
  'us<er@example.com',
  'us\\er@example.com',
  '"open@example.com',
  '"a"b"@example.com',
  '"a"b@example.com',
  'a"b"@example.com',
  '"a\\"@example.com',
  '"a" @example.com',
  'user@.example.com',
  'user@example..com',
  'user@example.com.',
  'user@-example.com',
  'user@example-.com',
  'user@exa_mple.com',
  'user@exa/mple.com',
  'user@ex%61mple.cöm',
  'user@192.0.2.1',
  'user@１９２.0.2.1',
  'user@123',
  'user@[192.0.2.256]',
  'user@[192.0.2]',
  'user@[192.0.2.1',
  'user@192.0.2.1]',
  'user@[192.0.2.1]x',
  'user@[]',
  'user@[2001:db8::1]',
  'user@[IPv6:192.0.2.1]',
  'user@[IPv6:2001:db8::1::2]',
  'user@[IPv6:fe80::1%eth0]',
  'user@[example:content]',
  'us\u0085er@example.com',
  'us\ufffder@example.com',
  'us\ud800er@example.com',
  `${'l'.repeat(65)}@example.com`,
  `${'ü'.repeat(33)}@example.com`,
  `user@${'d'.repeat(64)}.com`,
  `ll@${name253}`,
];

test('valid addresses become canonical', () => {
  for (const [text, canonical, localPart] of VALID) {
    const result = parseAddress(text);
    assert.ok(result.ok, text);
    assert.equal(result.value.text, canonical, text);
    assert.equal(result.value.localPart, localPart, text);
    assert.equal(result.value.domain, canonical.slice(canonical.lastIndexOf('@') + 1), text);
    assert.equal(result.value.utf8, /[^\u0000-\u007f]/.test(localPart), text);
    assert.deepEqual(parseAddress(canonical), result, `canonical form of ${text} is stable`);
  }
});

test('malformed addresses are refused with 501 5.1.3', () => {
  for (const text of INVALID) {
    const result = parseAddress(text);
    assert.ok(!result.ok, JSON.stringify(text));
    assert.equal(result.failure.code, 501);
    assert.equal(result.failure.enhanced, '5.1.3');
    assert.match(result.failure.text, /^[ -~]+$/);
  }
});

test('a path holds 256 octets with its brackets', () => {
  assert.equal(name253.length, 253);
  const name252 = name253.slice(1);
  assert.ok(parseAddress(`a@${name252}`).ok);
  assert.ok(!parseAddress(`a@${name253}`).ok);
});

test('domains: one canonical form, or undefined', () => {
  assert.equal(canonicalDomain('Example.COM'), 'example.com');
  assert.equal(canonicalDomain('example.com.'), 'example.com');
  assert.equal(canonicalDomain('EXÄMPLE.com'), 'xn--exmple-cua.com');
  assert.equal(canonicalDomain('例子。example'), 'xn--fsqu00a.example');
  assert.equal(canonicalDomain(name253), name253);
  for (const bad of [
    '',
    '.',
    '..',
    'a..b',
    '-a',
    'a-',
    'a b',
    'a@b',
    '[192.0.2.1]',
    '127.1',
    'a.0',
    'ä b',
    'ä%41',
    'ä/b',
  ]) {
    assert.equal(canonicalDomain(bad), undefined, bad);
  }
  const labels = Array.from({ length: 128 }, () => 'd').join('.');
  assert.equal(canonicalDomain(labels), labels, '255 octets');
  assert.equal(canonicalDomain(`${labels}d`), undefined, '256 octets');
});

test('address literals', () => {
  assert.deepEqual(parseAddressLiteral('[192.0.2.1]'), { address: '192.0.2.1', family: 4 });
  assert.deepEqual(parseAddressLiteral('[IPv6:2001:DB8::1]'), { address: '2001:db8::1', family: 6 });
  assert.equal(parseAddressLiteral('192.0.2.1'), undefined);
  assert.equal(formatAddressLiteral({ address: '192.0.2.1', family: 4 }), '[192.0.2.1]');
  assert.equal(formatAddressLiteral({ address: '2001:db8::1', family: 6 }), '[IPv6:2001:db8::1]');
  assert.equal(isAddressLiteral('[192.0.2.1]'), true);
  assert.equal(isAddressLiteral('example.com'), false);
});

test('any text either is refused or has a stable canonical form', () => {
  const piece = fc.constantFrom(
    'a',
    'B',
    '.',
    '@',
    '"',
    '\\',
    ' ',
    'ü',
    '[',
    ']',
    '1',
    ':',
    '-',
    '\0',
    '\u{1f600}',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const result = parseAddress(pieces.join(''));
      if (!result.ok) return;
      assert.deepEqual(parseAddress(result.value.text), result);
      assert.doesNotMatch(result.value.text, /\p{Cc}/u);
    }),
    { numRuns: 3000 },
  );
});
