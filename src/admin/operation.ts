import { z } from 'zod';
import { PasswordBusyError } from '../directory/password.ts';
import { parseAddress } from '../mail/address.ts';
import { describeError } from '../mail/failure.ts';
import { StorageError } from '../storage/contract.ts';
import { type AdminContext, OperationError } from './context.ts';

/** Rows one call gives at most; longer lists come in pages. */
export const MAX_ROWS = 10_000;

/** A named operation: the shape of its arguments and what it does. Its result is plain JSON. */
export interface Operation {
  readonly schema: z.ZodType;
  /** Rejects with `OperationError` when refused, else as what it calls does. */
  run(context: AdminContext, args: unknown): Promise<unknown>;
}

export type OperationTable = Readonly<Record<string, Operation>>;

export function operation<T, R>(
  schema: z.ZodType<T>,
  run: (context: AdminContext, args: T) => Promise<R> | R,
): Operation {
  return {
    schema,
    run: async (context, args) => {
      const checked = schema.safeParse(args);
      if (checked.success) return run(context, checked.data);
      const issue = checked.error.issues[0];
      const where = issue?.path.join('.') ?? '';
      throw new OperationError(
        `${where === '' ? '' : `${where}: `}${issue?.message ?? 'wrong arguments'}`,
        'See "cmail help".',
        2,
      );
    },
  };
}

/** An expected failure of an operation, as it travels to the caller. */
export interface OperationFailure {
  readonly message: string;
  readonly mend?: string;
  readonly exit: 1 | 2;
}

const PLACES = {
  disk: 'the disk that holds the data folder',
  database: 'the database of store.url and the way to it',
} as const;

/** Where to look when the store failed; the disk when it was not the store. */
export function placeOf(error: unknown): string {
  return PLACES[error instanceof StorageError ? error.place : 'disk'];
}

/** Anything an operation threw, as a value for the caller. */
export function operationFailure(error: unknown): OperationFailure {
  if (error instanceof OperationError) {
    return {
      message: error.message,
      ...(error.mend === undefined ? {} : { mend: error.mend }),
      exit: error.exit,
    };
  }
  if (error instanceof PasswordBusyError)
    return { message: error.message, mend: 'Try again in a moment.', exit: 1 };
  if (error instanceof StorageError) {
    if (error.kind !== 'unavailable') return { message: error.message, exit: 1 };
    const mend = `Look at ${placeOf(error)}, then try again; "cmail status" shows alarms.`;
    return { message: `the store cannot be used now: ${error.message}`, mend, exit: 1 };
  }
  return { message: `internal fault: ${describeError(error)}`, exit: 1 };
}

/** Turns the store's refusal of a kind into words of ours; anything else passes on. */
export async function refusing<T>(
  work: Promise<T>,
  words: Partial<
    Record<'not-found' | 'conflict' | 'limit', { readonly message: string; readonly mend?: string }>
  >,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const known = error instanceof StorageError ? words[error.kind as keyof typeof words] : undefined;
    if (known) throw new OperationError(known.message, known.mend);
    throw error;
  }
}

/** The canonical text of an address, or an `OperationError` that says what is wrong with it. */
export function addressArgument(text: string): string {
  const address = parseAddress(text);
  if (address.ok && address.value.domain !== '') return address.value.text;
  const reason = address.ok ? 'it has no domain' : address.failure.text;
  throw new OperationError(`${text} is not an address: ${reason}`, 'Write it as user@example.com.');
}

/** Arguments that page through a list: `after` is the `next` of the page before. */
export const pageArguments = {
  after: z.string().max(512).optional(),
  limit: z.number().int().min(1).max(MAX_ROWS).default(MAX_ROWS),
};

export interface Page<T> {
  readonly rows: readonly T[];
  /** Where the next page starts; null at the end. */
  readonly next: string | null;
}

/** One page of a whole list, in the order of its names. */
export function pageOf<T>(
  all: readonly T[],
  nameOf: (row: T) => string,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Page<T> {
  const named = all.map((row) => ({ row, name: nameOf(row) }));
  const later = named.filter(({ name }) => after === undefined || name > after);
  later.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  const page = later.slice(0, limit);
  return {
    rows: page.map(({ row }) => row),
    next: later.length > limit ? (page.at(-1)?.name ?? null) : null,
  };
}
