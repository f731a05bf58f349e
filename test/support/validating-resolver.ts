/**
 * A real unbound on loopback that validates: it serves zones of the test's own, one of them signed, and believes the
 * key of that one. In a folder of its own, and unprivileged unless it is to answer on port 53.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createResolver } from '../../src/dns/resolver.ts';
import { poll, temporaryFolder } from './cmail.ts';
import { runChecked } from './command.ts';
import { freePort } from './free-port.ts';
import { requireTool } from './require.ts';

export interface ZonesInput {
  /** Records of `signed.test`, such as `@ MX 10 mx` (a zone file's lines without a TTL). */
  readonly signed: readonly string[];
  /** Records of `plain.test`, which is not signed. */
  readonly plain?: readonly string[];
  /** Changes the signed zone after it was signed, so that some of it no longer validates. */
  readonly tamper?: (zone: string) => string;
  /** Loopback address to answer at on port 53, for programs that ask the system's resolver; needs root. Else a free port. */
  readonly onPort53At?: string;
}

const TOOLS = ['unbound', 'ldns-keygen', 'ldns-signzone'];

/** `address:port` of the resolver, which ends with the test; null, and the test skipped, without the tools. */
export async function startValidatingResolver(t: TestContext, input: ZonesInput): Promise<string | null> {
  for (const tool of TOOLS) if (requireTool(t, tool) === null) return null;
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'signed.zone'), zoneText('signed.test', input.signed));
  await writeFile(join(folder, 'plain.zone'), zoneText('plain.test', input.plain ?? []));
  const inFolder = { cwd: folder };
  await runChecked('ldns-keygen', ['-a', 'ECDSAP256SHA256', '-k', 'signed.test'], inFolder);
  const key = (await readdir(folder)).find((name) => name.endsWith('.private'))?.slice(0, -'.private'.length);
  if (key === undefined) throw new Error('ldns-keygen made no key');
  await runChecked('ldns-signzone', ['-f', 'served.zone', 'signed.zone', key], inFolder);
  const served = join(folder, 'served.zone');
  if (input.tamper !== undefined) await writeFile(served, input.tamper(await readFile(served, 'utf8')));
  const host = input.onPort53At ?? '127.0.0.1';
  const port = input.onPort53At === undefined ? await freePort(host) : 53;
  await writeFile(join(folder, 'unbound.conf'), configuration(folder, `${host}@${port}`, `${key}.ds`));
  await run(t, join(folder, 'unbound.conf'));
  const address = `${host}:${port}`;
  await answers(address);
  return address;
}

function zoneText(origin: string, records: readonly string[]): string {
  const head = [
    `$ORIGIN ${origin}.`,
    '$TTL 60',
    `@ SOA ns.${origin}. root.${origin}. 1 3600 600 86400 60`,
    '@ NS ns',
    'ns A 127.0.0.1',
  ];
  return `${[...head, ...records].join('\n')}\n`;
}

function configuration(folder: string, place: string, anchor: string): string {
  const zone = (name: string, file: string) =>
    `auth-zone:\n  name: "${name}"\n  zonefile: "${file}"\n  for-downstream: no\n  for-upstream: yes\n`;
  return `server:
  interface: ${place}
  directory: "${folder}"
  chroot: ""
  username: ""
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  logfile: ""
  module-config: "validator iterator"
  trust-anchor-file: "${anchor}"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
${zone('signed.test', 'served.zone')}${zone('plain.test', 'plain.zone')}`;
}

async function run(t: TestContext, configuration: string): Promise<void> {
  const child: ChildProcess = spawn('unbound', ['-d', '-c', configuration], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
}

async function answers(address: string): Promise<void> {
  const resolver = createResolver({ servers: [address], attempts: 1, timeoutMs: 1_000, cacheEntries: 0 });
  try {
    await poll(
      `an answer of unbound at ${address}`,
      async () => (await resolver.addresses('ns.signed.test')).status === 'ok',
      30_000,
    );
  } finally {
    resolver.close();
  }
}
