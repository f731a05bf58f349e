import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataDecoder, type Framing } from '../../src/smtp/data-decoder.ts';

type Mode = 'refuse' | 'normalise';

interface Decoded {
  readonly content: string;
  /** null: the end mark has not come. */
  readonly rest: string | null;
  readonly refused: boolean;
  readonly sizeBytes: number;
}

function decode(reads: readonly string[], framing: Framing, mode: Mode): Decoded {
  const decoder = new DataDecoder(framing, mode);
  let content = '';
  let rest: string | null = null;
  for (const read of reads) {
    if (rest !== null) {
      rest += read;
      continue;
    }
    decoder.write(Buffer.from(read, 'latin1'));
    for (let piece = decoder.read(); piece !== null; piece = decoder.read())
      content += piece.toString('latin1');
    if (decoder.finished) rest = decoder.takeRest().toString('latin1');
    assert.equal(decoder.pendingBytes, 0);
  }
  if (framing === 'chunked') content += decoder.finish()?.toString('latin1') ?? '';
  return { content, rest, refused: decoder.refused, sizeBytes: decoder.sizeBytes };
}

const BARE = /\r(?!\n)|(?<!\r)\n/g;

/** The same by the letter of RFC 5321 §4.5.2, on the whole text at once. */
function reference(text: string, mode: Mode): Omit<Decoded, 'sizeBytes'> {
  const end = text.startsWith('.\r\n') ? 0 : text.indexOf('\r\n.\r\n') + 2;
  if (end === 1) return { content: '', rest: null, refused: false };
  const raw = text.slice(0, end);
  const plain = raw.replace(/^\./, '').replaceAll('\r\n.', '\r\n');
  const refused = mode === 'refuse' && raw.search(BARE) !== -1;
  return { content: plain.replace(BARE, '\r\n'), rest: text.slice(end + 3), refused };
}

/** Everything that is not CRLF.CRLF and has been taken for it somewhere. */
const NOT_THE_END = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\r',
  '\r\n.\rx\n',
  '\n.\r',
  '\r.\n',
  '\r\n.\r\r\n',
  '\r\r\n.\r\r\n',
  '\n\r.\n\r',
  '\r\n\n.\n',
  '\n\n.\r\n',
  '\r\n.\0\r\n',
  '\0\r\n.x\r\n',
  '\r\n\0.\r\n',
  '\r\n .\r\n',
  '\r\n. \r\n',
  '\r\n..\r\n',
  '\x85.\x85',
  '\r\n.\u008a\r\n',
  '\v.\v',
];

test('nothing but CRLF.CRLF ends a message', () => {
  for (const variant of NOT_THE_END) {
    for (const mode of ['refuse', 'normalise'] as const) {
      const text = `a${variant}MAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n`;
      const name = `${JSON.stringify(variant)} ${mode}`;
      const decoded = decode([text], 'dotted', mode);
      assert.equal(decoded.rest, 'QUIT\r\n', name);
      const bare = variant.search(BARE) !== -1;
      assert.equal(decoded.refused, bare && mode === 'refuse', name);
      if (decoded.refused) continue;
      assert.ok(decoded.content.includes('MAIL FROM:<evil@example.com>\r\n'), name);
      assert.equal(decoded.content.search(BARE), -1, name);
    }
  }
});

test('what normalise stores', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a\nb\n.\nc\r\n', 'a\r\nb\r\n.\r\nc\r\n'],
    ['a\rb\r\n', 'a\r\nb\r\n'],
    ['a\r\r\nb\r\n', 'a\r\n\r\nb\r\n'],
    ['\n\n\r\n', '\r\n\r\n\r\n'],
    ['.\nb\r\n', '\r\nb\r\n'],
    ['a\r\n.\rb\r\n', 'a\r\n\r\nb\r\n'],
    ['a\n..b\r\n..c\r\n', 'a\r\n..b\r\n.c\r\n'],
  ];
  for (const [sent, stored] of cases) {
    const decoded = decode([`${sent}.\r\n`], 'dotted', 'normalise');
    assert.deepEqual(decoded, { content: stored, rest: '', refused: false, sizeBytes: stored.length });
  }
});

test('every short text, whole and in bytes, agrees with the reference', () => {
  const alphabet = ['\r', '\n', '.', 'a'];
  const texts = [''];
  for (let i = 0; texts[i]!.length < 7; i++) for (const byte of alphabet) texts.push(texts[i]! + byte);
  for (const short of texts) {
    // The true end comes in the end, so that every text ends.
    const text = `${short}\r\n.\r\n`;
    for (const mode of ['refuse', 'normalise'] as const) {
      const whole = decode([text], 'dotted', mode);
      const { content, rest, refused } = whole;
      const expected = reference(text, mode);
      if (
        refused !== expected.refused ||
        rest !== expected.rest ||
        (!refused && content !== expected.content)
      ) {
        assert.deepEqual({ content, rest, refused }, expected, `${JSON.stringify(text)} ${mode}`);
      }
      const bytes = decode([...text], 'dotted', mode);
      if (bytes.rest !== rest || bytes.refused !== refused || bytes.sizeBytes !== whole.sizeBytes) {
        assert.deepEqual(bytes, whole, `${JSON.stringify(text)} ${mode}, byte by byte`);
      }
      if (!refused) assert.equal(bytes.content, content);
    }
  }
});

test('chunks: dots are content, newlines are not, and the last line gets its end', () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], ''],
    [['.\r\n..\r\n.\r\n'], '.\r\n..\r\n.\r\n'],
    [['a\r', '\nb'], 'a\r\nb\r\n'],
    [['no end'], 'no end\r\n'],
  ];
  for (const [reads, content] of cases) {
    const decoded = decode(reads, 'chunked', 'refuse');
    assert.deepEqual(decoded, { content, rest: null, refused: false, sizeBytes: content.length });
  }
  for (const reads of [['a\nb\r\n'], ['a\rb\r\n'], ['a\r'], ['a\r', 'b'], ['a', '\n'], ['\n']]) {
    assert.equal(decode(reads, 'chunked', 'refuse').refused, true, JSON.stringify(reads));
    const { content, refused } = decode(reads, 'chunked', 'normalise');
    assert.equal(refused, false);
    assert.match(content, /^(?:[ab]*\r\n)+$/, JSON.stringify(reads));
  }
  assert.equal(decode(['a\n'], 'chunked', 'normalise').content, 'a\r\n');
});

test('after a bare newline that is refused nothing more is handed on', () => {
  for (const framing of ['dotted', 'chunked'] as const) {
    const decoder = new DataDecoder(framing, 'refuse');
    decoder.write(Buffer.from('good\r\nbad\nafter\r\n..more\r\n'));
    let content = '';
    for (let piece = decoder.read(); piece !== null; piece = decoder.read()) content += piece.toString();
    assert.ok('good\r\nbad'.startsWith(content), framing);
    decoder.write(Buffer.from('still\r\nmore\r\n'));
    assert.equal(decoder.read(), null);
    assert.equal(decoder.refused, true);
  }
});

test('bytes above 127 are noticed in the content only', () => {
  for (const [text, eightBit] of [
    ['plain\r\n.\r\n\xff', false],
    ['a\xe9\r\n.\r\n', true],
    ['\0\x7f\r\n.\r\n', false],
  ] as const) {
    const decoder = new DataDecoder('dotted', 'refuse');
    decoder.write(Buffer.from(text, 'latin1'));
    while (decoder.read() !== null);
    assert.equal(decoder.eightBit, eightBit, JSON.stringify(text));
  }
});

test('pieces are views of what was written, one for a read without stuffed dots', () => {
  const decoder = new DataDecoder('dotted', 'refuse');
  const bytes = Buffer.from('line\r\n'.repeat(1000));
  decoder.write(bytes);
  // The first step decides that no dot begins the message; the rest is one view.
  const piece = decoder.read();
  assert.equal(piece?.length, bytes.length);
  assert.equal(piece?.buffer, bytes.buffer);
  assert.equal(decoder.read(), null);
});
