import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderScan, hopCount, Trace } from '../../src/receiving/trace.ts';

const trace = new Trace(Buffer.alloc(32, 7));
const field = (of: Trace) =>
  of.receivedField({
    id: 1234567,
    hostname: 'mail.here.test',
    helo: 'client.test',
    address: '2001:db8::1',
    protocol: 'ESMTP',
    tls: null,
    receivedAt: Date.UTC(2026, 0, 2, 3, 4, 5),
  });

describe('the Received field', () => {
  it('names client, server, protocol, queue ID and time', () => {
    assert.match(
      field(trace),
      /^Received: from client\.test \(\[IPv6:2001:db8::1\]\)\r\n\tby mail\.here\.test with ESMTP id 00QGLJ\r\n\t\(cmail-token 00QGLJ\.[0-9a-f]{32}\);\r\n\tFri, 02 Jan 2026 03:04:05 \+0000\r\n$/,
    );
  });

  it('is recognised as ours, and nobody else can make one', () => {
    assert.ok(trace.isOurs(`Subject: x\r\n${field(trace)}`));
    assert.ok(!new Trace(Buffer.alloc(32, 8)).isOurs(field(trace)));
    assert.ok(!trace.isOurs(field(trace).replaceAll('00QGLJ', '00QGLK')));
    assert.ok(!trace.isOurs('Received: from x by mail.here.test'));
  });

  it('is counted as a hop, folded lines and body lines are not', () => {
    assert.equal(
      hopCount(`${field(trace)}Received : by x\r\nX-Received: no\r\nSubject: Received: no\r\n`),
      2,
    );
  });
});

describe('the header scan', () => {
  const header = 'A: 1\r\nB: 2\r\n';
  it('ends at the blank line, wherever the bytes are split', () => {
    const message = Buffer.from(`${header}\r\nReceived: not a header\r\n`);
    for (let cut = 0; cut <= message.length; cut += 1) {
      const scan = new HeaderScan();
      scan.push(message.subarray(0, cut));
      scan.push(message.subarray(cut));
      assert.equal(scan.text(), header, `cut at ${cut}`);
    }
    const single = new HeaderScan();
    for (const byte of message) single.push(Buffer.of(byte));
    assert.equal(single.text(), header);
  });

  it('is empty for a message without a header section', () => {
    const scan = new HeaderScan();
    scan.push(Buffer.from('\r\nReceived: body\r\n\r\n'));
    assert.equal(scan.text(), '');
  });

  it('keeps 64 KB at most', () => {
    const scan = new HeaderScan();
    for (let n = 0; n < 100; n += 1) scan.push(Buffer.alloc(1000, 'x'));
    assert.equal(scan.text().length, 64 * 1024);
  });
});
