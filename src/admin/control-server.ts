import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { AdminContext } from './context.ts';
import { prepareControlPath, removeControlPath } from './control-path.ts';
import {
  type ControlRequest,
  type ControlResponse,
  LineReader,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  requestSchema,
} from './control-protocol.ts';
import { operationFailure } from './operation.ts';
import { runOperation } from './operations.ts';

export interface ControlServerOptions {
  /** Connections at once; more are told to come again and closed. */
  readonly maxConnections?: number;
  /** How long a connection may stay without a request. */
  readonly idleMs?: number;
}

/** Serves the administration operations on the control socket of a data folder. */
export class ControlServer {
  readonly path: string;
  readonly #dataDir: string;
  readonly #context: AdminContext;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #maxConnections: number;
  readonly #idleMs: number;

  private constructor(path: string, dataDir: string, context: AdminContext, options: ControlServerOptions) {
    this.path = path;
    this.#dataDir = dataDir;
    this.#context = context;
    this.#maxConnections = options.maxConnections ?? 32;
    this.#idleMs = options.idleMs ?? 60_000;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Listens. Call under the lock of the data folder. Rejects with the system's error. */
  static async open(
    dataDir: string,
    context: AdminContext,
    options: ControlServerOptions = {},
  ): Promise<ControlServer> {
    const control = new ControlServer(await prepareControlPath(dataDir), dataDir, context, options);
    await control.#listen();
    return control;
  }

  /** Closes every connection and removes the socket. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await removeControlPath(this.#dataDir);
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // The socket is bound within listen(), so nobody else can open it before its mode is set.
      const mask = process.umask(0o177);
      try {
        this.#server.listen(this.path, resolve);
      } finally {
        process.umask(mask);
      }
    });
    await chmod(this.path, 0o600);
  }

  #serve(socket: Socket): void {
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
  async #answerAll(socket: Socket, lines: readonly string[] | null): Promise<void> {
    if (lines === null) {
      const message = `the request is longer than ${REQUEST_BYTES / 1024} KB`;
      socket.end(encode({ ok: false, error: { message, exit: 1 } }));
      return;
    }
    for (const line of lines) {
      if (socket.destroyed) return;
      await write(socket, encode(await this.#answer(line)));
    }
  }

  async #answer(line: string): Promise<ControlResponse> {
    const request = parseRequest(line);
    if (!request) return { ok: false, error: { message: 'the request is not understood', exit: 1 } };
    try {
      const context = { ...this.#context, author: request.author };
      return { ok: true, result: await runOperation(context, request.op, request.args) };
    } catch (error) {
      return { ok: false, error: operationFailure(error) };
    }
  }
}

function parseRequest(line: string): ControlRequest | undefined {
  try {
    return requestSchema.safeParse(JSON.parse(line)).data;
  } catch {
    // Not JSON; answered like any other request that is not one.
    return undefined;
  }
}

function encode(response: ControlResponse): string {
  const text = `${JSON.stringify(response)}\n`;
  if (text.length <= RESPONSE_BYTES) return text;
  return encode({
    ok: false,
    error: { message: 'the answer is too long', mend: 'Ask for less at once.', exit: 1 },
  });
}

/** Resolves when the bytes are taken, or the socket is gone. */
function write(socket: Socket, text: string): Promise<void> {
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
