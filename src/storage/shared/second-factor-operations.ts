/** The operations of the second-factor contract, carried out by each engine. */
import type { FactorSubject, SecondFactorStore, StoredFactor } from '../second-factor-contract.ts';
import type { Op } from './operations.ts';

type First<K extends keyof SecondFactorStore> = Parameters<SecondFactorStore[K]>[0];

export interface SecondFactorWriteOps {
  beginSecondFactor: Op<First<'beginSecondFactor'>, void>;
  confirmSecondFactor: Op<First<'confirmSecondFactor'>, boolean>;
  takeSecondFactorStep: Op<First<'takeSecondFactorStep'>, boolean>;
  takeRecoveryCode: Op<First<'takeRecoveryCode'>, number | null>;
  removeSecondFactor: Op<FactorSubject, boolean>;
}

export interface SecondFactorReadOps {
  secondFactor: Op<FactorSubject, StoredFactor | null>;
  secondFactorNames: Op<{ kind: FactorSubject['kind'] }, string[]>;
}

export interface SecondFactorRow {
  readonly secret: string;
  readonly created_at: number;
  readonly confirmed_at: number | null;
  readonly last_step: number;
  /** Hashes, separated by blanks. */
  readonly recovery: string;
}

export function factorOf(row: SecondFactorRow): StoredFactor {
  return {
    secret: row.secret,
    createdAt: row.created_at,
    confirmedAt: row.confirmed_at,
    lastStep: row.last_step,
    recoveryCodesLeft: hashesOf(row).length,
  };
}

export function hashesOf({ recovery }: Pick<SecondFactorRow, 'recovery'>): string[] {
  return recovery.split(' ').filter((hash) => hash !== '');
}
