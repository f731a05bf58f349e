import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { administratorSubject, RECOVERY_CODES, SecondFactors } from '../../src/admin/second-factor.ts';
import { encryptSecret } from '../../src/settings/secrets.ts';
import type { Storage } from '../../src/storage/contract.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';

const KEY = new Uint8Array(32).fill(3);
const ANNA = administratorSubject('anna');
const STEP_MS = 30_000;

async function openStore(t: TestContext): Promise<Storage> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  const storage = await openSqliteStorage({ path: join(folder, 'cmail.db') });
  t.after(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });
  return storage;
}

function codeOf(secret: string, atMs: number): string {
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: atMs });
}

/** Turned on at `clock.ms`, with the code of the step before. */
async function turnedOn(storage: Storage, clock: { ms: number }) {
  const factors = new SecondFactors(storage, KEY, () => clock.ms);
  const begun = (await factors.begin(ANNA, 'CMail mail.example.com')) ?? assert.fail('it is on');
  const recovery = await factors.confirm(ANNA, codeOf(begun.secret, clock.ms - STEP_MS));
  return { factors, begun, recovery: recovery ?? assert.fail('the code was refused') };
}

/** RFC 6238 appendix B, SHA-1: the last six of its eight digits are the code of six. */
const VECTORS = [
  [59, '94287082'],
  [1_111_111_109, '07081804'],
  [1_111_111_111, '14050471'],
  [1_234_567_890, '89005924'],
  [2_000_000_000, '69279037'],
  [20_000_000_000, '65353130'],
] as const;

test('the codes are those of RFC 6238', async (t) => {
  const storage = await openStore(t);
  const plain = new Secret({ buffer: new TextEncoder().encode('12345678901234567890').buffer }).base32;
  const secret = encryptSecret(KEY, 'second factor administrator anna', plain);
  await storage.beginSecondFactor({ subject: ANNA, secret });
  await storage.confirmSecondFactor({ subject: ANNA, secret, step: 0, recoveryHashes: [] });
  const clock = { ms: 0 };
  const factors = new SecondFactors(storage, KEY, () => clock.ms);
  for (const [seconds, digits] of VECTORS) {
    clock.ms = seconds * 1000;
    assert.deepEqual(await factors.check(ANNA, digits.slice(2)), { ok: true, with: 'code' }, String(seconds));
  }
});

test('a code of one step before or after is taken, of two not; none twice, and none older than the last', async (t) => {
  const clock = { ms: 1_800_000_000_000 };
  const { factors, begun } = await turnedOn(await openStore(t), clock);
  const check = async (steps: number) =>
    (await factors.check(ANNA, codeOf(begun.secret, clock.ms + steps * STEP_MS))).ok;
  assert.equal(await check(-1), false, 'the code that turned it on was taken');
  assert.equal(await check(2), false);
  assert.equal(await check(0), true);
  assert.equal(await check(0), false, 'a replay');
  assert.equal(await check(1), true);
  assert.equal(await check(0), false, 'older than the last one');
  clock.ms += 4 * STEP_MS;
  assert.equal(await check(-2), false);
  const spaced = codeOf(begun.secret, clock.ms - STEP_MS).replace(/^.../, '$& ');
  assert.equal((await factors.check(ANNA, spaced)).ok, true, 'as apps show it');
});

test('the same code at the same moment is taken once, whatever instance is asked', async (t) => {
  const clock = { ms: 1_800_000_000_000 };
  const storage = await openStore(t);
  const { begun } = await turnedOn(storage, clock);
  const nodes = Array.from({ length: 6 }, () => new SecondFactors(storage, KEY, () => clock.ms));
  const answers = await Promise.all(nodes.map((one) => one.check(ANNA, codeOf(begun.secret, clock.ms))));
  assert.equal(answers.filter(({ ok }) => ok).length, 1);
});

test('recovery codes work once each, in any writing, and are not in the store', async (t) => {
  const clock = { ms: 1_800_000_000_000 };
  const storage = await openStore(t);
  const { factors, recovery } = await turnedOn(storage, clock);
  assert.equal(new Set(recovery).size, RECOVERY_CODES);
  const [first = '', second = ''] = recovery;
  assert.deepEqual(await factors.check(ANNA, first), { ok: true, with: 'recovery code', left: 9 });
  assert.deepEqual(await factors.check(ANNA, first), { ok: false, why: 'wrong' });
  const written = ` ${second.toUpperCase().replaceAll('-', ' ')} `;
  assert.deepEqual(await factors.check(ANNA, written), { ok: true, with: 'recovery code', left: 8 });
  assert.deepEqual(await factors.check(ANNA, ''), { ok: false, why: 'wrong' });
  assert.equal((await factors.state(ANNA)).recoveryCodesLeft, 8);
});

test('the secret is encrypted and of its subject: another key or another name cannot use it', async (t) => {
  const clock = { ms: 1_800_000_000_000 };
  const storage = await openStore(t);
  const { begun, recovery } = await turnedOn(storage, clock);
  const stored = (await storage.secondFactor(ANNA)) ?? assert.fail();
  assert.ok(!JSON.stringify(stored).includes(begun.secret));
  const other = new SecondFactors(storage, new Uint8Array(32), () => clock.ms);
  assert.deepEqual(await other.check(ANNA, codeOf(begun.secret, clock.ms)), { ok: false, why: 'unreadable' });
  assert.equal((await other.check(ANNA, recovery[0] ?? '')).ok, true, 'recovery codes need no key');
  const zoe = administratorSubject('Zoe');
  await storage.beginSecondFactor({ subject: zoe, secret: stored.secret });
  await storage.confirmSecondFactor({ subject: zoe, secret: stored.secret, step: 0, recoveryHashes: [] });
  const own = new SecondFactors(storage, KEY, () => clock.ms);
  assert.deepEqual(await own.check(zoe, codeOf(begun.secret, clock.ms)), { ok: false, why: 'unreadable' });
});

test('begun, not confirmed: it is off; the address for the app names server and owner', async (t) => {
  const clock = { ms: 1_800_000_000_000 };
  const storage = await openStore(t);
  const factors = new SecondFactors(storage, KEY, () => clock.ms);
  const begun = (await factors.begin(ANNA, 'CMail mail.example.com')) ?? assert.fail();
  assert.equal((await factors.state(ANNA)).on, false);
  assert.deepEqual(await factors.check(ANNA, codeOf(begun.secret, clock.ms)), { ok: false, why: 'off' });
  const uri = new URL(begun.uri);
  assert.equal(uri.protocol, 'otpauth:');
  assert.equal(uri.searchParams.get('secret'), begun.secret);
  assert.equal(uri.searchParams.get('issuer'), 'CMail mail.example.com');
  assert.match(decodeURIComponent(uri.pathname), /anna$/);
  assert.equal(await factors.confirm(ANNA, '000 00x'), null);
  const again = (await factors.begin(ANNA, 'x')) ?? assert.fail();
  assert.equal(await factors.confirm(ANNA, codeOf(begun.secret, clock.ms)), null, 'an older secret');
  assert.notEqual(await factors.confirm(ANNA, codeOf(again.secret, clock.ms)), null);
  assert.equal(await factors.begin(ANNA, 'x'), null);
  assert.equal(await factors.remove(ANNA), true);
  assert.equal((await factors.state(ANNA)).on, false);
});
