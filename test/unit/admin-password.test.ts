import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, PasswordBusyError, verifyPassword } from '../../src/directory/password.ts';

test('a password matches its own hash only', async () => {
  const [hash, other] = await Promise.all([hashPassword('correct horse'), hashPassword('correct horse')]);
  assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(hash, other, 'salted');
  assert.equal(await verifyPassword('correct horse', hash), true);
  assert.equal(await verifyPassword('correct horsf', hash), false);
  assert.equal(await verifyPassword('', hash), false);
});

test('a hash made elsewhere with other parameters is understood', async () => {
  // argon2 reference implementation: argon2id, m=256 KiB, t=2, p=1, "password", salt "somesalt".
  const phc = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
  assert.equal(await verifyPassword('password', phc), true);
  assert.equal(await verifyPassword('Password', phc), false);
});

test('what is not such a hash, or costs too much, never matches', async () => {
  const tail = '$c29tZXNhbHRzb21lc2FsdA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
  for (const stored of [
    '',
    'password',
    '$2b$10$abcdefghijklmnopqrstuv',
    `$argon2id$v=19$m=9999999,t=2,p=1${tail}`,
    `$argon2id$v=19$m=19456,t=99,p=1${tail}`,
    `$argon2id$v=19$m=19456,t=0,p=1${tail}`,
    `$argon2id$v=19$m=4,t=2,p=1${tail}`,
  ]) {
    assert.equal(await verifyPassword('password', stored), false, stored);
  }
  await assert.rejects(hashPassword('x'.repeat(1025)), RangeError);
  assert.equal(await verifyPassword('x'.repeat(1025), `$argon2id$v=19$m=64,t=1,p=1${tail}`), false);
});

test('at most 100 wait; one more is told that it is busy, and the others are served', async () => {
  const cheap =
    '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
  const served = Array.from({ length: 102 }, () => verifyPassword('password', cheap));
  await assert.rejects(verifyPassword('password', cheap), PasswordBusyError);
  assert.equal((await Promise.all(served)).length, 102);
  assert.equal(await verifyPassword('password', cheap), false, 'and then there is room again');
});
