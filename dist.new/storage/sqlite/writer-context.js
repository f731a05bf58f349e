/** Rows an operation changes at most; larger actions come in several. */
export const SLICE = 1000;
export function rowsOf(statement, ...values) {
    return statement.all(...values);
}
export function rowOf(statement, ...values) {
    return statement.get(...values);
}
