/**
 * What the store keeps of second factors: one for each subject at most. The secret comes encrypted and recovery codes
 * come as hashes; the store knows neither. Times are ms since 1970.
 */

/** Whose factor it is: an administrator by name, an account by its address, both in lower case. */
export interface FactorSubject {
  readonly kind: 'administrator' | 'account';
  readonly name: string;
}

export interface StoredFactor {
  /** Encrypted. */
  readonly secret: string;
  readonly createdAt: number;
  /** null while its owner has not shown the first code. */
  readonly confirmedAt: number | null;
  /** The latest time step (RFC 6238 §4.2) of which a code was accepted; 0 before the first. */
  readonly lastStep: number;
  readonly recoveryCodesLeft: number;
}

export interface SecondFactorStore {
  secondFactor(subject: FactorSubject): Promise<StoredFactor | null>;
  /** Names of those whose factor is confirmed, in order. */
  secondFactorNames(kind: FactorSubject['kind']): Promise<readonly string[]>;
  /** In place of one that was not confirmed. `conflict` when there is one that was. */
  beginSecondFactor(input: { subject: FactorSubject; secret: string }): Promise<void>;
  /** False unless it waits for this with just this secret. `step` is that of the code shown. */
  confirmSecondFactor(input: {
    subject: FactorSubject;
    secret: string;
    step: number;
    recoveryHashes: readonly string[];
  }): Promise<boolean>;
  /** Takes a time step once, across nodes: false when it, or a later one, was taken, or the secret is another. */
  takeSecondFactorStep(input: { subject: FactorSubject; secret: string; step: number }): Promise<boolean>;
  /** Takes a recovery code once; resolves to how many are left, null when there is none of this hash. */
  takeRecoveryCode(input: { subject: FactorSubject; hash: string }): Promise<number | null>;
  /** Resolves to whether there was one that was confirmed. Goes with its subject by itself. */
  removeSecondFactor(subject: FactorSubject): Promise<boolean>;
}
