import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { encode } from 'dns-packet';
import fc from 'fast-check';
import { AnswerCache } from '../../src/dns/cache.ts';
import { type Question, readMessage } from '../../src/dns/message.ts';
import { parseResolvConf, parseServer, systemServers } from '../../src/dns/servers.ts';
import { Slots } from '../../src/dns/slots.ts';

describe('readMessage', () => {
  const question: Question = { name: 'x.test', type: 'MX' };
  const id = 0x1234;
  const good = encode({
    type: 'response',
    id,
    flags: 0x180,
    questions: [{ name: 'x.test', type: 'MX', class: 'IN' }],
    answers: [
      { name: 'x.test', type: 'MX', class: 'IN', ttl: 5, data: { preference: 1, exchange: 'a.test' } },
    ],
    additionals: [{ name: '.', type: 'OPT', udpPayloadSize: 1232 }],
  });

  it('reads the message the next test spoils', () => {
    assert.equal(readMessage(good, question, id).kind, 'reply');
  });

  it('survives any bytes', () => {
    const spoilt = fc
      .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 })
      .map((changes) => {
        const bytes = Buffer.from(good);
        for (const [offset, value] of changes) bytes[offset] = value;
        return bytes;
      });
    const cut = fc.nat(good.length).map((length) => good.subarray(0, length));
    const noise = fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => Buffer.concat([good.subarray(0, 4), bytes]));
    fc.assert(
      fc.property(fc.oneof(spoilt, cut, noise), (bytes) => {
        const { kind } = readMessage(bytes, question, id);
        assert.ok(['reply', 'truncated', 'stray', 'problem'].includes(kind));
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes an extended code for the failure it is', () => {
    const bytes = encode({
      type: 'response',
      id,
      flags: 0x180,
      questions: [{ name: 'x.test', type: 'MX', class: 'IN' }],
      additionals: [{ name: '.', type: 'OPT', udpPayloadSize: 1232, extendedRcode: 1 }],
    });
    assert.equal(readMessage(bytes, question, id).kind, 'problem');
  });
});

describe('name servers', () => {
  for (const [text, address, port] of [
    ['192.0.2.1', '192.0.2.1', 53],
    ['192.0.2.1:5353', '192.0.2.1', 5353],
    ['2001:db8::1', '2001:db8::1', 53],
    ['[2001:db8::1]', '2001:db8::1', 53],
    ['[2001:db8::1]:5353', '2001:db8::1', 5353],
  ] as const) {
    it(`${text} is one`, () => {
      const server = parseServer(text);
      assert.equal(server?.address, address);
      assert.equal(server?.port, port);
    });
  }

  for (const text of [
    '',
    'ns.test',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.1:x',
    '[192.0.2.1]:53',
    '[::1',
    '1.2.3',
  ]) {
    it(`${JSON.stringify(text)} is none`, () => assert.equal(parseServer(text), undefined));
  }

  it('come from resolv.conf, this machine without any', () => {
    const text =
      '# nameserver 192.0.2.9\nsearch test\nnameserver 192.0.2.1\n nameserver 2001:db8::1 # x\nnameserver no\n';
    const texts = (file: string) => parseResolvConf(file).map((server) => server.text);
    assert.deepEqual(texts(text), ['192.0.2.1:53', '[2001:db8::1]:53']);
    assert.deepEqual(texts('search test\n'), ['127.0.0.1:53']);
    assert.equal(parseResolvConf('nameserver 192.0.2.1\n'.repeat(50)).length, 8);
  });

  it('follow a change of resolv.conf within ten seconds and outlive its loss', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cmail-dns-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'resolv.conf');
    let nowMs = 0;
    const servers = systemServers(file, () => nowMs);
    const texts = async () => (await servers()).map((server) => server.text);
    await writeFile(file, 'nameserver 192.0.2.1\n');
    assert.deepEqual(await texts(), ['192.0.2.1:53']);
    await writeFile(file, 'nameserver 192.0.2.2\n');
    assert.deepEqual(await texts(), ['192.0.2.1:53']);
    nowMs = 10_000;
    assert.deepEqual(await texts(), ['192.0.2.2:53']);
    await rm(file);
    nowMs = 20_000;
    assert.deepEqual(await texts(), ['192.0.2.2:53']);
  });
});

describe('slots', () => {
  it('are given in turn, to so many, who wait so long', async () => {
    const slots = new Slots(1, 2);
    assert.equal(await slots.take(1_000), 'taken');
    const late = slots.take(5);
    const patient = slots.take(10_000);
    assert.equal(await slots.take(10_000), 'full');
    assert.equal(await late, 'late');
    slots.release();
    assert.equal(await patient, 'taken');
    slots.release();
    assert.equal(await slots.take(1_000), 'taken');
  });
});

describe('the answer cache', () => {
  it('gives no room to what may not be kept', () => {
    const cache = new AnswerCache(1);
    cache.set('a', { status: 'nxdomain', cached: false }, 10, 0);
    cache.set('b', { status: 'nxdomain', cached: false }, 0, 0);
    assert.equal(cache.size, 1);
    assert.deepEqual(cache.get('a', 9_999), { status: 'nxdomain', cached: true });
    assert.equal(cache.get('a', 10_000), undefined);
    assert.equal(cache.size, 0);
  });
});
