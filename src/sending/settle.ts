/** Recording what became of a claim, although the store may have trouble at that moment. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../mail/failure.ts';
import { type QueueStore, type SettleInput, StorageError } from '../storage/contract.ts';
import type { SenderDependencies } from './ports.ts';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2_000;
/** Wait before the next attempt when the store refuses what an outcome asks for. */
const REFUSED_WAIT_MS = 5 * 60_000;
const CRASH_WORDS = { lastReply: 'The outcome could not be recorded; see the log', lastKind: 'crash' };

/**
 * Settles until it is done: a delivered message must not be sent twice because the disk was full for a
 * while. Gives up on a lapsed claim, and when `signal` says that there is no more time. Never rejects; resolves
 * to whether it is recorded.
 */
export async function settleClaim(
  store: Pick<QueueStore, 'settle'>,
  input: SettleInput,
  log: SenderDependencies['log'],
  signal: AbortSignal,
): Promise<boolean> {
  let waitMs = FIRST_WAIT_MS;
  let wanted = input;
  for (;;) {
    try {
      await orAbort(store.settle(wanted), signal);
      return true;
    } catch (error) {
      const kind = error instanceof StorageError ? error.kind : 'internal';
      const fields = { token: input.token, error: describeError(error) };
      if (kind === 'stale-claim') {
        // After a try whose answer was lost it may be recorded as well.
        log('warn', 'the claim had lapsed; what became of it is not recorded', fields);
        return false;
      }
      if (kind !== 'unavailable') {
        if (wanted !== input) {
          log('error', 'what became of a claim cannot be recorded', fields);
          return false;
        }
        log('error', 'the store refused an outcome; what is delivered is recorded, the rest waits', fields);
        wanted = withoutRefusable(input, kind === 'internal' ? 'crashed' : 'deferred');
        continue;
      }
      log('warn', 'the store cannot record what became of a claim; trying again', fields);
      if (!(await waited(waitMs, signal))) {
        log('error', 'stopping without having recorded a claim', fields);
        return false;
      }
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }
}

/**
 * Only what concerns nothing but the claimed rows: deliveries stand, everything else waits. `crashed`: the store
 * has no words for it, so it is counted against the message.
 */
function withoutRefusable(input: SettleInput, type: 'crashed' | 'deferred'): SettleInput {
  const nextAttemptAt = Date.now() + REFUSED_WAIT_MS;
  const outcomes = input.outcomes.map((outcome) =>
    outcome.result.type === 'failed' || outcome.result.type === 'expanded'
      ? { ...outcome, result: { type, nextAttemptAt } as const, ...(type === 'crashed' ? CRASH_WORDS : {}) }
      : outcome,
  );
  const events = input.events.filter(
    ({ kind }) => kind !== 'failed' && kind !== 'notice' && kind !== 'decided',
  );
  return { token: input.token, outcomes, events, notices: [] };
}

/** Rejects as soon as there is no more time, whatever the store is doing. */
async function orAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new StorageError('unavailable', 'the server stops'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function waited(waitMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(waitMs, undefined, { signal });
    return true;
  } catch {
    // The only way for this wait to fail is the signal.
    return false;
  }
}
