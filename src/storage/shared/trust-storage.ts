import type { KeptStsPolicy, TrustStore } from '../trust-contract.ts';
import { OperationCalls } from './operation-calls.ts';

/** The trust contract made of operations. */
export abstract class TrustStorage extends OperationCalls implements TrustStore {
  stsPolicy(domain: string): Promise<KeptStsPolicy | null> {
    return this.lookup('stsPolicy', { domain });
  }

  async keepStsPolicy(domain: string, policy: KeptStsPolicy): Promise<void> {
    await this.write('keepStsPolicy', { domain, policy });
  }
}
