import { z } from 'zod';
import { PasswordBusyError } from '../directory/password.js';
import { parseAddress } from '../mail/address.js';
import { describeError } from '../mail/failure.js';
import { StorageError } from '../storage/contract.js';
import { OperationError } from './context.js';
/** Rows one call gives at most; longer lists come in pages. */
export const MAX_ROWS = 10_000;
export function operation(schema, run) {
    return {
        schema,
        run: async (context, args) => {
            const checked = schema.safeParse(args);
            if (checked.success)
                return run(context, checked.data);
            const issue = checked.error.issues[0];
            const where = issue?.path.join('.') ?? '';
            throw new OperationError(`${where === '' ? '' : `${where}: `}${issue?.message ?? 'wrong arguments'}`, 'See "cmail help".', 2);
        },
    };
}
/** Anything an operation threw, as a value for the caller. */
export function operationFailure(error) {
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
        if (error.kind !== 'unavailable')
            return { message: error.message, exit: 1 };
        const mend = 'Look at the disk that holds the data folder, then try again; "cmail status" shows alarms.';
        return { message: `the store cannot be used now: ${error.message}`, mend, exit: 1 };
    }
    return { message: `internal fault: ${describeError(error)}`, exit: 1 };
}
/** Turns the store's refusal of a kind into words of ours; anything else passes on. */
export async function refusing(work, words) {
    try {
        return await work;
    }
    catch (error) {
        const known = error instanceof StorageError ? words[error.kind] : undefined;
        if (known)
            throw new OperationError(known.message, known.mend);
        throw error;
    }
}
/** The canonical text of an address, or an `OperationError` that says what is wrong with it. */
export function addressArgument(text) {
    const address = parseAddress(text);
    if (address.ok && address.value.domain !== '')
        return address.value.text;
    const reason = address.ok ? 'it has no domain' : address.failure.text;
    throw new OperationError(`${text} is not an address: ${reason}`, 'Write it as user@example.com.');
}
/** Arguments that page through a list: `after` is the `next` of the page before. */
export const pageArguments = {
    after: z.string().max(512).optional(),
    limit: z.number().int().min(1).max(MAX_ROWS).default(MAX_ROWS),
};
/** One page of a whole list, in the order of its names. */
export function pageOf(all, nameOf, { after, limit }) {
    const named = all.map((row) => ({ row, name: nameOf(row) }));
    const later = named.filter(({ name }) => after === undefined || name > after);
    later.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
    const page = later.slice(0, limit);
    return {
        rows: page.map(({ row }) => row),
        next: later.length > limit ? (page.at(-1)?.name ?? null) : null,
    };
}
