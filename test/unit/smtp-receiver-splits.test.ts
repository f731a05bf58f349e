import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ReceiverPolicy } from '../../src/smtp/receiver-contract.ts';
import {
  corpus,
  LOCAL,
  POLICY,
  run,
  SUBMISSION,
  segments,
  TLS_MARK,
  TLS_READY,
} from './smtp-receiver-driver.ts';

const POLICIES: readonly ReceiverPolicy[] = [
  POLICY,
  { ...POLICY, bareNewline: 'normalise', maxMessageBytes: 0 },
  { ...POLICY, maxErrors: 4, maxRecipients: 1 },
  SUBMISSION,
  LOCAL,
];

/** Cuts a session at the given places, and where the client waits for TLS. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  let from = 0;
  return segments(bytes).flatMap((segment) => {
    if (segment === TLS_READY) return [segment];
    const end = from + segment.length;
    const inside = places.filter((place) => place > from && place < end).map((place) => place - from);
    from = end;
    const edges = [0, ...inside.sort((a, b) => a - b), segment.length];
    return edges.slice(1).map((edge, index) => segment.subarray(edges[index], edge));
  });
}

test('every session of the corpus, cut once at every place and into single bytes', () => {
  for (const [name, bytes] of corpus()) {
    for (const policy of POLICIES) {
      const whole = run(segments(bytes), policy);
      assert.ok(whole.output.length > 0);
      for (let place = 1; place < bytes.length; place++) {
        const parts = run(cut(bytes, [place]), policy);
        assert.deepEqual(parts, whole, `${name} cut at ${place}`);
      }
      const single = cut(bytes, Array.from(bytes.keys()));
      assert.deepEqual(run(single, policy), whole, `${name} byte by byte`);
    }
  }
});

/** Sessions made of commands, content and the bytes that matter, in any order. */
const fragment = fc.constantFrom(
  'STARTTLS\r\n',
  `STARTTLS\r\n${TLS_MARK}EHLO c\r\n`,
  `STARTTLS\r\nin clear ${TLS_MARK}`,
  TLS_MARK,
  'AUTH PLAIN AGEAcGFzcw==\r\n',
  'AUTH LOGIN\r\n',
  'AUTH PLAIN\r\n',
  'YQ==\r\n',
  'cGFzcw==\r\n',
  '*\r\n',
  'EHLO c\r\n',
  'MAIL FROM:<s@example.com>\r\n',
  'MAIL FROM:<nodata@example.com> BODY=8BITMIME\r\n',
  'RCPT TO:<r@example.org>\r\n',
  'RCPT TO:<unknown@example.org>\r\n',
  'DATA\r\n',
  'BDAT 5\r\n',
  'BDAT 5 LAST\r\n',
  'BDAT 501\r\n',
  'RSET\r\n',
  'text\r\n',
  '.\r\n',
  '\r\n.\r\n',
  '.',
  '\r',
  '\n',
  '\r\n',
  '\xff\0',
  'x'.repeat(300),
  'x'.repeat(2100),
);
const START = ['EHLO c\r\n', 'MAIL FROM:<s@example.com>\r\n', 'RCPT TO:<r@example.org>\r\n', 'DATA\r\n'];

test('any session, cut anywhere, gives the same replies and the same messages', () => {
  const session = fc.tuple(fc.nat({ max: START.length }), fc.array(fragment, { maxLength: 25 }));
  const places = fc.array(fc.nat({ max: 4000 }), { maxLength: 12 });
  fc.assert(
    fc.property(session, places, fc.constantFrom(...POLICIES), ([start, fragments], cuts, policy) => {
      const text = [...START.slice(0, start), ...fragments].join('');
      const bytes = Buffer.from(text, 'latin1');
      const parts = cut(
        bytes,
        cuts.map((place) => place % (bytes.length + 1)),
      );
      assert.deepEqual(run(parts, policy), run(segments(bytes), policy));
    }),
    { numRuns: 1500 },
  );
});

test('what a sender stuffs comes out as it was', () => {
  const line = fc.string({ unit: fc.constantFrom('.', 'a', ' ', '\0', '\xe9'), maxLength: 6 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.nat(), (lines, place) => {
      const content = lines.map((text) => `${text}\r\n`).join('');
      const stuffed = lines.map((text) => `${text.startsWith('.') ? '.' : ''}${text}\r\n`).join('');
      const bytes = Buffer.from(`${START.join('')}${stuffed}.\r\nQUIT\r\n`, 'latin1');
      const outcome = run(cut(bytes, [place % bytes.length]));
      assert.deepEqual(outcome.messages, [content]);
      assert.equal(outcome.closed, true);
    }),
    { numRuns: 500 },
  );
});

test('what is sent in clear behind STARTTLS does nothing, however it is cut', () => {
  const secret = 'MAIL FROM:<evil@example.com>\r\nRCPT TO:<r@example.org>\r\nDATA\r\n\r\ninjected\r\n.\r\n';
  const signedIn = 'EHLO c\r\nAUTH PLAIN AGEAcGFzcw==\r\n';
  const after = `${signedIn}MAIL FROM:<s@example.com>\r\nRCPT TO:<r@example.org>\r\nDATA\r\nmine\r\n.\r\nQUIT\r\n`;
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 500 }), { maxLength: 8 }), fc.boolean(), (places, half) => {
      const injected = half ? `${secret}EHLO unfinished` : secret;
      const bytes = Buffer.from(`EHLO c\r\nSTARTTLS\r\n${injected}${TLS_MARK}${after}`);
      const outcome = run(cut(bytes, places), SUBMISSION);
      assert.deepEqual(outcome.messages, ['mine\r\n']);
      assert.ok(!outcome.log.some((line) => line.includes('evil')));
      // The first EHLO offers STARTTLS and no sign-in, the second the other way round.
      assert.equal(outcome.output.match(/STARTTLS/g)?.length, 1);
      assert.equal(outcome.output.match(/AUTH PLAIN LOGIN/g)?.length, 1);
    }),
    { numRuns: 200 },
  );
});
