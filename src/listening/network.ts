/** Addresses and the networks strangers are counted by. */
import { isIPv4, isIPv6 } from 'node:net';

/** Address text without a zone, IPv4-mapped ones as IPv4. */
export function plainAddress(address: string): string {
  const withoutZone = address.split('%', 1)[0] ?? address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(withoutZone);
  return mapped?.[1] ?? withoutZone;
}

/** Whether an address (IPv4-mapped counts as IPv4) is this machine's loopback. */
export function isLoopback(address: string): boolean {
  const plain = plainAddress(address);
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

/**
 * The network of an address: /24 of IPv4, /64 of IPv6, which is what one subscriber has at most. A loopback address is
 * one of its own: on it sit programs of this machine, not neighbours.
 */
export function networkOf(address: string): string {
  const plain = plainAddress(address);
  if (isLoopback(plain)) return plain;
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0/24`;
  if (!isIPv6(plain)) return plain;
  return `${groupsOf(plain).slice(0, 4).join(':')}::/64`;
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high = '', low = ''): string => ((Number(high) << 8) | Number(low)).toString(16);
  const text =
    dotted === null ? address : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = '', tail] = text.split('::', 2);
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(gap).fill('0'), ...after].map((group) =>
    Number.parseInt(group, 16).toString(16),
  );
}
