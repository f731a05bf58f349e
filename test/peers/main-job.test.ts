/**
 * The main job with nothing of ours but the server: real clients hand mail in and collect it, and a real
 * server receives what is for elsewhere.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Cmail, startCmail, temporaryFolder } from '../support/cmail.ts';
import { runChecked } from '../support/command.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { requirePostfix, startPostfix } from '../support/postfix.ts';
import { requireTool } from '../support/require.ts';

/** Lines that break careless programs: dots, "From ", eight-bit, trailing blanks, near 998 bytes, empty at the end. */
const LETTER = [
  'From: Alice <alice@outside.example>',
  'To: Bob <bob@local.example>',
  'Subject: byte for byte',
  'Message-ID: <byte-for-byte@outside.example>',
  'Date: Mon, 02 Nov 2026 10:00:00 +0000',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  '.one dot in front',
  '..two dots',
  '.',
  'From the beginning of a line',
  '>From quoted',
  'Grüße, 日本語',
  'trailing blanks   \t',
  'x'.repeat(990),
  '',
  'the end, and two empty lines',
  '',
  '',
];
const SENT = LETTER.map((line) => `${line}\r\n`).join('');
/** What CMail puts in front, and nothing else: Return-Path, then one Received (folded) with its queue ID. */
const ADDED =
  /^Return-Path: <alice@outside\.example>\r\n(?:[A-Za-z-]+: .*\r\n)*Received: from .*\r\n(?:[ \t].*\r\n)*$/;

const BOB = { address: 'bob@local.example', password: 'a secret: 100%' };

test('swaks sends to a local user; curl, mutt and fetchmail collect it byte for byte', async (t) => {
  for (const tool of ['swaks', 'curl', 'mutt', 'fetchmail', 'script']) if (!requireTool(t, tool)) return;
  const folder = await temporaryFolder(t);
  const cmail = await startCmail(t, { domains: ['local.example'], accounts: [BOB] });
  await sendWithSwaks(cmail, folder);

  const collected = await collectWithCurl(cmail);
  assert.equal(collected.slice(-SENT.length), SENT);
  const added = collected.slice(0, -SENT.length);
  assert.match(added, ADDED);

  const copied = await copyWithMutt(cmail, folder);
  assert.equal(copied.replace(/^(Content-Length|Lines): \d+\n/gm, ''), collected.replaceAll('\r\n', '\n'));

  assert.equal(await collectWithFetchmail(cmail, folder), collected);
  const list = await curl(cmail, '');
  assert.equal(list.trim(), '', 'fetchmail removed what it had collected');
});

test('smtp-source hands in 2,000 messages; Postfix behind made-up DNS gets each exactly once', async (t) => {
  if (!requireTool(t, 'smtp-source') || !requirePostfix(t)) return;
  const domains = ['one.example', 'two.example', 'three.example', 'four.example'];
  const postfix = await startPostfix(t);
  const zones = domains.map((domain) => [domain, ['300 MX 10 mx.example']] as const);
  const dns = await startDnsServer({ ...Object.fromEntries(zones), 'mx.example': [`300 A ${postfix.host}`] });
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [BOB],
    settings: { 'smtp.outboundPort': String(postfix.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });

  await Promise.all(domains.map((domain) => sendWithSmtpSource(cmail, domain, 500)));
  await postfix.waitForCount(2_000, 30_000).catch(async (error: Error) => {
    throw new Error(`${error.message}; waiting at CMail: ${await describeQueue(cmail)}`);
  });
  await cmail.waitFor('an empty outgoing queue', async () => (await waiting(cmail)).length === 0, 60_000);
  await postfix.waitForEmptyQueue();

  const recipients = (await postfix.messages()).map((text) => /^X-Original-To: (.*)$/m.exec(text)?.[1] ?? '');
  const wanted = domains.flatMap((domain) => Array.from({ length: 500 }, (_, i) => `${i + 1}to@${domain}`));
  assert.deepEqual(recipients.toSorted(), wanted.toSorted());
});

async function sendWithSwaks(cmail: Cmail, folder: string): Promise<void> {
  const file = join(folder, 'letter.eml');
  // swaks ends the last line itself.
  await writeFile(file, SENT.slice(0, -2));
  const { host, port } = cmail.listeners.smtp;
  const envelope = ['--from', 'alice@outside.example', '--to', BOB.address, '--helo', 'client.example'];
  const from = ['--server', `${host}:${port}`, '--local-interface', '127.0.0.2'];
  await runChecked('swaks', [...from, ...envelope, '--data', `@${file}`]);
}

async function curl(cmail: Cmail, path: string): Promise<string> {
  const { host, port } = cmail.listeners.pop3;
  const args = ['-sS', '--max-time', '20', '--user', `${BOB.address}:${BOB.password}`];
  const { stdout } = await runChecked('curl', [...args, `pop3://${host}:${port}/${path}`]);
  return stdout.toString();
}

const collectWithCurl = (cmail: Cmail) => curl(cmail, '1');

/** Copies the first message into a maildir; mutt wants a terminal, which `script` provides. */
async function copyWithMutt(cmail: Cmail, folder: string): Promise<string> {
  const { host, port } = cmail.listeners.pop3;
  const muttrc = join(folder, 'muttrc');
  const box = join(folder, 'copied');
  await writeFile(
    muttrc,
    `set folder=${folder} mbox_type=maildir header_cache="" pop_delete=no
set confirmappend=no confirmcreate=no sleep_time=0
set ssl_starttls=no ssl_force_tls=no pop_authenticators="user"
set pop_user="${BOB.address}" pop_pass="${BOB.password}"
push "<copy-message>${box}<enter><exit>"
`,
  );
  const command = `mutt -n -F ${muttrc} -f pop://${host}:${port}`;
  const env = { ...process.env, HOME: folder, TERM: 'xterm' };
  await runChecked('script', ['-qec', command, '/dev/null'], { env, timeoutMs: 20_000 });
  const names = await readdir(join(box, 'new'));
  assert.equal(names.length, 1);
  return readFile(join(box, 'new', names[0] ?? ''), 'utf8');
}

/** Collects everything into one file and removes it from the server. */
async function collectWithFetchmail(cmail: Cmail, folder: string): Promise<string> {
  const { host, port } = cmail.listeners.pop3;
  const rcfile = join(folder, 'fetchmailrc');
  const out = join(folder, 'fetched');
  const plain = 'no rewrite no stripcr no forcecr no mimedecode no dropstatus';
  const rules = `set no bouncemail
set invisible
poll ${host} protocol pop3 port ${port} auth password
  username "${BOB.address}" password "${BOB.password}" sslproto ''
  fetchall nokeep ${plain} mda "cat >> ${out}"
`;
  await writeFile(rcfile, rules, { mode: 0o600 });
  const files = ['-f', rcfile, '--pidfile', join(folder, 'pid'), '--idfile', join(folder, 'ids')];
  const env = { ...process.env, HOME: folder };
  await runChecked('fetchmail', [...files, '--nodetach', '--nosyslog'], { env, timeoutMs: 20_000 });
  return readFile(out, 'utf8');
}

/** `count` messages over five sessions at a time, to `1to@domain`, `2to@domain` and so on. */
async function sendWithSmtpSource(cmail: Cmail, domain: string, count: number): Promise<void> {
  const { host, port } = cmail.listeners.smtp;
  const envelope = ['-N', '-f', 'from@sender.example', '-t', `to@${domain}`];
  await runChecked('smtp-source', [
    '-s',
    '5',
    '-m',
    String(count),
    '-l',
    '2000',
    ...envelope,
    `${host}:${port}`,
  ]);
}

interface Waiting {
  readonly address: string;
  readonly state: string;
  readonly attempts: number;
  readonly lastReply: string | null;
}

/** Recipients not finished yet. */
async function waiting(cmail: Cmail): Promise<Waiting[]> {
  const queue = await cmail.json<{ recipients: Waiting[] }[]>(['queue', 'list']);
  const recipients = queue.flatMap((message) => message.recipients);
  return recipients.filter(({ state }) => ['queued', 'sending', 'held'].includes(state));
}

async function describeQueue(cmail: Cmail): Promise<string> {
  const left = await waiting(cmail);
  const words = left.map((one) => `${one.address} ${one.state} after ${one.attempts}: ${one.lastReply}`);
  return `${left.length}\n${words.slice(0, 20).join('\n')}`;
}
