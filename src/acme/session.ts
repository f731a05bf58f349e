/** The CA as one attempt sees it: its directory, its nonces and signed requests (RFC 8555 §6, §7.1.1, §7.2). */
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeConfig, type AcmeFailure, type AcmeTimings, acmeFailure } from './contract.ts';
import { publicJwk, type Signer, signedBody } from './jws.ts';
import { problemType, readProblem, refusal, retryAfterMs } from './problem.ts';
import { type AcmeAnswer, Transport } from './transport.ts';

/** A nonce may be refused for no fault of ours; a CA that refuses more in a row is broken. */
const MAX_BAD_NONCES = 5;
const NONCE = /^[A-Za-z0-9_-]{1,256}$/;

const url = z.string().max(2_000);
const directorySchema = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  renewalInfo: url.optional(),
  meta: z
    .object({ termsOfService: z.string().optional(), externalAccountRequired: z.boolean().optional() })
    .optional(),
});

/** What we use of the directory; the fields we do not know are ignored (RFC 8555 §7.1.1). */
export type Directory = z.infer<typeof directorySchema>;

export interface SessionOptions {
  readonly config: AcmeConfig;
  readonly timings: AcmeTimings;
  readonly key: KeyObject;
  readonly signal: AbortSignal;
  /** Factor 0 up to 1 for waits that must not coincide. */
  readonly random: () => number;
}

export interface Post {
  readonly url: string;
  /** `''` for POST-as-GET. */
  readonly payload: object | '';
  /** What is asked, for messages: "The CA refused `what`". */
  readonly what: string;
  readonly accept?: string;
}

export class AcmeSession {
  readonly #options: SessionOptions;
  readonly #transport: Transport;
  #directory: Directory | undefined;
  #nonce: string | undefined;
  /** URL of the account once known; until then requests carry the key itself. */
  accountUrl: string | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#transport = new Transport({
      trustedCas: options.config.trustedCas,
      requestMs: options.timings.requestMs,
      signal: options.signal,
    });
  }

  get key(): KeyObject {
    return this.#options.key;
  }

  close(): void {
    this.#transport.close();
  }

  async directory(): Promise<Result<Directory, AcmeFailure>> {
    if (this.#directory !== undefined) return ok(this.#directory);
    const address = this.#options.config.directory;
    const answer = await this.#transport.send({ method: 'GET', url: address });
    if (!answer.ok) return answer;
    if (answer.value.status !== 200) return failed(refusal(answer.value, 'the directory', Date.now()));
    const read = readJson(answer.value, directorySchema, `The directory ${address}`);
    if (read.ok) this.#directory = read.value;
    return read;
  }

  /** An unsigned GET, for renewal information (RFC 9773 §4.1). */
  get(address: string): Promise<Result<AcmeAnswer, AcmeFailure>> {
    return this.#transport.send({ method: 'GET', url: address });
  }

  /** A signed POST. An answer of 4xx or 5xx is a failure; badNonce is tried again with the new nonce (§6.5). */
  async post({ url: address, payload, what, accept }: Post): Promise<Result<AcmeAnswer, AcmeFailure>> {
    for (let refused = 0; ; refused++) {
      const nonce = await this.#takeNonce();
      if (!nonce.ok) return nonce;
      const body = signedBody(this.key, { nonce: nonce.value, url: address, ...this.#signer() }, payload);
      const answer = await this.#transport.send({ method: 'POST', url: address, body, accept });
      if (!answer.ok) return answer;
      this.#keepNonce(answer.value);
      if (answer.value.status < 400) return answer;
      const problem = readProblem(answer.value);
      const badNonce = problem !== undefined && problemType(problem) === 'badNonce';
      if (!badNonce || refused >= MAX_BAD_NONCES) return failed(refusal(answer.value, what, Date.now()));
    }
  }

  /** A signed POST whose answer is JSON of a known shape. */
  async postJson<T>(
    post: Post,
    schema: z.ZodType<T>,
  ): Promise<Result<{ readonly value: T; readonly answer: AcmeAnswer }, AcmeFailure>> {
    const answer = await this.post(post);
    if (!answer.ok) return answer;
    const read = readJson(answer.value, schema, `The answer to ${post.what}`);
    return read.ok ? ok({ value: read.value, answer: answer.value }) : read;
  }

  /**
   * Looks again and again until `done`, as often as Retry-After asks within our bounds (RFC 8555 §7.5.1).
   * `first` is the state already known.
   */
  async poll<T>(
    post: Post,
    schema: z.ZodType<T>,
    first: { readonly value: T; readonly answer: AcmeAnswer },
    done: (value: T) => boolean,
  ): Promise<Result<T, AcmeFailure>> {
    const { pollFirstMs, pollMaxMs, pollTotalMs } = this.#options.timings;
    const endMs = performance.now() + pollTotalMs;
    let { value, answer } = first;
    for (let waitMs = pollFirstMs; !done(value); waitMs = Math.min(waitMs * 2, pollMaxMs)) {
      const asked = retryAfterMs(answer, Date.now()) ?? waitMs;
      const pauseMs = Math.min(Math.max(asked, pollFirstMs), pollMaxMs);
      if (performance.now() + pauseMs > endMs) {
        const text = `The CA has not decided on ${post.what} in ${pollTotalMs / 1_000} s.`;
        return failed(acmeFailure('unreachable', text, 'Nothing to do: the next attempt goes on with it.'));
      }
      if (!(await this.#pause(pauseMs))) {
        return failed(acmeFailure('stopped', 'The server is stopping.', 'It goes on at the next start.'));
      }
      const next = await this.postJson(post, schema);
      if (!next.ok) return next;
      ({ value, answer } = next.value);
    }
    return ok(value);
  }

  async #pause(ms: number): Promise<boolean> {
    try {
      await sleep(ms * (1 + this.#options.random() / 10), undefined, { signal: this.#options.signal });
      return true;
    } catch {
      // Aborted: nothing else ends a sleep early.
      return false;
    }
  }

  #signer(): Signer {
    return this.accountUrl === null ? { jwk: publicJwk(this.key) } : { kid: this.accountUrl };
  }

  #keepNonce(answer: AcmeAnswer): void {
    const nonce = answer.headers['replay-nonce'];
    if (typeof nonce === 'string' && NONCE.test(nonce)) this.#nonce = nonce;
  }

  async #takeNonce(): Promise<Result<string, AcmeFailure>> {
    const kept = this.#nonce;
    this.#nonce = undefined;
    if (kept !== undefined) return ok(kept);
    const directory = await this.directory();
    if (!directory.ok) return directory;
    const answer = await this.#transport.send({ method: 'HEAD', url: directory.value.newNonce });
    if (!answer.ok) return answer;
    if (answer.value.status >= 400) return failed(refusal(answer.value, 'a nonce', Date.now()));
    this.#keepNonce(answer.value);
    const fresh: string | undefined = this.#nonce;
    this.#nonce = undefined;
    return fresh === undefined
      ? failed(
          acmeFailure('bad-answer', 'The CA gave no nonce (Replay-Nonce).', 'Tell the operator of the CA.'),
        )
      : ok(fresh);
  }
}

/** The JSON of an answer, checked; the failure names what was wrong. */
export function readJson<T>(answer: AcmeAnswer, schema: z.ZodType<T>, what: string): Result<T, AcmeFailure> {
  const mend = 'Check that tls.acme.directory is the directory of an ACME server (RFC 8555).';
  let json: unknown;
  try {
    json = JSON.parse(answer.body.toString('utf8'));
  } catch {
    // The parser's words add nothing to "no JSON".
    return failed(acmeFailure('bad-answer', `${what} is no JSON.`, mend));
  }
  const read = schema.safeParse(json);
  if (read.success) return ok(read.data);
  const issues = read.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  return failed(acmeFailure('bad-answer', `${what} is not as RFC 8555 says: ${issues.join('; ')}.`, mend));
}
