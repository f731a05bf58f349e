import { type NewRecipient, StorageError } from '../contract.ts';
import type { AcceptOp } from '../shared/operations.ts';
import type { Outcome } from './lane.ts';
import { accountsOf, checkAccounts, chunksOf, isLocal, WriteBatch } from './write-batch.ts';
import { type FinishedBody, finishBodies, lockPending } from './write-bodies.ts';
import { databaseTime, queueState, type WriteContext } from './write-context.ts';
import { Mailboxes } from './write-mailboxes.ts';

export interface Acceptance {
  readonly input: AcceptOp;
  /** The last bytes of the body. */
  readonly tail: Uint8Array;
}

/** Accepts messages, each as if alone: one that cannot be accepted is refused and changes nothing. */
export async function acceptAll(context: WriteContext, all: readonly Acceptance[]): Promise<Outcome[]> {
  const { tx, flags } = context;
  const inputs = all.map(({ input }) => input);
  const begun = inputs.filter(({ storedChunks }) => storedChunks > 0).map(({ bodyId }) => bodyId);
  const pending = await lockPending(tx, begun);
  const recipients = inputs.flatMap(allRecipients);
  const mailboxes = await Mailboxes.lock(tx, accountsOf(recipients));
  const queues = recipients.some((recipient) => !isLocal(recipient));
  const state = queues ? await queueState(tx) : { nowMs: await databaseTime(tx), holdAll: null };
  const batch = new WriteBatch({ ...state, flags, mailboxes });
  const finished: FinishedBody[] = [];
  const outcomes = all.map(({ input, tail }): Outcome => {
    const { bodyId, storedChunks, sizeBytes } = input;
    const refusal = refusalOf(input, tail, pending.get(bodyId), mailboxes);
    if (refusal !== null) return { error: refusal };
    const refs = WriteBatch.refsOf(input.recipients);
    const chunks = chunksOf(bodyId, storedChunks, tail);
    batch.chunks.push(...chunks);
    const count = storedChunks + chunks.length;
    if (storedChunks > 0) finished.push({ id: bodyId, refs, size: sizeBytes, chunks: count });
    else batch.addBody({ id: bodyId, refs, sizeBytes, chunks: count });
    batch.addMessage(input, bodyId, sizeBytes);
    for (const event of input.events ?? []) batch.events.push({ messageId: input.id, event });
    for (const notice of input.notices ?? []) batch.addNotice(notice);
    return { value: undefined };
  });
  await batch.flush(tx);
  await finishBodies(tx, finished);
  return outcomes;
}

/** Of the message and of the notices that come with it. */
function allRecipients({ recipients, notices = [] }: AcceptOp): NewRecipient[] {
  return [...recipients, ...notices.flatMap((notice) => notice.recipients)];
}

function refusalOf(
  input: AcceptOp,
  tail: Uint8Array,
  pending: { size: number; chunks: number } | undefined,
  mailboxes: Mailboxes,
): StorageError | null {
  const { recipients, storedChunks, sizeBytes } = input;
  if (recipients.length === 0) return new StorageError('internal', 'a message needs a recipient');
  if (storedChunks > 0) {
    const whole = pending?.chunks === storedChunks && pending.size + tail.byteLength === sizeBytes;
    if (!whole) return new StorageError('unavailable', 'a part of the body could not be stored');
  }
  try {
    checkAccounts(mailboxes, allRecipients(input));
    return null;
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
}
