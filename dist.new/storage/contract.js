export class StorageError extends Error {
    kind;
    constructor(kind, message, options) {
        super(message, options);
        this.name = 'StorageError';
        this.kind = kind;
    }
}
// ---------------------------------------------------------------- bodies
/** Bytes handed on and not yet on disk, for the whole server. */
export const HANDED_ON_LIMIT_BYTES = 32 * 1024 * 1024;
/** A recipient whose attempts crashed this often running becomes held, so that it harms nobody and is not lost. */
export const CRASHES_UNTIL_HELD = 3;
