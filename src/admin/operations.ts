/** Every administration operation by name; the command line and the control socket use this table. */

import { accessOperations } from './access-operations.ts';
import { type AdminContext, OperationError } from './context.ts';
import { accountOperations, aliasOperations, domainOperations } from './directory-operations.ts';
import { dnsOperations } from './dns-operations.ts';
import { mailOperations } from './mail-operations.ts';
import type { OperationTable } from './operation.ts';
import { queueOperations } from './queue-operations.ts';
import { serverOperations } from './server-operations.ts';
import { settingsOperations } from './settings-operations.ts';

const table: ReadonlyMap<string, OperationTable[string]> = new Map(
  Object.entries({
    ...settingsOperations,
    ...domainOperations,
    ...accountOperations,
    ...aliasOperations,
    ...accessOperations,
    ...dnsOperations,
    ...queueOperations,
    ...mailOperations,
    ...serverOperations,
  }),
);

/** Runs one operation; rejects with `OperationError` when it is refused (`operationFailure` makes a value of any error). */
export async function runOperation(context: AdminContext, name: string, args: unknown): Promise<unknown> {
  const operation = table.get(name);
  if (!operation) throw new OperationError(`there is no operation ${name.slice(0, 100)}`, undefined, 2);
  return operation.run(context, args);
}
