/** Accounts and aliases from a CSV file (RFC 4180), all or nothing. */
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { describeError } from '../mail/failure.ts';
import { type AdminContext, OperationError } from './context.ts';
import { accountOperations, aliasOperations } from './directory-operations.ts';
import { type OperationTable, operation } from './operation.ts';

const COLUMNS: readonly string[] = ['address', 'password', 'quota', 'targets'];
const MAX_LINES = 2_000;
const CSV_CHARACTERS = 1_000_000;

interface Row {
  readonly line: number;
  readonly values: Readonly<Record<string, string>>;
}

export interface ImportLine {
  readonly line: number;
  readonly type: 'account' | 'alias' | 'line';
  readonly address: string;
  readonly action: 'add' | 'skip' | 'error';
  readonly error: string | null;
  readonly mend: string;
}

export const importOperations: OperationTable = {
  /** With `dryRun` only says what would be done. Nothing is added unless every line is right. */
  'directory.import': operation(
    z.strictObject({ csv: z.string().max(CSV_CHARACTERS), dryRun: z.boolean() }),
    async (context, { csv, dryRun }) => {
      const rows = readRows(csv);
      const lines: ImportLine[] = [];
      const seen = new Set<string>();
      for (const row of rows) lines.push(await checkRow(context, row, seen));
      const errors = lines.filter(({ action }) => action === 'error').length;
      if (dryRun || errors > 0) return { lines, applied: false, added: 0, errors };
      return addAll(context, rows, lines);
    },
  ),
};

async function addAll(context: AdminContext, rows: readonly Row[], lines: readonly ImportLine[]) {
  const done: ImportLine[] = [];
  let added = 0;
  for (const [index, line] of lines.entries()) {
    const row = rows[index];
    if (row === undefined || line.action !== 'add') {
      done.push(line);
      continue;
    }
    try {
      await run(context, row, line.type, false);
      added++;
      done.push(line);
    } catch (error) {
      // Somebody took the address since it was checked: what is in before it stays.
      done.push({ ...line, action: 'error', error: describeError(error), mend: mendOf(error) });
    }
  }
  return { lines: done, applied: true, added, errors: lines.length - done.filter(isFine).length };
}

function isFine({ action }: ImportLine): boolean {
  return action !== 'error';
}

async function checkRow(context: AdminContext, row: Row, seen: Set<string>): Promise<ImportLine> {
  const { line, values } = row;
  const address = (values.address ?? '').toLowerCase();
  const type = (values.targets ?? '') === '' ? 'account' : 'alias';
  const about = { line, type, address } as const;
  if (seen.has(address)) {
    return {
      ...about,
      action: 'error',
      error: `${address} stands in an earlier line`,
      mend: 'Take one out.',
    };
  }
  seen.add(address);
  try {
    await run(context, row, type, true);
    return { ...about, action: 'add', error: null, mend: '' };
  } catch (error) {
    if (error instanceof OperationError && error.kind === 'conflict') {
      return { ...about, action: 'skip', error: error.message, mend: 'It is left as it is.' };
    }
    if (!(error instanceof OperationError)) throw error;
    return { ...about, action: 'error', error: error.message, mend: mendOf(error) };
  }
}

function mendOf(error: unknown): string {
  return error instanceof OperationError ? (error.mend ?? '') : '';
}

/** The same operations as by hand; a check stops before anything is stored. */
async function run(
  context: AdminContext,
  { values }: Row,
  type: 'account' | 'alias' | 'line',
  check: boolean,
): Promise<void> {
  const address = values.address ?? '';
  const using = check ? withoutWriting(context) : context;
  if (type === 'alias') {
    const targets = (values.targets ?? '').split(/[\s;]+/).filter((target) => target !== '');
    await aliasOperations['alias.add']?.run(using, { address, targets });
    return;
  }
  const quota = values.quota ?? '';
  await accountOperations['account.add']?.run(using, {
    address,
    password: values.password ?? '',
    ...(quota === '' ? {} : { quota }),
  });
}

/** Checks as for real, then stores nothing and hashes nothing. */
function withoutWriting(context: AdminContext): AdminContext {
  const { storage } = context;
  const reads: Pick<AdminContext['storage'], 'domain' | 'entry' | 'account' | 'addAccount' | 'addAlias'> = {
    domain: (name) => storage.domain(name),
    entry: (address) => storage.entry(address),
    account: (address) => storage.account(address),
    addAccount: async ({ address, quotaBytes }) => ({
      id: 0,
      address,
      enabled: true,
      quotaBytes,
      usedBytes: 0,
      createdAt: 0,
      isPostmaster: false,
      forward: null,
    }),
    addAlias: async () => undefined,
  };
  return {
    ...context,
    storage: reads as AdminContext['storage'],
    hashPassword: async () => '',
    wakeSender: () => undefined,
  };
}

function readRows(csv: string): Row[] {
  let records: { record: string[]; info: { lines: number } }[];
  try {
    records = parse(csv, {
      bom: true,
      info: true,
      trim: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: 100_000,
      to: MAX_LINES + 2,
    }) as unknown as { record: string[]; info: { lines: number } }[];
  } catch (error) {
    throw refuse(`the file is not CSV: ${describeError(error)}`, 'Save it as CSV with commas, in UTF-8.');
  }
  const [head, ...body] = records;
  const names = head?.record.map((name) => name.toLowerCase()) ?? [];
  const unknown = names.filter((name) => !COLUMNS.includes(name));
  if (!names.includes('address') || unknown.length > 0) {
    const why =
      unknown.length > 0 ? `there is no column ${unknown.join(', ')}` : 'the column address is missing';
    throw refuse(`the first line must name the columns: ${why}`, `Columns are ${COLUMNS.join(', ')}.`);
  }
  if (body.length > MAX_LINES) {
    throw refuse(`the file has more than ${MAX_LINES} lines`, 'Import it in parts.');
  }
  return body.map(({ record, info }) => ({
    line: info.lines,
    values: Object.fromEntries(names.map((name, index) => [name, record[index] ?? ''])),
  }));
}

function refuse(message: string, mend: string): OperationError {
  return new OperationError(message, mend, 1, { errors: [{ key: 'csv', message, wouldDo: '' }] });
}
