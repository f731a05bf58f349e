import type { FactorSubject, SecondFactorStore, StoredFactor } from '../second-factor-contract.ts';
import { OwnerStorage } from './owner-storage.ts';

type Input<K extends keyof SecondFactorStore> = Parameters<SecondFactorStore[K]>[0];

/** The second-factor contract made of operations. */
export abstract class SecondFactorStorage extends OwnerStorage implements SecondFactorStore {
  secondFactor({ kind, name }: FactorSubject): Promise<StoredFactor | null> {
    return this.lookup('secondFactor', { kind, name });
  }

  secondFactorNames(kind: FactorSubject['kind']): Promise<readonly string[]> {
    return this.read('secondFactorNames', { kind });
  }

  async beginSecondFactor(input: Input<'beginSecondFactor'>): Promise<void> {
    await this.write('beginSecondFactor', input);
  }

  confirmSecondFactor(input: Input<'confirmSecondFactor'>): Promise<boolean> {
    return this.write('confirmSecondFactor', input);
  }

  takeSecondFactorStep(input: Input<'takeSecondFactorStep'>): Promise<boolean> {
    return this.write('takeSecondFactorStep', input);
  }

  takeRecoveryCode(input: Input<'takeRecoveryCode'>): Promise<number | null> {
    return this.write('takeRecoveryCode', input);
  }

  removeSecondFactor({ kind, name }: FactorSubject): Promise<boolean> {
    return this.write('removeSecondFactor', { kind, name });
  }
}
