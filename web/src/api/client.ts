/** The one place that talks to the server. Every answer is a value of the documented API, every failure a `Problem`. */
import { t } from '../strings.ts';
import { type FieldError, Problem } from './problem.ts';

const BASE = '/api/v1';

type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

let onSignedOut: (() => void) | null = null;
let running = 0;
const busyListeners = new Set<() => void>();

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

/** The address of a route, for links and live streams. */
export function address(path: string, query: Query = {}): string {
  const url = new URL(BASE + path, location.origin);
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(key, String(value));
  }
  return url.pathname + url.search;
}

/** Calls a route. Resolves to its JSON (undefined for an empty answer); rejects with a `Problem`. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { method = 'GET', query, body, signal } = options;
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  // No page of another origin can set this header, which is the proof that the call comes from here.
  if (method !== 'GET') headers['x-cmail-csrf'] = '1';
  count(1);
  try {
    const response = await fetch(address(path, query), {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    return await read<T>(response);
  } finally {
    count(-1);
  }
}

async function read<T>(response: Response): Promise<T> {
  const json = /\bjson\b/.test(response.headers.get('content-type') ?? '');
  const value: unknown = json ? await response.json() : await response.text();
  if (response.ok) return (json ? value : undefined) as T;
  if (response.status === 401) onSignedOut?.();
  throw problemFrom(response.status, value);
}

function problemFrom(status: number, value: unknown): Problem {
  const body = typeof value === 'object' && value !== null ? { ...value } : {};
  const word = (key: string) => {
    const found = (body as Record<string, unknown>)[key];
    return typeof found === 'string' ? found : '';
  };
  return new Problem({
    status,
    title: word('title') || t.problem.title,
    detail: word('detail') || word('title') || t.problem.unexpected,
    mend: word('mend'),
    errors: fieldErrors((body as Record<string, unknown>).errors),
    body,
  });
}

function fieldErrors(value: unknown): FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: Record<string, unknown>) => ({
    key: String(one.key ?? one.path ?? ''),
    reason: String(one.reason ?? one.message ?? ''),
    mend: String(one.mend ?? ''),
  }));
}
