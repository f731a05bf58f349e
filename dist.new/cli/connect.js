/** Reaches the operations: through a running server's control socket, else directly on the store. */
import { stat } from 'node:fs/promises';
import { systemAuthor } from '../admin/author.js';
import { OperationError } from '../admin/context.js';
import { ControlClient } from '../admin/control-client.js';
import { operationFailure } from '../admin/operation.js';
/** The node's configuration. Rejects with `OperationError` when it cannot be used. */
export async function nodeConfig(options, io) {
    const { loadNodeConfig } = await import('../server/config.js');
    const { env, cwd } = io;
    const config = loadNodeConfig({ dataOption: options.data, configOption: options.config, env, cwd });
    if (config.ok)
        return config.value;
    throw new OperationError(config.failure.message);
}
/** Rejects with `OperationError` when neither way is open. */
export const connect = async (options, io) => {
    const config = await nodeConfig(options, io);
    const running = await connectToServer(config.data);
    if (running)
        return running;
    if (!options.writes && !(await exists(config.data))) {
        throw new OperationError(`there is no data folder ${config.data}`, 'Name yours with --data, or make one with "cmail init".');
    }
    return connectToStore(config);
};
/** null when no server answers. */
async function connectToServer(data) {
    const client = await ControlClient.connect(data, systemAuthor());
    if (!client)
        return null;
    return {
        call: async (op, args = {}) => (await client.call(op, args)),
        close: async () => client.close(),
    };
}
async function connectToStore(config) {
    const [{ openOffline }, { runOperation }] = await Promise.all([
        import('../server/offline.js'),
        import('../admin/operations.js'),
    ]);
    try {
        const context = await openOffline(config);
        return {
            call: async (op, args = {}) => {
                try {
                    return (await runOperation(context, op, args));
                }
                catch (error) {
                    const { message, mend, exit } = operationFailure(error);
                    throw new OperationError(message, mend, exit);
                }
            },
            close: () => context.close(),
        };
    }
    catch (error) {
        // A server that was just starting holds the store now, and answers.
        const running = await connectToServer(config.data);
        if (running)
            return running;
        throw new OperationError(error instanceof Error ? error.message : String(error));
    }
}
async function exists(path) {
    return stat(path).then(() => true, () => false);
}
