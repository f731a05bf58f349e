/** What engines agree on about claims: their tokens, their bounds and how long a claimed recipient waits. */
import { randomBytes } from 'node:crypto';
import type { NewEvent } from '../contract.ts';

/** Recipients of one message in one claim. */
export const CLAIM_RECIPIENTS = 1000;
/** Due rows looked at for one request. */
export const CLAIM_SCAN = 10_000;

export const PROCESS_DIED = 'The server ended during the attempt';

/**
 * A token names its message and the span of its recipients, so that it needs no index of its own, and the node
 * that claimed where there are several.
 */
export function makeToken(messageId: number, indexes: readonly number[], nodeId?: string): string {
  const secret = randomBytes(8).toString('hex');
  const last = nodeId === undefined ? secret : `${secret}.${nodeId}`;
  return `${messageId}.${Math.min(...indexes)}.${Math.max(...indexes)}.${last}`;
}

export function readToken(token: string): { messageId: number; low: number; high: number } {
  const [messageId = 0, low = 0, high = 0] = token.split('.', 3).map(Number);
  const valid = Number.isSafeInteger(messageId) && Number.isSafeInteger(low) && Number.isSafeInteger(high);
  return valid ? { messageId, low, high } : { messageId: 0, low: 0, high: 0 };
}

/** Why a recipient is set aside. */
export function setAside(crashes: number, why: string): string {
  return `Set aside after ${crashes} crashes running. ${why}`;
}

/** That the whole queue is on hold, and who gave that order; null by an order older than the note of it. */
export interface HoldAll {
  readonly by: string | null;
}

/** The row `hold_all` of `sequence`; null while the queue is not on hold. */
export function holdAllOf(row: { value: number; note: string | null } | undefined): HoldAll | null {
  return row?.value === 1 ? { by: row.note } : null;
}

/** A recipient that comes to rest is held because the whole queue is on hold. */
export function queueOnHold(address: string, { by }: HoldAll): NewEvent {
  const reason = 'queue on hold';
  return { kind: 'held', recipient: address, detail: by === null ? { reason } : { by, reason } };
}

/** The wait after attempt n + 1 when n were made before: entry n of the schedule, the last one repeats. */
export function waitBefore(scheduleMs: readonly number[], attempts: number, otherwiseMs: number): number {
  return scheduleMs[Math.min(attempts, scheduleMs.length - 1)] ?? otherwiseMs;
}

/** Messages of the lists, one of each in turn and each once, `limit` at most. */
export function inTurns(lists: readonly (readonly number[])[], limit: number): number[] {
  const taken = new Set<number>();
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let place = 0; place < longest; place += 1) {
    for (const list of lists) {
      const id = list[place];
      if (id !== undefined && taken.size < limit) taken.add(id);
    }
  }
  return [...taken];
}
