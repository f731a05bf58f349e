/** A command used wrongly: exit status 2. */
export class UsageError extends Error {
    mend;
    constructor(message, mend) {
        super(message);
        this.name = 'UsageError';
        this.mend = mend;
    }
}
/** Writes and waits while the reader is slow, so that long lists do not gather in memory. */
export async function write(stream, text) {
    if (stream.write(text))
        return;
    await new Promise((resolve) => {
        const done = () => {
            stream.off('drain', done);
            stream.off('close', done);
            resolve();
        };
        stream.once('drain', done);
        stream.once('close', done);
    });
}
