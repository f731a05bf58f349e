/** Mail from one CMail to another goes by BDAT (RFC 3030) and arrives octet for octet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const BOB = 'bob@there.example';
const PASSWORD = 'secret-password';

test('a message from CMail to CMail goes in one chunk, small or large, also through a slow line', async (t) => {
  const there = await startCmail(t, {
    domains: ['there.example'],
    accounts: [{ address: BOB, password: PASSWORD }],
  });
  let wire = '';
  const line = await startTcpProxy(there.listeners.smtp.port, (piece) => {
    wire += piece.toString('latin1');
  });
  t.after(() => line.close());
  const here = await startCmail(t, {
    config: { hostname: 'here.example' },
    domains: ['here.example'],
    settings: {
      'smtp.useMxResolution': 'off',
      'smtp.host.name': '127.0.0.1',
      'smtp.host.port': String(line.port),
      'smtp.host.tls': 'none',
    },
  });
  const from = 'anna@here.example';
  const bodies = ['.\r\n..\r\nQUIT\r\nBDAT 1 LAST', '.dot\r\n'.repeat(50_000)];
  const sent = bodies.map((body, n) => letter({ from, to: BOB, subject: `n${n}`, body }));
  for (const data of sent) {
    const client = await greeted(here.listeners.smtp);
    const { end } = await client.sendMessage({ from, to: [BOB], data });
    client.destroy();
    assert.equal(end?.code, 250, end?.text);
    line.delay(2);
  }
  const received = async () => {
    const kept = await collectMail(there.listeners.pop3, BOB, PASSWORD, { keep: true });
    return kept.length === sent.length && kept;
  };
  const kept = await there.waitFor('both messages', received, 30_000);
  for (const data of sent) {
    const matching = kept.filter((message) => message.toString('latin1').endsWith(`\r\n${data}`));
    assert.equal(matching.length, 1);
  }
  assert.equal(wire.match(/^BDAT \d{3,} LAST\r$/gm)?.length, 2);
  assert.doesNotMatch(wire, /^DATA\r$/m);
});
