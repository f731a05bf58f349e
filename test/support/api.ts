/** Calls the administration API of a running server as a browser or a program does. */
import { request } from 'node:http';
import { ROUTES } from '../../src/admin/http/routes.ts';
import type { Cmail } from './cmail.ts';

export const ADMIN_PASSWORD = 'correct horse battery';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Parsed when it is JSON. */
  readonly json: Record<string, unknown> & { readonly errors?: { key: string; message: string }[] };
}

export interface Ask {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is instead of `body`. */
  readonly raw?: string | Buffer;
}

/** One request with exactly this target: nothing is normalised. */
export function ask(
  server: Cmail,
  method: string,
  target: string,
  { body, headers = {}, raw }: Ask = {},
): Promise<Answer> {
  const { host, port } = server.listeners.admin;
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  return new Promise((done, fail) => {
    const call = request(
      {
        host,
        port,
        method,
        path: target,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(content === undefined ? {} : { 'content-length': String(Buffer.byteLength(content)) }),
          ...headers,
        },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', fail);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8');
          const isJson = /json/.test(response.headers['content-type'] ?? '');
          const json = isJson ? JSON.parse(text) : {};
          done({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
      },
    );
    call.on('error', fail);
    call.end(content);
  });
}

/** A signed-in browser. */
export interface Browser {
  readonly cookie: string;
  readonly csrf: string;
  get(path: string): Promise<Answer>;
  send(method: string, path: string, body?: unknown): Promise<Answer>;
}

export function browserOf(server: Cmail, answer: Answer): Browser {
  const cookie = String(answer.headers['set-cookie']).split(';')[0] ?? '';
  const csrf = String(answer.json.csrf);
  return {
    cookie,
    csrf,
    get: (path) => ask(server, 'GET', `/api/v1${path}`, { headers: { cookie } }),
    send: (method, path, body) =>
      ask(server, method, `/api/v1${path}`, {
        headers: { cookie, 'x-csrf-token': csrf },
        ...(body === undefined ? {} : { body }),
      }),
  };
}

/** Adds an administrator by the command line and signs in. */
export async function signIn(server: Cmail, name = 'anna'): Promise<Browser> {
  await server.run(['admin', 'add', name, '--password-stdin'], { input: `${ADMIN_PASSWORD}\n` });
  const answer = await ask(server, 'POST', '/api/v1/session', { body: { name, password: ADMIN_PASSWORD } });
  if (answer.status !== 201) throw new Error(`sign-in: ${answer.status} ${answer.text}`);
  return browserOf(server, answer);
}

/** The answer of a route, checked against the shape that the OpenAPI document gives it. */
export function shaped(name: keyof typeof ROUTES, answer: Answer): Record<string, never> {
  const route = ROUTES[name];
  if (answer.status !== route.status) throw new Error(`${name}: ${answer.status} ${answer.text}`);
  if (!('answer' in route)) return {};
  return route.answer.parse(answer.json) as unknown as Record<string, never>;
}
