/** What the administration operations are given, with a running server behind it or without one. */
import { stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AcmeView } from '../acme/contract.ts';
import { systemAuthor } from '../admin/author.ts';
import type {
  AccessControl,
  AdminContext,
  CertificateKey,
  CheckFinding,
  DestinationState,
  Machine,
} from '../admin/context.ts';
import { mailServicePorts } from '../admin/mail-services.ts';
import { placeOf } from '../admin/operation.ts';
import type { TrafficMinute } from '../admin/traffic.ts';
import { hashPassword } from '../directory/password.ts';
import { systemServers } from '../dns/servers.ts';
import { clientAt } from '../receiving/client.ts';
import type { OverLimit } from '../receiving/stranger-limits.ts';
import { machineAddresses } from '../routing/self.ts';
import { type Storage, StorageError } from '../storage/contract.ts';
import type { NodeInfo } from '../storage/nodes-contract.ts';
import { checkAcme } from './acme-service.ts';
import { checkHosts } from './check-hosts.ts';
import { certificateSources, checkTls } from './check-tls.ts';
import { endpointText, type NodeConfig } from './config.ts';
import type { Core } from './core.ts';
import { explain } from './explain.ts';
import { nodeFile } from './node-file.ts';
import { sendTestMessage } from './test-message.ts';
import { certificateHasName } from './tls-certificate.ts';
import { type CertificateState, certificatesOnDisk } from './tls-service.ts';

/** What only a running server adds. */
export interface Running {
  readonly listeners: Readonly<Record<string, readonly string[]>>;
  readonly startedAtMs: number;
  sessions(): object;
  destinations(): readonly DestinationState[];
  endBackOff(destination: string | null): number;
  traffic(minutes: number): readonly TrafficMinute[];
  alarms(): readonly string[];
  /** Null without [tls.acme]. */
  acme(): AcmeView | null;
  certificates(): readonly CertificateState[];
  /** Strangers that are refused for now. */
  strangersOverLimit(): readonly OverLimit[];
  /** Who is banned from signing in. */
  readonly access: AccessControl;
  wakeSender(): void;
}

export function createAdminContext(core: Core, running: Running | null): AdminContext {
  const { storage, settings, config } = core;
  return {
    storage,
    settings,
    author: systemAuthor(),
    hostname: config.hostname,
    mailServices: () => mailServicePorts(running?.listeners ?? listenerTexts(config), config.publicPorts),
    serverRunning: running !== null,
    resolver: core.resolver,
    status: () => status(core, running),
    explain: async (request) =>
      explain(core.decision, core.router, {
        recipient: request.address,
        from: request.from,
        client:
          request.client === null
            ? { kind: request.user === null ? 'external' : 'local', address: null, user: request.user }
            : clientAt(request.client, request.user, request.settings),
        settings: request.settings,
        connectAs: request.connect ? config.hostname : null,
        policies: core.tlsPolicies,
      }),
    isOwnHost: (host, port) => core.router.ourselves(settings.current()).isOwnHost(host, port),
    checkPorts: () => (running === null ? tryPorts(config) : Promise.resolve(openPorts(running))),
    checkHosts: (probe, edited) =>
      checkHosts(
        {
          hostname: config.hostname,
          settings: edited === undefined ? settings.current : () => edited,
          routes: core.router,
        },
        probe,
      ),
    checkTls: async () => [
      ...(await checkTls(config, running?.certificates() ?? null)),
      ...(await checkAcme(config, running?.acme() ?? null)),
    ],
    certificateKey: () => certificateKey(config, running),
    dnsServers: () => dnsServers(config),
    machine: machineOf(config.data),
    access: running?.access ?? null,
    wakeSender: () => running?.wakeSender(),
    makeNotices: core.makeNotices,
    secondFactors: core.secondFactors,
    hashPassword,
    clientAddress: null,
    sessionId: null,
    owner: null,
    destinationStates: () => running?.destinations() ?? [],
    endBackOff: (destination) => running?.endBackOff(destination) ?? 0,
    traffic: (minutes) => running?.traffic(minutes) ?? [],
    sendTestMessage: (message) => sendTestMessage(core, message),
    node: nodeFile(config),
  };
}

/** Of the certificate that is shown to who asks for our host name. */
async function certificateKey(config: NodeConfig, running: Running | null): Promise<CertificateKey | null> {
  const onDisk = running === null ? await certificatesOnDisk(certificateSources(config)) : null;
  const shown = running?.certificates() ?? (onDisk?.ok ? onDisk.value : []);
  const one = shown.find((each) => certificateHasName(each, config.hostname)) ?? shown[0];
  return one === undefined ? null : { sha256: one.keyFingerprint, changes: one.obtained };
}

/** The listeners as they are configured, in the form of those that are open. */
function listenerTexts({ listen }: NodeConfig): Record<string, string[]> {
  const texts = Object.entries(listen).map(([name, endpoints]) => [name, endpoints.map(endpointText)]);
  return Object.fromEntries(texts);
}

async function status(core: Core, running: Running | null): Promise<object> {
  const { storage, config } = core;
  const stored = await storedState(storage);
  const { queue } = stored;
  const dnsDown = core.dnsHealth.alarm();
  return {
    running: running !== null,
    hostname: config.hostname,
    data: config.data,
    pid: running === null ? null : process.pid,
    startedAt: running === null ? null : isoTime(running.startedAtMs),
    listeners: running?.listeners ?? {},
    tls: running?.certificates() ?? [],
    acme: running?.acme() ?? null,
    bans: (running?.access.bans() ?? []).map(({ until, ...ban }) => ({ ...ban, until: isoTime(until) })),
    strangersOverLimit: (running?.strangersOverLimit() ?? []).map(({ until, ...one }) => ({
      ...one,
      until: isoTime(until),
    })),
    sessions: running?.sessions() ?? {},
    queue: queue === null ? null : { ...queue, oldestAt: isoTime(queue.oldestAt) },
    destinations: running?.destinations() ?? [],
    nodes: stored.nodes,
    handedOnBytes: storage.handedOnBytes(),
    memoryBytes: process.memoryUsage.rss(),
    alarms: [
      ...storage.alarms(),
      ...stored.alarms,
      ...setAside(queue?.crashed ?? 0),
      ...(dnsDown === null ? [] : [dnsDown]),
      ...(running?.alarms() ?? []),
    ],
  };
}

type Counts = Awaited<ReturnType<Storage['counts']>>;

interface StoredState {
  /** null when the store cannot be read. */
  readonly queue: Counts | null;
  /** The nodes on the store; null when it cannot be read. */
  readonly nodes: readonly object[] | null;
  readonly alarms: readonly string[];
}

/** What is in the store; that it cannot be read is no reason to say nothing at all. */
async function storedState(storage: Storage): Promise<StoredState> {
  try {
    const [queue, nodes] = await Promise.all([storage.counts(), storage.nodes()]);
    return { queue, nodes: worthTelling(nodes).map((node) => nodeJson(node, storage.nodeId)), alarms: [] };
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'unavailable') throw error;
    const alarm = `The store cannot be read: ${error.message}. Mail is put off and nothing is lost; look at ${placeOf(error)}, CMail then goes on by itself.`;
    return { queue: null, nodes: null, alarms: [alarm] };
  }
}

/** Without the earlier runs of nodes that were started again. */
function worthTelling(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const told = new Map<string, NodeInfo>();
  for (const node of nodes.toSorted((a, b) => b.seenAt - a.seenAt)) {
    // Two that are alive under one name are a mistake that should be seen.
    const key = node.alive ? node.id : node.name;
    const sameName = [...told.values()].some(({ name }) => name === node.name);
    if (node.alive || !sameName) told.set(key, node);
  }
  return [...told.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function nodeJson({ startedAt, seenAt, ...node }: NodeInfo, ownId: string): object {
  return { ...node, self: node.id === ownId, startedAt: isoTime(startedAt), seenAt: isoTime(seenAt) };
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function setAside(recipients: number): string[] {
  if (recipients === 0) return [];
  const who = recipients === 1 ? '1 queued recipient was' : `${recipients} queued recipients were`;
  const what = 'Nothing is lost: "cmail queue list" shows them as held with the reason';
  return [`${who} set aside because attempts crashed. ${what}, "cmail queue release ID" tries again.`];
}

function openPorts(running: Running): CheckFinding[] {
  return Object.entries(running.listeners).map(([name, endpoints]) => ({
    level: 'ok',
    topic: 'ports',
    text: endpoints.length > 0 ? `${name} is open on ${endpoints.join(', ')}` : `${name} is closed`,
  }));
}

/** What `fs.statfs` tells of the disk that holds a folder, in blocks. */
export type ReadDisk = (
  folder: string,
) => Promise<{ readonly bsize: number; readonly blocks: number; readonly bavail: number }>;

export function machineOf(dataFolder: string, readDisk: ReadDisk = statfs): Machine {
  return {
    dataFolder,
    diskSpace: async () => {
      const { bsize, blocks, bavail } = await readDisk(dataFolder);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    },
    nowMs: Date.now,
    // The file of this code is as old as the build or the installation.
    builtAtMs: async () => (await stat(import.meta.filename)).mtimeMs,
  };
}

async function dnsServers({ dnsServers }: NodeConfig): Promise<readonly string[]> {
  if (dnsServers.length > 0) return dnsServers;
  const system = systemServers('/etc/resolv.conf', () => performance.now());
  return (await system()).map(({ text }) => text);
}

/** Without a server: whether each configured port could be had. */
async function tryPorts(config: NodeConfig): Promise<CheckFinding[]> {
  const findings: CheckFinding[] = [];
  const admin = config.admin === null ? [] : [config.admin];
  for (const [name, endpoints] of Object.entries({ ...config.listen, admin })) {
    for (const { host, port } of endpoints) findings.push(await tryPort(name, host, port));
  }
  return findings;
}

function tryPort(name: string, host: string, port: number): Promise<CheckFinding> {
  const where = `${name} ${host}:${port}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => {
      const meaning = 'The server will not start.';
      const text = `${where} cannot be opened: ${error.message}`;
      resolve({ level: 'error', topic: 'ports', text, meaning, mend: portMend(host, error) });
    });
    server.listen({ host, port }, () => {
      server.close(() => resolve({ level: 'ok', topic: 'ports', text: `${where} is free` }));
    });
  });
}

/** The way out of a port that cannot be had. */
export function portMend(host: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE')
    return 'Stop what uses the port, or choose another one in cmail.toml under [listen].';
  if (error.code === 'EACCES')
    return 'Ports below 1024 need rights: choose a higher one in cmail.toml under [listen].';
  if (error.code === 'EADDRNOTAVAIL') {
    return `${host} is not an address of this machine; it has ${machineAddresses().join(', ')}.`;
  }
  return 'Choose another address or port in cmail.toml under [listen].';
}
