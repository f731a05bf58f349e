import { createHash, type Hash } from 'node:crypto';
import type { CopyRow, CopyValue } from './contract.ts';

const SUM_BYTES = 16;
const SUM_BITS = SUM_BYTES * 8;

/** Number of rows and a sum over them that any changed, missing or doubled row changes, whatever their order. */
export class RowDigest {
  #rows = 0;
  #sum = 0n;

  add(row: CopyRow): void {
    const hash = createHash('sha256');
    for (const value of row) addValue(hash, value);
    const first = hash.digest().subarray(0, SUM_BYTES).toString('hex');
    this.#sum = BigInt.asUintN(SUM_BITS, this.#sum + BigInt(`0x${first}`));
    this.#rows += 1;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Equal for equal sets of rows. */
  get checksum(): string {
    return this.#sum.toString(16).padStart(SUM_BYTES * 2, '0');
  }
}

/** Kind and length first, so that neighbouring values cannot be taken for each other. */
function addValue(hash: Hash, value: CopyValue): void {
  if (value === null) hash.update('n;');
  else if (typeof value === 'number') hash.update(`i${value};`);
  else {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    hash.update(`${typeof value === 'string' ? 't' : 'b'}${bytes.byteLength};`).update(bytes);
  }
}
