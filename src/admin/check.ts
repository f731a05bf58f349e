/**
 * `check`: this server's own configuration, its names in DNS, its resolvers, the SMTP host, the way out, the
 * machine. Every finding says what was found, and if it is not well, what that means and what to do. Nothing
 * is dialled but the DNS servers, the SMTP host and, when a domain is named, that domain's MX hosts.
 */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { describeError } from '../mail/failure.ts';
import { networkContains } from '../settings/networks.ts';
import { SMTP_HOSTS, smtpHostsOf } from '../settings/smtp-host-table.ts';
import { checkClock, checkDisk } from './check-machine.ts';
import { checkDomains, checkHostname, checkSmtpHostName } from './check-names.ts';
import { checkNodes } from './check-nodes.ts';
import { checkResolvers } from './check-resolver.ts';
import type { AdminContext, CheckFinding } from './context.ts';
import { error, fine, warning } from './finding.ts';
import { placeOf } from './operation.ts';

/** All parts run at once, so this bounds the whole check. */
const PART_MS = 25_000;

/** Interfaces on which containers and virtual machines reach this machine. */
const BRIDGE_NAME = /^(docker|br-|cni|podman|virbr|lxc|lxd|veth|cali|flannel)/;

export interface CheckOptions {
  /** A domain whose MX hosts are dialled to see whether the way out is open; null dials none. */
  readonly probe: string | null;
  /** Longest wait for one part. */
  readonly partMs?: number;
}

type Part = readonly [topic: string, work: () => Promise<readonly CheckFinding[]>];

export async function checkAll(
  context: AdminContext,
  { probe, partMs = PART_MS }: CheckOptions,
): Promise<readonly CheckFinding[]> {
  const { machine, settings, hostname } = context;
  const parts: readonly Part[] = [
    ['settings', async () => checkSettings(context)],
    ['relay', async () => checkRelayNetworks(settings.current().relayNetworks, await gatewayAddresses())],
    ['directory', () => checkDirectory(context)],
    ['resolver', async () => checkResolvers({ servers: await context.dnsServers(), hostname })],
    ['dns', () => checkHostname(context)],
    ['dns', () => checkSmtpHostName(context)],
    ['dns', () => checkDomains(context, () => performance.now())],
    ['hosts', () => context.checkHosts(probe)],
    ['ports', () => context.checkPorts()],
    ['tls', () => context.checkTls()],
    ['nodes', () => nodesOf(context)],
    ['disk', async () => [checkDisk(machine.dataFolder, await machine.diskSpace())]],
    ['clock', () => clockOf(context)],
  ];
  return (await Promise.all(parts.map((part) => bounded(part, partMs)))).flat();
}

/** One part's findings; a part that fails or takes too long is itself a finding and does not hide the others. */
async function bounded([topic, work]: Part, limitMs: number): Promise<readonly CheckFinding[]> {
  const { promise: late, resolve } = Promise.withResolvers<readonly CheckFinding[]>();
  const timer = setTimeout(() => {
    const meaning = 'Nothing is known of this part; what it waits for is very slow.';
    const text = `this part of the check was not done after ${limitMs / 1000} s`;
    resolve([warning(topic, text, meaning, 'Look at the other findings, then run the check again.')]);
  }, limitMs);
  const failed = (reason: unknown): readonly CheckFinding[] => [
    error(
      topic,
      `this part of the check could not be done: ${describeError(reason)}`,
      'What the check needed could not be read.',
      `Look at "cmail status" and at ${placeOf(reason)}.`,
    ),
  ];
  try {
    return await Promise.race([work().catch(failed), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function nodesOf({ storage, settings, hostname }: AdminContext): Promise<readonly CheckFinding[]> {
  const { ownNames } = settings.current();
  return checkNodes({ hostname, ownNames, nodeId: storage.nodeId, nodes: await storage.nodes() });
}

async function clockOf({ storage, machine }: AdminContext): Promise<readonly CheckFinding[]> {
  const [newestMs, builtAtMs] = await Promise.all([storage.newestTime(), machine.builtAtMs()]);
  return [checkClock({ nowMs: machine.nowMs(), newestMs, builtAtMs })];
}

function checkSettings({ settings }: AdminContext): CheckFinding[] {
  const findings = settings
    .problems()
    .map((text) =>
      error(
        'settings',
        text,
        'The setting does not act as it was entered.',
        'Enter the value again with "cmail settings set".',
      ),
    );
  for (const { key, text } of settings.warnings()) {
    const mend = `Change the setting it depends on, or put ${key} back to its default.`;
    findings.push(warning('settings', `${key} is ${text}`, 'It is stored and does nothing now.', mend));
  }
  for (const host of smtpHostsOf(settings.current())) {
    if ((host.username === '') === (host.password === '')) continue;
    const setting = SMTP_HOSTS[host.which - 1];
    const missing = (host.username === '' ? setting?.username.key : setting?.password.key) ?? '';
    const meaning = 'The SMTP host cannot be signed in to with one half alone.';
    const mend = `Enter it with "cmail settings set ${missing}", or remove the other half.`;
    findings.push(warning('settings', `${missing} is missing beside the other half`, meaning, mend));
  }
  return findings.length > 0 ? findings : [fine('settings', 'all settings have effect')];
}

/** A gateway's address with what it is. */
export interface Gateway {
  readonly address: string;
  readonly kind: string;
}

/** Warns of relay networks that hold an address strangers may come through. */
export function checkRelayNetworks(
  networks: readonly string[],
  gateways: readonly Gateway[],
): CheckFinding[] {
  const findings: CheckFinding[] = [];
  for (const network of networks) {
    for (const { address, kind } of gateways) {
      if (!networkContains(network, address)) continue;
      findings.push(
        warning(
          'relay',
          `smtp.relayNetworks holds ${network}, and in it ${address}, ${kind}`,
          'Strangers who come through it could send mail anywhere.',
          'List the addresses of your own clients only, unless you know that nobody else comes from there.',
        ),
      );
    }
  }
  if (findings.length > 0) return findings;
  const listed = networks.length === 0 ? 'is empty' : `holds no gateway (${networks.join(', ')})`;
  return [fine('relay', `smtp.relayNetworks ${listed}`)];
}

async function gatewayAddresses(): Promise<readonly Gateway[]> {
  const gateways: Gateway[] = (await defaultGateways()).map((address) => ({
    address,
    kind: 'the default gateway',
  }));
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (!BRIDGE_NAME.test(name)) continue;
    for (const { address } of addresses ?? []) {
      gateways.push({ address: address.replace(/%.*$/, ''), kind: `the gateway of ${name}` });
    }
  }
  return gateways;
}

async function defaultGateways(): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile('/proc/net/route', 'utf8');
  } catch {
    // Not Linux: then only the interfaces can be looked at.
    return [];
  }
  return parseDefaultGateways(text);
}

/** Gateways of the default routes in the form of /proc/net/route: hexadecimal, little-endian. */
export function parseDefaultGateways(routes: string): readonly string[] {
  return routes
    .split('\n')
    .slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter(([, destination, gateway]) => destination === '00000000' && /^[0-9A-F]{8}$/.test(gateway ?? ''))
    .map(([, , gateway = '']) => [...Buffer.from(gateway, 'hex')].reverse().join('.'))
    .filter((address) => address !== '0.0.0.0');
}

async function checkDirectory({ storage }: AdminContext): Promise<CheckFinding[]> {
  const findings: CheckFinding[] = [];
  if ((await storage.listDomains()).length === 0) {
    const text = 'there is no hosted domain';
    const mend = 'Add one with "cmail domain add example.com".';
    findings.push(warning('directory', text, 'All mail from outside is refused.', mend));
  }
  const postmaster = await storage.postmaster();
  findings.push(
    postmaster === null
      ? warning(
          'directory',
          'there is no account yet',
          'Mail for postmaster is deferred.',
          'Add one with "cmail account add user@example.com".',
        )
      : fine('directory', `postmaster is ${postmaster.address}`),
  );
  return findings;
}
