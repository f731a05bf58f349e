/** Carries out a group of operations in one transaction: those that come in numbers a statement for all. */
import type { SettleInput } from '../contract.ts';
import type { AcceptOp, In, WriteOps } from '../shared/operations.ts';
import type { Runner } from './connection.ts';
import { addAppPassword, recordSignIn, revokeAppPassword } from './credentials.ts';
import { type Flags, type Outcome, outcomeOf, type WriteOp } from './lane.ts';
import { ACCOUNT_SESSIONS } from './owner.ts';
import { SECOND_FACTOR } from './second-factor.ts';
import { TRUST } from './trust.ts';
import { acceptAll } from './write-accept.ts';
import { ACCESS } from './write-access.ts';
import {
  dropBody,
  orphanBodies,
  probe,
  putChunks,
  removeEntries,
  sweepBodies,
  sweepMailboxes,
} from './write-bodies.ts';
import {
  claimForRemoval,
  deleteQueued,
  hold,
  release,
  retry,
  setHoldAll,
  sweepMessages,
} from './write-bulk.ts';
import { claimDue, releaseExpired, renew } from './write-claims.ts';
import type { WriteContext } from './write-context.ts';
import { changeDirectory, DIRECTORY, type DirectoryChange } from './write-directory.ts';
import { indexMessages, relistMessages } from './write-search.ts';
import { keepSecret, reserveIds, writeSettings } from './write-settings.ts';
import { settleAll } from './write-settle.ts';

type Together = 'putChunk' | 'accept' | 'settle';
type Single = Exclude<keyof WriteOps, Together | DirectoryChange>;

const SINGLE: {
  readonly [K in Single]: (context: WriteContext, input: In<WriteOps, K>) => Promise<unknown>;
} = {
  reserveIds,
  dropBody: (context, { bodyId }) => dropBody(context, bodyId),
  probeDisk: probe,
  orphanBodies: (context) => orphanBodies(context, context.nodeId),
  sweepBodies,
  sweepMailboxes,
  claimDue,
  renewClaims: renew,
  releaseExpired,
  setHoldAll,
  retry,
  hold,
  release,
  delete: deleteQueued,
  claimForRemoval,
  sweepMessages,
  addAppPassword,
  revokeAppPassword,
  recordSignIn,
  removeEntries,
  writeSettings,
  keepSecret,
  ...ACCESS,
  ...ACCOUNT_SESSIONS,
  ...TRUST,
  ...SECOND_FACTOR,
  indexMessages,
  relistMessages,
};

/** In this order, whatever the order in which they were asked for: nobody waited for one to ask for the other. */
const TOGETHER: {
  readonly [K in Together]: (context: WriteContext, ops: readonly WriteOp[]) => Promise<readonly Outcome[]>;
} = {
  putChunk: (context, ops) =>
    putChunks(
      context,
      ops.map(({ input, payload }) => {
        const { bodyId, n } = input as In<WriteOps, 'putChunk'>;
        return { bodyId, n, data: payload.copy() };
      }),
    ),
  accept: (context, ops) =>
    acceptAll(
      context,
      ops.map(({ input, payload }) => ({ input: input as AcceptOp, tail: payload.copy() })),
    ),
  settle: (context, ops) =>
    settleAll(
      context,
      ops.map(({ input }) => input as SettleInput),
    ),
};

export async function runGroup(
  tx: Runner,
  nodeId: string,
  ops: readonly WriteOp[],
  flags: Flags,
): Promise<readonly Outcome[]> {
  const context = { tx, nodeId, flags };
  const outcomes = new Map<WriteOp, Outcome>();
  for (const [type, run] of Object.entries(TOGETHER)) {
    const some = ops.filter((op) => op.type === type);
    if (some.length === 0) continue;
    const answers = await run(context, some);
    some.forEach((op, n) => {
      const answer = answers[n];
      if (answer !== undefined) outcomes.set(op, answer);
    });
  }
  for (const op of ops) {
    if (!outcomes.has(op)) outcomes.set(op, await outcomeOf(() => runOne(context, op)));
  }
  return ops.map((op) => outcomes.get(op) as Outcome);
}

function runOne(context: WriteContext, { type, input }: WriteOp): Promise<unknown> {
  if (isDirectoryChange(type)) return changeDirectory(context, type, input as In<WriteOps, DirectoryChange>);
  const run = SINGLE[type as Single] as (context: WriteContext, input: unknown) => Promise<unknown>;
  return run(context, input);
}

export function isDirectoryChange(type: string): type is DirectoryChange {
  return type in DIRECTORY;
}
