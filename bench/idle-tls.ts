/**
 * Idle TLS sessions on pop3s, before sign-in: memory of each, and how long a new sign-in takes meanwhile; CMail, then
 * Dovecot's pop3 with the same certificate, the same password hash and the same clients. Needs `dovecot`, and root for it.
 *   sh scripts/node.sh bench/idle-tls.ts [--sessions 5000] [--sign-ins 50]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { TcpNetConnectOpts } from 'node:net';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { parseArgs } from 'node:util';
import { hashPassword } from '../src/directory/password.ts';
import { makeCertificates, type ServerCertificate } from '../test/support/certificates.ts';
import { type CleanUp, type Endpoint, poll, startCmail, temporaryFolder } from '../test/support/cmail.ts';
import { freePort } from '../test/support/free-port.ts';
import { PeerReader } from '../test/support/smtp-peer-reader.ts';
import { describeMachine, median, memoryOf } from './machine.ts';

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '5000' }, 'sign-ins': { type: 'string', default: '50' } },
});
const SESSIONS = Number(values.sessions);
const SIGN_INS = Number(values['sign-ins']);
const USER = { address: 'user@local.example', password: 'long enough' };
/** Sessions of one client address. */
const PER_ADDRESS = 40;
/** Handshakes at once. */
const AT_ONCE = 20;
const READY_MS = 30_000;

interface Server {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** Of all its processes. */
  pids(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

interface Figures {
  readonly name: string;
  readonly beforeMegabytes: number;
  readonly afterMegabytes: number;
  readonly openSeconds: number;
  readonly aloneMs: number;
  readonly meanwhileMs: number;
  readonly stillOpen: number;
}

/** Connects with TLS and reads the greeting. */
async function open({ host, port }: Endpoint, localAddress: string): Promise<[TLSSocket, PeerReader]> {
  const options: ConnectionOptions & TcpNetConnectOpts = {
    ...{ host, port, localAddress, rejectUnauthorized: false },
  };
  const socket = connect(options);
  socket.on('error', () => undefined);
  const reader = new PeerReader(socket);
  const greeting = await reader.line();
  if (!greeting?.startsWith('+OK')) throw new Error(`no greeting: ${greeting ?? 'closed'}`);
  return [socket, reader];
}

/** From the first packet to the answer that the mailbox is open, ms. */
async function signIn(endpoint: Endpoint): Promise<number> {
  const start = performance.now();
  const [socket, reader] = await open(endpoint, '127.0.0.8');
  for (const line of [`USER ${USER.address}`, `PASS ${USER.password}`]) {
    socket.write(`${line}\r\n`);
    const answer = await reader.line();
    if (!answer?.startsWith('+OK')) throw new Error(`${line.slice(0, 4)}: ${answer ?? 'closed'}`);
  }
  const took = performance.now() - start;
  socket.write('QUIT\r\n');
  await once(socket, 'close');
  return took;
}

async function signIns(endpoint: Endpoint): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < SIGN_INS; n += 1) times.push(await signIn(endpoint));
  return median(times);
}

async function megabytes(server: Server): Promise<number> {
  const each = await Promise.all((await server.pids()).map(memoryOf));
  return each.reduce((sum, { residentMegabytes }) => sum + residentMegabytes, 0);
}

async function measure(server: Server): Promise<Figures> {
  const aloneMs = await signIns(server.endpoint);
  const beforeMegabytes = await megabytes(server);
  const sockets: TLSSocket[] = [];
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < SESSIONS) {
      const index = next++;
      const address = Math.floor(index / PER_ADDRESS);
      const [socket] = await open(server.endpoint, `127.1.${address >> 7}.${(address & 127) + 1}`);
      sockets.push(socket);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const openSeconds = (performance.now() - start) / 1000;
  const afterMegabytes = await megabytes(server);
  const meanwhileMs = await signIns(server.endpoint);
  const stillOpen = sockets.filter(({ readyState }) => readyState === 'open').length;
  for (const socket of sockets) socket.destroy();
  const { name } = server;
  return { name, beforeMegabytes, afterMegabytes, openSeconds, aloneMs, meanwhileMs, stillOpen };
}

async function cmail(t: CleanUp, folder: string): Promise<Server> {
  const server = await startCmail(t, {
    config: {
      listen: { pop3s: ['127.0.0.1:0'] },
      tls: { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') },
    },
    env: { CMAIL_LOG_LEVEL: 'error' },
    domains: ['local.example'],
    accounts: [USER],
    settings: { 'pop3.sessions.total': String(SESSIONS + 100) },
  });
  const endpoint = server.listeners.pop3s;
  if (endpoint === undefined) throw new Error('no pop3s listener');
  const stop = async (): Promise<void> => void (await server.stop());
  return { name: 'CMail', endpoint, pids: async () => [server.pid], stop };
}

/** Dovecot as its manual has it for many clients: login processes that serve many each (`service_count = 0`). */
async function dovecot(t: CleanUp, folder: string): Promise<Server> {
  const port = await freePort('127.0.0.1');
  const path = (name: string): string => join(folder, name);
  await writeFile(path('users'), `${USER.address}:{ARGON2ID}${await hashPassword(USER.password)}\n`);
  for (const name of ['run', 'state', 'mail']) await mkdir(path(name));
  await chmod(folder, 0o755);
  await chmod(path('users'), 0o644);
  await chmod(path('mail'), 0o777);
  const clients = SESSIONS + 1_000;
  await writeFile(
    path('dovecot.conf'),
    `base_dir = ${path('run')}
state_dir = ${path('state')}
log_path = ${path('log')}
protocols = pop3
listen = 127.0.0.1
ssl = required
ssl_cert = <${path('cert.pem')}
ssl_key = <${path('key.pem')}
mail_location = maildir:${path('mail')}/%u
passdb {
  driver = passwd-file
  args = ${path('users')}
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=${path('mail')}/%u
}
first_valid_uid = 1
first_valid_gid = 1
service pop3-login {
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  client_limit = ${clients}
  vsz_limit = 2G
  inet_listener pop3 {
    port = 0
  }
  inet_listener pop3s {
    port = ${port}
    ssl = yes
  }
}
service auth {
  client_limit = ${clients}
}
service anvil {
  client_limit = ${clients}
}
`,
  );
  const child = spawn('dovecot', ['-F', '-c', path('dovecot.conf')], { stdio: 'inherit' });
  const ended = once(child, 'close');
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  t.after(stop);
  const endpoint = { host: '127.0.0.1', port };
  const ready = async (): Promise<boolean> => {
    try {
      const [socket] = await open(endpoint, '127.0.0.8');
      socket.destroy();
      return true;
    } catch {
      return false;
    }
  };
  await poll('Dovecot', ready, READY_MS, () => `see ${path('log')}`);
  return { name: 'Dovecot', endpoint, pids: () => family(child), stop };
}

/** A process and all below it. */
async function family({ pid }: ChildProcess): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(/\) \S (\d+) /.exec(stat)?.[1]));
  }
  const found = pid === undefined ? [] : [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found;
}

async function inTurn(make: (t: CleanUp, folder: string) => Promise<Server>, pair: ServerCertificate) {
  const cleanUps: (() => Promise<void> | void)[] = [];
  const t = { after: (action: () => Promise<void> | void) => void cleanUps.push(action) };
  try {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'cert.pem'), pair.cert);
    await writeFile(join(folder, 'key.pem'), pair.key);
    const server = await make(t, folder);
    const figures = await measure(server);
    await server.stop();
    return figures;
  } finally {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  }
}

const cleanUps: (() => Promise<void> | void)[] = [];
const pair = await makeCertificates({ after: (action) => void cleanUps.push(action) }, ['localhost']);
const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(' ');
console.log(`${await describeMachine()}\nload average before: ${load()}`);
console.log(
  '| | memory before → after, MB | KB a session | opened in s | new sign-in alone, ms | meanwhile, ms |',
);
console.log('|---|---|---|---|---|---|');
for (const make of [cmail, dovecot]) {
  const { name, beforeMegabytes, afterMegabytes, ...more } = await inTurn(make, pair);
  const kilobytes = ((afterMegabytes - beforeMegabytes) * 1024) / SESSIONS;
  if (more.stillOpen < SESSIONS) console.log(`${name}: only ${more.stillOpen} sessions were open at the end`);
  const cells = [
    ...[name, `${beforeMegabytes} → ${afterMegabytes}`, kilobytes.toFixed(1)],
    ...[more.openSeconds.toFixed(1), more.aloneMs.toFixed(0), more.meanwhileMs.toFixed(0)],
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
console.log(`load average after: ${load()}`);
for (const cleanUp of cleanUps.toReversed()) await cleanUp();
