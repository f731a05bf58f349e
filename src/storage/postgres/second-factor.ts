/** Second factors: SQLite's second-factor.ts, for several nodes at once. */
import { StorageError } from '../contract.ts';
import type { FactorSubject } from '../second-factor-contract.ts';
import type { In } from '../shared/operations.ts';
import {
  factorOf,
  hashesOf,
  type SecondFactorRow,
  type SecondFactorWriteOps,
} from '../shared/second-factor-operations.ts';
import type { Runner } from './connection.ts';
import type { Reads } from './reads.ts';
import { databaseTime, type WriteContext } from './write-context.ts';

type Ops = {
  readonly [K in keyof SecondFactorWriteOps]: (
    context: WriteContext,
    input: In<SecondFactorWriteOps, K>,
  ) => Promise<unknown>;
};

export const SECOND_FACTOR: Ops = {
  beginSecondFactor: async ({ tx }, { subject: { kind, name }, secret }) => {
    // One statement decides: of two nodes that begin at once the later one's secret is there, whole.
    const made = await tx.run(
      `INSERT INTO second_factor AS f (kind, name, secret, created_at, last_step, recovery)
       VALUES ($1, $2, $3, $4, 0, '')
       ON CONFLICT (kind, name) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
       WHERE f.confirmed_at IS NULL RETURNING name`,
      [kind, name, secret, await databaseTime(tx)],
    );
    if (made.length === 0) throw new StorageError('conflict', `${name} has a second factor`);
  },

  confirmSecondFactor: async ({ tx }, { subject: { kind, name }, secret, step, recoveryHashes }) => {
    const done = await tx.run(
      `UPDATE second_factor SET confirmed_at = $1, last_step = $2, recovery = $3
       WHERE kind = $4 AND name = $5 AND secret = $6 AND confirmed_at IS NULL RETURNING name`,
      [await databaseTime(tx), step, recoveryHashes.join(' '), kind, name, secret],
    );
    return done.length > 0;
  },

  takeSecondFactorStep: async ({ tx }, { subject: { kind, name }, secret, step }) => {
    const done = await tx.run(
      `UPDATE second_factor SET last_step = $1
       WHERE kind = $2 AND name = $3 AND secret = $4 AND confirmed_at IS NOT NULL AND last_step < $1 RETURNING name`,
      [step, kind, name, secret],
    );
    return done.length > 0;
  },

  takeRecoveryCode: async ({ tx }, { subject: { kind, name }, hash }) => {
    // The lock lets one node at a time read what is left and write it.
    const [row] = await tx.run<SecondFactorRow>(
      'SELECT * FROM second_factor WHERE kind = $1 AND name = $2 FOR UPDATE',
      [kind, name],
    );
    const hashes = row === undefined ? [] : hashesOf(row);
    if (!hashes.includes(hash)) return null;
    const left = hashes.filter((one) => one !== hash);
    await tx.run('UPDATE second_factor SET recovery = $1 WHERE kind = $2 AND name = $3', [
      left.join(' '),
      kind,
      name,
    ]);
    return left.length;
  },

  removeSecondFactor: ({ tx }, subject) => forgetSecondFactor(tx, subject),
};

/** Resolves to whether there was one that was confirmed. */
export async function forgetSecondFactor(tx: Runner, { kind, name }: FactorSubject): Promise<boolean> {
  const [gone] = await tx.run<{ confirmed_at: number | null }>(
    'DELETE FROM second_factor WHERE kind = $1 AND name = $2 RETURNING confirmed_at',
    [kind, name],
  );
  return gone !== undefined && gone.confirmed_at !== null;
}

export function secondFactorReads(db: Runner): Pick<Reads, 'secondFactor' | 'secondFactorNames'> {
  return {
    secondFactor: async ({ kind, name }) => {
      const [row] = await db.run<SecondFactorRow>(
        'SELECT * FROM second_factor WHERE kind = $1 AND name = $2',
        [kind, name],
      );
      return row === undefined ? null : factorOf(row);
    },
    secondFactorNames: async ({ kind }) => {
      const rows = await db.run<{ name: string }>(
        'SELECT name FROM second_factor WHERE kind = $1 AND confirmed_at IS NOT NULL ORDER BY name',
        [kind],
      );
      return rows.map(({ name }) => name);
    },
  };
}
