import type { DueTlsReport, KeptStsPolicy, TlsSessionCount, TrustStore } from '../trust-contract.ts';
import { OperationCalls } from './operation-calls.ts';

/** The trust contract made of operations. */
export abstract class TrustStorage extends OperationCalls implements TrustStore {
  stsPolicy(domain: string): Promise<KeptStsPolicy | null> {
    return this.lookup('stsPolicy', { domain });
  }

  async keepStsPolicy(domain: string, policy: KeptStsPolicy): Promise<void> {
    await this.write('keepStsPolicy', { domain, policy });
  }

  async addTlsSessions(counts: readonly TlsSessionCount[]): Promise<void> {
    if (counts.length > 0) await this.write('addTlsSessions', { counts });
  }

  claimTlsReport(claim: { readonly now: number; readonly until: number }): Promise<DueTlsReport | null> {
    return this.write('claimTlsReport', claim);
  }

  endTlsReport(claim: Pick<DueTlsReport, 'day' | 'domain' | 'dueAt'>): Promise<boolean> {
    return this.write('endTlsReport', claim);
  }

  putOffTlsReport(claim: Pick<DueTlsReport, 'day' | 'domain' | 'dueAt' | 'sent'>): Promise<boolean> {
    return this.write('putOffTlsReport', claim);
  }
}
