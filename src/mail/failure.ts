/**
 * Failures are values. One is made where something goes wrong and travels unchanged to whoever must answer
 * for it: an SMTP reply, a failure notice, a line on the timeline. Codes are those of RFC 5321 §4.2 and
 * RFC 3463.
 */
export interface Failure {
  /** Basic reply code, 4yz or 5yz (RFC 5321 §4.2.1). */
  readonly code: number;
  /** Enhanced status code such as `5.1.1` (RFC 3463). */
  readonly enhanced: string;
  /** What the other side may read; never holds a secret or an inner path. */
  readonly text: string;
  /** What only the log and the timeline may hold. */
  readonly detail?: string;
  /** True when trying again may help (4yz). */
  readonly temporary: boolean;
}

/** Makes a failure; whether it is temporary follows from the code. */
export function failure(code: number, enhanced: string, text: string, detail?: string): Failure {
  return { code, enhanced, text, temporary: code < 500, ...(detail === undefined ? {} : { detail }) };
}

/** The outcome of something that can fail in an expected way. */
export type Result<T, F = Failure> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: F };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function failed<F>(failure: F): { readonly ok: false; readonly failure: F } {
  return { ok: false, failure };
}

/** The words of anything thrown, for a log or a private detail. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
