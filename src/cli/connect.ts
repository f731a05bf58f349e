/** Reaches the operations: through a running server's control socket, else directly on the store. */
import { stat } from 'node:fs/promises';
import { systemAuthor } from '../admin/author.ts';
import { OperationError } from '../admin/context.ts';
import { ControlClient } from '../admin/control-client.ts';
import { operationFailure } from '../admin/operation.ts';
import type { NodeConfig } from '../server/config.ts';
import type { CliIo } from './io.ts';

export interface Connection {
  /** Runs an operation; `T` is the shape its operation gives. Rejects with `OperationError`. */
  call<T>(op: string, args?: unknown): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly data: string | undefined;
  readonly config: string | undefined;
  /** The command changes something, so it may make a data folder that is missing. */
  readonly writes: boolean;
}

export type Connect = (options: ConnectOptions, io: CliIo) => Promise<Connection>;

/** The node's configuration. Rejects with `OperationError` when it cannot be used. */
export async function nodeConfig(options: Omit<ConnectOptions, 'writes'>, io: CliIo): Promise<NodeConfig> {
  const { loadNodeConfig } = await import('../server/config.ts');
  const { env, cwd } = io;
  const config = loadNodeConfig({ dataOption: options.data, configOption: options.config, env, cwd });
  if (config.ok) return config.value;
  throw new OperationError(config.failure.message);
}

/** Rejects with `OperationError` when neither way is open. */
export const connect: Connect = async (options, io) => {
  const config = await nodeConfig(options, io);
  const running = await connectToServer(config.data);
  if (running) return running;
  if (!options.writes && !(await exists(config.data))) {
    throw new OperationError(
      `there is no data folder ${config.data}`,
      'Name yours with --data, or make one with "cmail init".',
    );
  }
  return connectToStore(config);
};

/** null when no server answers. */
async function connectToServer(data: string): Promise<Connection | null> {
  const client = await ControlClient.connect(data, systemAuthor());
  if (!client) return null;
  return {
    call: async <T>(op: string, args: unknown = {}) => (await client.call(op, args)) as T,
    close: async () => client.close(),
  };
}

async function connectToStore(config: NodeConfig): Promise<Connection> {
  const [{ openOffline }, { runOperation }] = await Promise.all([
    import('../server/offline.ts'),
    import('../admin/operations.ts'),
  ]);
  try {
    const context = await openOffline(config);
    return {
      call: async <T>(op: string, args: unknown = {}) => {
        try {
          return (await runOperation(context, op, args)) as T;
        } catch (error) {
          const { message, mend, exit } = operationFailure(error);
          throw new OperationError(message, mend, exit);
        }
      },
      close: () => context.close(),
    };
  } catch (error) {
    // A server that was just starting holds the store now, and answers.
    const running = await connectToServer(config.data);
    if (running) return running;
    throw new OperationError(error instanceof Error ? error.message : String(error));
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
