/** What the shapes of the API share: problem documents, pages, times. */
import { z } from 'zod';

/** ISO 8601, UTC, as `Date.toISOString` writes it. */
export const time = z.string().meta({ format: 'date-time' });

/** Rows of one page unless asked otherwise, and at most. */
export const DEFAULT_PAGE = 100;
export const MAX_PAGE = 500;

/** Query of a list: `after` is the `next` of the page before. */
export const pageQuery = {
  after: z.string().max(512).optional().describe('the `next` of the page before'),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
};

/** One page of a list. */
export function page<T extends z.ZodType>(row: T) {
  return z.object({
    rows: z.array(row),
    next: z.string().nullable().describe('where the next page starts; null at the end'),
  });
}

export const fieldErrorShape = z.object({
  key: z.string().describe('the field, or the key of the setting'),
  message: z.string(),
  wouldDo: z.string().describe('a value, or a change beside it, that would do; may be empty'),
});

/** RFC 9457 with two extensions: `mend` says what to do, `errors` what was wrong at which field. */
export const problemShape = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    mend: z.string().optional(),
    errors: z.array(fieldErrorShape).optional(),
  })
  .meta({ id: 'Problem' });

export type FieldErrorJson = z.infer<typeof fieldErrorShape>;

/** Longest name, address or identifier in a path or body. */
export const shortText = z.string().min(1).max(1000);
export const secretText = z.string().max(10_000);
