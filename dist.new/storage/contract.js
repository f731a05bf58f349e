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
