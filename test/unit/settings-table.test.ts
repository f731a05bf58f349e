import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildSettings } from '../../src/settings/build.ts';
import { nearest } from '../../src/settings/nearest.ts';
import { networkContains, parseRelayNetwork } from '../../src/settings/networks.ts';
import { allSettings, findSetting, table } from '../../src/settings/table.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/settings/text.ts';

const EIGHT = [
  ['smtp.bufferSize', 'Buffer Size', '4'],
  ['smtp.socketTimeout', 'Socket Timeout', '30'],
  ['smtp.maxIncomingSize', 'Max incoming size', '50MB'],
  ['smtp.useMxResolution', 'Use MX Resolution to send mail', 'on'],
  ['smtp.fallbackToSmtpHost', 'Fallback to SMTP host if MX fails', 'off'],
  ['smtp.outboundPort', 'Outbound SMTP Port', '25'],
  ['smtp.refuseUnknownUsers', 'Refuse message if user unknown', 'on'],
  ['smtp.assumeExternal', 'Assume recipient address external', 'off'],
] as const;

test('the eight settings have their keys, labels and defaults', () => {
  assert.deepEqual(
    allSettings.slice(0, 8).map((one) => [one.key, one.label, one.default]),
    EIGHT,
  );
});

test('every default is valid and in canonical form, every key is there once', () => {
  const keys = new Set<string>();
  for (const setting of allSettings) {
    const value = setting.type.parse(setting.default);
    assert.ok(value.ok, setting.key);
    assert.equal(setting.type.format(value.value), setting.default, setting.key);
    assert.ok(setting.help !== '' && setting.effect !== '' && setting.label !== '', setting.key);
    keys.add(setting.key);
  }
  assert.equal(keys.size, allSettings.length);
});

test('without stored texts the typed settings hold the defaults in ms and bytes', () => {
  const settings = buildSettings(new Map());
  assert.equal(settings.bufferSizeBytes, 4096);
  assert.equal(settings.socketTimeoutMs, 30_000);
  assert.equal(settings.maxIncomingSizeBytes, 50 * 1024 * 1024);
  assert.deepEqual(settings.relayNetworks, ['127.0.0.1/32', '::1/128']);
  assert.deepEqual(
    settings.retryScheduleMs,
    [1, 5, 15, 30, 60, 120, 240].map((minutes) => minutes * 60_000),
  );
  assert.equal(settings.queueLifetimeMs, 5 * 86_400_000);
  assert.equal(settings.timeouts.dataEndMs, 600_000);
  assert.equal(settings.timeouts.dataMs, 120_000);
  assert.equal(settings.fallbackOn.length, 5);
  assert.equal(settings.smtpHost, null);
  assert.equal(settings.historyKeepMs, 90 * 86_400_000);
});

test('each setting reaches its place in the typed settings', () => {
  const entered: readonly (readonly [
    string,
    string,
    (s: ReturnType<typeof buildSettings>) => unknown,
    unknown,
  ])[] = [
    ['smtp.bufferSize', '64', (s) => s.bufferSizeBytes, 65_536],
    ['smtp.socketTimeout', '45', (s) => s.socketTimeoutMs, 45_000],
    ['smtp.maxIncomingSize', '0', (s) => s.maxIncomingSizeBytes, 0],
    ['smtp.useMxResolution', 'off', (s) => s.useMxResolution, false],
    ['smtp.fallbackToSmtpHost', 'on', (s) => s.fallbackToSmtpHost, true],
    ['smtp.outboundPort', '2525', (s) => s.outboundPort, 2525],
    ['smtp.refuseUnknownUsers', 'off', (s) => s.refuseUnknownUsers, false],
    ['smtp.assumeExternal', 'on', (s) => s.assumeExternal, true],
    ['smtp.delayNotice', '0', (s) => s.delayNoticeMs, 0],
    ['smtp.hopLimit', '30', (s) => s.hopLimit, 30],
    ['smtp.fallbackOn', 'nxdomain,self', (s) => s.fallbackOn, ['nxdomain', 'self']],
    ['smtp.unknownUserNotice', 'notice', (s) => s.unknownUserNotice, 'notice'],
    ['smtp.unknownUserNoticeRate', '3', (s) => s.unknownUserNoticeRate, 3],
    ['smtp.mx.allowPrivateAddresses', 'on', (s) => s.allowPrivateAddresses, true],
    ['smtp.ownNames', 'mx.example.com', (s) => s.ownNames, ['mx.example.com']],
    ['smtp.ownAddresses', '192.0.2.1', (s) => s.ownAddresses, ['192.0.2.1']],
    ['smtp.sourceAddress4', '192.0.2.7', (s) => s.sourceAddress4, '192.0.2.7'],
    ['smtp.sourceAddress6', '2001:DB8:0::7', (s) => s.sourceAddress6, '2001:db8::7'],
    ['smtp.bareNewline', 'normalise', (s) => s.bareNewline, 'normalise'],
    ['smtp.minDataRate', '50', (s) => s.minDataRate, 50],
    ['history.keep', '7d', (s) => s.historyKeepMs, 7 * 86_400_000],
  ];
  for (const [key, text, read, expected] of entered) {
    assert.deepEqual(read(buildSettings(new Map([[key, text]]))), expected, key);
  }
  const phases = [
    'greeting',
    'ehlo',
    'tls',
    'auth',
    'mail',
    'rcpt',
    'data',
    'dataBlock',
    'dataEnd',
    'quit',
    'command',
  ];
  for (const phase of phases) {
    const { timeouts } = buildSettings(new Map([[`smtp.timeout.${phase}`, '7']]));
    assert.equal(timeouts[`${phase}Ms` as keyof typeof timeouts], 7000, phase);
  }
});

test('the SMTP host is one value and null without a name', () => {
  const values = new Map([
    ['smtp.host.name', 'relay.example.net'],
    ['smtp.host.port', '587'],
    ['smtp.host.tls', 'required'],
    ['smtp.host.username', 'u'],
    ['smtp.host.password', 'p'],
  ]);
  assert.deepEqual(buildSettings(values).smtpHost, {
    which: 1,
    name: 'relay.example.net',
    port: 587,
    tls: 'required',
    username: 'u',
    password: 'p',
  });
  values.delete('smtp.host.name');
  assert.equal(buildSettings(values).smtpHost, null);
});

function canonical(key: string, text: string): string {
  const setting = findSetting(key);
  assert.ok(setting);
  const value = setting.type.parse(text);
  return value.ok ? setting.type.format(value.value) : `error: ${value.reason}`;
}

test('a value has one canonical text, however it was entered', () => {
  assert.equal(canonical('smtp.useMxResolution', 'TRUE'), 'on');
  assert.equal(canonical('smtp.maxIncomingSize', '52428800'), '50MB');
  assert.equal(canonical('smtp.maxIncomingSize', '1.5 gb'), '1536MB');
  assert.equal(canonical('smtp.bufferSize', '64KB'), '64');
  assert.equal(canonical('smtp.bufferSize', '1MB'), '1024');
  assert.equal(canonical('smtp.socketTimeout', '1m'), '60');
  assert.equal(canonical('smtp.queueLifetime', '2'), '2d');
  assert.equal(canonical('smtp.queueLifetime', '36h'), '36h');
  assert.equal(canonical('smtp.retrySchedule', '1, 90s,2h'), '1m,90s,2h');
  assert.equal(canonical('smtp.relayNetworks', ' 10.0.0.0/8, ::ffff:192.0.2.1 '), '10.0.0.0/8,192.0.2.1/32');
  assert.equal(canonical('smtp.relayNetworks', ''), '');
  assert.equal(canonical('smtp.host.name', '[::1]'), '::1');
});

test('values out of range, of a wrong unit or form are refused', () => {
  for (const [key, text, reason] of [
    ['smtp.bufferSize', '0', /below the smallest value 1$/],
    ['smtp.bufferSize', '1025', /above the largest value 1024$/],
    ['smtp.bufferSize', '4s', /not a unit of size/],
    ['smtp.bufferSize', '1.5', /whole number of KB/],
    ['smtp.socketTimeout', '0', /below/],
    ['smtp.socketTimeout', '601', /above/],
    ['smtp.socketTimeout', '30MB', /not a unit of time/],
    ['smtp.socketTimeout', '1.0001s', /whole number of seconds/],
    ['smtp.outboundPort', '65536', /above/],
    ['smtp.outboundPort', '25s', /without a unit/],
    ['smtp.outboundPort', 'smtp', /not a whole number/],
    ['smtp.useMxResolution', 'maybe', /not on or off/],
    ['smtp.maxIncomingSize', '-1', /below/],
    ['smtp.fallbackOn', 'nxdomain,4xx', /4xx: not one of/],
    ['smtp.retrySchedule', '', /at least 1/],
    ['smtp.retrySchedule', '1m,,2m', /empty/],
    ['smtp.ownAddresses', 'mail', /not an IP address/],
    ['smtp.sourceAddress4', '2001:db8::7', /not an IPv4 address/],
    ['smtp.sourceAddress6', '192.0.2.7', /not an IPv6 address/],
    ['smtp.host.name', 'relay.example.net:587', /port is smtp\.host\.port/],
    ['smtp.host.name', 'two words', /not a host name/],
    ['smtp.host.password', 'two\nlines', /control characters/],
    ['smtp.host.username', 'x'.repeat(256), /longer than 255 bytes/],
    ['smtp.ownAddresses', Array.from({ length: 101 }, (_, i) => `192.0.2.${i}`).join(','), /more than 100/],
  ] as const) {
    assert.match(canonical(key, text), reason, `${key} ${text}`);
  }
});

test('relay networks are bounded in width, and the error names one that would do', () => {
  const wouldDo = (text: string) => {
    const value = parseRelayNetwork(text);
    return value.ok ? value.value : `not: ${value.wouldDo}`;
  };
  assert.equal(wouldDo('10.0.0.0/8'), '10.0.0.0/8');
  assert.equal(wouldDo('10.0.0.0/7'), 'not: 10.0.0.0/8');
  assert.equal(wouldDo('8.8.0.0/16'), '8.8.0.0/16');
  assert.equal(wouldDo('8.0.0.0/15'), 'not: 8.0.0.0/16');
  assert.equal(wouldDo('172.16.0.0/12'), '172.16.0.0/12');
  assert.equal(wouldDo('172.16.0.0/11'), 'not: 172.16.0.0/16');
  assert.equal(wouldDo('192.0.2.5/24'), 'not: 192.0.2.0/24');
  assert.equal(wouldDo('2001:db8::/32'), '2001:db8::/32');
  assert.equal(wouldDo('2001:db8::/31'), 'not: 2001:db8::/32');
  assert.equal(wouldDo('2001:db8::1/64'), 'not: 2001:db8::/64');
  assert.equal(wouldDo('::ffff:10.1.0.0/112'), '10.1.0.0/16');
  assert.equal(wouldDo('::ffff:8.0.0.0/104'), 'not: 8.0.0.0/16');
  for (const wide of [
    '0.0.0.0/0',
    '::/0',
    '::ffff:0:0/90',
    '::/64',
    '10.1.2.3/33',
    'example.com',
    '10.0.0',
  ]) {
    assert.match(wouldDo(wide), /^not: /, wide);
    const offered = wouldDo(wide).slice('not: '.length);
    assert.equal(wouldDo(offered), offered, `what is offered for ${wide} would do`);
  }
});

test('an address is in a network whichever family it is written in', () => {
  assert.ok(networkContains('10.0.0.0/8', '::ffff:10.1.2.3'));
  assert.ok(!networkContains('10.0.0.0/8', '11.0.0.1'));
  assert.ok(!networkContains('2001:db8::/32', '10.0.0.1'));
});

test('sizes and durations survive writing and reading', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (bytes) => {
      assert.deepEqual(parseSize(formatSize(bytes)), { ok: true, value: bytes });
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 8 }), (seconds) => {
      assert.deepEqual(parseDuration(formatDuration(seconds * 1000), 'd'), {
        ok: true,
        value: seconds * 1000,
      });
    }),
  );
});

test('no text makes a type throw, and what it accepts is canonical at the second time', () => {
  const texts = fc.oneof(fc.string({ maxLength: 40 }), fc.stringMatching(/^[0-9a-f:.,/ smhdKB-]{0,30}$/));
  fc.assert(
    fc.property(fc.constantFrom(...allSettings), texts, (setting, text) => {
      const value = setting.type.parse(text);
      if (!value.ok) return;
      const written = setting.type.format(value.value);
      const again = setting.type.parse(written);
      assert.ok(again.ok, `${setting.key}: ${text} -> ${written}`);
      assert.equal(setting.type.format(again.value), written);
    }),
    { numRuns: 3000 },
  );
});

test('the nearest key is found by its letters, with or without its folder', () => {
  const keys = allSettings.map((one) => one.key);
  assert.equal(nearest('smtp.bufersize', keys), table.bufferSize.key);
  assert.equal(nearest('bufferSize', keys), table.bufferSize.key);
  assert.equal(nearest('smtp.timeouts.greeting', keys), 'smtp.timeout.greeting');
  assert.equal(nearest('zzzzzzzz', keys), undefined);
  assert.equal(nearest('x'.repeat(101), keys), undefined);
});
