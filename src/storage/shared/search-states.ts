/** What is kept of a message for searching, the same in every engine. */
import { forwarderOf } from '../../mail/forward-rule.ts';
import { decodeSubject, subjectWords } from '../../mail/subject.ts';
import type { FoundState } from '../search-contract.ts';
import { DELETED, DELIVERED, EXPANDED, FAILED, HELD, QUEUED, SENDING } from './rows.ts';

/** States as stored for searching. */
export const FOUND_OPEN = 0;
export const FOUND_DELIVERED = 1;
export const FOUND_FAILED = 2;
export const FOUND_DELETED = 3;

const STORED: Readonly<Record<FoundState, number>> = {
  waiting: FOUND_OPEN,
  held: FOUND_OPEN,
  delivered: FOUND_DELIVERED,
  failed: FOUND_FAILED,
  deleted: FOUND_DELETED,
};

export function storedState(state: FoundState): number {
  return STORED[state];
}

/** The state of a message by those of its recipients, as stored for searching. */
export function foundNumber(states: readonly number[]): number {
  if (states.some((state) => state < DELIVERED)) return FOUND_OPEN;
  if (states.includes(FAILED)) return FOUND_FAILED;
  if (states.includes(DELIVERED)) return FOUND_DELIVERED;
  return states.includes(DELETED) || !states.includes(EXPANDED) ? FOUND_DELETED : FOUND_DELIVERED;
}

/** The state of a message by those of its recipients, in words. */
export function foundState(states: readonly number[]): FoundState {
  const number = foundNumber(states);
  if (number === FOUND_FAILED) return 'failed';
  if (number === FOUND_DELIVERED) return 'delivered';
  if (number === FOUND_DELETED) return 'deleted';
  return states.includes(QUEUED) || states.includes(SENDING) || !states.includes(HELD) ? 'waiting' : 'held';
}

export interface SearchedRecipient {
  readonly address: string;
  readonly original: string;
  readonly rule: string;
}

/** What a recipient is found by: where it goes, what was asked for, and the account that forwards. */
export function addressesOf({ address, original, rule }: SearchedRecipient): ReadonlySet<string> {
  return new Set([address, original, forwarderOf(rule) ?? address].map((one) => one.toLowerCase()));
}

/** Lower case, and the domain of it. The null sender has neither. */
export function searchedAddress(address: string): { readonly address: string; readonly domain: string } {
  const lower = address.toLowerCase();
  return { address: lower, domain: lower.slice(lower.lastIndexOf('@') + 1) };
}

export function searchedWords(rawSubject: string): readonly string[] {
  return subjectWords(decodeSubject(rawSubject));
}
