/** An MX answer as a list of hosts in the order to try them. No lookups. */
import { isIP } from 'node:net';
import type { MxRecord } from '../dns/contract.ts';
import { dnsName } from '../dns/name.ts';
import type { RouteStep } from './contract.ts';

export interface MxList {
  /** By preference, equal ones shuffled, each name once; null MX and unusable names are gone. */
  readonly records: readonly MxRecord[];
  /** All there is says that the domain takes no mail (RFC 7505). */
  readonly isNullMx: boolean;
  readonly steps: readonly RouteStep[];
}

/** Orders MX records (RFC 5321 §5.1). `random` gives numbers from 0 up to, not including, 1. */
export function orderMx(domain: string, records: readonly MxRecord[], random: () => number): MxList {
  const steps: RouteStep[] = [{ kind: 'dns', text: `MX records of ${domain}: ${describe(records)}` }];
  if (records.length > 0 && records.every(({ exchange }) => exchange === '')) {
    return { records: [], isNullMx: true, steps };
  }
  const usable = shuffle(records, random)
    .sort((a, b) => a.preference - b.preference)
    .filter((record, index, all) => {
      const problem = unusable(record.exchange);
      if (problem !== null) steps.push({ kind: 'dns', text: `MX ${problem}: ignored` });
      return problem === null && all.findIndex(({ exchange }) => exchange === record.exchange) === index;
    });
  return { records: usable, isNullMx: false, steps };
}

/** Drops the records that are ourselves and all that are no better (RFC 5321 §5.1). */
export function dropOurselves<T extends { readonly preference: number }>(
  records: readonly T[],
  isOurselves: (record: T) => boolean,
): { readonly kept: readonly T[]; readonly dropped: readonly T[] } {
  const own = Math.min(
    Number.POSITIVE_INFINITY,
    ...records.filter(isOurselves).map((record) => record.preference),
  );
  return {
    kept: records.filter((record) => record.preference < own),
    dropped: records.filter((record) => record.preference >= own),
  };
}

function unusable(exchange: string): string | null {
  if (exchange === '') return 'record "." beside others (RFC 7505 §3)';
  if (isIP(exchange) !== 0) return `${exchange} is an address, which an MX record cannot name`;
  return dnsName(exchange) === undefined ? `${JSON.stringify(exchange)} is not a host name` : null;
}

function describe(records: readonly MxRecord[]): string {
  return [...records]
    .sort((a, b) => a.preference - b.preference)
    .map(({ preference, exchange }) => `${preference} ${exchange === '' ? '.' : exchange}`)
    .join(', ');
}

/** Fisher and Yates. */
function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other]!, list[last]!];
  }
  return list;
}
