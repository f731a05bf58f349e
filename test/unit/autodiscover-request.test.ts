/** The one XML document that strangers may send: what is read of it, and that nothing else is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readAutodiscoverRequest } from '../../src/admin/http/autodiscover-request.ts';
import { escapeMarkup } from '../../src/admin/http/markup.ts';

const SCHEMA = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';
const REQUEST = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006';

function around(elements: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>\r\n<Autodiscover xmlns="${REQUEST}"><Request>${elements}</Request></Autodiscover>\r\n`;
}

function refusal(text: string): string {
  const result = readAutodiscoverRequest(text);
  assert.equal(result.ok, false, `taken: ${text.slice(0, 200)}`);
  return result.ok ? '' : result.failure;
}

describe('a request of Autodiscover', () => {
  it('is read as Outlook sends it', () => {
    const text = around(
      `\r\n  <EMailAddress>ann@here.test</EMailAddress>\r\n  <LegacyDN/>\r\n  <AcceptableResponseSchema>${SCHEMA}</AcceptableResponseSchema>\r\n`,
    );
    assert.deepEqual(readAutodiscoverRequest(text), {
      ok: true,
      value: { address: 'ann@here.test', schema: SCHEMA },
    });
  });

  it('may leave elements out, in any order, with a mark of the byte order', () => {
    const none = readAutodiscoverRequest(`\ufeff<Autodiscover><Request></Request></Autodiscover>`);
    assert.deepEqual(none, { ok: true, value: { address: '', schema: '' } });
    const turned = readAutodiscoverRequest(
      around('<AcceptableResponseSchema>s</AcceptableResponseSchema><EMailAddress> a@b.c </EMailAddress >'),
    );
    assert.deepEqual(turned, { ok: true, value: { address: 'a@b.c', schema: 's' } });
  });

  it('brings back any text that was escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const plain = text.replace(/[\u0000-\u001f\ufffe\uffff]/g, '').trim();
        const read = readAutodiscoverRequest(around(`<EMailAddress>${escapeMarkup(plain)}</EMailAddress>`));
        assert.deepEqual(read, { ok: true, value: { address: plain, schema: '' } });
      }),
    );
    const named = readAutodiscoverRequest(around('<EMailAddress>&lt;&amp;&apos;&#x41;&#66;</EMailAddress>'));
    assert.equal(named.ok && named.value.address, "<&'AB");
  });

  it('is refused with a DOCTYPE, and no entity is expanded', () => {
    const bomb = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>${around('<EMailAddress>&x;</EMailAddress>').slice(40)}`;
    assert.match(refusal(bomb), /DOCTYPE/);
    assert.match(refusal(`<!doctype html>${around('')}`), /DOCTYPE/);
    for (const entity of ['&x;', '&', '&amp', '&#0;', '&#xD800;', '&#x110000;', '&#xFFFF;', '&#8;']) {
      assert.match(
        refusal(around(`<EMailAddress>${entity}</EMailAddress>`)),
        /EMailAddress holds a reference/,
      );
    }
  });

  it('is refused as anything but elements with text', () => {
    const address = '<EMailAddress>a@b.c</EMailAddress>';
    for (const text of ['', 'hello', '<a/>', '{"a":1}', '<Autodiscover>', `<Request>${address}</Request>`]) {
      assert.match(refusal(text), /not an Autodiscover element/);
    }
    for (const inside of [
      `<!-- x -->${address}`,
      '<EMailAddress><![CDATA[a@b.c]]></EMailAddress>',
      `<Deep>${address}</Deep>`,
      '<?php x ?>',
      'text',
      '<EMailAddress>a@b.c',
      '<EMailAddress>a@b.c</Other>',
    ]) {
      assert.match(refusal(around(inside)), /something else than elements/, inside);
    }
    assert.match(refusal(`${around(address)}<more/>`), /something else/);
    assert.match(refusal(around(address + address)), /twice/);
  });

  it('has a bound of elements', () => {
    const letters = [...'abcdefghijklmnopqrstu'];
    const elements = letters.map((letter) => `<${letter}/>`);
    assert.equal(readAutodiscoverRequest(around(elements.slice(0, 20).join(''))).ok, true);
    assert.match(refusal(around(elements.join(''))), /more than 20 elements/);
  });

  it('takes time in its length only', () => {
    const size = 65_000;
    const began = performance.now();
    for (const text of [
      ' '.repeat(size),
      `<?xml ${'?'.repeat(size)}`,
      `<?xml a?>${' '.repeat(size)}x`,
      `<Autodiscover ${' '.repeat(size)}`,
      around(`${' '.repeat(size)}x`),
      around(`<a ${'/'.repeat(size)}`),
      around(`<a>${'b'.repeat(size)}`),
      around(`<a>${'&'.repeat(size)}</a>`),
      around(`<${'a'.repeat(size)}`),
      around('<a>'.repeat(size / 3)),
      `${around('').trim().slice(0, -1)}${' '.repeat(size)}x`,
    ]) {
      refusal(text);
    }
    // Milliseconds as it is; quadratic time would be seconds each.
    assert.ok(performance.now() - began < 1_500);
  });
});
