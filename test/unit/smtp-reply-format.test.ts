import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reply } from '../../src/mail/reply.ts';
import { formatReply } from '../../src/smtp/reply-format.ts';
import { checkReplies } from './smtp-receiver-driver.ts';

test('replies on the wire', () => {
  assert.equal(formatReply(reply(250, '2.0.0', 'Ok'), false), '250 2.0.0 Ok\r\n');
  assert.equal(formatReply(reply(250, undefined, 'host', 'SIZE 0'), false), '250-host\r\n250 SIZE 0\r\n');
  assert.equal(formatReply(reply(550, '5.1.1', 'a', 'b'), false), '550-5.1.1 a\r\n550 5.1.1 b\r\n');
});

test('no text forges a line, and UTF-8 goes only to a client that asked for it', () => {
  const value = reply(550, '5.1.1', 'a\r\n250 ok\0\t\u0085');
  assert.equal(formatReply(value, false), '550 5.1.1 a??250 ok???\r\n');
  assert.equal(formatReply(value, true), '550 5.1.1 a??250 ok???\r\n');
  assert.equal(formatReply(reply(550, '5.1.1', 'ü\u{1f600}'), false), '550 5.1.1 ??\r\n');
  assert.equal(formatReply(reply(550, '5.1.1', 'ü\u{1f600}'), true), '550 5.1.1 ü\u{1f600}\r\n');
});

test('long texts continue on further lines within 512 octets', () => {
  for (const [text, lines] of [
    ['x'.repeat(480), 1],
    ['x'.repeat(481), 2],
    ['ü'.repeat(480), 2],
    ['\u{1f600}'.repeat(1000), 9],
  ] as const) {
    const output = formatReply(reply(550, '5.1.1', text), true);
    checkReplies(output);
    assert.equal(output.split('\r\n').length - 1, lines);
    assert.equal(output.replaceAll(/550[ -]5\.1\.1 |\r\n/g, ''), text);
  }
});
