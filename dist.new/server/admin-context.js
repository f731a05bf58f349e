/** What the administration operations are given, with a running server behind it or without one. */
import { stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { systemAuthor } from '../admin/author.js';
import { hashPassword } from '../directory/password.js';
import { systemServers } from '../dns/servers.js';
import { clientAt } from '../receiving/client.js';
import { machineAddresses } from '../routing/self.js';
import { checkHosts } from './check-hosts.js';
import { explain } from './explain.js';
export function createAdminContext(core, running) {
    const { storage, settings, config } = core;
    return {
        storage,
        settings,
        author: systemAuthor(),
        hostname: config.hostname,
        serverRunning: running !== null,
        resolver: core.resolver,
        status: () => status(core, running),
        explain: async (request) => explain(core.decision, core.router, {
            recipient: request.address,
            from: request.from,
            client: request.client === null
                ? { kind: request.user === null ? 'external' : 'local', address: null, user: request.user }
                : clientAt(request.client, request.user, request.settings),
            settings: request.settings,
            connectAs: request.connect ? config.hostname : null,
        }),
        isOwnHost: (host, port) => core.router.ourselves(settings.current()).isOwnHost(host, port),
        checkPorts: () => (running === null ? tryPorts(config) : Promise.resolve(openPorts(running))),
        checkHosts: (probe) => checkHosts({ hostname: config.hostname, settings: settings.current, routes: core.router }, probe),
        dnsServers: () => dnsServers(config),
        machine: machineOf(config.data),
        wakeSender: () => running?.wakeSender(),
        makeNotices: core.makeNotices,
        hashPassword,
    };
}
async function status(core, running) {
    const { storage, config } = core;
    const queue = await storage.counts();
    return {
        running: running !== null,
        hostname: config.hostname,
        data: config.data,
        pid: running === null ? null : process.pid,
        startedAt: running === null ? null : new Date(running.startedAtMs).toISOString(),
        listeners: running?.listeners ?? {},
        sessions: running?.sessions() ?? {},
        queue: { ...queue, oldestAt: queue.oldestAt === null ? null : new Date(queue.oldestAt).toISOString() },
        destinations: running?.destinations() ?? [],
        handedOnBytes: storage.handedOnBytes(),
        memoryBytes: process.memoryUsage.rss(),
        alarms: [...storage.alarms(), ...setAside(queue.crashed), ...(running?.alarms() ?? [])],
    };
}
function setAside(recipients) {
    if (recipients === 0)
        return [];
    const who = recipients === 1 ? '1 queued recipient was' : `${recipients} queued recipients were`;
    const what = 'Nothing is lost: "cmail queue list" shows them as held with the reason';
    return [`${who} set aside because attempts crashed. ${what}, "cmail queue release ID" tries again.`];
}
function openPorts(running) {
    return Object.entries(running.listeners).map(([name, endpoints]) => ({
        level: 'ok',
        topic: 'ports',
        text: endpoints.length > 0 ? `${name} is open on ${endpoints.join(', ')}` : `${name} is closed`,
    }));
}
export function machineOf(dataFolder, readDisk = statfs) {
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
async function dnsServers({ dnsServers }) {
    if (dnsServers.length > 0)
        return dnsServers;
    const system = systemServers('/etc/resolv.conf', () => performance.now());
    return (await system()).map(({ text }) => text);
}
/** Without a server: whether each configured port could be had. */
async function tryPorts(config) {
    const findings = [];
    for (const [name, endpoints] of Object.entries(config.listen)) {
        for (const { host, port } of endpoints)
            findings.push(await tryPort(name, host, port));
    }
    return findings;
}
function tryPort(name, host, port) {
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
export function portMend(host, error) {
    if (error.code === 'EADDRINUSE')
        return 'Stop what uses the port, or choose another one in cmail.toml under [listen].';
    if (error.code === 'EACCES')
        return 'Ports below 1024 need rights: choose a higher one in cmail.toml under [listen].';
    if (error.code === 'EADDRNOTAVAIL') {
        return `${host} is not an address of this machine; it has ${machineAddresses().join(', ')}.`;
    }
    return 'Choose another address or port in cmail.toml under [listen].';
}
