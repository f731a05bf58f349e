/** The admin listeners, in clear and with TLS: one HTTP server with its bounds, on which the API and the page are. */
import type { Server } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { HANDSHAKE_LIMIT_MS, startTls } from '../../listening/start-tls.ts';
import type { TlsProvider } from '../../listening/tls-provider.ts';
import { describeError } from '../../mail/failure.ts';
import type { AdminContext } from '../context.ts';
import { runOperation } from '../operations.ts';
import { type ApiOptions, createApi } from './app.ts';
import { LiveStreams } from './live-stream.ts';
import { SESSION_IDLE_MS, Sessions } from './sessions.ts';
import { SetupLink } from './setup-link.ts';
import { StaticFiles } from './static-files.ts';

/** Connections at once; more are closed at once. */
export const MAX_CONNECTIONS = 256;
const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 10_000;
/** For a whole request to come in. */
const REQUEST_MS = 60_000;
const KEEP_ALIVE_MS = 10_000;
const SWEEP_EVERY_MS = 10 * 60_000;
/** Tokens that ended and audit entries are kept so long. */
const AUDIT_KEEP_MS = 366 * 86_400_000;

export interface AdminServerOptions {
  readonly context: AdminContext;
  /** Folder of the built page. */
  readonly pageFolder: string;
  readonly version: string;
  readonly log: ApiOptions['log'];
  readonly tls: TlsProvider;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #live: LiveStreams;
  readonly #setup: SetupLink;
  readonly #server: Server;
  /** Hand their connections to `#server` once there is TLS. */
  readonly #secure: NetServer[] = [];
  readonly #secureSockets = new Set<Socket>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: AdminServerOptions) {
    const { context, pageFolder, version, log } = options;
    this.#options = options;
    this.#live = new LiveStreams({ read: () => runOperation(context, 'live', {}) as Promise<object> });
    this.#setup = new SetupLink(context.storage);
    const app = createApi({
      context,
      version,
      log,
      files: new StaticFiles(pageFolder),
      sessions: new Sessions(
        context.storage,
        context.secondFactors,
        () => context.settings.current().ownersPage,
      ),
      setup: this.#setup,
      live: this.#live,
    });
    this.#server = createAdaptorServer({
      fetch: app.fetch,
      serverOptions: {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: 5_000,
      },
    }) as Server;
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Resolves to what was opened (port 0 takes a free one); rejects with the system's error. */
  listen(host: string, port: number): Promise<{ address: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.#options.log('error', 'the admin listener failed', { why: describeError(error) }),
        );
        this.#sweepFromTimeToTime();
        const opened = this.#server.address();
        if (opened === null || typeof opened === 'string') reject(new Error('the listener has no address'));
        else resolve({ address: opened.address, port: opened.port });
      });
    });
  }

  /** As `listen`, with TLS from the first byte. */
  listenTls(host: string, port: number): Promise<{ address: string; port: number }> {
    const { log } = this.#options;
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => void this.#secureConnection(socket));
      server.maxConnections = MAX_CONNECTIONS;
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        server.on('error', (error) =>
          log('error', 'the adminTls listener failed', { why: describeError(error) }),
        );
        // What watches over slow requests begins with this event, which the server in clear may never have.
        if (!this.#server.listening && this.#secure.length === 0) this.#server.emit('listening');
        this.#secure.push(server);
        this.#sweepFromTimeToTime();
        const opened = server.address() as AddressInfo;
        resolve({ address: opened.address, port: opened.port });
      });
    });
  }

  async #secureConnection(socket: Socket): Promise<void> {
    this.#secureSockets.add(socket);
    socket.once('close', () => this.#secureSockets.delete(socket));
    const secured = await startTls(socket, this.#options.tls, HANDSHAKE_LIMIT_MS);
    if (secured.ok) this.#server.emit('connection', secured.value.socket);
  }

  /** The one-time link of the first run; null when there is an administrator. */
  async setupLink(): Promise<string | null> {
    const secure = this.#secure[0]?.address();
    const opened = this.#server.address();
    if ((opened === null || typeof opened === 'string') && secure && typeof secure !== 'string') {
      return this.#setup.make(`https://${this.#options.context.hostname}:${secure.port}`);
    }
    if (opened === null || typeof opened === 'string') return null;
    const everywhere = opened.address === '0.0.0.0' || opened.address === '::';
    const host = everywhere
      ? '127.0.0.1'
      : opened.address.includes(':')
        ? `[${opened.address}]`
        : opened.address;
    return this.#setup.make(`http://${host}:${opened.port}`);
  }

  /** Takes no new connection, ends streams, and gives open requests `graceMs`. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    this.#live.close();
    const servers = [this.#server, ...this.#secure].filter(({ listening }) => listening);
    const closed = servers.map((one) => new Promise<void>((resolve) => one.close(() => resolve())));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => {
      this.#server.closeAllConnections();
      for (const socket of this.#secureSockets) socket.destroy();
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #sweepFromTimeToTime(): void {
    const { context, log } = this.#options;
    clearInterval(this.#sweeper);
    this.#sweeper = setInterval(() => {
      const now = Date.now();
      context.storage
        .sweepAccess({ now, idleBefore: now - SESSION_IDLE_MS, keepMs: AUDIT_KEEP_MS })
        .catch((error: unknown) => log('warn', 'old sessions were not swept', { why: describeError(error) }));
    }, SWEEP_EVERY_MS);
    this.#sweeper.unref();
  }
}
