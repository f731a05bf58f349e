import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { limitHosts } from '../../src/routing/addresses.ts';
import { lookupHostsFile } from '../../src/routing/hosts-file.ts';
import { dropOurselves, orderMx } from '../../src/routing/mx-list.ts';

const mx = (preference: number, exchange: string) => ({ preference, exchange });
const names = (records: readonly { exchange: string }[]) => records.map(({ exchange }) => exchange);

describe('orderMx', () => {
  it('sorts by preference and shuffles equal ones', () => {
    const records = [mx(20, 'c.test'), mx(10, 'a.test'), mx(10, 'b.test')];
    for (const [draws, order] of [
      [[0, 0.99], 'b.test,a.test,c.test'],
      [[0, 0], 'a.test,b.test,c.test'],
    ] as const) {
      const left = [...draws];
      assert.equal(names(orderMx('x.test', records, () => left.shift() ?? 0).records).join(), order);
    }
  });

  it('gives every order of equal ones the same chance', () => {
    const records = [mx(1, 'a.test'), mx(1, 'b.test'), mx(1, 'c.test')];
    const orders = new Map<string, number>();
    for (let first = 0; first < 3; first += 1) {
      for (let second = 0; second < 2; second += 1) {
        const draws = [first / 3, second / 2];
        const order = names(orderMx('x.test', records, () => draws.shift() ?? 0).records).join();
        orders.set(order, (orders.get(order) ?? 0) + 1);
      }
    }
    assert.deepEqual([...orders.values()], [1, 1, 1, 1, 1, 1]);
  });

  it('never loses or makes up a host', () => {
    const records = fc.uniqueArray(fc.nat(40)).map((ids) => ids.map((id) => mx(id % 4, `h${id}.test`)));
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(records, draw, (list, random) => {
        const ordered = orderMx('x.test', list, () => random).records;
        assert.deepEqual(names(ordered).sort(), names(list).sort());
        const preferences = ordered.map(({ preference }) => preference);
        assert.deepEqual(
          preferences,
          [...preferences].sort((a, b) => a - b),
        );
      }),
    );
  });

  it('keeps a name that comes twice once, at its best preference', () => {
    const records = [mx(20, 'a.test'), mx(10, 'b.test'), mx(5, 'a.test')];
    assert.deepEqual(orderMx('x.test', records, () => 0).records, [mx(5, 'a.test'), mx(10, 'b.test')]);
  });

  it('knows null MX, and ignores it beside others', () => {
    assert.equal(orderMx('x.test', [mx(0, '')], () => 0).isNullMx, true);
    const mixed = orderMx('x.test', [mx(0, ''), mx(10, 'a.test')], () => 0);
    assert.equal(mixed.isNullMx, false);
    assert.deepEqual(names(mixed.records), ['a.test']);
    assert.match(mixed.steps.map(({ text }) => text).join('\n'), /MX record "\." beside others.*ignored/);
  });

  it('ignores addresses and impossible names, and says so', () => {
    const list = orderMx('x.test', [mx(1, '192.0.2.1'), mx(2, 'a b.test'), mx(3, 'ok.test')], () => 0);
    assert.deepEqual(names(list.records), ['ok.test']);
    const text = list.steps.map((step) => step.text).join('\n');
    assert.match(text, /192\.0\.2\.1 is an address/);
    assert.match(text, /"a b\.test" is not a host name/);
  });
});

describe('dropOurselves', () => {
  const records = [mx(5, 'better.test'), mx(10, 'us.test'), mx(10, 'equal.test'), mx(20, 'worse.test')];

  it('drops us and every host no better', () => {
    const { kept, dropped } = dropOurselves(records, ({ exchange }) => exchange === 'us.test');
    assert.deepEqual(names(kept), ['better.test']);
    assert.deepEqual(names(dropped), ['us.test', 'equal.test', 'worse.test']);
  });

  it('drops nothing when we are not among them', () => {
    assert.equal(dropOurselves(records, () => false).kept.length, 4);
  });
});

describe('limitHosts', () => {
  const host = (name: string, count: number) => ({
    name,
    port: 25,
    preference: 1,
    addresses: Array.from({ length: count }, (_, index) => `${name}-${index}`),
    rejected: [],
  });
  const counts = (...sizes: number[]) =>
    limitHosts(sizes.map((size, index) => host(`h${index}`, size))).hosts.map(
      ({ addresses }) => addresses.length,
    );

  it('takes five hosts and ten addresses, and lets no host take the share of another', () => {
    assert.deepEqual(counts(1, 2), [1, 2]);
    assert.deepEqual(counts(12), [10]);
    assert.deepEqual(counts(12, 2), [8, 2]);
    assert.deepEqual(counts(12, 12), [5, 5]);
    assert.deepEqual(counts(4, 4, 4), [4, 3, 3]);
    assert.deepEqual(counts(3, 3, 3, 3, 3, 3, 3), [2, 2, 2, 2, 2]);
  });

  it('keeps the first addresses and says what became of the others', () => {
    const { hosts, steps } = limitHosts([host('a', 12), ...Array.from({ length: 5 }, () => host('b', 0))]);
    assert.deepEqual(hosts[0]?.addresses.at(0), 'a-0');
    assert.deepEqual(
      hosts[0]?.rejected.map(({ address }) => address),
      ['a-10', 'a-11'],
    );
    assert.match(steps[0]?.text ?? '', /1 more hosts? /);
  });
});

describe('the hosts file', () => {
  it('is read as hosts(5) says', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cmail-hosts-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'hosts');
    const many = Array.from({ length: 30 }, (_, index) => `127.0.1.${index} many`).join('\n');
    const text = `# 192.0.2.9 relay\n192.0.2.1\trelay.test Relay # other\n::1 relay\nnonsense relay\n${many}\n`;
    await writeFile(file, text);
    assert.deepEqual(await lookupHostsFile(file, 'RELAY.'), {
      status: 'found',
      addresses: ['192.0.2.1', '::1'],
    });
    assert.deepEqual(await lookupHostsFile(file, 'other'), { status: 'not-found' });
    const found = await lookupHostsFile(file, 'many');
    assert.equal(found.status === 'found' && found.addresses.length, 20);
    assert.equal((await lookupHostsFile(join(folder, 'none'), 'relay')).status, 'unreadable');
  });
});
