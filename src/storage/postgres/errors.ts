import { describeError } from '../../mail/failure.ts';
import { StorageError } from '../contract.ts';

/** SQLSTATE classes (PostgreSQL documentation, appendix A) that mean trouble with the database, not with us. */
const UNAVAILABLE_CLASSES = new Map([
  ['08', 'the connection to the database failed'],
  ['40', 'the database had too many conflicting transactions'],
  ['53', 'the database lacks disk, memory or connections'],
  ['55', 'the database did not grant a lock in time'],
  ['57', 'the database is starting, shutting down or took too long'],
  ['58', 'the database has trouble with its disk'],
  ['XX', 'the database reports damage or a fault of its own'],
]);
const UNAVAILABLE_CODES = new Map([
  ['25006', 'the database takes no writes: it is a standby, or set read-only'],
  ['25P03', 'the database ended a transaction that took too long'],
  ['28000', 'the database does not let this user in: check the user of store.url and pg_hba.conf'],
  ['28P01', 'the database refuses this user name or password: check store.url'],
  ['3D000', 'there is no such database: create it, or check store.url'],
  ['42501', 'the user lacks rights in the database: make it the owner of the database'],
  ['3F000', 'the user has no schema to work in: make it the owner of the database'],
]);

/** Codes of the driver and of sockets; the statement under way was answered by nobody. */
const LOST = /^(CONNECTION_|CONNECT_TIMEOUT|E[A-Z]+$)/;

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The SQLSTATE of a database's answer, also of one already made a `StorageError`. */
export function sqlState(error: unknown): string | undefined {
  if (error instanceof StorageError && error.cause !== undefined) return sqlState(error.cause);
  const code = codeOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !LOST.test(code) ? code : undefined;
}

/** Whether the connection ended under a statement, so that nobody knows what became of it. */
export function isLost(error: unknown): boolean {
  if (error instanceof StorageError && error.cause !== undefined) return isLost(error.cause);
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P');
  const code = codeOf(error);
  return code !== undefined && LOST.test(code);
}

/** Serialization failures and deadlocks: the same transaction may go well when it is run again. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

/** A connection after this is good for nothing: it leads to a server that is no longer the one that takes writes. */
export function endsConnection(error: unknown): boolean {
  return isLost(error) || sqlState(error) === '25006';
}

/**
 * What was thrown, as the contract's error. Trouble with the database is `unavailable`; `place` names it and holds
 * no password.
 */
export function toStorageError(error: unknown, place: string): StorageError {
  if (error instanceof StorageError) return error;
  const state = sqlState(error);
  const words = state === undefined ? undefined : (UNAVAILABLE_CODES.get(state) ?? classWords(state));
  if (words !== undefined) return unavailable(`${place}: ${words} (${describeError(error)})`, error);
  if (state === undefined && isLost(error)) {
    return unavailable(`${place}: ${lostWords(codeOf(error) ?? '')} (${describeError(error)})`, error);
  }
  return new StorageError('internal', `${place}: ${describeError(error)}`, { cause: error });
}

export function unavailable(message: string, cause?: unknown): StorageError {
  return new StorageError('unavailable', message, { cause, place: 'database' });
}

function classWords(state: string): string | undefined {
  return UNAVAILABLE_CLASSES.get(state.slice(0, 2));
}

function lostWords(code: string): string {
  if (code === 'ECONNREFUSED') return 'no database answers there';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its host name has no address';
  if (code === 'CONNECT_TIMEOUT' || code === 'ETIMEDOUT') return 'it cannot be reached in time';
  return 'the connection was lost';
}
