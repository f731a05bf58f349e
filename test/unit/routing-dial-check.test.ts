import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import ipaddr from 'ipaddr.js';
import { checkDialAddress } from '../../src/routing/dial-check.ts';

/** First, last and one in the middle of each range; the reason must say what it is. */
const REFUSED_IPV4: readonly [address: string, reason: RegExp][] = [
  ['0.0.0.0', /unspecified/],
  ['0.0.0.1', /this network/],
  ['0.255.255.255', /this network/],
  ['10.0.0.0', /private/],
  ['10.1.2.3', /private/],
  ['10.255.255.255', /private/],
  ['100.64.0.0', /shared/],
  ['100.100.1.1', /shared/],
  ['100.127.255.255', /shared/],
  ['127.0.0.1', /loopback/],
  ['127.255.255.255', /loopback/],
  ['169.254.0.0', /link-local/],
  ['169.254.169.254', /link-local/],
  ['169.254.255.255', /link-local/],
  ['172.16.0.0', /private/],
  ['172.20.1.1', /private/],
  ['172.31.255.255', /private/],
  ['192.0.0.0', /reserved for protocols/],
  ['192.0.0.255', /reserved for protocols/],
  ['192.0.2.1', /documentation/],
  ['192.88.99.1', /6to4 relays/],
  ['192.168.0.0', /private/],
  ['192.168.255.255', /private/],
  ['198.18.0.0', /benchmarks/],
  ['198.19.255.255', /benchmarks/],
  ['198.51.100.7', /documentation/],
  ['203.0.113.7', /documentation/],
  ['224.0.0.0', /multicast/],
  ['239.255.255.255', /multicast/],
  ['240.0.0.0', /reserved/],
  ['254.1.1.1', /reserved/],
  ['255.255.255.255', /broadcast/],
];

/** Neighbours of the ranges above, and ordinary ones. */
const ALLOWED_IPV4 = [
  '1.0.0.0',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '191.255.255.255',
  '192.0.1.0',
  '192.0.3.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
];

const REFUSED_IPV6: readonly [address: string, reason: RegExp][] = [
  ['::', /unspecified/],
  ['0:0:0:0:0:0:0:0', /unspecified/],
  ['::1', /loopback/],
  ['::2', /formerly IPv4-compatible/],
  ['::8.8.8.8', /formerly IPv4-compatible/],
  ['::ffff:0:8.8.8.8', /reserved range/],
  ['64:ff9b:1::8.8.8.8', /local NAT64/],
  ['64:ff9b:1:ffff:ffff:ffff:ffff:ffff', /local NAT64/],
  ['100::1', /discard/],
  ['2001:1::1', /protocols/],
  ['2001:2::1', /protocols/],
  ['2001:20::1', /protocols/],
  ['2001:1ff:ffff::1', /protocols/],
  ['2001:db8::1', /documentation/],
  ['2001:db8:ffff:ffff::', /documentation/],
  ['3fff::1', /documentation/],
  ['3fff:fff::1', /documentation/],
  ['fc00::', /unique-local/],
  ['fd12:3456::1', /unique-local/],
  ['fdff:ffff::', /unique-local/],
  ['fe80::1', /link-local/],
  ['fe80::1%eth0', /link-local/],
  ['febf::1', /link-local/],
  ['fec0::1', /site-local/],
  ['feff::1', /site-local/],
  ['ff02::1', /multicast/],
  ['1fff::1', /reserved range/],
  ['4000::1', /reserved range/],
  ['5f00::1', /reserved range/],
  ['fe00::1', /reserved range/],
];

const ALLOWED_IPV6 = [
  '2000::1',
  '2001:200::1',
  '2001:db7::1',
  '2001:db9::1',
  '2003::1',
  '2606:4700::1111',
  '2a00:1450::1',
  '3ffe::1',
  '3fff:1000::1',
];

const hex = (address: string) =>
  ipaddr.IPv4.parse(address)
    .toByteArray()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(....)(....)$/, '$1:$2');
const turned = (address: string) =>
  ipaddr.IPv4.parse(address)
    .toByteArray()
    .map((byte) => byte ^ 255)
    .join('.');

/** Every IPv6 form that can carry an IPv4 address to a place where it is dialled. */
const FORMS: readonly [form: string, make: (address: string) => string][] = [
  ['IPv4-mapped', (address) => `::ffff:${address}`],
  ['IPv4-mapped', (address) => `0:0:0:0:0:FFFF:${hex(address)}`],
  ['NAT64', (address) => `64:ff9b::${address}`],
  ['6to4', (address) => `2002:${hex(address)}::1`],
  ['Teredo', (address) => `2001:0:${hex(address)}:0:0:${hex(turned('8.8.8.8'))}`],
  ['Teredo', (address) => `2001:0:${hex('8.8.8.8')}:0:0:${hex(turned(address))}`],
];

function refused(address: string, reason: RegExp): void {
  const result = checkDialAddress(address, false);
  assert.ok(!result.ok, `${address} must not be dialled`);
  assert.match(result.reason, reason, address);
  assert.deepEqual(checkDialAddress(address, true), { ok: true }, `${address} with private ones allowed`);
}

describe('the address dialled', () => {
  it('is refused in every special range of IPv4', () => {
    for (const [address, reason] of REFUSED_IPV4) refused(address, reason);
  });

  it('is refused in every special range of IPv6', () => {
    for (const [address, reason] of REFUSED_IPV6) refused(address, reason);
  });

  it('is allowed beside them', () => {
    for (const address of [...ALLOWED_IPV4, ...ALLOWED_IPV6]) {
      assert.deepEqual(checkDialAddress(address, false), { ok: true }, address);
    }
  });

  for (const [index, [form, make]] of FORMS.entries()) {
    it(`is judged by what is inside: ${form} (${index})`, () => {
      for (const [address] of REFUSED_IPV4) refused(make(address), new RegExp(`in ${form} form$`));
      for (const address of ALLOWED_IPV4) {
        assert.deepEqual(checkDialAddress(make(address), false), { ok: true }, make(address));
      }
    });
  }

  it('is refused as IPv4-compatible whatever is inside', () => {
    for (const [address] of REFUSED_IPV4.slice(3)) refused(`::${address}`, /formerly IPv4-compatible/);
    for (const address of ALLOWED_IPV4) refused(`::${address}`, /formerly IPv4-compatible/);
  });

  it('must be an address, even with private ones allowed', () => {
    for (const text of [
      '',
      'host.test',
      '127.1',
      '0177.0.0.1',
      '2130706433',
      '0x7f.0.0.1',
      '1.2.3.4.5',
      '[::1]',
      '10.0.0.1 ',
    ]) {
      for (const allow of [false, true]) {
        assert.deepEqual(checkDialAddress(text, allow), { ok: false, reason: 'not an IP address' }, text);
      }
    }
  });
});
