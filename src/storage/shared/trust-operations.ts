/** The operations of the trust contract, carried out by each engine, and the shape of its rows. */
import type { KeptStsPolicy } from '../trust-contract.ts';
import type { Op } from './operations.ts';

export interface TrustWriteOps {
  keepStsPolicy: Op<{ domain: string; policy: KeptStsPolicy }, void>;
}

export interface TrustReadOps {
  stsPolicy: Op<{ domain: string }, KeptStsPolicy | null>;
}

/** A row of `sts_policy`, the patterns joined by spaces. */
export type StsRow = Omit<KeptStsPolicy, 'mx'> & { readonly mx: string };

export function stsPolicyOf({ mx, ...row }: StsRow): KeptStsPolicy {
  return { ...row, mx: mx === '' ? [] : mx.split(' ') };
}
