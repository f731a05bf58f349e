/**
 * A real ACME server (RFC 8555, RFC 9773) on loopback, for tests: HTTPS with a certificate of its own, nonces
 * used once, signatures and the external account checked, challenges really looked at by connecting to
 * 127.0.0.1, certificates issued by a CA of its own. It shares no code with src/acme/, and lego (an independent
 * client) is run against it in test/peers/. A test changes its behaviour through `AcmeServer.behaviour`.
 *
 * As a program: `sh scripts/node.sh test/support/acme-server.ts HTTP_PORT TLS_PORT` prints directory and CA file.
 */
import { type JsonWebKey, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { type Issued, startTestCa, type TestCa } from './acme-ca.ts';
import {
  bindingTrouble,
  type Flattened,
  type Header,
  headerOf,
  payloadOf,
  signatureIsRight,
  thumbprint,
} from './acme-jws.ts';
import { lookByHttp, lookByTls, type Trouble } from './acme-validation.ts';
import { makeCertificates } from './certificates.ts';
import type { CleanUp } from './cmail.ts';

/** A refusal put in the way of requests. */
export interface Injected {
  /** `POST /new-order`, say: method and the beginning of the path. */
  readonly on: string;
  /** How many requests it meets. */
  times: number;
  readonly status: number;
  /** Without its prefix. */
  readonly type: string;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Behaviour {
  /** Ports on 127.0.0.1 where challenges are looked for. */
  httpPort: number;
  tlsPort: number;
  challenges: readonly string[];
  lifeMs: number;
  /** Fields laid over the directory; undefined takes one away. */
  directory: Record<string, unknown>;
  /** Whether renewal information is offered, and the window of each certificate in ms from now. */
  ari: { startMs: number; endMs: number; retryAfterS: number; explanation?: string } | null;
  termsOfService: string | null;
  /** MAC keys (base64url) by kid; null asks for no external account. */
  externalAccounts: Readonly<Record<string, string>> | null;
  /** So many nonces are refused though they are right. */
  badNonces: number;
  injected: Injected[];
  /** Validation and issuing wait for this. */
  hold: Promise<void>;
  /** How often an authorization and an order answer "not yet", with `Retry-After: 1`. */
  undecided: number;
}

export interface SeenRequest {
  readonly what: string;
  readonly atMs: number;
  readonly header: Header;
  readonly payload: unknown;
}

interface Account {
  readonly jwk: JsonWebKey;
  status: string;
  contact: unknown;
}
interface Authorization {
  readonly name: string;
  readonly account: string;
  readonly tokens: ReadonlyMap<string, string>;
  status: string;
  chosen: string | null;
  error: Trouble | null;
  undecided: number;
}
interface Order {
  readonly names: readonly string[];
  readonly account: string;
  readonly authorizations: readonly number[];
  status: string;
  undecided: number;
  certificate: number | null;
}

interface Reply {
  readonly status: number;
  readonly body: object | string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Signed {
  readonly payload: Record<string, unknown> | null;
  readonly jwk: JsonWebKey;
  /** Path of the account; null when the request carries a key. */
  readonly account: string | null;
}

class Refusal extends Error {
  readonly reply: Reply;
  constructor(status: number, type: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.reply = {
      status,
      body: { type: `urn:ietf:params:acme:error:${type}`, detail, status },
      headers: { 'content-type': 'application/problem+json', ...headers },
    };
  }
}

const WEEK_MS = 7 * 86_400_000;

export class AcmeServer {
  /** What it does next; change it at any time. */
  readonly behaviour: Behaviour = {
    httpPort: 0,
    tlsPort: 0,
    challenges: ['http-01', 'tls-alpn-01', 'dns-01'],
    lifeMs: WEEK_MS,
    directory: {},
    ari: null,
    termsOfService: null,
    externalAccounts: null,
    badNonces: 0,
    injected: [],
    hold: Promise.resolve(),
    undecided: 0,
  };
  readonly seen: SeenRequest[] = [];
  readonly issued: Issued[] = [];
  readonly accounts: Account[] = [];
  readonly caFile: string;
  readonly root: string;
  /** Base of all addresses; set when it listens. */
  origin = '';
  readonly #ca: TestCa;
  readonly #nonces = new Set<string>();
  readonly #orders: Order[] = [];
  readonly #authorizations: Authorization[] = [];

  constructor(ca: TestCa, caFile: string) {
    this.#ca = ca;
    this.root = ca.root;
    this.caFile = caFile;
  }

  get directory(): string {
    return `${this.origin}/directory`;
  }

  /** Requests whose method and path begin so. */
  count(what: string): number {
    return this.seen.filter((request) => request.what.startsWith(what)).length;
  }

  /** Forgets its accounts and orders, as a CA set up anew. */
  forget(): void {
    this.accounts.length = 0;
    this.#orders.length = 0;
    this.#authorizations.length = 0;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    let reply: Reply;
    try {
      reply = await this.#answer(request, Buffer.concat(chunks).toString('utf8'));
    } catch (error) {
      reply =
        error instanceof Refusal ? error.reply : new Refusal(500, 'serverInternal', String(error)).reply;
    }
    const nonce = randomBytes(12).toString('base64url');
    this.#nonces.add(nonce);
    const { body } = reply;
    const text = typeof body === 'string' ? body : body === null ? '' : JSON.stringify(body);
    response.writeHead(reply.status, {
      'replay-nonce': nonce,
      'cache-control': 'no-store',
      link: `<${this.directory}>;rel="index"`,
      'content-type': 'application/json',
      ...reply.headers,
    });
    response.end(text);
  }

  async #answer(request: IncomingMessage, body: string): Promise<Reply> {
    const what = `${request.method} ${request.url}`;
    const jws = body === '' ? null : (JSON.parse(body) as Flattened);
    const header = jws === null ? {} : headerOf(jws);
    this.seen.push({ what, atMs: Date.now(), header, payload: jws === null ? null : payloadOf(jws) });
    if (request.method !== 'POST') return this.#unsigned(what);
    if (jws === null) throw new Refusal(400, 'malformed', 'no JWS');
    const signed = this.#checked(jws, header, request.headers, `${this.origin}${request.url}`);
    this.#refuseInjected(what);
    const [, kind = '', id = '', action = ''] = (request.url ?? '').split('/');
    if (kind === 'new-account') return this.#newAccount(signed, jws);
    const account = this.accounts[Number(signed.account?.split('/').at(-1))];
    if (account === undefined) throw new Refusal(400, 'accountDoesNotExist', 'no such account');
    if (account.status !== 'valid')
      throw new Refusal(401, 'unauthorized', `Account is not valid, has status "${account.status}"`);
    return this.#forAccount(signed, account, kind, Number(id), action);
  }

  #forAccount(
    signed: Signed,
    account: Account,
    kind: string,
    id: number,
    action: string,
  ): Reply | Promise<Reply> {
    switch (kind) {
      case 'account':
        if (signed.payload?.contact !== undefined) account.contact = signed.payload.contact;
        if (signed.payload?.status === 'deactivated') account.status = 'deactivated';
        return { status: 200, body: { status: account.status, contact: account.contact } };
      case 'new-order':
        return this.#newOrder(signed);
      case 'order':
        return action === 'finalize' ? this.#finalize(signed, id) : this.#orderReply(id, 200);
      case 'authz':
        return this.#authorizationReply(id);
      case 'challenge':
        return this.#challenge(id, action);
      case 'cert':
        return this.#certificate(id);
      default:
        throw new Refusal(404, 'malformed', `there is no ${kind}`);
    }
  }

  #unsigned(what: string): Reply {
    this.#refuseInjected(what);
    if (what === 'HEAD /new-nonce') return { status: 200, body: null };
    if (what === 'GET /new-nonce') return { status: 204, body: null };
    if (what === 'GET /directory') return { status: 200, body: this.#directory() };
    const { ari } = this.behaviour;
    if (what.startsWith('GET /renewal-info/') && ari !== null) {
      const id = what.slice('GET /renewal-info/'.length);
      if (!this.issued.some(({ ariId }) => ariId === id))
        throw new Refusal(404, 'malformed', 'no such certificate');
      const at = (ms: number) => new Date(Date.now() + ms).toISOString();
      return {
        status: 200,
        body: {
          suggestedWindow: { start: at(ari.startMs), end: at(ari.endMs) },
          explanationURL: ari.explanation,
        },
        headers: { 'retry-after': String(ari.retryAfterS) },
      };
    }
    throw new Refusal(what.startsWith('GET ') ? 404 : 405, 'malformed', `nothing at ${what}`);
  }

  #directory(): object {
    const { termsOfService, externalAccounts, ari, directory } = this.behaviour;
    return {
      newNonce: `${this.origin}/new-nonce`,
      newAccount: `${this.origin}/new-account`,
      newOrder: `${this.origin}/new-order`,
      revokeCert: `${this.origin}/revoke-cert`,
      keyChange: `${this.origin}/key-change`,
      ...(ari === null ? {} : { renewalInfo: `${this.origin}/renewal-info` }),
      meta: {
        ...(termsOfService === null ? {} : { termsOfService }),
        externalAccountRequired: externalAccounts !== null,
      },
      ...directory,
    };
  }

  #refuseInjected(what: string): void {
    const one = this.behaviour.injected.find(({ on, times }) => times > 0 && what.startsWith(on));
    if (one === undefined) return;
    one.times--;
    throw new Refusal(one.status, one.type, one.detail, one.headers);
  }

  /** RFC 8555 §6.2 to §6.5. */
  #checked(jws: Flattened, header: Header, headers: IncomingHttpHeaders, url: string): Signed {
    if (headers['content-type'] !== 'application/jose+json')
      throw new Refusal(415, 'malformed', 'content type');
    if (header.url !== url) throw new Refusal(401, 'unauthorized', 'the url is another one');
    if ((header.kid === undefined) === (header.jwk === undefined)) {
      throw new Refusal(400, 'malformed', 'one of jwk and kid');
    }
    const path = header.kid?.startsWith(`${this.origin}/account/`) ? header.kid : null;
    const jwk = header.jwk ?? this.accounts[Number(path?.split('/').at(-1))]?.jwk;
    if (jwk === undefined) throw new Refusal(400, 'accountDoesNotExist', `there is no account ${header.kid}`);
    if (!signatureIsRight(jws, jwk)) throw new Refusal(400, 'malformed', 'the signature is wrong');
    const known = this.#nonces.delete(header.nonce ?? '');
    if (!known || this.behaviour.badNonces > 0) {
      if (known) this.behaviour.badNonces--;
      throw new Refusal(400, 'badNonce', 'the nonce is not one of ours or was used');
    }
    return { payload: payloadOf(jws) as Signed['payload'], jwk, account: path };
  }

  #newAccount({ payload, jwk, account }: Signed, jws: Flattened): Reply {
    if (account !== null) throw new Refusal(400, 'malformed', 'a new account is asked for with its key');
    const { termsOfService, externalAccounts } = this.behaviour;
    const known = this.accounts.findIndex((one) => thumbprint(one.jwk) === thumbprint(jwk));
    if (known >= 0) {
      const status = this.accounts[known]?.status ?? '';
      if (status !== 'valid') throw new Refusal(401, 'unauthorized', `the account is ${status}`);
      return this.#accountReply(known, 200);
    }
    if (payload?.onlyReturnExisting === true)
      throw new Refusal(400, 'accountDoesNotExist', 'no such account');
    if (termsOfService !== null && payload?.termsOfServiceAgreed !== true) {
      throw new Refusal(403, 'userActionRequired', 'the terms are not agreed to');
    }
    if (externalAccounts !== null) {
      const url = headerOf(jws).url ?? '';
      const binding = payload?.externalAccountBinding as Flattened | undefined;
      const trouble = bindingTrouble(binding, externalAccounts, url, jwk);
      if (trouble !== null) throw new Refusal(403, trouble, 'the external account binding is not right');
    }
    this.accounts.push({ jwk, status: 'valid', contact: payload?.contact ?? [] });
    return this.#accountReply(this.accounts.length - 1, 201);
  }

  #accountReply(id: number, status: number): Reply {
    const { contact, status: state } = this.accounts[id] as Account;
    const headers = { location: `${this.origin}/account/${id}` };
    return { status, body: { status: state, contact, orders: `${this.origin}/orders/${id}` }, headers };
  }

  #newOrder({ payload, account }: Signed): Reply {
    const identifiers = (payload?.identifiers ?? []) as { type: string; value: string }[];
    const names = identifiers.map(({ value }) => value);
    if (names.length === 0) throw new Refusal(400, 'malformed', 'no names');
    const replaces = payload?.replaces;
    if (replaces !== undefined) {
      if (!this.issued.some(({ ariId }) => ariId === replaces))
        throw new Refusal(404, 'malformed', 'replaces what?');
    }
    const authorizations = names.map((name) => {
      const tokens = new Map(
        this.behaviour.challenges.map((type) => [type, randomBytes(16).toString('base64url')]),
      );
      this.#authorizations.push({
        ...{ name, account: account ?? '', tokens, status: 'pending', chosen: null, error: null },
        undecided: this.behaviour.undecided,
      });
      return this.#authorizations.length - 1;
    });
    this.#orders.push({
      ...{ names, account: account ?? '', authorizations, status: 'pending', certificate: null },
      undecided: this.behaviour.undecided,
    });
    return this.#orderReply(this.#orders.length - 1, 201);
  }

  #orderReply(id: number, status: number): Reply {
    const order = this.#orders[id];
    if (order === undefined) throw new Refusal(404, 'malformed', 'no such order');
    const states = order.authorizations.map((one) => this.#authorizations[one]?.status);
    if (order.status === 'pending' && states.every((state) => state === 'valid')) order.status = 'ready';
    if (order.status === 'pending' && states.includes('invalid')) order.status = 'invalid';
    let shown = order.status;
    if (shown === 'valid' && order.undecided > 0) {
      order.undecided--;
      shown = 'processing';
    }
    return {
      status,
      body: {
        status: shown,
        expires: new Date(Date.now() + WEEK_MS).toISOString(),
        identifiers: order.names.map((value) => ({ type: 'dns', value })),
        authorizations: order.authorizations.map((one) => `${this.origin}/authz/${one}`),
        finalize: `${this.origin}/order/${id}/finalize`,
        ...(shown === 'valid' ? { certificate: `${this.origin}/cert/${order.certificate}` } : {}),
      },
      headers: {
        location: `${this.origin}/order/${id}`,
        ...(shown === 'processing' ? { 'retry-after': '1' } : {}),
      },
    };
  }

  #authorizationReply(id: number): Reply {
    const one = this.#authorizations[id];
    if (one === undefined) throw new Refusal(404, 'malformed', 'no such authorization');
    const decided = one.status !== 'pending';
    const status = decided && one.undecided > 0 ? 'pending' : one.status;
    if (decided && one.undecided > 0) one.undecided--;
    const challenges = [...one.tokens].map(([type, token]) => ({
      ...{ type, token, url: `${this.origin}/challenge/${id}/${type}` },
      status: one.chosen === type ? (status === 'pending' ? 'processing' : status) : 'pending',
      ...(one.chosen === type && one.error !== null
        ? { error: { ...one.error, type: `urn:ietf:params:acme:error:${one.error.type}` } }
        : {}),
    }));
    const body = { status, identifier: { type: 'dns', value: one.name }, challenges };
    return { status: 200, body, headers: { 'retry-after': '1' } };
  }

  #challenge(id: number, type: string): Reply {
    const one = this.#authorizations[id];
    const token = one?.tokens.get(type);
    if (one === undefined || token === undefined) throw new Refusal(404, 'malformed', 'no such challenge');
    if (one.chosen === null) {
      one.chosen = type;
      void this.#validate(one, type, token);
    }
    // RFC 8555 §7.1: a challenge leads up to its authorization.
    return {
      status: 200,
      body: { type, token, status: 'processing', url: `${this.origin}/challenge/${id}/${type}` },
      headers: { link: `<${this.directory}>;rel="index", <${this.origin}/authz/${id}>;rel="up"` },
    };
  }

  async #validate(one: Authorization, type: string, token: string): Promise<void> {
    await this.behaviour.hold;
    const jwk = this.accounts[Number(one.account.split('/').at(-1))]?.jwk ?? {};
    const look = { name: one.name, token, keyAuthorization: `${token}.${thumbprint(jwk)}` };
    one.error =
      type === 'http-01'
        ? await lookByHttp({ ...look, port: this.behaviour.httpPort })
        : await lookByTls({ ...look, port: this.behaviour.tlsPort });
    one.status = one.error === null ? 'valid' : 'invalid';
  }

  async #finalize({ payload }: Signed, id: number): Promise<Reply> {
    const order = this.#orders[id];
    this.#orderReply(id, 200);
    if (order?.status !== 'ready') throw new Refusal(403, 'orderNotReady', `the order is ${order?.status}`);
    const csr = Buffer.from(String(payload?.csr), 'base64url');
    const asked = await this.#ca.namesOf(csr).catch((error: unknown) => {
      throw new Refusal(400, 'badCSR', String(error));
    });
    if ([...asked].sort().join() !== [...order.names].sort().join()) {
      throw new Refusal(400, 'badCSR', `the request is for ${asked.join()}`);
    }
    // Begun just before now, as the clocks of those who check may be behind.
    const nowMs = Date.now();
    this.issued.push(await this.#ca.issue(csr, order.names, nowMs - 1_000, nowMs + this.behaviour.lifeMs));
    order.certificate = this.issued.length - 1;
    order.status = 'valid';
    return this.#orderReply(id, 200);
  }

  #certificate(id: number): Reply {
    const issued = this.issued[id];
    if (issued === undefined) throw new Refusal(404, 'malformed', 'no such certificate');
    return {
      status: 200,
      body: issued.chain,
      headers: { 'content-type': 'application/pem-certificate-chain' },
    };
  }
}

/** Starts one on a free port of 127.0.0.1, or on `port`; it is closed with the test. */
export async function startAcmeServer(t: CleanUp, port = 0): Promise<AcmeServer> {
  const [ca, own] = await Promise.all([startTestCa(t), makeCertificates(t, ['localhost', '127.0.0.1'])]);
  const acme = new AcmeServer(ca, own.caFile);
  const server = createServer({ cert: own.cert, key: own.key }, (request, response) => {
    void acme.handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  acme.origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return acme;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const acme = await startAcmeServer({ after: () => undefined });
  acme.behaviour.httpPort = Number(process.argv[2]);
  acme.behaviour.tlsPort = Number(process.argv[3]);
  console.log(JSON.stringify({ directory: acme.directory, caFile: acme.caFile }));
}
