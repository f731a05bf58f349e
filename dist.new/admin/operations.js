/** Every administration operation by name; the command line and the control socket use this table. */
import { OperationError } from './context.js';
import { accountOperations, aliasOperations, domainOperations } from './directory-operations.js';
import { mailOperations } from './mail-operations.js';
import { queueOperations } from './queue-operations.js';
import { serverOperations } from './server-operations.js';
import { settingsOperations } from './settings-operations.js';
const table = new Map(Object.entries({
    ...settingsOperations,
    ...domainOperations,
    ...accountOperations,
    ...aliasOperations,
    ...queueOperations,
    ...mailOperations,
    ...serverOperations,
}));
/** Runs one operation; rejects with `OperationError` when it is refused (`operationFailure` makes a value of any error). */
export async function runOperation(context, name, args) {
    const operation = table.get(name);
    if (!operation)
        throw new OperationError(`there is no operation ${name.slice(0, 100)}`, undefined, 2);
    return operation.run(context, args);
}
