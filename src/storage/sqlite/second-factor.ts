import type { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../contract.ts';
import type { FactorSubject, StoredFactor } from '../second-factor-contract.ts';
import type { Handlers, In } from '../shared/operations.ts';
import {
  factorOf,
  hashesOf,
  type SecondFactorReadOps,
  type SecondFactorRow,
  type SecondFactorWriteOps,
} from '../shared/second-factor-operations.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

const FIND = 'SELECT * FROM second_factor WHERE kind = ? AND name = ?';

type Input<K extends keyof SecondFactorWriteOps> = In<SecondFactorWriteOps, K>;

/** Second factors as the writer sees them. */
export class SecondFactorTable {
  readonly #find;
  readonly #insert;
  readonly #confirm;
  readonly #step;
  readonly #recovery;
  readonly #delete;

  constructor({ db }: WriterContext) {
    this.#find = db.prepare(FIND);
    this.#insert = db.prepare(`INSERT INTO second_factor (kind, name, secret, created_at, last_step, recovery)
      VALUES (?, ?, ?, ?, 0, '')`);
    this.#confirm = db.prepare(`UPDATE second_factor SET confirmed_at = ?, last_step = ?, recovery = ?
      WHERE kind = ? AND name = ? AND secret = ? AND confirmed_at IS NULL`);
    this.#step = db.prepare(`UPDATE second_factor SET last_step = ?1
      WHERE kind = ?2 AND name = ?3 AND secret = ?4 AND confirmed_at IS NOT NULL AND last_step < ?1`);
    this.#recovery = db.prepare('UPDATE second_factor SET recovery = ? WHERE kind = ? AND name = ?');
    this.#delete = db.prepare('DELETE FROM second_factor WHERE kind = ? AND name = ?');
  }

  begin({ subject: { kind, name }, secret }: Input<'beginSecondFactor'>): void {
    if (this.#isConfirmed(kind, name)) throw new StorageError('conflict', `${name} has a second factor`);
    this.#delete.run(kind, name);
    this.#insert.run(kind, name, secret, Date.now());
  }

  confirm({ subject, secret, step, recoveryHashes }: Input<'confirmSecondFactor'>): boolean {
    const { kind, name } = subject;
    const done = this.#confirm.run(Date.now(), step, recoveryHashes.join(' '), kind, name, secret);
    return Number(done.changes) > 0;
  }

  takeStep({ subject: { kind, name }, secret, step }: Input<'takeSecondFactorStep'>): boolean {
    return Number(this.#step.run(step, kind, name, secret).changes) > 0;
  }

  takeRecoveryCode({ subject: { kind, name }, hash }: Input<'takeRecoveryCode'>): number | null {
    const row = rowOf<SecondFactorRow>(this.#find, kind, name);
    const hashes = row === undefined ? [] : hashesOf(row);
    if (!hashes.includes(hash)) return null;
    const left = hashes.filter((one) => one !== hash);
    this.#recovery.run(left.join(' '), kind, name);
    return left.length;
  }

  remove(kind: FactorSubject['kind'], name: string): boolean {
    const was = this.#isConfirmed(kind, name);
    this.#delete.run(kind, name);
    return was;
  }

  #isConfirmed(kind: FactorSubject['kind'], name: string): boolean {
    const confirmedAt = rowOf<SecondFactorRow>(this.#find, kind, name)?.confirmed_at ?? null;
    return confirmedAt !== null;
  }
}

export function secondFactorHandlers(table: SecondFactorTable): Handlers<SecondFactorWriteOps> {
  return {
    beginSecondFactor: (input) => table.begin(input),
    confirmSecondFactor: (input) => table.confirm(input),
    takeSecondFactorStep: (input) => table.takeStep(input),
    takeRecoveryCode: (input) => table.takeRecoveryCode(input),
    removeSecondFactor: ({ kind, name }) => table.remove(kind, name),
  };
}

export function secondFactorReadHandlers(db: DatabaseSync): Handlers<SecondFactorReadOps> {
  const find = db.prepare(FIND);
  const names = db.prepare(
    'SELECT name FROM second_factor WHERE kind = ? AND confirmed_at IS NOT NULL ORDER BY name',
  );
  return {
    secondFactor: ({ kind, name }): StoredFactor | null => {
      const row = rowOf<SecondFactorRow>(find, kind, name);
      return row === undefined ? null : factorOf(row);
    },
    secondFactorNames: ({ kind }) => rowsOf<{ name: string }>(names, kind).map(({ name }) => name),
  };
}
