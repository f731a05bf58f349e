import { describeError } from '../../mail/failure.js';
import { StorageError } from '../contract.js';
/** Primary result codes (sqlite.org/rescode.html) that mean trouble with the disk or a lock, not with us. */
const UNAVAILABLE_CODES = new Map([
    [5, 'the database is locked by another process'],
    [6, 'the database is locked'],
    [7, 'out of memory'],
    [8, 'the database cannot be written to'],
    [10, 'the disk reports an error'],
    [11, 'the database file is damaged'],
    [13, 'the disk is full'],
    [14, 'the database file cannot be opened'],
    [15, 'the database locking protocol failed'],
]);
const NOT_A_DATABASE = 26;
function resultCode(error) {
    if (!(error instanceof Error) || !('errcode' in error))
        return undefined;
    return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}
/** What was thrown, as the contract's error: disk and lock trouble is `unavailable`, anything unknown `internal`. */
export function toStorageError(error) {
    if (error instanceof StorageError)
        return error;
    const code = resultCode(error);
    if (code === NOT_A_DATABASE) {
        return new StorageError('schema', 'the file is not a CMail store (not an SQLite database)', {
            cause: error,
        });
    }
    const words = code === undefined ? undefined : UNAVAILABLE_CODES.get(code);
    if (words !== undefined) {
        return new StorageError('unavailable', `${words} (${describeError(error)})`, { cause: error });
    }
    return new StorageError('internal', describeError(error), { cause: error });
}
export function errorForm(error) {
    const { kind, message } = toStorageError(error);
    return { kind, message };
}
export function fromForm(form) {
    return new StorageError(form.kind, form.message);
}
