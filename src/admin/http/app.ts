/** The API as a function from request to response: guards, who calls, the route, its answer or the problem. */
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context as HonoContext } from 'hono';
import { describeError } from '../../mail/failure.ts';
import type { AdminContext } from '../context.ts';
import { docsPage } from './docs-page.ts';
import { findingOf, isFindingHost } from './find-settings.ts';
import { type Call, createHandlers, type HandlerParts } from './handlers.ts';
import { openApiDocument } from './openapi.ts';
import { HttpProblem, problemOf, problemResponse } from './problem.ts';
import { readJson, readParams, readQuery } from './read-request.ts';
import { checkHost, checkOrigin, checkTarget, strictTransport } from './request-guard.ts';
import { BASE, ROUTES, type RouteShape } from './routes.ts';
import { type Caller, cookieSecret, type Origin, sameSecret } from './sessions.ts';
import { SECURITY_HEADERS, type StaticFiles } from './static-files.ts';

export interface ApiOptions extends HandlerParts {
  readonly context: AdminContext;
  readonly files: StaticFiles;
  readonly version: string;
  readonly log: (level: 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

type Env = { Bindings: HttpBindings };
type Request = HonoContext<Env>;
type AnyHandler = (call: Call, input: object) => Promise<unknown>;

export function createApi(options: ApiOptions): Hono<Env> {
  const app = new Hono<Env>();
  const handlers = createHandlers(options) as unknown as Readonly<Record<string, AnyHandler>>;
  app.onError((error, c) => {
    const problem = problemOf(error);
    if (problem !== null) return problemResponse(problem);
    options.log('error', 'an API call failed', { path: c.req.path, why: describeError(error) });
    return problemResponse({ status: 500, detail: 'something went wrong here; the log has the reason' });
  });
  app.use(async (c, next) => {
    checkTarget(c.env.incoming.url ?? '');
    const local = c.env.incoming.socket.localAddress ?? '';
    const host = c.req.header('host') ?? null;
    const finding = findingOf(c.req.path);
    if (finding === null || !(await isFindingHost(options.context, host))) {
      checkHost(host, options.context.hostname, local);
    }
    await next();
    const strict = strictTransport(host, isEncrypted(c));
    if (strict !== null) c.header('strict-transport-security', strict);
  });
  for (const [name, route] of Object.entries(ROUTES) as [string, RouteShape][]) {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`the route ${name} has no handler`);
    app.on(route.method, BASE + route.path, (c) => serve(options, route, handler, c));
  }
  const document = JSON.stringify(openApiDocument(options.version));
  app.get(`${BASE}/openapi.json`, () => jsonResponse(200, document, new Headers()));
  app.get(`${BASE}/docs`, () => docsPage(options.version));
  app.all('*', (c) => otherwise(options, c));
  return app;
}

/** Neither a route nor a document: the settings of a mail program, the page, or a problem. */
async function otherwise({ files, context }: ApiOptions, c: Request): Promise<Response> {
  const { path, method } = c.req;
  const finding = findingOf(path);
  if (finding !== null) {
    if (!finding.methods.includes(method)) throw notAllowed(method, finding.methods);
    return finding.answer(context, c);
  }
  if (path === '/api' || path.startsWith('/api/')) {
    const allowed = methodsOf(path);
    if (allowed.length === 0) throw new HttpProblem({ status: 404, detail: `there is no ${path} here` });
    throw notAllowed(method, allowed);
  }
  if (method !== 'GET' && method !== 'HEAD') throw notAllowed(method, ['GET', 'HEAD']);
  const found = await files.respond(path, c.req.header('accept-encoding') ?? '');
  if (found !== null) return found;
  throw new HttpProblem({ status: 404, detail: 'there is no such file' });
}

function notAllowed(method: string, allowed: readonly string[]): HttpProblem {
  return new HttpProblem({
    status: 405,
    detail: `${method} is not possible here`,
    headers: { allow: allowed.join(', ') },
  });
}

const PATTERNS = Object.values(ROUTES).map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${BASE}${path.replace(/:\w+/g, '[^/]+')}$`),
}));

function methodsOf(path: string): string[] {
  if (path === `${BASE}/openapi.json` || path === `${BASE}/docs`) return ['GET'];
  return PATTERNS.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
}

async function serve(
  options: ApiOptions,
  route: RouteShape,
  handler: AnyHandler,
  c: Request,
): Promise<Response> {
  const origin = originOf(c);
  const caller = await callerOf(options, route, c, origin);
  const headers = new Headers();
  const call: Call = {
    context: {
      ...options.context,
      author: caller?.author ?? 'setup',
      clientAddress: origin.address,
      sessionId: caller?.session?.id ?? null,
      owner: caller?.owner ?? null,
    },
    caller,
    origin,
    header: (name, value) => headers.append(name, value),
    stillAllowed: async () => (await identify(options, c, origin)) !== null,
  };
  const input = {
    params: readParams(route, c),
    query: readQuery(route, c),
    body: await readJson(route, c),
  };
  const answer = await handler(call, input);
  if (answer instanceof Response) {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) answer.headers.set(name, value);
    answer.headers.set('cache-control', 'no-store');
    return answer;
  }
  if (route.status === 204) {
    headers.set('cache-control', 'no-store');
    return new Response(null, { status: 204, headers });
  }
  return jsonResponse(route.status, JSON.stringify(answer), headers);
}

function jsonResponse(status: number, body: string, headers: Headers): Response {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) headers.set(name, value);
  headers.set('content-type', 'application/json');
  headers.set('cache-control', 'no-store');
  return new Response(body, { status, headers });
}

/** TLS of our own, not of a proxy. */
function isEncrypted(c: Request): boolean {
  const { socket } = c.env.incoming;
  return 'encrypted' in socket && socket.encrypted === true;
}

function originOf(c: Request): Origin {
  const { socket } = c.env.incoming;
  const address = (socket.remoteAddress ?? '').replace(/^::ffff:/i, '');
  const throughProxy = /^(127\.|::1$)/.test(address) && c.req.header('x-forwarded-proto') === 'https';
  const secure = isEncrypted(c) || throughProxy;
  return { address, userAgent: c.req.header('user-agent') ?? '', secure };
}

/** null when there is neither cookie nor token of anybody. Rejects with a 401 for a token that is not valid. */
async function identify({ sessions }: ApiOptions, c: Request, { secure }: Origin): Promise<Caller | null> {
  const authorization = c.req.header('authorization');
  if (authorization !== undefined) {
    const token = /^Bearer +([A-Za-z0-9_.~+/=-]{1,300})$/i.exec(authorization)?.[1];
    if (token !== undefined) return sessions.byToken(token);
    throw unauthorized('the Authorization header is not a bearer token');
  }
  const secret = cookieSecret(c.req.header('cookie') ?? null, secure);
  return secret === null ? null : sessions.bySecret(secret);
}

/** Whoever calls, checked against what the route asks for. */
async function callerOf(
  options: ApiOptions,
  route: RouteShape,
  c: Request,
  origin: Origin,
): Promise<Caller | null> {
  const changes = route.method !== 'GET';
  if (route.access === 'none') {
    if (changes) checkOrigin(c.req.raw.headers, isEncrypted(c));
    return null;
  }
  const caller = await identify(options, c, origin);
  if (caller === null) throw unauthorized('you are not signed in, or the session has ended');
  checkKind(caller, route);
  if (caller.session === null) checkScope(caller, route);
  else if (changes) {
    checkOrigin(c.req.raw.headers, isEncrypted(c));
    if (!sameSecret(c.req.header('x-csrf-token') ?? '', caller.csrf ?? '')) {
      throw new HttpProblem({
        status: 403,
        detail: 'the header X-CSRF-Token is missing or not that of this session',
        mend: 'Read it from GET session and send it with every call that changes something.',
      });
    }
  }
  return caller;
}

/** The owner of an account reaches the own account and the own session only, and nobody else reaches that. */
function checkKind({ kind }: Caller, { access, accounts }: RouteShape): void {
  if (kind === 'account' ? access === 'owner' || accounts === true : access !== 'owner') return;
  throw new HttpProblem({
    status: 403,
    detail:
      kind === 'account'
        ? 'this is for administrators; you are signed in as the owner of an account'
        : 'this is for the owner of an account, signed in with its address and password',
  });
}

/** Who is signed in can be asked with any token. */
function checkScope({ scopes }: Caller, { access, path }: RouteShape): void {
  if (path === '/session' && access === 'read') return;
  if (access !== 'session' && access !== 'owner' && scopes.includes(access)) return;
  throw new HttpProblem({
    status: 403,
    detail:
      access === 'session'
        ? 'this is not open to tokens; an administrator must sign in'
        : `the token does not have the scope ${access}`,
  });
}

function unauthorized(detail: string): HttpProblem {
  return new HttpProblem({
    status: 401,
    detail,
    mend: 'Sign in, or send an API token.',
    headers: { 'www-authenticate': 'Bearer' },
  });
}
