import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  destinationRule,
  destinationRulesType,
  MAX_DESTINATION_RULES,
} from '../../src/settings/destination-rules.ts';
import { readSettingsFile, tomlLine } from '../../src/settings/toml.ts';

function rulesOf(text: string) {
  const rules = destinationRulesType.parse(text);
  assert.ok(rules.ok, rules.ok ? '' : rules.reason);
  return rules.value;
}

/** As entered, and in canonical text. */
const CANONICAL: readonly (readonly [string, string])[] = [
  ['', ''],
  ['Example.COM  hold', 'example.com hold'],
  ['*.example.com IPv4 TLS=Verify', '*.example.com tls=verify ipv4'],
  ['* route=smtp-host', '* route=smtp-host'],
  ['a.example route=smtp-host:2', 'a.example route=smtp-host:2'],
  ['a.example route=host:Relay.Example', 'a.example route=host:relay.example:25'],
  ['a.example route=host:192.0.2.1:2525', 'a.example route=host:192.0.2.1:2525'],
  ['a.example route=host:[2001:DB8::1]:26', 'a.example route=host:[2001:db8::1]:26'],
  ['[192.0.2.1] port=26', '[192.0.2.1] port=26'],
  ['münchen.example tls=encrypt', 'xn--mnchen-3ya.example tls=encrypt'],
  ['a.example default', 'a.example default'],
  [
    'a.example hold ipv4 rate=60 concurrency=2 tls=none port=26 route=mx',
    'a.example route=mx port=26 tls=none concurrency=2 rate=60 ipv4 hold',
  ],
  ['a.example hold , b.example rate=5', 'a.example hold,b.example rate=5'],
];

test('rules are read and written in canonical form, and that form is read again', () => {
  for (const [entered, canonical] of CANONICAL) {
    const text = destinationRulesType.format(rulesOf(entered));
    assert.equal(text, canonical);
    assert.equal(destinationRulesType.format(rulesOf(text)), canonical);
  }
});

/** As entered, a part of the reason, and what would do. */
const REFUSED: readonly (readonly [string, RegExp, RegExp])[] = [
  ['a.example', /entry 1 .*says nothing about a\.example/, /a\.example hold/],
  ['a.example hold,b.example', /entry 2 \("b\.example"\)/, /hold/],
  ['a.example hold,,', /entry 2, between two commas, is empty/, /example\.com/],
  ['a.example hold,A.EXAMPLE ipv4', /entry 2 .*a rule for a\.example already/, /both/],
  ['hold', /says nothing about hold/, /hold/],
  ['me@a.example hold', /"me@a\.example" is not a domain/, /^a\.example$/],
  ['*a.example hold', /"\*a\.example" is not a domain/, /example\.com/],
  ['a.example relay', /"relay" is not a word of a rule/, /example\.com/],
  ['a.example route=relay', /"route=relay": not mx/, /route=host:/],
  ['a.example route=smtp-host:5', /"route=smtp-host:5": .*numbered 1 to 4/, /smtp-host:2/],
  ['a.example route=host:r.example:0', /port needs a whole number/, /route=host:r\.example:25/],
  ['a.example route=host:', /not a host name or address/, /route=host:/],
  ['a.example tls=required', /"tls=required": not one of none, opportunistic, encrypt, verify/, /tls=verify/],
  ['a.example concurrency=0', /"concurrency=0": needs a whole number from 1 to 1000/, /concurrency=10/],
  ['a.example rate=60/m', /"rate=60\/m"/, /rate=10/],
  ['a.example port=65536', /"port=65536"/, /port=25/],
  ['a.example hold=yes', /"hold=yes": the word hold takes no value/, /^hold$/],
  ['a.example hold hold', /the word hold is there twice/, /one/],
  ['a.example default hold', /stands alone/, /a\.example default/],
  ['a.example route=smtp-host port=26', /port= is for servers found by MX/, /smtp\.host\.port/],
  ['a.example route=host:r.example port=26', /port= is for servers/, /route=host:r\.example:26/],
  ['a.example route=smtp-host tls=verify', /tls= is not for an SMTP host/, /smtp\.host\.tls/],
];

test('a rule that cannot be used is refused with its entry, the word and what would do', () => {
  for (const [entered, reason, wouldDo] of REFUSED) {
    const rules = destinationRulesType.parse(entered);
    assert.ok(!rules.ok, entered);
    assert.match(rules.reason, reason, entered);
    assert.match(rules.wouldDo ?? '', wouldDo, entered);
  }
});

test('there are at most 500 rules', () => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => `d${n}.example hold`).join(',');
  assert.equal(rulesOf(many(MAX_DESTINATION_RULES)).length, 500);
  const tooMany = destinationRulesType.parse(many(MAX_DESTINATION_RULES + 1));
  assert.ok(!tooMany.ok);
  assert.match(tooMany.reason, /more than 500/);
});

test('the nearest rule applies, alone', () => {
  const destinationRules = rulesOf(
    'example.com hold,*.example.com ipv4,*.deep.example.com tls=verify,[192.0.2.1] port=26,* rate=60',
  );
  const cases: readonly (readonly [string, string])[] = [
    ['example.com', 'example.com'],
    ['a.example.com', '*.example.com'],
    ['a.b.example.com', '*.example.com'],
    ['deep.example.com', '*.example.com'],
    ['x.deep.example.com', '*.deep.example.com'],
    ['notexample.com', '*'],
    ['[192.0.2.1]', '[192.0.2.1]'],
    ['[192.0.2.2]', '*'],
    ['com', '*'],
  ];
  for (const [domain, pattern] of cases) {
    assert.equal(destinationRule({ destinationRules }, domain).pattern, pattern, domain);
  }
  assert.equal(destinationRule({ destinationRules }, 'a.example.com').hold, false);
  assert.equal(destinationRule({ destinationRules: rulesOf('*.b.example hold') }, 'b.example').pattern, null);
});

test('a settings file has the rules as an array', () => {
  const rules = rulesOf('example.com hold,*.example.org route=host:[2001:db8::1]:26');
  const line = tomlLine('smtp.destinationRules', destinationRulesType.toJson(rules));
  assert.equal(
    line,
    'smtp.destinationRules = ["example.com hold", "*.example.org route=host:[2001:db8::1]:26"]',
  );
  const file = readSettingsFile(line);
  assert.ok(file.ok);
  assert.deepEqual(rulesOf(file.changes[0]?.value ?? ''), rules);
});
