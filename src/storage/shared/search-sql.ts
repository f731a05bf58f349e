/**
 * The SQL of a search, the same for every engine but for the placeholders. One condition drives: its index gives
 * candidates, newest first; the others are asked of each candidate by its key. So a call costs at most
 * `SEARCH_CANDIDATES` look-ups, whatever is asked.
 */
import {
  type AddressWanted,
  type FoundPosition,
  type MessageQuery,
  PREFIX_MATCHES,
  SEARCH_CANDIDATES,
} from '../search-contract.ts';
import { HELD } from './rows.ts';
import { storedState } from './search-states.ts';

export interface Sql {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

/** Writes a value into a statement and gives its placeholder. */
type Put = (value: string | number) => string;

/** How an engine writes its n-th placeholder, counted from 1, for a value of a type. */
export type Placeholder = (n: number, type: 'text' | 'bigint') => string;

interface Source {
  /** Candidates as `(at, id)`; without order and limit. */
  rows(put: Put): string;
  /** How many there are, counted up to the limit; a prefix is sorted, so it may have only so many. */
  readonly sorted: boolean;
}

interface Condition {
  readonly source: Source | null;
  /** Its index tells all of it, so its candidates need not be asked again. */
  readonly whole: boolean;
  /** True for a candidate `c`. */
  filter(put: Put): string;
}

const ALL: Source = { sorted: false, rows: () => 'SELECT at, id FROM search_message WHERE true' };
const END_OF_PREFIX = '\u{10ffff}';

function addressCondition(table: 'search_message' | 'search_recipient', wanted: AddressWanted): Condition {
  const [address, domain] = table === 'search_message' ? ['sender', 'sender_domain'] : ['address', 'domain'];
  const test = (put: Put) =>
    'domain' in wanted
      ? `${domain} = ${put(wanted.domain)}`
      : `${address} >= ${put(wanted.prefix)} AND ${address} < ${put(wanted.prefix + END_OF_PREFIX)}`;
  const distinct = table === 'search_recipient' ? 'DISTINCT ' : '';
  return {
    whole: true,
    source: {
      sorted: 'prefix' in wanted,
      rows: (put) => `SELECT ${distinct}at, id FROM ${table} WHERE ${test(put)}`,
    },
    filter: (put) =>
      `EXISTS (SELECT 1 FROM ${table} AS s WHERE s.id = c.id AND s.at = c.at AND ${test(put)})`,
  };
}

function conditionsOf({ sender, recipient, words = [], state }: MessageQuery): Condition[] {
  const conditions: Condition[] = words.map((word) => ({
    whole: true,
    source: { sorted: false, rows: (put) => `SELECT at, id FROM search_word WHERE word = ${put(word)}` },
    filter: (put) =>
      `EXISTS (SELECT 1 FROM search_word AS w WHERE w.word = ${put(word)} AND w.at = c.at AND w.id = c.id)`,
  }));
  if (sender !== undefined) conditions.push(addressCondition('search_message', sender));
  if (recipient !== undefined) conditions.push(addressCondition('search_recipient', recipient));
  if (state !== undefined) conditions.push(stateCondition(state));
  return conditions;
}

function stateCondition(state: NonNullable<MessageQuery['state']>): Condition {
  const number = storedState(state);
  const open = `EXISTS (SELECT 1 FROM recipient AS r WHERE r.message_id = c.id AND r.state < ${HELD})`;
  const held = `EXISTS (SELECT 1 FROM recipient AS r WHERE r.message_id = c.id AND r.state = ${HELD})`;
  const more = state === 'waiting' ? ` AND ${open}` : state === 'held' ? ` AND ${held} AND NOT ${open}` : '';
  return {
    whole: more === '',
    source: {
      sorted: false,
      rows: (put) => `SELECT at, id FROM search_message WHERE state = ${put(number)}`,
    },
    filter: (put) =>
      `EXISTS (SELECT 1 FROM search_message AS m WHERE m.id = c.id AND m.state = ${put(number)})${more}`,
  };
}

/** The statements of one query, in the order they are run. */
export class SearchPlan {
  readonly #query: MessageQuery;
  readonly #placeholder: Placeholder;
  readonly #conditions: readonly Condition[];

  constructor(query: MessageQuery, placeholder: Placeholder) {
    this.#query = query;
    this.#placeholder = placeholder;
    this.#conditions = conditionsOf(query);
  }

  /** One count for each condition, `n` rows at most counted; run them, then `choose`. */
  counts(): readonly Sql[] {
    return this.#conditions.map(({ source }) =>
      this.#write((put) => {
        const rows = (source ?? ALL).rows(put);
        const bounds = source?.sorted === false ? this.#bounds(put) : '';
        return `SELECT count(*) AS n FROM (${rows}${bounds} LIMIT ${PREFIX_MATCHES + 1}) AS counted`;
      }),
    );
  }

  /** The condition with the fewest; walking by time when all that is left are prefixes with too many. */
  choose(counts: readonly number[]): number | null {
    let best: number | null = null;
    this.#conditions.forEach(({ source }, index) => {
      const count = counts[index] ?? 0;
      if (source === null || (source.sorted && count > PREFIX_MATCHES)) return;
      if (best === null || count < (counts[best] ?? 0)) best = index;
    });
    return best;
  }

  /** Up to `limit + 1` places of messages that fit, newest first. */
  matches(driver: number | null): Sql {
    return this.#write((put) => {
      const candidates = this.#candidates(driver, put);
      const filters = this.#conditions
        .filter(({ whole }, index) => !(whole && index === driver))
        .map(({ filter }) => ` AND ${filter(put)}`)
        .join('');
      return `SELECT c.at AS at, c.id AS id FROM (${candidates} LIMIT ${SEARCH_CANDIDATES}) AS c WHERE true${filters}
        ORDER BY c.at DESC, c.id DESC LIMIT ${put(this.#query.limit + 1)}`;
    });
  }

  /** The last candidate a call looks at; no row when it looked at all of them. */
  lastCandidate(driver: number | null): Sql {
    return this.#write(
      (put) => `${this.#candidates(driver, put)} LIMIT 1 OFFSET ${put(SEARCH_CANDIDATES - 1)}`,
    );
  }

  #candidates(driver: number | null, put: Put): string {
    const source = driver === null ? ALL : (this.#conditions[driver]?.source ?? ALL);
    return `${source.rows(put)}${this.#bounds(put)} ORDER BY at DESC, id DESC`;
  }

  #bounds(put: Put): string {
    const { since, until, after } = this.#query;
    const parts = [
      after === undefined ? '' : ` AND (at, id) < (${put(after.at)}, ${put(after.id)})`,
      until === undefined ? '' : ` AND at < ${put(until)}`,
      since === undefined ? '' : ` AND at >= ${put(since)}`,
    ];
    return parts.join('');
  }

  #write(build: (put: Put) => string): Sql {
    const values: (string | number)[] = [];
    const text = build((value) => {
      values.push(value);
      return this.#placeholder(values.length, typeof value === 'number' ? 'bigint' : 'text');
    });
    return { text, values };
  }
}

/** A page from the places found: where to go on, and whether it ended before its limit. */
export function pageEnd(
  places: readonly FoundPosition[],
  limit: number,
  lastCandidate: FoundPosition | null,
): {
  readonly shown: readonly FoundPosition[];
  readonly next: FoundPosition | null;
  readonly endedEarly: boolean;
} {
  const shown = places.slice(0, limit);
  if (places.length > limit) return { shown, next: shown.at(-1) ?? null, endedEarly: false };
  return { shown, next: lastCandidate, endedEarly: lastCandidate !== null };
}
