/** HTTPS to the CA with bounds on size and time. Redirects are not followed: ACME has none. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeFailure, acmeFailure } from './contract.ts';

/** Larger than any directory, order of a hundred names or certificate chain. */
const MAX_ANSWER_BYTES = 512 * 1024;

export interface AcmeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface AcmeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly accept?: string;
}

export interface TransportOptions {
  /** PEM of the only CAs to trust; null for the system's. */
  readonly trustedCas: string | null;
  readonly requestMs: number;
  readonly signal: AbortSignal;
}

/** One after the other over one connection where the CA keeps it. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #agent: Agent;

  constructor(options: TransportOptions) {
    this.#options = options;
    const ca = options.trustedCas === null ? {} : { ca: options.trustedCas };
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.2', ...ca });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Sends one request and reads the whole answer, whatever its status. Never rejects. */
  async send(what: AcmeRequest): Promise<Result<AcmeAnswer, AcmeFailure>> {
    if (!what.url.startsWith('https://') || !URL.canParse(what.url)) {
      const text = `The CA names the address ${JSON.stringify(what.url.slice(0, 200))}, which is no https address.`;
      return failed(acmeFailure('bad-answer', text, 'Tell the operator of the CA, or use another CA.'));
    }
    const limit = AbortSignal.timeout(this.#options.requestMs);
    const signal = AbortSignal.any([limit, this.#options.signal]);
    try {
      return await this.#exchange(what, signal);
    } catch (error) {
      if (this.#options.signal.aborted) {
        return failed(acmeFailure('stopped', 'The server is stopping.', 'It goes on at the next start.'));
      }
      const why = limit.aborted ? `no answer in ${this.#options.requestMs / 1_000} s` : reason(error);
      return failed(
        acmeFailure('unreachable', `${new URL(what.url).origin}: ${why}.`, mendUnreachable(error)),
      );
    }
  }

  async #exchange(what: AcmeRequest, signal: AbortSignal): Promise<Result<AcmeAnswer, AcmeFailure>> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request(what.url, {
      method: what.method,
      agent: this.#agent,
      signal,
      headers: headers(what),
    });
    outgoing.once('response', resolve).once('error', reject);
    outgoing.end(what.body);
    const incoming = await promise;
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) {
        outgoing.destroy();
        const text = `The answer of ${what.url} is longer than ${MAX_ANSWER_BYTES} bytes.`;
        return failed(acmeFailure('bad-answer', text, 'Check that tls.acme.directory is an ACME directory.'));
      }
      chunks.push(chunk);
    }
    return ok({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) });
  }
}

function headers(what: AcmeRequest): Record<string, string> {
  // RFC 8555 §6.1: a client names itself and its language.
  const always = {
    'user-agent': 'CMail',
    'accept-language': 'en',
    accept: what.accept ?? 'application/json',
  };
  return what.body === undefined ? always : { ...always, 'content-type': 'application/jose+json' };
}

function reason(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  // A connection tried on several addresses fails with one error for each.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return describeError(first) || (code ?? 'the connection failed');
}

const CERTIFICATE_CODES = /^(?:UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|CERT_|ERR_TLS_CERT)/;

function mendUnreachable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && CERTIFICATE_CODES.test(code)) {
    return "The certificate of the CA's own web server is not trusted: for a private CA name its root in tls.acme.caFile, and check the host name in tls.acme.directory.";
  }
  return 'Check tls.acme.directory, and that this machine may reach it (DNS, firewall, proxy).';
}
