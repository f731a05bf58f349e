/** Makes a failure; whether it is temporary follows from the code. */
export function failure(code, enhanced, text, detail) {
    return { code, enhanced, text, temporary: code < 500, ...(detail === undefined ? {} : { detail }) };
}
export function ok(value) {
    return { ok: true, value };
}
export function failed(failure) {
    return { ok: false, failure };
}
/** The words of anything thrown, for a log or a private detail. */
export function describeError(error) {
    return error instanceof Error ? error.message : String(error);
}
