import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isLoopback, networkOf, plainAddress } from '../../src/listening/network.ts';
import { clientAt } from '../../src/receiving/client.ts';
import { clientNetwork, NoticeRate } from '../../src/receiving/notice-rate.ts';
import { buildSettings } from '../../src/settings/build.ts';

const defaults = buildSettings(new Map());

describe('who is a local client', () => {
  const rows: [string, string | null, Record<string, string>, string][] = [
    ['127.0.0.1', null, {}, 'local'],
    ['::ffff:127.0.0.1', null, {}, 'local'],
    ['::1', null, {}, 'local'],
    ['127.0.0.2', null, {}, 'external'],
    ['127.0.0.2', 'anna@here.test', {}, 'local'],
    ['127.0.0.1', null, { 'smtp.relayNetworks': '' }, 'external'],
    ['10.1.2.3', null, { 'smtp.relayNetworks': '10.1.0.0/16' }, 'local'],
    ['::ffff:10.1.2.3', null, { 'smtp.relayNetworks': '10.1.0.0/16' }, 'local'],
    ['10.2.2.3', null, { 'smtp.relayNetworks': '10.1.0.0/16' }, 'external'],
    ['fd00::5', null, { 'smtp.relayNetworks': 'fd00::/64' }, 'local'],
    ['not an address', null, {}, 'external'],
  ];
  for (const [address, user, values, kind] of rows) {
    it(`${address} as ${user} with ${JSON.stringify(values)}: ${kind}`, () => {
      const settings =
        Object.keys(values).length === 0 ? defaults : buildSettings(new Map(Object.entries(values)));
      assert.equal(clientAt(address, user, settings).kind, kind);
    });
  }
  it('drops the zone of a link-local address', () => assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1'));
});

describe('the notice rate', () => {
  it('knows /24 and /64 networks', () => {
    assert.equal(clientNetwork('192.0.2.7'), '192.0.2');
    assert.equal(clientNetwork('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
    assert.equal(clientNetwork('2001:db8::1'), '2001:db8:0:0');
    assert.equal(clientNetwork('::1'), '0:0:0:0');
  });

  it('opens again after a minute for the network and an hour for the sender', () => {
    let now = 1_000_000;
    const rate = new NoticeRate(() => now);
    assert.ok(rate.allows('192.0.2.1', 'a@x.test', 1, true));
    assert.ok(!rate.allows('192.0.2.2', 'b@x.test', 1, true));
    now += 60_001;
    assert.ok(rate.allows('192.0.2.2', 'b@x.test', 1, true));
    assert.ok(!rate.allows('198.51.100.1', 'A@x.test', 1, true));
    now += 3_600_001;
    assert.ok(rate.allows('198.51.100.1', 'A@x.test', 1, true));
  });

  it('says no when it remembers as much as it may, and forgets what has run out', () => {
    let now = 1_000_000;
    const rate = new NoticeRate(() => now);
    for (let n = 0; n < 10_000; n += 1)
      assert.ok(rate.allows(`10.${n >> 8}.${n & 255}.1`, `s${n}@x.test`, 1, true));
    assert.ok(!rate.allows('192.0.2.1', 'new@x.test', 1, true));
    now += 3_600_001;
    assert.ok(rate.allows('192.0.2.1', 'new@x.test', 1, true));
  });
});

describe('networks', () => {
  it('are /24 of IPv4 and /64 of IPv6; each loopback address is one of its own', () => {
    const table: [string, string][] = [
      ['192.0.2.77', '192.0.2.0/24'],
      ['::ffff:192.0.2.77', '192.0.2.0/24'],
      ['2001:db8::1', '2001:db8:0:0::/64'],
      ['2001:0DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
      ['2001:db8:1:2::', '2001:db8:1:2::/64'],
      ['::', '0:0:0:0::/64'],
      ['fe80::1%eth0', 'fe80:0:0:0::/64'],
      ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
      ['127.0.0.5', '127.0.0.5'],
      ['::1', '::1'],
    ];
    for (const [address, network] of table) assert.equal(networkOf(address), network, address);
  });

  it('loopback is told from all else', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      assert.ok(isLoopback(address));
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '::2', '1127.0.0.1', ''])
      assert.ok(!isLoopback(address), address);
  });
});
