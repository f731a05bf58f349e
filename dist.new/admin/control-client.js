import { createConnection } from 'node:net';
import { z } from 'zod';
import { OperationError } from './context.js';
import { findControlPath } from './control-path.js';
import { LineReader, RESPONSE_BYTES } from './control-protocol.js';
const CONNECT_MS = 5_000;
const responseSchema = z.union([
    z.object({ ok: z.literal(true), result: z.unknown() }),
    z.object({
        ok: z.literal(false),
        error: z.object({
            message: z.string(),
            mend: z.string().optional(),
            exit: z.union([z.literal(1), z.literal(2)]),
        }),
    }),
]);
/** A connection to a running server's control socket; one call at a time. */
export class ControlClient {
    #socket;
    #author;
    #reader = new LineReader(RESPONSE_BYTES);
    #waiting = null;
    constructor(socket, author) {
        this.#socket = socket;
        this.#author = author;
        socket.on('data', (bytes) => this.#receive(bytes));
        socket.on('error', (error) => this.#fail(error.message));
        socket.on('close', () => this.#fail('the server closed the connection'));
    }
    /** null when no server answers at this data folder. Rejects with `OperationError` when one may not be asked. */
    static async connect(dataDir, author) {
        const path = await findControlPath(dataDir);
        const socket = createConnection(path);
        socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('no answer in time')));
        const error = await new Promise((resolve) => {
            socket.once('connect', () => resolve(null));
            socket.once('error', resolve);
        });
        if (error === null) {
            socket.setTimeout(0);
            return new ControlClient(socket, author);
        }
        if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
            return null;
        throw new OperationError(`the server's control socket ${path} cannot be used: ${error.message}`, 'Run the command as the user the server runs as.');
    }
    /** Runs an operation on the server. Rejects with `OperationError`, also when the connection is lost. */
    async call(op, args) {
        if (this.#socket.destroyed)
            throw lost('it is closed');
        const line = new Promise((resolve, reject) => {
            this.#waiting = { resolve, reject };
        });
        this.#socket.write(`${JSON.stringify({ op, args, author: this.#author })}\n`);
        const response = responseSchema.parse(JSON.parse(await line));
        if (response.ok)
            return response.result;
        throw new OperationError(response.error.message, response.error.mend, response.error.exit);
    }
    close() {
        this.#socket.destroy();
    }
    #receive(bytes) {
        const lines = this.#reader.push(bytes);
        if (lines === null) {
            this.#fail('its answer is too long');
            this.#socket.destroy();
            return;
        }
        const [line] = lines;
        if (line === undefined)
            return;
        this.#waiting?.resolve(line);
        this.#waiting = null;
    }
    #fail(reason) {
        this.#waiting?.reject(lost(reason));
        this.#waiting = null;
    }
}
function lost(reason) {
    return new OperationError(`the connection to the server was lost: ${reason}`, 'See "cmail status" and try again.');
}
