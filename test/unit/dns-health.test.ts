import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DnsHealth, MISSES_TO_DOWN } from '../../src/dns/health.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';

describe('whether DNS works at all', () => {
  it('is down when no server says anything, and up again with the first answer', async (t) => {
    const health = new DnsHealth();
    const port = await freePort('127.0.0.1');
    const server = `127.0.0.1:${port}`;
    const resolver = createResolver({ servers: [server], health, timeoutMs: 300, attempts: 1 });
    t.after(() => resolver.close());
    for (let n = 1; n <= MISSES_TO_DOWN; n += 1) {
      assert.equal(health.alarm(), null, `after ${n - 1} questions`);
      assert.equal((await resolver.mx('far.test')).status, 'no-answer');
    }
    assert.match(health.alarm() ?? '', new RegExp(`^DNS is down: ${server} .*\\. Mail .*dns\\.servers`));
    const dns = await startDnsServer({ 'far.test': ['MX 10 mx.far.test'] }, { port });
    t.after(() => dns.close());
    assert.equal((await resolver.mx('far.test')).status, 'ok');
    assert.equal(health.alarm(), null);
  });

  it('is down when three names running have no usable answer; one broken domain is not DNS', async (t) => {
    const broken = ['a.test', 'b.test', 'c.test'];
    const dns = await startDnsServer(Object.fromEntries(broken.map((name) => [name, ['!servfail']])));
    t.after(() => dns.close());
    const health = new DnsHealth();
    const resolver = createResolver({ servers: [dns.address], health, attempts: 1 });
    t.after(() => resolver.close());
    for (let n = 0; n < 10; n += 1) await resolver.mx('a.test');
    assert.equal(health.alarm(), null);
    await resolver.mx('b.test');
    // That a name does not exist is an answer.
    await resolver.mx('nowhere.test');
    await resolver.mx('c.test');
    assert.equal(health.alarm(), null);
    for (const name of broken) await resolver.mx(name);
    assert.match(health.alarm() ?? '', /SERVFAIL/);
  });

  it('leaves out broken reverse zones, and forgets after an hour', () => {
    let nowMs = 0;
    const health = new DnsHealth(() => nowMs);
    for (const name of ['1', '2', '3']) health.missed({ name, type: 'PTR' }, false, 'SERVFAIL');
    assert.equal(health.alarm(), null);
    for (const name of ['1', '2', '3']) health.missed({ name, type: 'MX' }, false, 'SERVFAIL');
    assert.notEqual(health.alarm(), null);
    nowMs = 3_600_001;
    assert.equal(health.alarm(), null);
  });
});
