import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Address, parseAddress } from '../../src/mail/address.ts';
import { Srs } from '../../src/receiving/srs.ts';

const DAY_MS = 86_400_000;
const KEY = Buffer.alloc(32, 1);

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed.ok, text);
  return parsed.value;
}

function localOf(text: string): string {
  return address(text).localPart;
}

describe('rewritten senders (SRS)', () => {
  it('come back to what they were, also in capitals', () => {
    const srs = new Srs(KEY, () => 20_000 * DAY_MS);
    for (const sender of [
      'anna@origin.example',
      'a=b=c@x.example',
      'o+tag@sub.x.example',
      "it's@x.example",
    ]) {
      const rewritten = srs.rewrite(address(sender), 'fwd.example') ?? assert.fail(sender);
      assert.match(rewritten, /^SRS0=.*@fwd\.example$/);
      const back = { type: 'address', address: sender } as const;
      assert.deepEqual(srs.read(localOf(rewritten)), back);
      const shouted = srs.read(localOf(rewritten).toUpperCase());
      assert.equal(shouted.type === 'address' && shouted.address.toLowerCase(), sender);
    }
  });

  it('end after 21 days, and at the turn of the count of days not before', () => {
    // The 1,023rd day is the last before the count begins anew.
    const madeMs = 1_023 * DAY_MS;
    let nowMs = madeMs;
    const srs = new Srs(KEY, () => nowMs);
    const local = localOf(srs.rewrite(address('anna@origin.example'), 'fwd.example') ?? '');
    for (const [days, type] of [
      [0, 'address'],
      [21, 'address'],
      [22, 'invalid'],
      [500, 'invalid'],
    ] as const) {
      nowMs = madeMs + days * DAY_MS;
      assert.equal(srs.read(local).type, type, `${days} days`);
    }
  });

  it('are ours only: any change is seen, and so is the key of another', () => {
    const srs = new Srs(KEY);
    const local = localOf(srs.rewrite(address('anna@origin.example'), 'fwd.example') ?? '');
    for (const changed of [
      local.replace('anna', 'eva'),
      local.replace('origin.example', 'evil.example'),
      local.replace(/^SRS0=./i, (start) => (start.endsWith('a') ? 'SRS0=b' : 'SRS0=a')),
    ]) {
      assert.equal(srs.read(changed).type, 'invalid', changed);
    }
    assert.equal(new Srs(Buffer.alloc(32, 2)).read(local).type, 'invalid');
  });

  it('of a chain of forwarders lead back through the first one', () => {
    const [one, two, three] = [new Srs(KEY), new Srs(Buffer.alloc(32, 2)), new Srs(Buffer.alloc(32, 3))];
    const first = one.rewrite(address('anna@origin.example'), 'one.example') ?? '';
    const second = two.rewrite(address(first), 'two.example') ?? '';
    const third = three.rewrite(address(second), 'three.example') ?? '';
    assert.match(second, /^SRS1=[a-z2-7]{6}=one\.example==/);
    assert.match(third, /^SRS1=[a-z2-7]{6}=one\.example==/);
    assert.ok(third.length <= second.length + 4, 'it does not grow with each server');
    for (const [server, text] of [
      [two, second],
      [three, third],
    ] as const) {
      assert.deepEqual(server.read(localOf(text)), { type: 'address', address: first });
    }
    assert.equal(two.read(localOf(third)).type, 'invalid');
  });

  it('that would be too long are not made', () => {
    const long = `${'a'.repeat(40)}@${'b'.repeat(20)}.example`;
    assert.equal(new Srs(KEY).rewrite(address(long), 'fwd.example'), null);
  });

  it('are not what other addresses look like', () => {
    const srs = new Srs(KEY);
    for (const local of ['anna', 'srs', 'SRS0', 'SRS0=a=b', 'srs2=abcdef=ab=x=y', 'srs0-list']) {
      assert.equal(srs.read(local).type, 'other', local);
    }
  });
});
