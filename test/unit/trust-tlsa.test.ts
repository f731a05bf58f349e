import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import type { TlsaRecord } from '../../src/dns/contract.ts';
import { checkTlsa, isUsable } from '../../src/trust/tlsa.ts';
import { makeCertificates } from '../support/certificates.ts';

const HOUR_MS = 3_600_000;
let leaf: X509Certificate;
let ca: X509Certificate;
let other: X509Certificate;

before(async (t) => {
  const made = await makeCertificates(t as never, ['mx.example.com']);
  leaf = new X509Certificate(made.cert);
  ca = new X509Certificate(await readFile(made.caFile));
  other = new X509Certificate(made.selfSigned.cert);
});

function record(usage: number, selector: number, matchingType: number, of: X509Certificate): TlsaRecord {
  const whole = selector === 0 ? of.raw : of.publicKey.export({ type: 'spki', format: 'der' });
  const name = matchingType === 1 ? 'sha256' : 'sha512';
  const data = matchingType === 0 ? whole : createHash(name).update(whole).digest();
  return { usage, selector, matchingType, data };
}

const NAMES = ['mx.example.com'];
const ELSEWHERE = ['mx.example.net'];
const LATER = () => new Date(Date.now() + 100 * 24 * HOUR_MS);

describe('which certificate a TLSA record stands for', () => {
  for (const selector of [0, 1]) {
    for (const matchingType of [0, 1, 2]) {
      const what = `${selector} ${matchingType}`;
      it(`3 ${what}: the server's own certificate, whatever its name and dates`, () => {
        const records = [record(3, selector, matchingType, leaf)];
        assert.equal(checkTlsa(records, [leaf, ca], ELSEWHERE, LATER()), null);
        assert.match(checkTlsa(records, [other], NAMES) ?? '', /not the one that the TLSA records name/);
        assert.match(
          checkTlsa([record(3, selector, matchingType, ca)], [leaf, ca], NAMES) ?? '',
          /not the one/,
        );
      });

      it(`2 ${what}: an anchor above it, with the right name and dates`, () => {
        const records = [record(2, selector, matchingType, ca)];
        assert.equal(checkTlsa(records, [leaf, ca], NAMES), null);
        assert.match(checkTlsa(records, [leaf, ca], ELSEWHERE) ?? '', /is not for mx\.example\.net/);
        assert.match(checkTlsa(records, [leaf, ca], NAMES, LATER()) ?? '', /out of date/);
        // Sent beside a certificate it never signed.
        assert.match(checkTlsa(records, [other, ca], NAMES) ?? '', /does not lead to/);
        assert.match(checkTlsa([record(2, selector, matchingType, other)], [leaf, ca], NAMES) ?? '', /lead/);
        // The server's own certificate is no anchor.
        assert.match(checkTlsa([record(2, selector, matchingType, leaf)], [leaf, ca], NAMES) ?? '', /lead/);
      });
    }
  }

  it('an anchor need not be sent when it stands in DNS whole', () => {
    assert.equal(checkTlsa([record(2, 0, 0, ca)], [leaf], NAMES), null);
    assert.equal(checkTlsa([record(2, 1, 0, ca)], [leaf], NAMES), null);
    assert.match(checkTlsa([record(2, 0, 1, ca)], [leaf], NAMES) ?? '', /lead/);
  });

  it('one record of several is enough, but a weak digest does not count beside a strong one', () => {
    assert.equal(checkTlsa([record(3, 1, 1, other), record(3, 1, 1, leaf)], [leaf], NAMES), null);
    assert.match(
      checkTlsa([record(3, 1, 2, other), record(3, 1, 1, leaf)], [leaf], NAMES) ?? '',
      /not the one/,
    );
    assert.equal(checkTlsa([record(3, 1, 2, other), record(3, 0, 1, leaf)], [leaf], NAMES), null);
  });

  it('no certificate, no match', () => {
    assert.match(checkTlsa([record(3, 1, 1, leaf)], [], NAMES) ?? '', /no certificate/);
  });
});

describe('which TLSA records can be used', () => {
  const digest = Buffer.alloc(32);
  for (const [usage, selector, matchingType, data, usable] of [
    [3, 1, 1, digest, true],
    [2, 0, 2, Buffer.alloc(64), true],
    [3, 0, 0, Buffer.from('x'), true],
    [0, 1, 1, digest, false],
    [1, 1, 1, digest, false],
    [4, 1, 1, digest, false],
    [3, 2, 1, digest, false],
    [3, 1, 3, digest, false],
    [3, 1, 1, Buffer.alloc(31), false],
    [3, 1, 2, digest, false],
    [3, 1, 0, Buffer.alloc(0), false],
  ] as const) {
    it(`${usage} ${selector} ${matchingType} with ${data.length} bytes: ${usable}`, () => {
      assert.equal(isUsable({ usage, selector, matchingType, data }), usable);
    });
  }
});
