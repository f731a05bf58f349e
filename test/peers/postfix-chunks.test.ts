/** Mail to a Postfix that offers CHUNKING, as it does by itself, and to one that was told not to (RFC 3030). */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { type Postfix, requirePostfix, startPostfix } from '../support/postfix.ts';
import { greeted } from '../support/smtp-client.ts';

const FROM = 'anna@local.example';
const BODY = [
  '.one dot in front',
  '..two dots',
  '.',
  'BDAT 5 LAST',
  'QUIT',
  'From the beginning of a line',
  'Grüße, 日本語',
  'trailing blanks   \t',
  'x'.repeat(990),
  '',
  'the end, and two empty lines',
  '',
  '',
];

/** CRLF lines; the body `times` over. */
function letterOf(subject: string, times: number): string {
  const header = [
    `From: <${FROM}>`,
    `Subject: ${subject}`,
    `Message-ID: <${times}.${subject}@local.example>`,
  ];
  const date = ['Date: Mon, 02 Nov 2026 10:00:00 +0000', 'MIME-Version: 1.0'];
  const mime = ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', ''];
  const bodies = Array.from({ length: times }, () => BODY).flat();
  return [...header, ...date, ...mime, ...bodies].map((line) => `${line}\r\n`).join('');
}

async function startBoth(
  t: TestContext,
  settings: readonly string[],
): Promise<{ cmail: Cmail; postfix: Postfix }> {
  const postfix = await startPostfix(t, { settings });
  const dns = await startDnsServer({
    'far.example': ['MX 10 mx.example'],
    'mx.example': [`A ${postfix.host}`],
  });
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [{ address: FROM }],
    settings: { 'smtp.outboundPort': String(postfix.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  return { cmail, postfix };
}

/** Hands a message in for `to`; resolves when it has left the queue, with its story. */
async function send(cmail: Cmail, to: string, data: string): Promise<string> {
  const client = await greeted(cmail.listeners.smtp);
  const sent = await client.sendMessage({ from: FROM, to: [to], data, mailParameters: 'BODY=8BITMIME' });
  client.destroy();
  assert.ok(sent.id, sent.end?.text);
  const { id } = sent;
  const over = async () => /^(delivered|failed)$/.test((await stateOf(cmail, id)) ?? '');
  await cmail.waitFor(`an end for ${to}`, over, 30_000);
  return cmail.run(['message', id]);
}

async function stateOf(cmail: Cmail, id: string): Promise<string | undefined> {
  const story = await cmail.json<{ recipients: { state: string }[] }>(['message', id]);
  return story.recipients[0]?.state;
}

/** What Postfix counted of each connection of ours, once it is over. */
async function commandsOf(cmail: Cmail, postfix: Postfix): Promise<string[]> {
  await cmail.stop();
  await postfix.stop();
  const lines = (await postfix.logText()).matchAll(/disconnect from \S+ (ehlo=.*) commands=/g);
  return [...lines].map(([, counts = '']) => counts);
}

for (const [how, settings, counted] of [
  ['in one chunk to Postfix as it is', [], 'ehlo=1 mail=2 rcpt=2 bdat=2 quit=1'],
  [
    'by DATA to a Postfix without CHUNKING',
    ['smtpd_discard_ehlo_keywords = chunking'],
    'ehlo=1 mail=2 rcpt=2 data=2 quit=1',
  ],
] as const) {
  test(`${how}: every byte arrives, of a small message and of a large one`, async (t) => {
    if (!requirePostfix(t)) return;
    const { cmail, postfix } = await startBoth(t, settings);
    const letters = [letterOf('small', 1), letterOf('large', 2_000)];
    for (const [index, data] of letters.entries()) await send(cmail, `${index}@far.example`, data);
    await postfix.waitForCount(2);
    const kept = (await postfix.messages()).toSorted((one, other) => one.length - other.length);
    for (const [index, data] of letters.entries()) {
      const bytes = Buffer.from(data).toString('latin1').replaceAll('\r\n', '\n');
      assert.ok(kept[index]?.endsWith(`\n${bytes}`), `message ${index}`);
    }
    assert.deepEqual(await commandsOf(cmail, postfix), [counted]);
  });
}

test('Postfix refuses a message after its chunk, and takes the next one over the same connection', async (t) => {
  if (!requirePostfix(t)) return;
  const refuse = 'header_checks = regexp:{ { /^Subject: unwanted/ REJECT Not wanted here } }';
  const { cmail, postfix } = await startBoth(t, [refuse]);
  const story = await send(cmail, 'x@far.example', letterOf('unwanted', 500));
  assert.match(story, /failed.*5\.7\.1 Not wanted here/);
  assert.match(await send(cmail, 'x@far.example', letterOf('welcome', 1)), /delivered/);
  await postfix.waitForCount(1);
  assert.equal(await postfix.count(), 1);
  assert.deepEqual(await commandsOf(cmail, postfix), ['ehlo=1 mail=2 rcpt=2 bdat=1/2 rset=1 quit=1']);
});
