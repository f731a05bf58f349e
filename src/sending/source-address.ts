/** The addresses to send from that are set and are not this machine's. */
import { canonicalAddress } from '../routing/ip.ts';
import { machineAddresses } from '../routing/self.ts';
import type { Settings } from '../settings/values.ts';
import { isLoopback } from './connect.ts';

export interface MissingSource {
  readonly key: 'smtp.sourceAddress4' | 'smtp.sourceAddress6';
  readonly address: string;
}

type Sources = Pick<Settings, 'sourceAddress4' | 'sourceAddress6'>;

/** As the interfaces are now; asked of the system once a second at most. */
export function missingSources({ sourceAddress4, sourceAddress6 }: Sources): readonly MissingSource[] {
  const set: readonly MissingSource[] = [
    { key: 'smtp.sourceAddress4', address: sourceAddress4 },
    { key: 'smtp.sourceAddress6', address: sourceAddress6 },
  ];
  const ours = new Set(machineAddresses().map(canonicalAddress));
  // All of 127.0.0.0/8 is this machine, though only one address of it is listed.
  return set.filter(
    ({ address }) => address !== '' && !isLoopback(address) && !ours.has(canonicalAddress(address)),
  );
}

/** One sentence for each, for `status` and the dashboard. */
export function sourceAlarms(settings: Sources): readonly string[] {
  return missingSources(settings).map(
    ({ key, address }) =>
      `Mail waits: ${address}, from which it is to be sent, is not an address of this machine. Correct ${key}, or empty it so that the system chooses`,
  );
}
