import { networkOf } from './network.ts';

/** How many connections may be open at once. */
export interface CrowdLimits {
  readonly total: number;
  readonly perAddress: number;
  readonly perNetwork: number;
}

/** Counts open connections by address and network. Its size is bounded by the number of connections. */
export class Crowd {
  readonly #addresses = new Map<string, number>();
  readonly #networks = new Map<string, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Lets one in; null, or which limit it meets. */
  enter(address: string, limits: CrowdLimits): keyof CrowdLimits | null {
    if (this.#total >= limits.total) return 'total';
    const network = networkOf(address);
    if ((this.#addresses.get(address) ?? 0) >= limits.perAddress) return 'perAddress';
    if ((this.#networks.get(network) ?? 0) >= limits.perNetwork) return 'perNetwork';
    this.#total += 1;
    add(this.#addresses, address, 1);
    add(this.#networks, network, 1);
    return null;
  }

  leave(address: string): void {
    this.#total -= 1;
    add(this.#addresses, address, -1);
    add(this.#networks, networkOf(address), -1);
  }
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count <= 0) counts.delete(key);
  else counts.set(key, count);
}
