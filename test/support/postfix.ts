import { type ChildProcess, spawn } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import { appendFile, chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ServerCertificate } from './certificates.ts';
import { runChecked } from './command.ts';
import { freePort } from './free-port.ts';
import { requireTool } from './require.ts';

/** A private Postfix: a real far side that keeps each message it gets, for any recipient, as one file. */
export interface Postfix {
  readonly host: string;
  readonly port: number;
  /** Of the master process. */
  readonly pid: number;
  /** Messages kept so far. */
  count(): Promise<number>;
  /** Resolves when at least `count` messages are kept; rejects after `timeoutMs` without a new one. */
  waitForCount(count: number, timeoutMs?: number): Promise<void>;
  /** Resolves when nothing is left in its queue, so that the count is final; rejects after `timeoutMs`. */
  waitForEmptyQueue(timeoutMs?: number): Promise<void>;
  /** The text of every kept message, each with `X-Original-To` and `Delivered-To` in front. */
  messages(): Promise<string[]>;
  logText(): Promise<string>;
  stop(): Promise<void>;
}

const QUEUES = ['incoming', 'active', 'deferred', 'maildrop', 'hold', 'corrupt', 'bounce', 'defer', 'trace'];
const OTHER_FOLDERS = ['flush', 'private', 'public', 'saved', 'pid'];

export interface Relay {
  readonly domain: string;
  readonly host: string;
  readonly port: number;
}

/** One more address Postfix listens at, on the same port, with settings of its own. */
export interface Listener {
  readonly address: string;
  /** It offers STARTTLS with this certificate. */
  readonly tls?: ServerCertificate;
  /** As in main.cf, for this listener alone. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Whether Postfix is here and this is root, which it needs to run; otherwise as `requireTool` has it. */
export function requirePostfix(t: TestContext): boolean {
  if (requireTool(t, 'postfix') === null) return false;
  if (process.getuid?.() === 0) return true;
  if (process.env.CMAIL_TEST_REQUIRE === 'all') throw new Error('Postfix needs root to run');
  t.skip('Postfix needs root to run');
  return false;
}

/**
 * Starts Postfix in a folder of its own, listening on `address` (default 127.0.0.5) at a free port; no
 * instance of the machine's own is touched. With `tls` it offers STARTTLS; each of
 * `listeners` is one more address on the same port. Needs root, as Postfix does. Ends with the test.
 */
export async function startPostfix(
  t: TestContext,
  options: {
    address?: string /** Where mail for this domain goes, instead of being kept. */;
    relay?: Relay;
    tls?: ServerCertificate;
    /** Lines put to its main.cf. */
    settings?: readonly string[];
    listeners?: readonly Listener[];
  } = {},
): Promise<Postfix> {
  const host = options.address ?? '127.0.0.5';
  const root = await mkdtemp(join(tmpdir(), 'cmail-postfix-'));
  let started: Master | undefined;
  const stop = async () => {
    if (started !== undefined) await stopMaster(started.child);
  };
  t.after(async () => {
    await stop();
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });
  const port = await freePort(host);
  await writeInstance(root, host, port, options.relay);
  if (options.tls !== undefined) await offerTls(root, options.tls);
  const further = (options.settings ?? []).map((line) => `${line}\n`);
  await appendFile(join(root, 'etc', 'main.cf'), further.join(''));
  for (const listener of options.listeners ?? []) await addListener(root, port, listener);
  started = await spawnMaster(root);
  const logText = () => readFile(join(root, 'log', 'mail.log'), 'utf8').catch(() => '');
  if (!(await answers(host, port, started.child))) {
    await stop();
    throw new Error(`Postfix did not start on ${host}:${port}: ${started.said()}${await logText()}`);
  }
  const kept = join(root, 'mail', 'all', 'new');
  const count = async () => (await readdir(kept)).length;
  return {
    host,
    port,
    pid: started.child.pid ?? 0,
    count,
    waitForCount: (wanted, timeoutMs = 30_000) =>
      waitInFolders([kept], timeoutMs, count, (have) => have >= wanted, `${wanted} messages at Postfix`),
    waitForEmptyQueue: (timeoutMs = 30_000) => {
      const folders = ['incoming', 'active', 'deferred'].map((name) => join(root, 'queue', name));
      const left = async () => (await Promise.all(folders.map(filesBelow))).reduce((sum, n) => sum + n, 0);
      return waitInFolders(folders, timeoutMs, left, (have) => have === 0, 'an empty queue at Postfix');
    },
    messages: async () => {
      const texts: string[] = [];
      for (const name of await readdir(kept)) texts.push(await readFile(join(kept, name), 'latin1'));
      return texts;
    },
    logText,
    stop,
  };
}

async function postfixIds(): Promise<{ uid: number; gid: number }> {
  const uid = Number((await runChecked('id', ['-u', 'postfix'])).stdout.toString());
  const gid = Number((await runChecked('id', ['-g', 'postfix'])).stdout.toString());
  return { uid, gid };
}

interface Master {
  readonly child: ChildProcess;
  /** Its standard error so far. */
  said(): string;
}

/** In a process group of its own, since the master ends by a signal to its whole group. */
async function spawnMaster(root: string): Promise<Master> {
  const daemons = (await runChecked('postconf', ['-d', '-h', 'daemon_directory'])).stdout.toString().trim();
  const child = spawn(join(daemons, 'master'), ['-c', join(root, 'etc'), '-d'], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  return { child, said: () => said };
}

async function writeInstance(root: string, host: string, port: number, relay?: Relay): Promise<void> {
  const owner = await postfixIds();
  // Daemons that gave up root must pass through.
  await chmod(root, 0o755);
  const owned = [...QUEUES, ...OTHER_FOLDERS.filter((name) => name !== 'pid')].map((name) => `queue/${name}`);
  const maildir = ['mail', 'mail/all', 'mail/all/new', 'mail/all/cur', 'mail/all/tmp'];
  for (const name of ['etc', 'log', 'queue', 'queue/pid', 'data', ...owned, ...maildir]) {
    await mkdir(join(root, name), { mode: 0o755 });
  }
  for (const name of ['data', ...owned, ...maildir]) await chown(join(root, name), owner.uid, owner.gid);
  await writeFile(join(root, 'etc', 'main.cf'), mainCf(root, owner) + relayCf(relay));
  await writeFile(join(root, 'etc', 'master.cf'), masterCf(host, port));
}

async function offerTls(root: string, tls: ServerCertificate): Promise<void> {
  const settings = Object.entries(await tlsSettings(root, 'main', tls));
  await appendFile(
    join(root, 'etc', 'main.cf'),
    settings.map(([name, value]) => `${name} = ${value}\n`).join(''),
  );
}

/** Settings under which STARTTLS is offered; certificate and key are written under `name`. */
async function tlsSettings(root: string, name: string, { cert, key }: ServerCertificate) {
  const file = (kind: string) => join(root, 'etc', `${name}-${kind}.pem`);
  await writeFile(file('cert'), cert);
  await writeFile(file('key'), key, { mode: 0o600 });
  return {
    smtpd_tls_security_level: 'may',
    smtpd_tls_cert_file: file('cert'),
    smtpd_tls_key_file: file('key'),
    smtpd_tls_received_header: 'yes',
  };
}

async function addListener(root: string, port: number, { address, tls, settings }: Listener): Promise<void> {
  const all = { ...(tls === undefined ? {} : await tlsSettings(root, address, tls)), ...settings };
  const options = Object.entries(all).map(([name, value]) => ` -o { ${name} = ${value} }`);
  const line = `${address}:${port} inet n - n - 20 smtpd${options.join('')}\n`;
  await appendFile(join(root, 'etc', 'master.cf'), line);
}

/**
 * `default_process_limit` is the length of the listener's backlog too: shorter than what a sender opens at
 * once, the kernel answers with SYN cookies and forgets connections the sender believes in.
 */
function mainCf(root: string, owner: { uid: number; gid: number }): string {
  return `compatibility_level = 3.6
queue_directory = ${root}/queue
data_directory = ${root}/data
maillog_file = ${root}/log/mail.log
maillog_file_prefixes = ${root}
myhostname = peer.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
default_process_limit = 250
in_flow_delay = 0
message_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all/
virtual_mailbox_base = ${root}/mail
virtual_uid_maps = static:${owner.uid}
virtual_gid_maps = static:${owner.gid}
virtual_minimum_uid = 1
`;
}

function relayCf(relay: Relay | undefined): string {
  if (relay === undefined) return '';
  return `smtp_dns_support_level = disabled
transport_maps = inline:{ { ${relay.domain} = smtp:[${relay.host}]:${relay.port} } }
`;
}

function masterCf(host: string, port: number): string {
  return `${host}:${port} inet n - n - 20 smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
virtual   unix - n n - 20 virtual
smtp      unix - - n - 5 smtp
tlsmgr    unix - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
`;
}

/** Whether a greeting comes before the process ends, within 15 s. */
async function answers(host: string, port: number, master: ChildProcess): Promise<boolean> {
  const until = Date.now() + 15_000;
  while (Date.now() < until && master.exitCode === null && master.signalCode === null) {
    if (await greets(host, port)) return true;
    await pause(50);
  }
  return false;
}

function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5_000 });
    const end = (good: boolean) => {
      socket.destroy();
      resolve(good);
    };
    socket.once('data', (chunk: Buffer) => end(chunk.toString().startsWith('220 ')));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
  });
}

async function stopMaster(master: ChildProcess): Promise<void> {
  if (master.exitCode !== null || master.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => master.once('close', () => resolve()));
  master.kill('SIGTERM');
  const timer = setTimeout(() => master.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

/**
 * Looks again whenever something changes in one of the folders, and at least twice a second for what is
 * deeper down. The time starts anew with every change of the figure, so that only a standstill is an error.
 */
async function waitInFolders(
  folders: readonly string[],
  timeoutMs: number,
  look: () => Promise<number>,
  enough: (have: number) => boolean,
  wanted: string,
): Promise<void> {
  let wake = () => {};
  const watchers: FSWatcher[] = folders.map((folder) => watch(folder, () => wake()));
  try {
    let have = await look();
    let changedAt = Date.now();
    while (!enough(have)) {
      if (Date.now() - changedAt > timeoutMs) {
        throw new Error(`waited ${timeoutMs} ms for ${wanted}; the figure stayed at ${have}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      const now = await look();
      if (now !== have) changedAt = Date.now();
      have = now;
    }
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}

async function filesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
