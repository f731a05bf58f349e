import type { CopyRow, CopyState, CopyValue, TableProgress } from './contract.ts';

/** Names the source among the rows of `COPY_TABLE`; every other row is a table's progress. */
export const SOURCE_ROW = '(source)';

/** No key holds bytes, so JSON keeps it. */
export function writeProgress({ after, rows, done }: TableProgress): string {
  return JSON.stringify({ after, rows, done });
}

/** From rows of name and value. */
export function readState(rows: readonly CopyRow[]): CopyState {
  const all = new Map(rows.map(([name, value]) => [String(name), String(value)]));
  const source = all.get(SOURCE_ROW) ?? '';
  all.delete(SOURCE_ROW);
  const tables = [...all].map(([name, text]): [string, TableProgress] => {
    const {
      after,
      rows: count,
      done,
    } = JSON.parse(text) as {
      after: CopyValue[] | null;
      rows: number;
      done: boolean;
    };
    return [name, { after, rows: count, done }];
  });
  return { source, tables: new Map(tables) };
}
