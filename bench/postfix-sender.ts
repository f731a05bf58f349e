/** Postfix as the sender of `many-destinations.ts`: takes mail and keeps it until `release`. Needs root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CleanUp, Endpoint } from '../test/support/cmail.ts';
import { runChecked } from '../test/support/command.ts';
import { freePort } from '../test/support/free-port.ts';
import { greeted } from '../test/support/smtp-client.ts';
import { cpuSecondsOf } from './machine.ts';

export interface PostfixSender extends Endpoint {
  /** Starts the queue manager. */
  release(): Promise<void>;
  /** Resident now, MB: the queue manager, and all its processes together, shared pages counted once (Pss). */
  memory(): Promise<{ readonly manager: number; readonly all: number }>;
  /** Processor time so far, of processes that ended too. */
  cpuSeconds(): Promise<number>;
}

export interface PostfixOptions {
  /** Port of all far servers. */
  readonly port: number;
  /** Address of the DNS server, port 53. */
  readonly dnsAddress: string;
  readonly sessions: number;
  readonly destinationConcurrency: number;
  readonly retrySeconds: number;
  /** Domains below this one get one connection each. */
  readonly ruled: string;
}

const HOST = '127.0.0.5';
const QUEUES = ['incoming', 'active', 'deferred', 'maildrop', 'hold', 'corrupt', 'bounce', 'defer', 'trace'];
const FOLDERS = ['flush', 'private', 'public', 'saved'];
/** Without it nothing is taken out of the incoming queue. */
const MANAGER = 'qmgr unix n - n 300 1 qmgr\n';

/** Its own resolv.conf is laid over the machine's in a mount namespace of its own. */
export async function startPostfixSender(t: CleanUp, options: PostfixOptions): Promise<PostfixSender> {
  const root = await mkdtemp(join(tmpdir(), 'cmail-postfix-'));
  t.after(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
  const port = await freePort(HOST);
  await writeInstance(root, port, options);
  const daemons = (await runChecked('postconf', ['-d', '-h', 'daemon_directory'])).stdout.toString().trim();
  const script = `mount --bind '${root}/resolv.conf' /etc/resolv.conf && exec '${daemons}/master' -c '${root}/etc' -d`;
  // The master ends by a signal to its whole group, so it has one of its own.
  const child = spawn('unshare', ['-m', 'sh', '-c', script], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  await waitForGreeting(port);
  return {
    host: HOST,
    port,
    async release() {
      await writeFile(join(root, 'etc', 'master.cf'), masterCf(port) + MANAGER);
      child.kill('SIGHUP');
    },
    memory: () => memoryBelow(child.pid ?? 0),
    cpuSeconds: () => cpuSecondsBelow(child.pid ?? 0),
  };
}

async function waitForGreeting(port: number): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    try {
      (await greeted({ host: HOST, port })).destroy();
      return;
    } catch (error) {
      if (tried === 100) throw error;
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}

async function writeInstance(root: string, port: number, options: PostfixOptions): Promise<void> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await runChecked('id', [flag, 'postfix'])).stdout.toString())),
  );
  await chmod(root, 0o755);
  for (const name of ['etc', 'log', 'queue', 'queue/pid', 'data'])
    await mkdir(join(root, name), { mode: 0o755 });
  for (const name of [...QUEUES, ...FOLDERS]) await mkdir(join(root, 'queue', name), { mode: 0o755 });
  for (const name of ['data', ...[...QUEUES, ...FOLDERS].map((one) => `queue/${one}`)]) {
    await chown(join(root, name), uid ?? 0, gid ?? 0);
  }
  await writeFile(join(root, 'resolv.conf'), `nameserver ${options.dnsAddress}\n`);
  await writeFile(join(root, 'etc', 'main.cf'), mainCf(root, options));
  await writeFile(join(root, 'etc', 'master.cf'), masterCf(port));
}

/** Debian's defaults but for names, places, the port, and what CMail is given too. */
function mainCf(root: string, options: PostfixOptions): string {
  const { port, sessions, destinationConcurrency, retrySeconds, ruled } = options;
  return `compatibility_level = 3.6
queue_directory = ${root}/queue
data_directory = ${root}/data
maillog_file = ${root}/log/mail.log
maillog_file_prefixes = ${root}
myhostname = sender.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
in_flow_delay = 0
smtp_tcp_port = ${port}
smtp_host_lookup = dns
default_process_limit = ${sessions}
default_destination_concurrency_limit = ${destinationConcurrency}
one_destination_concurrency_limit = 1
one_initial_destination_concurrency = 1
transport_maps = inline:{ { .${ruled} = one: } }
minimal_backoff_time = ${retrySeconds}s
queue_run_delay = ${retrySeconds}s
`;
}

function masterCf(port: number): string {
  return `${HOST}:${port} inet n - n - 20 smtpd
cleanup   unix n - n - 0 cleanup
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
smtp      unix - - n - - smtp
one       unix - - n - - smtp
postlog   unix-dgram n - n - 1 postlogd
`;
}

/** `/proc/PID/status` of each process of Postfix but the master. */
async function childrenOf(parent: number): Promise<{ pid: number; status: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = await Promise.all(
    pids.map(async (pid) => ({ pid, status: await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '') })),
  );
  return all.filter(({ status }) => Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === parent);
}

async function memoryBelow(parent: number): Promise<{ manager: number; all: number }> {
  let [manager, all] = [0, 0];
  for (const { pid, status } of await childrenOf(parent)) {
    const shares = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    all += Number(/^Pss:\s+(\d+)/m.exec(shares)?.[1] ?? 0) / 1024;
    if (/^Name:\s+qmgr$/m.test(status)) manager = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }
  return { manager: Math.round(manager), all: Math.round(all) };
}

async function cpuSecondsBelow(parent: number): Promise<number> {
  let seconds = await cpuSecondsOf(parent, true);
  for (const { pid } of await childrenOf(parent)) seconds += await cpuSecondsOf(pid, false);
  return seconds;
}
