/** What the administration operations are given, with a running server behind it or without one. */
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { hashPassword } from '../directory/password.js';
import { clientAt } from '../receiving/client.js';
import { machineAddresses } from '../routing/self.js';
import { explain } from './explain.js';
/** The system user at the command line, for the history of settings. */
export function systemAuthor() {
    try {
        return userInfo().username;
    }
    catch {
        // No entry in the password file: the number is all there is.
        return `uid ${process.getuid?.() ?? 'unknown'}`;
    }
}
export function createAdminContext(core, running) {
    const { storage, settings, config } = core;
    return {
        storage,
        settings,
        author: systemAuthor(),
        hostname: config.hostname,
        resolver: core.resolver,
        status: () => status(core, running),
        explain: async (request) => explain(core.decision, core.router, {
            recipient: request.address,
            from: request.from,
            client: request.client === null
                ? { kind: request.user === null ? 'external' : 'local', address: null, user: request.user }
                : clientAt(request.client, request.user, request.settings),
            settings: request.settings,
        }),
        isOwnHost: (host, port) => core.router.ourselves(settings.current()).isOwnHost(host, port),
        checkPorts: () => (running === null ? tryPorts(config) : Promise.resolve(openPorts(running))),
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
        alarms: [...storage.alarms(), ...(running?.alarms() ?? [])],
    };
}
function openPorts(running) {
    return Object.entries(running.listeners).map(([name, endpoints]) => ({
        level: 'ok',
        topic: 'ports',
        text: endpoints.length > 0 ? `${name} is open on ${endpoints.join(', ')}` : `${name} is closed`,
    }));
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
            const mend = portMend(host, error);
            resolve({ level: 'error', topic: 'ports', text: `${where} cannot be opened: ${error.message}`, mend });
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
