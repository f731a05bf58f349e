/**
 * The one place that talks to the server. Routes, what goes in and what comes out are those of the API's own
 * table, taken as types only; every failure is a `Problem`.
 */
import type { z } from 'zod';
import type { ROUTES } from '../../../src/admin/http/routes.ts';
import { t } from '../strings.ts';
import { type FieldError, Problem } from './problem.ts';

const BASE = '/api/v1';

type Routes = typeof ROUTES;
type Words = { readonly [N in keyof Routes]: `${Routes[N]['method']} ${Routes[N]['path']}` };

/** A route as `METHOD /path`, such as `PATCH /accounts/:address`. */
export type RouteWords = Words[keyof Words];

type RouteOf<W extends RouteWords> = {
  [N in keyof Routes]: Words[N] extends W ? Routes[N] : never;
}[keyof Routes];

type Given<R, K extends string> =
  R extends Readonly<Record<K, infer S extends z.ZodType>> ? z.input<S> : undefined;

/** What a route answers; `undefined` where it answers nothing. */
export type AnswerOf<W extends RouteWords> =
  RouteOf<W> extends { readonly answer: infer S extends z.ZodType } ? z.output<S> : undefined;

/** One row of a list route's answer. */
export type RowOf<W extends RouteWords> =
  AnswerOf<W> extends { readonly rows: ReadonlyArray<infer Row> } ? Row : never;

interface CallOptions<W extends RouteWords> {
  readonly params?: Given<RouteOf<W>, 'params'>;
  /** What is empty or undefined is left out. */
  readonly query?: Given<RouteOf<W>, 'query'>;
  readonly body?: Given<RouteOf<W>, 'body'>;
  readonly signal?: AbortSignal;
}

let csrf: string | null = null;
let onSignedOut: (() => void) | null = null;
let running = 0;
const busyListeners = new Set<() => void>();

/** The proof that calls come from this page; every call that changes something carries it. */
export function setCsrf(token: string | null): void {
  csrf = token;
}

/** Called when the server no longer knows the session. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

export function subscribeBusy(listener: () => void): () => void {
  busyListeners.add(listener);
  return () => busyListeners.delete(listener);
}

/** How many calls are under way now. */
export function busyCalls(): number {
  return running;
}

function count(step: 1 | -1): void {
  running += step;
  for (const listener of busyListeners) listener();
}

/** The address of a route, for links and live streams; `:name` parts come from `params`. */
export function address(path: string, params: object = {}, query: object = {}): string {
  const given = new Map<string, unknown>(Object.entries(params));
  const filled = path.replace(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(String(given.get(name) ?? '')),
  );
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value));
  }
  return `${BASE}${filled}${search.size === 0 ? '' : `?${search}`}`;
}

/** Calls a route. Rejects with a `Problem`, or what `fetch` rejects with when no answer came. */
export async function call<W extends RouteWords>(
  route: W,
  options: CallOptions<W> = {},
): Promise<AnswerOf<W>> {
  const { params, query, body, signal } = options;
  const [method = 'GET', path = ''] = route.split(' ');
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET' && csrf !== null) headers['x-csrf-token'] = csrf;
  count(1);
  try {
    const response = await fetch(address(path, params ?? {}, query ?? {}), {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    return (await read(response)) as AnswerOf<W>;
  } finally {
    count(-1);
  }
}

async function read(response: Response): Promise<unknown> {
  const json = /\bjson\b/.test(response.headers.get('content-type') ?? '');
  const value: unknown = json ? await response.json() : undefined;
  if (response.ok) return value;
  if (response.status === 401) onSignedOut?.();
  throw problemFrom(response.status, typeof value === 'object' && value !== null ? { ...value } : {});
}

function problemFrom(status: number, body: Readonly<Record<string, unknown>>): Problem {
  const word = (key: string) => (typeof body[key] === 'string' ? body[key] : '');
  return new Problem({
    status,
    title: word('title') || t.problem.title,
    detail: word('detail') || word('title') || t.problem.unexpected,
    mend: word('mend'),
    errors: Array.isArray(body.errors) ? body.errors.map(fieldError) : [],
    body,
  });
}

function fieldError(value: unknown): FieldError {
  const { key, message, wouldDo } = value as Partial<FieldError>;
  return { key: String(key ?? ''), message: String(message ?? ''), wouldDo: String(wouldDo ?? '') };
}
