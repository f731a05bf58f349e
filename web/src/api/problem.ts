/** What an API call can end in: a problem document (RFC 9457) as a value that pages can show. */
import type { z } from 'zod';
import type { fieldErrorShape } from '../../../src/admin/http/shapes/common.ts';
import { t } from '../strings.ts';

/** One thing that was wrong with what was sent: at which field, and what would do. */
export type FieldError = z.infer<typeof fieldErrorShape>;

export interface ProblemDetails {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly mend: string;
  readonly errors: readonly FieldError[];
  /** The whole document, for what only one route gives. */
  readonly body: Readonly<Record<string, unknown>>;
}

export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly mend: string;
  readonly errors: readonly FieldError[];
  readonly body: Readonly<Record<string, unknown>>;

  constructor({ status, title, detail, mend, errors, body }: ProblemDetails) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.mend = mend;
    this.errors = errors;
    this.body = body;
  }
}

/** The problem an error is; what is no answer of the server counts as "out of reach". */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const network = error instanceof TypeError;
  return new Problem({
    status: 0,
    title: t.problem.title,
    detail: network ? t.problem.offline : String(error),
    mend: network ? t.problem.offlineMend : '',
    errors: [],
    body: {},
  });
}
