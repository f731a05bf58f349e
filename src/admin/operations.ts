/** Every administration operation by name; the command line, the control socket and the HTTP API use this table. */
import { accessOperations } from './access-operations.ts';
import { auditDetails } from './audit.ts';
import { type AdminContext, OperationError } from './context.ts';
import { accountOperations, aliasOperations, domainOperations } from './directory-operations.ts';
import { dnsOperations } from './dns-operations.ts';
import { factorOperations } from './factor-operations.ts';
import { formOperations } from './form-operations.ts';
import { importOperations } from './import-operations.ts';
import { mailOperations } from './mail-operations.ts';
import { meOperations } from './me-operations.ts';
import { nodeOperations } from './node-operations.ts';
import type { OperationTable } from './operation.ts';
import { queueOperations } from './queue-operations.ts';
import { searchOperations } from './search-operations.ts';
import { serverOperations } from './server-operations.ts';
import { settingsOperations } from './settings-operations.ts';
import { signInOperations } from './sign-in-operations.ts';

const table: ReadonlyMap<string, OperationTable[string]> = new Map(
  Object.entries({
    ...settingsOperations,
    ...formOperations,
    ...domainOperations,
    ...accountOperations,
    ...aliasOperations,
    ...importOperations,
    ...signInOperations,
    ...meOperations,
    ...dnsOperations,
    ...queueOperations,
    ...searchOperations,
    ...mailOperations,
    ...accessOperations,
    ...factorOperations,
    ...nodeOperations,
    ...serverOperations,
  }),
);

/**
 * Runs one operation, and records it in the audit when it changed something. Rejects with `OperationError` when it
 * is refused (`operationFailure` makes a value of any error).
 */
export async function runOperation(context: AdminContext, name: string, args: unknown): Promise<unknown> {
  const operation = table.get(name);
  if (!operation) throw new OperationError(`there is no operation ${name.slice(0, 100)}`, undefined, 2);
  const result = await operation.run(context, args);
  const details = auditDetails(name, args, result);
  if (details !== null) {
    const { author, clientAddress, storage } = context;
    await storage.recordAudit({ who: author, address: clientAddress, action: name, details });
  }
  return result;
}
