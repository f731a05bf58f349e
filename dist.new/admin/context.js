/** An operation that was refused or failed; told to the caller as it is. */
export class OperationError extends Error {
    /** What to do about it. */
    mend;
    /** 1 refused or failed, 2 wrong usage. */
    exit;
    constructor(message, mend, exit = 1) {
        super(message);
        this.name = 'OperationError';
        this.mend = mend;
        this.exit = exit;
    }
}
