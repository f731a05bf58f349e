/** Problem documents (RFC 9457): how anything that went wrong is told. */
import { STATUS_CODES } from 'node:http';
import { PasswordBusyError } from '../../directory/password.ts';
import { StorageError } from '../../storage/contract.ts';
import { type FieldError, OperationError, type RefusalKind } from '../context.ts';

export interface ProblemInput {
  readonly status: number;
  readonly detail: string;
  readonly mend?: string;
  readonly errors?: readonly FieldError[];
  readonly more?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown within the API and turned into its document at one place. */
export class HttpProblem extends Error {
  readonly input: ProblemInput;
  constructor(input: ProblemInput) {
    super(input.detail);
    this.name = 'HttpProblem';
    this.input = input;
  }
}

const STATUS_OF: Readonly<Record<NonNullable<RefusalKind['kind']>, number>> = {
  refused: 422,
  'not-found': 404,
  conflict: 409,
  busy: 429,
  unavailable: 503,
};

export function problemResponse(problem: ProblemInput): Response {
  const { status, detail, mend, errors = [], more = {}, headers = {} } = problem;
  const body = {
    ...more,
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Problem',
    status,
    detail,
    ...(mend === undefined ? {} : { mend }),
    ...(errors.length === 0 ? {} : { errors }),
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
  });
}

/** Anything thrown, as a problem; null when it is a fault of ours that the log should have. */
export function problemOf(error: unknown): ProblemInput | null {
  if (error instanceof HttpProblem) return error.input;
  if (error instanceof OperationError) {
    const { message, mend, errors, more, kind } = error;
    return {
      status: STATUS_OF[kind],
      detail: message,
      errors,
      more,
      ...(mend === undefined ? {} : { mend }),
    };
  }
  if (error instanceof PasswordBusyError) {
    const headers = { 'retry-after': '2' };
    return { status: 503, detail: error.message, mend: 'Try again in a moment.', headers };
  }
  if (!(error instanceof StorageError) || error.kind === 'internal') return null;
  if (error.kind === 'not-found') return { status: 404, detail: error.message };
  if (error.kind !== 'unavailable') return { status: 409, detail: error.message };
  return {
    status: 503,
    detail: `the store cannot be used now: ${error.message}`,
    mend: 'Look at the disk that holds the data folder, then try again.',
    headers: { 'retry-after': '5' },
  };
}
