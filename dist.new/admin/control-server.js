import { chmod } from 'node:fs/promises';
import { createServer } from 'node:net';
import { prepareControlPath, removeControlPath } from './control-path.js';
import { LineReader, REQUEST_BYTES, RESPONSE_BYTES, requestSchema, } from './control-protocol.js';
import { operationFailure } from './operation.js';
import { runOperation } from './operations.js';
/** Serves the administration operations on the control socket of a data folder. */
export class ControlServer {
    path;
    #dataDir;
    #context;
    #server;
    #sockets = new Set();
    #maxConnections;
    #idleMs;
    constructor(path, dataDir, context, options) {
        this.path = path;
        this.#dataDir = dataDir;
        this.#context = context;
        this.#maxConnections = options.maxConnections ?? 32;
        this.#idleMs = options.idleMs ?? 60_000;
        this.#server = createServer((socket) => this.#serve(socket));
    }
    /** Listens. Call under the lock of the data folder. Rejects with the system's error. */
    static async open(dataDir, context, options = {}) {
        const control = new ControlServer(await prepareControlPath(dataDir), dataDir, context, options);
        await control.#listen();
        return control;
    }
    /** Closes every connection and removes the socket. */
    async close() {
        const closed = new Promise((resolve) => this.#server.close(() => resolve()));
        for (const socket of this.#sockets)
            socket.destroy();
        await closed;
        await removeControlPath(this.#dataDir);
    }
    async #listen() {
        await new Promise((resolve, reject) => {
            this.#server.once('error', reject);
            // The socket is bound within listen(), so nobody else can open it before its mode is set.
            const mask = process.umask(0o177);
            try {
                this.#server.listen(this.path, resolve);
            }
            finally {
                process.umask(mask);
            }
        });
        await chmod(this.path, 0o600);
    }
    #serve(socket) {
        // A caller that goes away takes nothing with it: its operation ends by itself.
        socket.on('error', () => socket.destroy());
        if (this.#sockets.size >= this.#maxConnections) {
            const message = 'too many commands at once';
            socket.end(encode({ ok: false, error: { message, mend: 'Try again in a moment.', exit: 1 } }));
            socket.resume();
            return;
        }
        this.#sockets.add(socket);
        const reader = new LineReader(REQUEST_BYTES);
        socket.setTimeout(this.#idleMs, () => socket.destroy());
        socket.on('close', () => this.#sockets.delete(socket));
        socket.on('data', (bytes) => {
            // One request at a time: nothing more is read while it runs.
            socket.pause();
            socket.setTimeout(0);
            const lines = reader.push(bytes);
            void this.#answerAll(socket, lines).then(() => {
                socket.setTimeout(this.#idleMs);
                socket.resume();
            });
        });
    }
    /** Never rejects. */
    async #answerAll(socket, lines) {
        if (lines === null) {
            const message = `the request is longer than ${REQUEST_BYTES / 1024} KB`;
            socket.end(encode({ ok: false, error: { message, exit: 1 } }));
            return;
        }
        for (const line of lines) {
            if (socket.destroyed)
                return;
            await write(socket, encode(await this.#answer(line)));
        }
    }
    async #answer(line) {
        const request = parseRequest(line);
        if (!request)
            return { ok: false, error: { message: 'the request is not understood', exit: 1 } };
        try {
            const context = { ...this.#context, author: request.author };
            return { ok: true, result: await runOperation(context, request.op, request.args) };
        }
        catch (error) {
            return { ok: false, error: operationFailure(error) };
        }
    }
}
function parseRequest(line) {
    try {
        return requestSchema.safeParse(JSON.parse(line)).data;
    }
    catch {
        // Not JSON; answered like any other request that is not one.
        return undefined;
    }
}
function encode(response) {
    const text = `${JSON.stringify(response)}\n`;
    if (text.length <= RESPONSE_BYTES)
        return text;
    return encode({
        ok: false,
        error: { message: 'the answer is too long', mend: 'Ask for less at once.', exit: 1 },
    });
}
/** Resolves when the bytes are taken, or the socket is gone. */
function write(socket, text) {
    return new Promise((resolve) => {
        if (socket.destroyed) {
            resolve();
            return;
        }
        const gone = () => resolve();
        socket.once('close', gone);
        socket.write(text, () => {
            socket.off('close', gone);
            resolve();
        });
    });
}
