/** Reads what a request brings and checks it by the route's shapes. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { z } from 'zod';
import type { FieldError } from '../context.ts';
import { HttpProblem } from './problem.ts';
import type { RouteShape } from './routes.ts';

export const MAX_BODY_BYTES = 1024 * 1024;
/** Longest wait for the whole body. */
const BODY_MS = 30_000;

type Request = Context<{ Bindings: HttpBindings }>;

export function readParams({ params }: RouteShape, c: Request): unknown {
  return params === undefined ? undefined : check(params, c.req.param(), 404, 'path');
}

/** A parameter given twice is an error: which one was meant is not known. Empty ones count as left out. */
export function readQuery({ query }: RouteShape, c: Request): unknown {
  const given: Record<string, string> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (values.length > 1) {
      throw new HttpProblem({ status: 400, detail: `${name.slice(0, 100)} is given twice in the query` });
    }
    if (values[0] !== undefined && values[0] !== '') given[name] = values[0];
  }
  if (query !== undefined) return check(query, given, 400, 'query');
  const [name] = Object.keys(given);
  if (name === undefined) return undefined;
  throw new HttpProblem({ status: 400, detail: `there is no ${name.slice(0, 100)} in this query` });
}

export async function readJson({ body: shape }: RouteShape, c: Request): Promise<unknown> {
  if (shape === undefined) return undefined;
  const type = c.req.header('content-type') ?? '';
  if (!/^application\/json(?:\s*;\s*charset=utf-8)?\s*$/i.test(type)) {
    throw new HttpProblem({
      status: 415,
      detail: type === '' ? 'the body has no Content-Type' : `${type.slice(0, 100)} is not taken`,
      mend: 'Send JSON as application/json.',
      headers: { accept: 'application/json' },
    });
  }
  const text = await readText(c, MAX_BODY_BYTES);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const detail = `the body is not JSON: ${error instanceof Error ? error.message.slice(0, 200) : ''}`;
    throw new HttpProblem({ status: 400, detail });
  }
  return check(shape, value, 422, 'body');
}

/** The body as text. Rejects with a 413 for more than `maxBytes`, a 400 for what is not UTF-8. */
export async function readText(c: Request, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new HttpProblem({
      status: 413,
      detail: `the body is larger than ${maxBytes} bytes`,
      mend: 'Send it in parts.',
      headers: { connection: 'close' },
    });
  if (Number(c.req.header('content-length') ?? 0) > maxBytes) throw tooLarge();
  const stream = c.req.raw.body;
  if (stream === null) return '';
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), BODY_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      if (bytes > maxBytes) throw tooLarge();
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new HttpProblem({ status: 400, detail: 'the body is not UTF-8' });
  }
}

function check(shape: z.ZodType, value: unknown, status: 400 | 404 | 422, where: string): unknown {
  const checked = shape.safeParse(value);
  if (checked.success) return checked.data;
  const errors = checked.error.issues.slice(0, 50).flatMap(fieldErrorsOf);
  const words = errors.map(({ key, message }) => (key === '' ? message : `${key}: ${message}`)).join('; ');
  throw new HttpProblem({ status, detail: `the ${where} is not right: ${words}`.slice(0, 2000), errors });
}

function fieldErrorsOf(issue: z.core.$ZodIssue): FieldError[] {
  const at = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') return [{ key: at, message: issue.message, wouldDo: '' }];
  return issue.keys.slice(0, 20).map((key) => ({
    key: (at === '' ? key : `${at}.${key}`).slice(0, 200),
    message: 'there is no field of this name',
    wouldDo: '',
  }));
}
