import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ourselves } from '../../src/routing/self.ts';

const SETTINGS = {
  ownNames: ['mx.example.test', 'Other.Example.Test'],
  ownAddresses: ['203.0.113.5', '2001:db8::5'],
};
const INTERFACES = ['127.0.0.1', '::1', '192.0.2.1', '2001:db8::1', 'fe80::1%eth0'];

const at = (...listeners: [address: string, port: number][]) =>
  ourselves(
    { hostname: 'mail.example.test', listeners: listeners.map(([address, port]) => ({ address, port })) },
    SETTINGS,
    INTERFACES,
  );

describe('our names', () => {
  it('are the hostname and the own names, whatever their case and final dot', () => {
    const us = at();
    for (const name of ['mail.example.test', 'MAIL.Example.Test.', 'mx.example.test', 'other.example.test']) {
      assert.ok(us.isOwnName(name), name);
    }
    for (const name of ['example.test', 'a.mail.example.test', 'mail.example.test.other', '']) {
      assert.ok(!us.isOwnName(name), name);
    }
  });
});

describe('our endpoints', () => {
  it('with a listener on one address are that address and port', () => {
    const us = at(['192.0.2.1', 25]);
    assert.ok(us.isOwnEndpoint('192.0.2.1', 25));
    assert.ok(us.isOwnEndpoint('::ffff:192.0.2.1', 25));
    assert.ok(!us.isOwnEndpoint('192.0.2.1', 26), 'another port');
    assert.ok(!us.isOwnEndpoint('127.0.0.1', 25), 'another address of this machine');
    assert.ok(!us.isOwnEndpoint('192.0.2.2', 25), 'a neighbour');
  });

  for (const wildcard of ['0.0.0.0', '::']) {
    it(`with a listener on ${wildcard} are all addresses of this machine`, () => {
      const us = at([wildcard, 25]);
      for (const address of [
        '127.0.0.1',
        '127.9.9.9',
        '::1',
        '192.0.2.1',
        '2001:db8:0::1',
        'fe80::1',
        '0.0.0.0',
        '::',
      ]) {
        assert.ok(us.isOwnEndpoint(address, 25), address);
        assert.ok(!us.isOwnEndpoint(address, 2525), address);
      }
      for (const address of ['192.0.2.2', '2001:db8::2']) assert.ok(!us.isOwnEndpoint(address, 25), address);
    });
  }

  it('are the own addresses on a port of any listener, and none without one', () => {
    const us = at(['192.0.2.1', 25]);
    assert.ok(us.isOwnEndpoint('203.0.113.5', 25));
    assert.ok(us.isOwnEndpoint('2001:DB8:0:0::5', 25));
    assert.ok(!us.isOwnEndpoint('203.0.113.5', 587));
    assert.ok(!at().isOwnEndpoint('203.0.113.5', 25));
  });

  it('are reached by the unspecified address when they are on loopback', () => {
    const us = at(['127.0.0.1', 25]);
    assert.ok(us.isOwnEndpoint('0.0.0.0', 25));
    assert.ok(!at(['192.0.2.1', 25]).isOwnEndpoint('0.0.0.0', 25));
  });
});

describe('a host someone entered', () => {
  it('is this server by address, by name with a port of ours, or as localhost', () => {
    const us = at(['127.0.0.1', 2525]);
    for (const host of [
      '127.0.0.1',
      '[127.0.0.1]',
      '::ffff:127.0.0.1',
      'localhost',
      'Mail.Example.Test',
      '203.0.113.5',
    ]) {
      assert.ok(us.isOwnHost(host, 2525), host);
      assert.ok(!us.isOwnHost(host, 25), `${host} on another port is another server`);
    }
    for (const host of ['127.0.0.2', 'relay.test', '[::1]']) assert.ok(!us.isOwnHost(host, 2525), host);
  });
});
