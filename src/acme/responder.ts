/**
 * Answers the CA's challenges and nothing else: HTTP-01 (RFC 8555 §8.3) by a small HTTP server, TLS-ALPN-01
 * (RFC 8737) by a TLS server that speaks only `acme-tls/1`.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer, type SecureContext } from 'node:tls';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import {
  type AcmeEndpoint,
  type AcmeFailure,
  acmeFailure,
  type ChallengeType,
  MAX_NAMES,
} from './contract.ts';
import { challengeCertificate, keyToPem, newKey } from './x509.ts';

const ACME_PROTOCOL = 'acme-tls/1';
const PATH = '/.well-known/acme-challenge/';
/** A CA looks from a handful of places at once; whoever comes beyond is refused until others are done. */
const MAX_CONNECTIONS = 100;
const MAX_HEADER_BYTES = 8 * 1024;
/** For a whole request or handshake. */
const CONNECTION_MS = 10_000;

/** One challenge waiting for the CA. */
export interface PendingChallenge {
  readonly name: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

/** What came for a challenge so far. */
export interface Visits {
  readonly count: number;
  /** Address of the last one; null before the first. */
  readonly lastFrom: string | null;
}

interface Expected extends PendingChallenge {
  visits: number;
  lastFrom: string | null;
  readonly context: SecureContext | null;
}

export class ChallengeResponder {
  readonly #type: ChallengeType;
  readonly #endpoints: readonly AcmeEndpoint[];
  /** By token for HTTP-01, by name for TLS-ALPN-01. */
  readonly #expected = new Map<string, Expected>();
  readonly #sockets = new Set<Socket>();
  #servers: Server[] = [];
  #addresses: string[] = [];

  constructor(type: ChallengeType, endpoints: readonly AcmeEndpoint[]) {
    this.#type = type;
    this.#endpoints = endpoints;
  }

  /** The open listeners as `address:port`. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Opens the listeners; without effect when they are open. All or none. */
  async open(): Promise<Result<void, AcmeFailure>> {
    if (this.#servers.length > 0) return ok(undefined);
    const opened: Server[] = [];
    for (const { host, port } of this.#endpoints) {
      const server = this.#type === 'http-01' ? this.#httpServer() : this.#tlsServer();
      server.maxConnections = MAX_CONNECTIONS;
      server.on('connection', (socket: Socket) => this.#track(socket));
      try {
        await listen(server, host, port);
        opened.push(server);
      } catch (error) {
        await Promise.all(opened.map(closed));
        return failed(cannotListen(host, port, error as NodeJS.ErrnoException));
      }
    }
    this.#servers = opened;
    this.#addresses = opened.map(addressOf);
    return ok(undefined);
  }

  async close(): Promise<void> {
    const servers = this.#servers;
    this.#servers = [];
    this.#addresses = [];
    this.#expected.clear();
    const ended = servers.map(closed);
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(ended);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** From now on the CA is answered. */
  async expect(challenge: PendingChallenge): Promise<Result<void, AcmeFailure>> {
    if (this.#expected.size >= MAX_NAMES) {
      const text = `More than ${MAX_NAMES} challenges are waiting.`;
      return failed(acmeFailure('local', text, 'Nothing to do: the next attempt starts afresh.'));
    }
    const context = this.#type === 'http-01' ? null : await challengeContext(challenge);
    this.#expected.set(this.#keyOf(challenge), { ...challenge, visits: 0, lastFrom: null, context });
    return ok(undefined);
  }

  /** Stops answering; tells who came. */
  forget(challenge: PendingChallenge): Visits {
    const expected = this.#expected.get(this.#keyOf(challenge));
    this.#expected.delete(this.#keyOf(challenge));
    return { count: expected?.visits ?? 0, lastFrom: expected?.lastFrom ?? null };
  }

  #keyOf({ name, token }: PendingChallenge): string {
    return this.#type === 'http-01' ? token : name;
  }

  #visit(key: string, from: string | undefined): Expected | undefined {
    const expected = this.#expected.get(key);
    if (expected !== undefined) {
      expected.visits++;
      expected.lastFrom = from ?? null;
    }
    return expected;
  }

  #httpServer(): Server {
    const limits = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: CONNECTION_MS,
      requestTimeout: CONNECTION_MS,
      connectionsCheckingInterval: 1_000,
    };
    return createHttpServer(limits, (asked, answer) => this.#answerHttp(asked, answer)).setTimeout(
      CONNECTION_MS,
    );
  }

  #answerHttp(asked: IncomingMessage, answer: ServerResponse): void {
    answer.shouldKeepAlive = false;
    const readOnly = asked.method === 'GET' || asked.method === 'HEAD';
    const token = asked.url?.startsWith(PATH) ? asked.url.slice(PATH.length) : null;
    const expected = readOnly && token !== null ? this.#visit(token, asked.socket.remoteAddress) : undefined;
    if (expected === undefined) {
      answer.writeHead(readOnly ? 404 : 405, { 'content-length': 0 }).end();
      return;
    }
    const body = Buffer.from(expected.keyAuthorization);
    answer.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length });
    answer.end(asked.method === 'GET' ? body : undefined);
  }

  #tlsServer(): Server {
    const server = createTlsServer({
      handshakeTimeout: CONNECTION_MS,
      minVersion: 'TLSv1.2',
      // Who offers another protocol gets the alert no_application_protocol (RFC 8737 §3).
      ALPNCallback: ({ protocols }) => (protocols.includes(ACME_PROTOCOL) ? ACME_PROTOCOL : undefined),
      SNICallback: (name, done) => {
        const context = this.#expected.get(name.toLowerCase())?.context;
        if (context) done(null, context);
        else done(new Error('no challenge is open for this name'));
      },
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined); // the CA may reset it: it has seen the certificate by then
      if (socket.alpnProtocol === ACME_PROTOCOL && typeof socket.servername === 'string') {
        this.#visit(socket.servername.toLowerCase(), socket.remoteAddress);
      }
      socket.end();
      socket.setTimeout(CONNECTION_MS, () => socket.destroy());
    });
    // Strangers' handshakes that fail are theirs. One that takes too long is told of but not ended by itself.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }
}

async function challengeContext({ name, keyAuthorization }: PendingChallenge): Promise<SecureContext> {
  const key = await newKey();
  const cert = challengeCertificate(name, keyAuthorization, key, Date.now());
  return createSecureContext({ key: keyToPem(key), cert });
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Without ipv6Only `[::]` would also take IPv4, and `0.0.0.0` beside it could not be opened.
    server.listen({ host, port, ipv6Only: host.includes(':') }, () => {
      server.off('error', reject);
      server.on('error', () => undefined); // accept errors (too many open files) pass; the listener stays
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function cannotListen(host: string, port: number, error: NodeJS.ErrnoException): AcmeFailure {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const reason = error.code === 'EADDRINUSE' ? 'the port is in use' : describeError(error);
  const mend =
    error.code === 'EACCES'
      ? 'Ports below 1024 need rights (CAP_NET_BIND_SERVICE), or name a higher port in tls.acme.listen and forward the CA to it.'
      : 'Stop what uses it, or name another address in tls.acme.listen and forward the CA to it.';
  return acmeFailure(
    'local',
    `The answer to the CA's challenge cannot be given on ${where}: ${reason}.`,
    mend,
  );
}
