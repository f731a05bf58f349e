/** Who is connected: a local client or an external source (BEHAVIOUR.md, "Words"). */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { plainAddress } from '../listening/network.ts';
import type { Settings } from '../settings/values.ts';

export interface Client {
  readonly kind: 'local' | 'external' | 'internal';
  /** Plain IPv4 or IPv6 text; IPv4-mapped addresses are IPv4. null for CMail itself. */
  readonly address: string | null;
  /** Authenticated account, null without sign-in. */
  readonly user: string | null;
}

const lists = new WeakMap<readonly string[], BlockList>();

/** Built once for each version of the setting: the array's identity changes with its value. */
function blockList(networks: readonly string[]): BlockList {
  let list = lists.get(networks);
  if (list === undefined) {
    list = new BlockList();
    for (const network of networks) {
      const [address = '', prefix = ''] = network.split('/', 2);
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      list.addSubnet(address, prefix === '' ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
    }
    lists.set(networks, list);
  }
  return list;
}

/** True when the address is on `smtp.relayNetworks`. */
export function isOnRelayNetworks(address: string, settings: Settings): boolean {
  const plain = plainAddress(address);
  if (!isIPv4(plain) && !isIPv6(plain)) return false;
  return blockList(settings.relayNetworks).check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

/** The client at an address as the settings see it now. */
export function clientAt(address: string, user: string | null, settings: Settings): Client {
  const plain = plainAddress(address);
  return {
    kind: user !== null || isOnRelayNetworks(plain, settings) ? 'local' : 'external',
    address: plain,
    user,
  };
}
