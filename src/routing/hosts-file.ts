import { open } from 'node:fs/promises';
import { isIP } from 'node:net';
import { describeError } from '../mail/failure.ts';

export type HostsAnswer =
  | { readonly status: 'found'; readonly addresses: readonly string[] }
  | { readonly status: 'not-found' }
  | { readonly status: 'unreadable'; readonly detail: string };

/** Addresses taken from a hosts file for one name. */
const MAX_ADDRESSES = 20;

/** Looks a name up in a hosts file (hosts(5)), read line by line since some are large. Never rejects. */
export async function lookupHostsFile(path: string, name: string): Promise<HostsAnswer> {
  const wanted = name.toLowerCase().replace(/\.$/, '');
  const addresses: string[] = [];
  try {
    await using file = await open(path);
    for await (const line of file.readLines()) {
      const [address, ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
      if (address === undefined || isIP(address) === 0) continue;
      if (names.some((each) => each.toLowerCase() === wanted)) addresses.push(address);
      if (addresses.length === MAX_ADDRESSES) break;
    }
  } catch (error) {
    return { status: 'unreadable', detail: describeError(error) };
  }
  return addresses.length > 0 ? { status: 'found', addresses } : { status: 'not-found' };
}
