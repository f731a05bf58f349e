/** The addresses of a host, sorted into those to dial and those not. */
import { isIP } from 'node:net';
import type { AddressRecord, Answer, Resolver } from '../dns/contract.ts';
import type { RouteHost, RouteStep } from './contract.ts';
import { checkDialAddress } from './dial-check.ts';
import { lookupHostsFile } from './hosts-file.ts';
import type { Ourselves } from './self.ts';

type Rejected = RouteHost['rejected'][number];

/** Hosts tried in one attempt. */
export const MAX_HOSTS = 5;
/** Addresses tried in one attempt, all hosts together. */
export const MAX_ADDRESSES = 10;

export interface Sorted {
  readonly addresses: readonly string[];
  readonly rejected: readonly Rejected[];
  /** One of them is this server. */
  readonly own: boolean;
}

export interface AddressLimits {
  readonly allowPrivate: boolean;
  /** A rule for the destination says so. */
  readonly ipv4Only: boolean;
}

/** Sorts out what is ourselves and what may not be dialled; IPv6 and IPv4 take turns in the result. */
export function sortAddresses(
  found: readonly string[],
  port: number,
  us: Ourselves,
  { allowPrivate, ipv4Only }: AddressLimits,
): Sorted {
  const addresses: string[] = [];
  const rejected: Rejected[] = [];
  let own = false;
  for (const address of interleave([...new Set(found)])) {
    const check = checkDialAddress(address, allowPrivate);
    if (us.isOwnEndpoint(address, port)) {
      own = true;
      rejected.push({ address, reason: 'this server itself' });
    } else if (ipv4Only && isIP(address) === 6) {
      rejected.push({ address, reason: 'IPv6, and the rule for this destination says ipv4' });
    } else if (check.ok) addresses.push(address);
    else rejected.push({ address, reason: check.reason });
  }
  return { addresses, rejected, own };
}

function interleave(addresses: readonly string[]): readonly string[] {
  const six = addresses.filter((address) => isIP(address) === 6);
  const four = addresses.filter((address) => isIP(address) !== 6);
  return Array.from({ length: Math.max(six.length, four.length) }, (_, index) =>
    [six[index], four[index]].filter((address) => address !== undefined),
  ).flat();
}

/** Words for what a host's addresses turned out to be. */
export function addressSteps(name: string, port: number, sorted: Sorted): readonly RouteStep[] {
  const found = [...sorted.addresses, ...sorted.rejected.map(({ address }) => address)];
  return [
    { kind: 'address', text: `${name} has the addresses ${found.join(', ')}` },
    ...sorted.rejected.map(({ address, reason }): RouteStep => {
      return {
        kind: 'address',
        text: `${address} of ${name} is not dialled on port ${port}: it is ${reason}`,
      };
    }),
  ];
}

/** Keeps to the limits of one attempt. Every host gets its share of the addresses before one gets more. */
export function limitHosts(hosts: readonly RouteHost[]): {
  readonly hosts: readonly RouteHost[];
  readonly steps: readonly RouteStep[];
} {
  const chosen = hosts.slice(0, MAX_HOSTS);
  const share = chosen.map(() => 0);
  let left = MAX_ADDRESSES;
  for (let position = 0; left > 0 && chosen.some((host) => host.addresses.length > position); position += 1) {
    for (const [index, host] of chosen.entries()) {
      if (left === 0 || host.addresses.length <= position) continue;
      share[index] = position + 1;
      left -= 1;
    }
  }
  const reason = `beyond the ${MAX_ADDRESSES} addresses of one attempt`;
  const limited = chosen.map((host, index) => {
    const later = host.addresses.slice(share[index]).map((address) => ({ address, reason }));
    return {
      ...host,
      addresses: host.addresses.slice(0, share[index]),
      rejected: [...host.rejected, ...later],
    };
  });
  const steps: RouteStep[] = [];
  if (hosts.length > MAX_HOSTS) {
    const text = `${hosts.length - MAX_HOSTS} more hosts are not tried in this attempt (at most ${MAX_HOSTS})`;
    steps.push({ kind: 'route', text });
  }
  return { hosts: limited, steps };
}

/** Words for a lookup of addresses that found none. */
export function describeNone(name: string, answer: Exclude<Answer<AddressRecord>, { status: 'ok' }>): string {
  if (answer.status === 'nxdomain') return `${name} does not exist in DNS`;
  if (answer.status === 'nodata') return `${name} exists in DNS but has no address`;
  return `DNS gave no answer about the addresses of ${name}: ${answer.detail}`;
}

export interface EnteredHost {
  readonly addresses: readonly string[];
  /** DNS itself was the trouble. */
  readonly noAnswer: boolean;
  readonly steps: readonly RouteStep[];
}

/** Finds a host that someone entered: an address as it is, a name by the resolver, then in the hosts file. */
export async function findEnteredHost(
  host: string,
  resolver: Resolver,
  hostsFile: string,
  fresh: boolean,
): Promise<EnteredHost> {
  const literal = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal) !== 0) return { addresses: [literal], noAnswer: false, steps: [] };
  const answer = await resolver.addresses(host, { fresh });
  if (answer.status === 'ok') {
    return { addresses: answer.records.map(({ address }) => address), noAnswer: false, steps: [] };
  }
  const steps: RouteStep[] = [{ kind: 'dns', text: describeNone(host, answer) }];
  const entry = await lookupHostsFile(hostsFile, host);
  if (entry.status === 'found') {
    steps.push({ kind: 'dns', text: `${host} is in the hosts file` });
    return { addresses: entry.addresses, noAnswer: false, steps };
  }
  const why = entry.status === 'unreadable' ? `cannot be read: ${entry.detail}` : `does not name ${host}`;
  steps.push({ kind: 'dns', text: `the hosts file ${why}` });
  return { addresses: [], noAnswer: answer.status === 'no-answer', steps };
}
