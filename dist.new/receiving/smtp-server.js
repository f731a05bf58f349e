/** The SMTP listeners: opens them, counts sessions, keeps the clock of all deadlines, shuts down in order. */
import { createServer } from 'node:net';
import { plainAddress } from './client.js';
import { Connection } from './connection.js';
export const DEFAULT_SESSION_LIMITS = { total: 2_000, perAddress: 200 };
/** Deadlines are checked this often. */
const TICK_MS = 250;
export class SmtpServer {
    #deps;
    #limits;
    #servers = [];
    #connections = new Set();
    #perAddress = new Map();
    #ticker;
    #lastTickMs = Date.now();
    #whenEmpty = null;
    constructor(deps, limits = DEFAULT_SESSION_LIMITS) {
        this.#deps = deps;
        this.#limits = limits;
        this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    }
    /** Opens one listener; resolves to what was opened (port 0 takes a free one), rejects when it cannot be. */
    listen(host, port) {
        // The low mark makes a paused socket stop after one read, where Node would fill 64 KB behind our back.
        const options = { noDelay: true, allowHalfOpen: true, highWaterMark: 1 };
        const server = createServer(options, (socket) => this.#connected(socket));
        this.#servers.push(server);
        return new Promise((resolve, reject) => {
            server.once('error', reject);
            server.listen({ host, port, backlog: 511 }, () => {
                server.off('error', reject);
                server.on('error', (error) => this.#deps.log('error', 'a listener failed', { why: error.message }));
                const opened = server.address();
                if (opened === null || typeof opened === 'string')
                    reject(new Error('the listener has no address'));
                else
                    resolve({ address: opened.address, port: opened.port });
            });
        });
    }
    get sessions() {
        return this.#connections.size;
    }
    /** Open sessions with what they hold, for status and tests. */
    sessionList() {
        return [...this.#connections].map(({ address, bytesRead, heldBytes }) => ({
            address,
            bytesRead,
            heldBytes,
        }));
    }
    /** Takes no new mail, lets open transactions finish for `graceMs`, then ends what is left. */
    async close(graceMs) {
        for (const server of this.#servers)
            server.close();
        const empty = new Promise((resolve) => {
            this.#whenEmpty = resolve;
        });
        for (const connection of this.#connections)
            connection.drain();
        if (this.#connections.size > 0) {
            const timer = setTimeout(() => {
                for (const connection of this.#connections)
                    connection.destroy();
            }, graceMs);
            await empty;
            clearTimeout(timer);
        }
        clearInterval(this.#ticker);
    }
    #connected(socket) {
        const address = plainAddress(socket.remoteAddress ?? '');
        const fromHere = this.#perAddress.get(address) ?? 0;
        if (this.#connections.size >= this.#limits.total || fromHere >= this.#limits.perAddress) {
            this.#deps.log('warn', 'too many sessions', { client: address, sessions: this.#connections.size });
            socket.on('error', () => socket.destroy());
            socket.end(`421 4.7.0 ${this.#deps.hostname} too many sessions; please try again later\r\n`, () => socket.destroy());
            return;
        }
        this.#perAddress.set(address, fromHere + 1);
        const connection = new Connection(socket, this.#deps, () => this.#gone(connection, address));
        this.#connections.add(connection);
    }
    #gone(connection, address) {
        if (!this.#connections.delete(connection))
            return;
        const left = (this.#perAddress.get(address) ?? 1) - 1;
        if (left === 0)
            this.#perAddress.delete(address);
        else
            this.#perAddress.set(address, left);
        if (this.#connections.size === 0)
            this.#whenEmpty?.();
    }
    #tick() {
        const nowMs = Date.now();
        const elapsedMs = nowMs - this.#lastTickMs;
        this.#lastTickMs = nowMs;
        for (const connection of this.#connections)
            connection.tick(nowMs, elapsedMs);
    }
}
